"""Holds the experiments on why the curves differ to slow formulas."""

import itertools
import math

import notebook_definitions as nb
import numpy as np
import pytest

assert_close = np.testing.assert_allclose
DRAW = np.random.default_rng(0).normal
OUTPUTS = 5 + DRAW(size=(300, 8)) @ (DRAW(size=(8, 8)) * 0.6 ** np.arange(8))
SUBSETS = [frozenset(chosen) for size in range(5)
           for chosen in itertools.combinations([1, 2, 3, 4], size)]
FAVOUR = {"weights": [1.5, 1, 1, 1], "units": [1, 1, 1, 2.5]}  # The stored.


def misalign_slowly(first: np.ndarray, second: np.ndarray) -> float:
    """Computes 1 - cos²."""
    product = np.sum(first * second) ** 2
    return 1 - product / (np.sum(first**2) * np.sum(second**2))


def test_points_lost(network: list) -> None:
    """Each set of matrices is pruned as said, and points are lost points."""
    images = DRAW(size=(200, 12))
    labels = nb.forward(network, images).numpy().argmax(axis=1)
    labels[:50] = 0
    split = nb.Split(images, labels)
    copy = nb.prune(network, 60, nb.unit_scores)
    lost = nb.points_lost(network, copy, split)
    assert {*lost} == {*SUBSETS}
    dense = nb.accuracy(network, *split)
    for pruned, points in lost.items():
        mixed = [copy[i] if i + 1 in pruned else network[i] for i in range(5)]
        assert points == pytest.approx(dense - nb.accuracy(mixed, *split))
    row = nb.locate_loss(network, copy, split)
    assert row["points lost"] == lost[frozenset([1, 2, 3, 4])] > 10
    for number, part in nb.shapley(lost).items():
        others = frozenset([1, 2, 3, 4]) - {number}
        assert row[f"matrix {number}"] == part
        assert row[f"{number} left whole"] == lost[others]
    assert len(row) == 9 and {*nb.MATRICES} < {*row}


def test_shapley() -> None:
    """Parts are averages over orders, hence over sets with these weights."""
    lost = {chosen: 50 * DRAW() for chosen in SUBSETS}
    lost[frozenset()] = 0
    parts = nb.shapley(lost)
    assert [*parts] == [1, 2, 3, 4]
    assert sum(parts.values()) == pytest.approx(lost[frozenset([1, 2, 3, 4])])
    for matrix, part in parts.items():
        assert part == pytest.approx(sum(
            math.factorial(len(s)) * math.factorial(3 - len(s)) / 24
            * (lost[s | {matrix}] - lost[s])
            for s in SUBSETS if matrix not in s))
    # A matrix that costs nothing in any company gets nothing.
    idle = {s: lost[s - {3}] for s in lost}
    assert nb.shapley(idle)[3] == pytest.approx(0)
    # Two that cost the same in every company get the same.
    swap = {1: 4, 2: 2, 3: 3, 4: 1}
    alike = {s: lost[s] + lost[frozenset(swap[i] for i in s)] for s in lost}
    parts = nb.shapley(alike)
    assert parts[1] == pytest.approx(parts[4]) != pytest.approx(parts[2])


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_directions(share: float) -> None:
    """As few components are counted as hold the share of the variance."""
    lengths = np.linalg.svd(OUTPUTS - OUTPUTS.mean(axis=0), compute_uv=False)
    shares = np.cumsum(lengths**2) / np.sum(lengths**2)
    count = 1 + np.flatnonzero(shares >= share)[0]
    assert nb.directions(OUTPUTS, share) == count
    assert share < 0.99 or nb.directions(OUTPUTS) == count
    assert nb.directions(OUTPUTS[:, :1], share) == 1
    assert nb.directions(np.ones((9, 4)), share) == 0


@pytest.mark.parametrize("size", [0, 0.3, 0.9])
def test_add_error(size: float) -> None:
    """The error has the size and, beside the outputs, its own direction."""
    error = DRAW(size=OUTPUTS.shape) - 2 * OUTPUTS
    before = OUTPUTS.copy(), error.copy()
    changed = nb.add_error(OUTPUTS, error, size)
    assert_close(misalign_slowly(OUTPUTS, changed), size, atol=1e-9)
    assert_close(nb.misalignment(-3 * OUTPUTS, changed), size, atol=1e-9)
    rest = error - np.sum(error * OUTPUTS) / np.sum(OUTPUTS**2) * OUTPUTS
    scale = np.linalg.norm(changed - OUTPUTS) / np.linalg.norm(rest)
    assert_close(changed - OUTPUTS, rest * scale, atol=1e-9)
    assert (before[0] == OUTPUTS).all() and (before[1] == error).all()


