"""Holds controls, SVD and measures of pruned copies to slow formulas."""

import notebook_definitions as nb
import numpy as np
import pandas as pd
import pytest

assert_close = np.testing.assert_allclose


def test_inputs(weights: list[np.ndarray]) -> None:
    """Columns removed instead of rows."""
    expected = [[np.linalg.norm(row)] for row in nb.TOY]
    assert_close(nb.RULES["inputs"](nb.TOY), expected)
    pruned = nb.CONTROLS["inputs"](weights, 25)
    assert np.count_nonzero(~pruned[0].any(axis=1)) == 3


@pytest.mark.parametrize("k", [0, 50, 70, 80, 90, 95])
def test_truncate(k: float) -> None:
    """A rank beyond the budget or below it, or not the best approximation."""
    draw = np.random.default_rng(0).normal
    weights = [draw(size=s) for s in ((40, 40), (40, 10), (10, 10))]
    factors = [np.linalg.svd(w, full_matrices=False) for w in weights[:-1]]
    found = nb.truncate(weights, k, factors)
    for matrix, low in zip(weights[:-1], found, strict=False):
        m, n = matrix.shape
        rank = (100 - k) * m * n // (100 * (m + n))
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        best = left[:, :rank] @ np.diag(values[:rank]) @ right[:rank]
        assert_close(low, best, atol=1e-9)
    np.testing.assert_array_equal(found[-1], weights[-1])


def test_sweep(dataset: object) -> None:
    """Rows of another copy, other images, or energy of another axis."""
    datasets = {"toy": dataset, "same": dataset._replace(test=dataset.train)}
    dense = [w.numpy() for w in nb.init_weights(0, (784, 9, 7, 10))]
    networks = {("toy", 0): dense[::1], ("same", 1): [2 * w for w in dense]}
    table = nb.sweep(networks, nb.METHODS, datasets, [0, 50, 90], nb.METHODS)
    assert len(table) == 2 * 2 * 3
    for row in table.itertuples():
        dense = networks[row.dataset, row.seed]
        copy = nb.METHODS[row.method](dense, row.k)
        loss, percent = nb.evaluate(copy, *datasets[row.dataset].test)
        validated = nb.accuracy(copy, *dataset.validation)
        pairs = zip(dense[:-1], copy, strict=False)
        kept = [(c**2).sum() / (w**2).sum() for w, c in pairs]
        work = sum(np.count_nonzero(w) for w in nb.compact(copy)[0])
        removed, size = 100 - 100 * np.mean(kept), 100 * work / 7189
        found = row.loss, row.accuracy, row.validation, row.removed, row.size
        expected = loss, percent, validated, removed, size
        assert_close(found, expected, 1e-5, 1e-3)


@pytest.mark.parametrize("expected", [25, 70, 0, -1])
def test_furthest_k(expected: int) -> None:
    """A recovery after the cliff counted, or an error if none qualifies."""
    accuracies = {25: (98, 97.5, 96, 98), 70: (98, 97.5, 97, 97)}
    accuracies |= {0: (98, 90, 80, 70), -1: (90, 90, 80, 70)}
    curve = np.array(accuracies[expected])
    validation = np.concatenate([curve - 2, curve + 2])  # Two seeds.
    table = pd.DataFrame({"k": [0, 25, 50, 70] * 2, "validation": validation})
    assert nb.furthest_k(table[::-1], 98) == max(expected, 0)


def test_tell_gain() -> None:
    """A sentence that makes no sense if nothing can go."""
    assert nb.tell_gain("A", 0, 1, 0) == "A: no unit can go within a point."
    told = nb.tell_gain("A", 50, 2.94, 0.26)
    assert "50 % of its units 2.9 times as fast (194 % faster), 0.3" in told
