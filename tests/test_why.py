"""Holds the experiments on why the curves differ to slow formulas."""

import itertools
import math

import notebook_definitions as nb
import numpy as np
import pytest

assert_close = np.testing.assert_allclose
DRAW = np.random.default_rng(0).normal
OUTPUTS = 5 + DRAW(size=(300, 8)) @ (DRAW(size=(8, 8)) * 0.6 ** np.arange(8))
ALL = frozenset([1, 2, 3, 4])
SUBSETS = [frozenset(chosen) for size in range(5)
           for chosen in itertools.combinations(ALL, size)]


def test_points_lost(network: list) -> None:
    """Each set of matrices is pruned as said, and points are lost points."""
    images = DRAW(size=(200, 12))
    labels = nb.forward(network, images).numpy().argmax(axis=1)
    labels[:50] = 0
    split = nb.Split(images, labels)
    copy = nb.prune(network, 60, nb.unit_scores)
    lost = nb.points_lost(network, copy, split)
    assert len(lost) == 16
    for pruned in SUBSETS:
        mixed = [copy[i] if i + 1 in pruned else network[i] for i in range(5)]
        expected = nb.accuracy(network, *split) - nb.accuracy(mixed, *split)
        assert lost[pruned] == pytest.approx(expected)
    row = nb.locate_points(network, copy, split)
    assert row.pop("points lost") == lost[ALL] > 10
    for i, part in nb.shapley(lost).items():
        assert row.pop(nb.MATRICES[i - 1]) == part
        assert row.pop(nb.LEFT_WHOLE[i - 1]) == lost[ALL - {i}]
    assert not row


def test_shapley() -> None:
    """Averages over orders are averages over sets with these weights."""
    lost = {chosen: DRAW() for chosen in SUBSETS}
    parts = nb.shapley(lost)
    assert [*parts] == [1, 2, 3, 4]
    for matrix, part in parts.items():
        expected = 0
        for others in SUBSETS:
            if matrix not in others:
                gain = lost[others | {matrix}] - lost[others]
                expected += gain / 4 / math.comb(3, len(others))
        assert part == pytest.approx(expected)


def test_directions() -> None:
    """As few components are counted as hold the share of the variance."""
    lengths = np.linalg.svd(OUTPUTS - OUTPUTS.mean(axis=0), compute_uv=False)
    shares = np.cumsum(lengths**2) / np.sum(lengths**2)
    for share in [0.5, 0.9, 0.99]:
        count = nb.directions(OUTPUTS, share)
        assert count == 1 + np.sum(shares < share)
    assert nb.directions(OUTPUTS) == count > 1
    assert nb.directions(OUTPUTS[:, :1]) == 1
    assert nb.directions(np.ones((9, 4))) == 0


def test_add_error() -> None:
    """The error keeps its direction, at two thirds of the outputs' length."""
    error = DRAW(size=OUTPUTS.shape) - 2 * OUTPUTS
    added = nb.add_error(OUTPUTS, error) - OUTPUTS
    ratio = np.linalg.norm(added) / np.linalg.norm(OUTPUTS)
    assert ratio == pytest.approx(2 / 3)
    assert nb.misalignment(added, error) == pytest.approx(0, abs=1e-9)
    assert np.sum(added * error) > 0


def test_misalignment() -> None:
    """The error is 1 - cos², whatever the lengths and signs."""
    error = DRAW(size=OUTPUTS.shape)
    error -= np.sum(error * OUTPUTS) / np.sum(OUTPUTS**2) * OUTPUTS
    error *= np.linalg.norm(OUTPUTS) / np.linalg.norm(error)
    for length in [0, 0.5, 2]:
        found = nb.misalignment(-3 * OUTPUTS, OUTPUTS + length * error)
        assert found == pytest.approx(length**2 / (1 + length**2), abs=1e-9)