def test_make_errors() -> None:
    """Errors lose 80 % of weights, or of the layer before; rotated alike."""
    matrix, inputs = DRAW(size=(40, 20)).astype("f4"), np.eye(40, dtype="f4")
    made, same, other = (nb.make_errors(inputs, matrix, i) for i in (0, 0, 1))
    for kind, error in made.items():
        assert (error == same[kind]).all() and (error != other[kind]).any()
    for kind in ("weights", "units"):
        assert np.count_nonzero(made[kind]) == 640
        assert_close(made[kind], -matrix * (made[kind] != 0))
    turned, units = made["units, rotated"], made["units"]
    assert np.count_nonzero(units.any(axis=1)) == 32
    assert_close(turned @ turned.T, units @ units.T, atol=1e-4)
    assert np.abs(turned - units).max() > 1


def test_compare_answers(network: list) -> None:
    """Answers are those of the rest, after a ReLU, less their mean."""
    outputs, error = DRAW(size=(2, 200, 10)).astype(np.float32)
    logits = [(y.clip(0) @ network[3]).clip(0) @ network[4]
              for y in (outputs, outputs + error)]
    differ = logits[0].argmax(axis=1) != logits[1].argmax(axis=1)
    centred = [y - y.mean(axis=1, keepdims=True) for y in logits]
    changed, size = nb.compare_answers(
        network[3:], outputs, outputs + error).values()
    assert changed == pytest.approx(100 * np.mean(differ))
    assert 5 < changed < 95
    assert size == pytest.approx(nb.misalignment(*centred), rel=1e-3)
    same = nb.compare_answers(network[3:], outputs, 2 * outputs)
    assert_close([*same.values()], 0, atol=1e-5)


@pytest.fixture(scope="module")
def wide() -> list[np.ndarray]:
    """Draws matrices of the challenge's shapes."""
    draw = np.random.default_rng(1).standard_normal
    return [draw(shape, np.float32) for shape in itertools.pairwise(nb.SIZES)]


@pytest.mark.parametrize("rule", FAVOUR)
@pytest.mark.parametrize("k", [80, 90, 95])
def test_spend_unevenly(rule: str, k: float, wide: list) -> None:
    """All matrices together lose as much; the favoured one keeps more."""
    scores = [nb.RULES[rule](matrix) for matrix in wide[:-1]]
    total = sum(matrix.size for matrix in wide[:-1])
    zeros = []
    for favour in ([1] * 4, FAVOUR[rule]):
        sparsities = nb.spend_unevenly(wide, k, favour)
        kept = (100 - sparsities) / favour
        assert_close(kept, kept[0])
        if favour == [1] * 4:
            assert_close(sparsities, k, atol=1e-4)
        for spent in (sparsities, k):
            copy = nb.prune(wide, spent, scores)
            zeros.append(100 * sum(np.sum(w == 0) for w in copy[:-1]) / total)
    # Of all weights, percent: a unit has up to 0.04, a weight next to nothing.
    assert np.ptp(zeros) <= (0.03 if rule == "units" else 0.001)


def test_lamp_scores() -> None:
    """A square is divided by the squares of its matrix not below it."""
    for scores in (DRAW(size=(6, 7)), np.abs(DRAW(size=9)), DRAW(size=(5, 1))):
        before = scores.copy()
        slow = [one**2 / sum(other**2 for other in scores.flat
                             if other**2 >= one**2) for one in scores.flat]
        lamp = nb.lamp_scores(scores)
        assert_close(lamp, np.reshape(slow, scores.shape))
        assert (scores == before).all()


@pytest.mark.parametrize("rule", nb.RULES)
@pytest.mark.parametrize("k", [0, 33, 80, 100])
def test_one_threshold(rule: str, k: float, network: list) -> None:
    """The smallest scores of all matrices go, at most k % of the weights."""
    network = [w * scale for w, scale in zip(network, (1, 3, 0.5, 2, 1))]
    scores = [nb.RULES[rule](matrix) for matrix in network[:-1]]
    sparsities = nb.one_threshold(network, k, scores)
    copy = nb.prune(network, sparsities, scores)
    zeros = sum(np.sum(matrix == 0) for matrix in copy[:-1])
    limit = k / 100 * sum(matrix.size for matrix in network[:-1])
    piece = 1 if rule == "weights" else 20  # The largest.
    assert limit - piece < zeros <= limit + 1e-9
    masks = [nb.keep_mask(*pair) for pair in zip(scores, sparsities)]
    gone, kept = (np.concatenate([s[m == i] for s, m in zip(scores, masks)])
                  for i in (0, 1))
    assert np.max(gone, initial=0) < np.min(kept, initial=np.inf)
