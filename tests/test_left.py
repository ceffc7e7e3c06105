"""Holds choosing, refitting and what follows to slow formulas."""

import itertools

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

assert_close = np.testing.assert_allclose
DRAW = np.random.default_rng(0).normal
ACTIVATIONS = DRAW(size=(60, 4)) @ DRAW(size=(4, 9)) + DRAW(size=(60, 9))
OUTPUTS = ACTIVATIONS @ DRAW(size=(9, 5)) + DRAW(size=(60, 5))
IMAGES = DRAW(size=(500, 12)).astype(np.float32)
IMAGES[:, 3] = 0  # A dead pixel.


def rank_slowly() -> list[int]:
    """Adds the unit with which least squares leave the smallest residual."""
    chosen = []
    while len(chosen) < 9:
        left = {}
        for unit in {*range(9)} - {*chosen}:
            inputs = ACTIVATIONS[:, [*chosen, unit]]
            fit = np.linalg.lstsq(inputs, OUTPUTS, rcond=None)[0]
            left[unit] = np.sum((OUTPUTS - inputs @ fit) ** 2)
        chosen.append(min(left, key=left.get))
    return chosen


def test_rank_units() -> None:
    """The next unit is the one with which least squares err least.

    Units that are dead, or copies of a chosen one, get a 0.
    """
    before, order = ACTIVATIONS.copy(), rank_slowly()
    scores = nb.rank_units(ACTIVATIONS, OUTPUTS)
    assert [scores[unit] for unit in order] == [*range(9, 0, -1)]
    few = nb.rank_units(ACTIVATIONS, OUTPUTS, 3)
    assert few.tolist() == np.where(scores > 6, scores, 0).tolist()
    assert (before == ACTIVATIONS).all()
    before[:, order[8]] = 3 * before[:, order[0]]
    before[:, order[1]] = 0
    scores = nb.rank_units(before, OUTPUTS)
    assert scores[order[1]] == 0 == min(scores[[order[0], order[8]]])
    assert sorted(scores) == [0, 0, *range(3, 10)]
    assert not nb.rank_units(0 * ACTIVATIONS, OUTPUTS).any()


def test_rank_units_refuses() -> None:
    """Shapes that do not fit, no images and NaN are refused."""
    for wrong in ((ACTIVATIONS[:9], OUTPUTS), (ACTIVATIONS[:0], OUTPUTS[:0]),
                  (ACTIVATIONS, OUTPUTS[:, 0]), (ACTIVATIONS[:, 0], OUTPUTS),
                  (ACTIVATIONS * np.nan, OUTPUTS),
                  (ACTIVATIONS, OUTPUTS * np.inf)):
        with pytest.raises(ValueError, match="Pass|finite"):
            nb.rank_units(*wrong)


def test_rank_layers(network: list) -> None:
    """Units are ranked by activations, for the matrix that reads them."""
    outputs = [y.numpy() for y in nb.layer_outputs(network, IMAGES)]
    found = nb.rank_layers(network, IMAGES)
    for scores, (array, read) in zip(found, itertools.pairwise(outputs),
                                     strict=True):
        assert (scores == nb.rank_units(array.clip(0), read)).all()
    # Of many units, 200 or a fifth and one.
    images = DRAW(size=(700, 30))
    for width, count in ((300, 200), (1100, 221)):
        (scores,) = nb.rank_layers(nb.init_weights(0, (30, width, 300)), images)
        assert np.count_nonzero(scores) == count and scores.max() == width


def refit_slowly(network: list, copy: list) -> list[np.ndarray]:
    """Solves ridge regression for one unit after the other.

    Changes are penalized by 0.001 of the mean square of the live inputs.
    """
    dense = inputs = IMAGES.astype(float)
    refitted = []
    for matrix, left in zip(network, copy, strict=True):
        targets, result, used = dense @ matrix, left + 0.0, inputs.any(axis=0)
        root = np.sqrt(1e-3 * np.sum(inputs**2) / max(used.sum(), 1))
        for unit in range(matrix.shape[1]):
            rows = np.flatnonzero((left[:, unit] != 0) & used)
            design = np.vstack([inputs[:, rows], root * np.eye(len(rows))])
            right = np.append(targets[:, unit], root * left[rows, unit])
            result[rows, unit] = np.linalg.lstsq(design, right, rcond=None)[0]
        refitted.append(result)
        dense, inputs = np.maximum(targets, 0), np.maximum(inputs @ result, 0)
    return refitted


