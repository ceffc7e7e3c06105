"""Holds repair, penalties and lottery tickets to slow formulas."""

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

assert_equal = np.testing.assert_array_equal
assert_close = np.testing.assert_allclose
Arrays = list[np.ndarray]
IMAGES = np.random.default_rng(5).normal(size=(500, 12)).astype(np.float32)


def repair_slowly(weights: Arrays, pruned: Arrays, ridge: float) -> Arrays:
    """Refits unit by unit, each on the weights that are left of it."""
    dense = inputs = IMAGES.astype(float)
    repaired = []
    for matrix, copy in zip(weights, pruned, strict=True):
        targets, result = dense @ matrix, np.zeros(matrix.shape)
        scale = np.sqrt(ridge * np.square(inputs).sum(axis=0).mean())
        for unit in range(matrix.shape[1]):
            rows = np.flatnonzero((copy[:, unit] != 0) & inputs.any(axis=0))
            left = np.vstack([inputs[:, rows], scale * np.eye(len(rows))])
            right = np.append(targets[:, unit], np.zeros(len(rows)))
            result[rows, unit] = np.linalg.lstsq(left, right, rcond=None)[0]
        repaired.append(result)
        dense, inputs = np.maximum(targets, 0), np.maximum(inputs @ result, 0)
    return repaired


@pytest.mark.parametrize("ridge", [1e-6, 1e-3, 0.1])
@pytest.mark.parametrize("method", list(nb.METHODS))
def test_repair(method: str, ridge: float, weights: Arrays) -> None:
    """Wrong targets, inputs or support, no ridge, a matrix left out."""
    for k in (0, 25, 60):
        pruned = nb.METHODS[method](weights, k)
        expected = repair_slowly(weights, pruned, ridge)
        found = nb.repair(weights, pruned, IMAGES, ridge)
        for matrix, slow, copy in zip(found, expected, pruned, strict=True):
            assert not matrix[copy == 0].any()
            assert_close(matrix, slow, rtol=5e-3, atol=5e-3)
        if k == 0 and ridge == 1e-6:
            change = nb.forward(found, IMAGES) - nb.forward(weights, IMAGES)
            assert np.std(change) < 1e-3 * np.std(nb.forward(found, IMAGES))


@pytest.mark.parametrize("form", [tf.Variable, np.float16, np.float64])
def test_repair_inputs(form: object, weights: Arrays) -> None:
    """A kind of matrix refused, inputs written to, NaN from dead pixels."""
    images = IMAGES.copy()
    images[:, 3:5] = 0
    dense = [form(matrix) for matrix in weights]
    for k in (60, 100):
        pruned = nb.prune(dense, k, nb.unit_scores)
        before = [np.asarray(m).copy() for m in (*dense, *pruned, images)]
        found = nb.repair(dense, pruned, images)
        for matrix, same in zip((*dense, *pruned, images), before, strict=True):
            assert_equal(matrix, same)
        assert not found[0][3:5].any()
        for matrix, copy in zip(found, pruned, strict=True):
            assert matrix.dtype == np.float32
            assert np.isfinite(matrix).all()
            assert not matrix[copy == 0].any()


def rank_slowly(activations: np.ndarray, outgoing: np.ndarray) -> list[int]:
    """Chooses units one by one, and projects the others onto the rest."""
    rest, chosen = activations * np.linalg.norm(outgoing, axis=1), []
    while len(chosen) < rest.shape[1]:
        sizes = np.linalg.norm(rest, axis=0)
        sizes[chosen] = -1
        chosen.append(int(sizes.argmax()))
        axis = rest[:, chosen[-1]] / max(sizes.max(), 1e-9)
        rest = rest - np.outer(axis, axis @ rest)
    return chosen