def test_make_errors() -> None:
    """Errors lose 80 % of weights, or of the layer before; rotated alike."""
    matrix = DRAW(size=(40, 20)).astype(np.float32)
    made, other = [nb.make_errors(np.eye(40), matrix, i) for i in [0, 1]]
    weights, units, turned = made.values()
    for error in [weights, units]:
        lost = np.isclose(error, -matrix)
        assert np.sum(lost) == 640
        assert_close(error[~lost], 4 * matrix[~lost], 1e-6)
    lost_rows = [np.isclose(error, -matrix).all(axis=1).sum()
                 for error in [weights, units]]
    assert lost_rows[0] < 10 and lost_rows[1] == 32
    assert_close(turned @ turned.T, units @ units.T, atol=1e-2)
    assert np.abs(turned - units).max() > 1
    for name, error in made.items():
        assert (error != other[name]).any()


def test_compare_answers(network: list) -> None:
    """Answers are the logits that the rest computes after a ReLU."""
    outputs, changed = DRAW(size=(2, 200, 10))
    before, after = [(array.clip(0) @ network[3]).clip(0) @ network[4]
                     for array in [outputs, changed]]
    differ = before.argmax(axis=1) != after.argmax(axis=1)
    found = nb.compare_answers(network[3:], outputs, changed)
    assert found == pytest.approx({
        "predictions changed (%)": 100 * np.mean(differ),
        "error of logits": nb.misalignment(before, after)}, 1e-3)


@pytest.mark.parametrize("method, favoured", [("weights", 0), ("units", 3)])
def test_spend_unevenly(method: str, favoured: int) -> None:
    """Zeros are as many as evenly, and shares follow the favours."""
    network = [np.random.default_rng(1).random(shape, np.float32) + 1
               for shape in itertools.pairwise(nb.SIZES)]
    scores = [nb.RULES[method](matrix) for matrix in network[:-1]]
    sizes = np.array([matrix.size for matrix in network[:-1]])
    units = np.array(nb.SIZES[1:-1])
    for favour, k in itertools.product([1, 1.5, 2, 2.5, 3], [80, 90]):
        favours = np.ones(4)
        favours[favoured] = favour
        assert nb.make_favours(method, favour) == favours.tolist()
        sparsities = nb.spend_unevenly(network, k, favours)
        copy = nb.prune(network, sparsities, scores)
        zeros = sum(np.sum(matrix == 0) for matrix in copy)
        # Half a unit of the last matrix is 0.0105 % of all weights.
        limit = 0.01 if favour < 3 else 0.0105
        assert abs(100 * zeros / sizes.sum() - k) < limit
        # Units, rounded; the last matrix makes up for the three others.
        kept = units * (1 - sparsities / 100)
        assert_close(kept, np.rint(kept))
        exact = units * favours * (1 - k / 100)
        exact *= sizes.sum() / (sizes @ favours)
        assert (np.abs(kept - exact) <= [0.5, 0.5, 0.5, 3.5]).all()


def test_lamp_scores() -> None:
    """A square is divided by the squares of its matrix not below it."""
    scores = DRAW(size=(6, 7))
    lamp = nb.lamp_scores(scores)
    assert lamp.shape == (6, 7)
    for found, score in zip(lamp.flat, scores.flat):
        larger = [other**2 for other in scores.flat if abs(other) >= abs(score)]
        assert found == pytest.approx(score**2 / sum(larger))


@pytest.mark.parametrize("method", nb.RULES)
def test_one_threshold(method: str, network: list) -> None:
    """The smallest scores of all matrices go, at most k % of the weights."""
    scores = [nb.RULES[method](matrix) for matrix in network[:-1]]
    pieces = []
    for i, array in enumerate(scores):
        weights = network[i].size / array.size
        pieces += [(score, i, weights) for score in array.flat]
    for k in [0, 33, 80, 100]:
        left = round(k / 100 * sum(matrix.size for matrix in network[:-1]))
        gone = np.zeros(4)
        for _, i, weights in sorted(pieces):
            left -= weights
            if left < 0:
                break
            gone[i] += 100 / scores[i].size
        assert_close(nb.one_threshold(network, k, scores), gone)