@pytest.mark.parametrize("k", [0, 25, 60, 90, 100])
@pytest.mark.parametrize("rule", nb.RULES)
def test_refit(rule: str, k: float, network: list) -> None:
    """Weights that are left minimize the error, and zeros stay zero."""
    copy = nb.prune(network, k, nb.RULES[rule])
    given = [*network, *copy]
    before = [matrix.copy() for matrix in given]
    found = nb.refit(network, copy, IMAGES)
    slow = refit_slowly(network, copy)
    for matrix, expected, left in zip(found, slow, copy, strict=True):
        assert not matrix[left == 0].any() and matrix.dtype == np.float32
        assert_close(matrix, expected, rtol=5e-3, atol=5e-3)
        assert k > 0 or np.abs(matrix - left).max() < 1e-4
    for matrix, same in zip(given, before, strict=True):
        assert (matrix == same).all()


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_refit_refuses(network: list) -> None:
    """Other shapes, no images and NaN are refused."""
    copy = nb.prune(network, 50, nb.unit_scores)
    wrong = [(network, of, IMAGES) for of in (
        nb.compact(copy)[0], copy[:-1], [*copy, copy[-1]], copy[1:])]
    wrong += [(of, network, IMAGES) for _, of, _ in wrong]
    wrong += [(network, copy, images) for images in (
        IMAGES[:0], IMAGES[:, :9], IMAGES[0], IMAGES + np.nan, IMAGES + np.inf)]
    bad = [*network[:2], network[2] * np.nan, *network[3:]]
    for arguments in (*wrong, (bad, copy, IMAGES)):
        with pytest.raises(ValueError, match="Pass|finite"):
            nb.refit(*arguments)


def test_distill(dataset: nb.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student comes nearer to its teacher's halved logits."""
    images = dataset.train.images[:300]
    teacher = nb.train(nb.init_weights(0, (784, 40, 20, 10)), dataset.train,
                       60, seed=0)
    copy = nb.prune(teacher, 50, nb.unit_scores)
    student = nb.distill(teacher, copy, images, 60)
    assert [w.shape for w in student] == [(784, 20), (20, 10), (10, 10)]
    monkeypatch.setattr(nb, "train", lambda *args, **_: args[:3])
    start, split, steps = nb.distill(teacher, copy, images, 60)
    goal, begin, end = (tf.nn.softmax(nb.forward(of, images) / by).numpy()
                        for of, by in ((teacher, 2), (copy, 2), (student, 1)))
    assert_close(split.labels, goal, atol=1e-6)
    assert (split.images == images).all() and steps == 60
    assert_close(tf.nn.softmax(nb.forward(start, images)), begin, atol=1e-5)
    assert np.abs(end - goal).mean() < 0.7 * np.abs(begin - goal).mean()


def test_shift_images() -> None:
    """Each image is moved in all ways by up to two pixels."""
    images = np.zeros((3, 28, 28), np.float32)
    images[:, 2:-2, 2:-2] = np.random.default_rng(8).random((3, 24, 24))
    shifted = nb.shift_images(images.reshape(3, 784))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    slow = {image[down : down + 28, right : right + 28].tobytes()
            for image in padded
            for down, right in itertools.product(range(5), repeat=2)}
    assert {image.tobytes() for image in shifted} == slow and len(slow) == 75
    assert shifted.shape == (75, 784) and shifted.dtype == np.float32


def test_find_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket keeps first weights; a fifth of the rest goes each time."""
    calls = []

    def reverse(start: list, *args: object) -> list[np.ndarray]:
        """Makes the smallest weights the largest, as a training might."""
        calls.append((start, *args))
        return [np.where(w != 0, 9 - w, 0) for w in start]

    monkeypatch.setattr(nb, "train", reverse)
    monkeypatch.setattr(nb, "LENET", [30, 20, 20, 10])
    initial, ticket = nb.find_ticket("split", 4, 50, 3)
    drawn = nb.init_weights(4, nb.LENET)
    found = [np.count_nonzero(call[0][0]) for call in calls]
    assert [*found, np.count_nonzero(ticket[0])] == pytest.approx(
        [600 * 0.8**i for i in range(4)], abs=1)
    assert [call[1:] for call in calls] == [("split", 50, 4)] * 3
    for w, whole, first in zip(ticket, initial, drawn, strict=True):
        assert (whole == first).all()
        assert (w[w != 0] == first[w != 0]).all()
    assert (ticket[-1] == drawn[-1]).all()
    assert ticket[0].max() < drawn[0][ticket[0] == 0].min()


def test_shuffle_ticket(network: list) -> None:
    """All weights are kept, elsewhere, where the name says."""
    ticket = nb.prune(network, 60, nb.weight_scores)
    before = [matrix.copy() for matrix in ticket]
    other = nb.shuffle_ticket(ticket, 1)
    for name, start in nb.shuffle_ticket(ticket, 0).items():
        assert (start[4] == ticket[4]).all() and len(start) == 5
        for w, t, same, unlike in zip(start[:4], ticket, before, other[name]):
            assert (t == same).all() and (w != t).any() and (w != unlike).any()
            axis = 1 if name == "rows shuffled" else None
            assert_close(np.sort(abs(w), axis), np.sort(abs(t), axis))
            places = name in ("values shuffled", "magnitudes shuffled")
            assert ((w == 0) == (t == 0)).all() == places
            signs = name == "magnitudes shuffled"
            assert (np.sign(w) == np.sign(t)).all() == signs
            assert signs or (np.sort(w, axis) == np.sort(t, axis)).all()