def test_pivoted_scores(weights: Arrays) -> None:
    """A redundant unit kept, outgoing weights ignored, order reversed."""
    draw = np.random.default_rng(0).normal
    activations = draw(size=(300, 3)) @ draw(size=(3, 8))
    activations += 0.3 * draw(size=(300, 8)) * np.arange(1, 9)
    outgoing = draw(size=(8, 5)) * np.array([9, 1, 1, 1, 5, 1, 1, 1])[:, None]
    scores = nb.pivoted_scores(activations, outgoing)
    assert np.argsort(-scores).tolist() == rank_slowly(activations, outgoing)
    activations[:, 7] = activations[:, 0]  # Large, but says nothing new.
    outgoing[7] = 0.9 * outgoing[0]
    assert nb.pivoted_scores(activations, outgoing)[7] == 1
    activations[:, 2] = 0
    assert set(nb.pivoted_scores(activations, outgoing)[[2, 7]]) == {1, 2}
    dataset = nb.Dataset("", nb.Split(IMAGES, None), None, None, [])
    methods = nb.repair_methods(weights, dataset)
    copy = methods["pivoted units, repaired"](weights, 50)
    for layer, outgoing in enumerate(weights[1:]):
        hidden = np.maximum(nb.forward(weights[: layer + 1], IMAGES), 0)
        kept = nb.keep_mask(nb.pivoted_scores(hidden, outgoing), 50)
        assert_equal(copy[layer].any(axis=0), kept == 1)


@pytest.mark.parametrize("progress", [0, 0.25, 0.5, 1])
def test_penalties(progress: float, weights: Arrays) -> None:
    """Another share or axis, the last matrix penalised, NaN gradients."""
    weights[0][:, 0] = 0
    variables, now = list(map(tf.Variable, weights)), tf.constant(progress)
    expected, share = 0, nb.SHARE * min(1, 2 * progress)
    for matrix in weights[:-1]:
        norms = sorted(np.linalg.norm(column) for column in matrix.T)
        expected += nb.LASSO * sum(norms[: int(share * len(norms) + 1e-4)])
    with tf.GradientTape() as tape:
        loss = nb.shrink_units(variables, now)
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    gradients = tape.gradient(loss, variables)[:-1]
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    expected = nb.L1 * sum(np.abs(matrix).sum() for matrix in weights[:-1])
    loss = float(nb.shrink_weights(variables, now))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_mask_survivors() -> None:
    """Other rates, rates of all weights, weights that come back."""
    draw = np.random.default_rng(0).normal
    masks = [np.ones(shape) for shape in ((100, 50), (50, 30), (30, 10))]
    left = np.array([5000, 1500, 300])
    for _ in range(3):
        weights = [draw(size=mask.shape) + 100 * (1 - mask) for mask in masks]
        smaller = nb.mask_survivors(weights, masks)
        left = left * (0.8, 0.8, 0.9)
        assert_close([m.sum() for m in smaller], left, atol=1)
        for new, old, matrix in zip(smaller, masks, weights, strict=True):
            assert not (new > old).any()
            gone = np.abs(matrix[(new == 0) & (old == 1)])
            assert gone.max() <= np.abs(matrix[new == 1]).min()
        masks = smaller


def test_train_masked(dataset: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that come back, too few steps, accuracy of another split."""
    monkeypatch.setattr(nb, "TICKET_STEPS", 40)
    initial = nb.init_weights(0, (784, 20, 10))
    before = [matrix.numpy() for matrix in initial]
    masks = [nb.keep_mask(np.abs(matrix), 40) for matrix in before]
    found, row = nb.train_masked(dataset, initial, masks, 0)
    again, _ = nb.train_masked(dataset, initial, masks, 0)
    other, _ = nb.train_masked(dataset, initial, masks, 1)
    for i, mask in enumerate(masks):
        assert_equal(initial[i], before[i])
        assert_equal(found[i], again[i])
        assert (found[i] != other[i]).numpy().any()
        assert not found[i].numpy()[mask == 0].any()
        moved = np.abs(found[i] - before[i])[mask == 1]
        assert 0 < moved.max() <= 40 * 0.0012 * 3
    assert row["accuracy"] == nb.accuracy(found, *dataset.test)
    assert (round(row["remaining"]), row["steps"]) == (60, 40)
