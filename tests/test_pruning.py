"""Holds pruning, compacting and counting to slow loops."""

import itertools

import notebook_definitions as nb
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

SIZES = [3, 4, 3, 4, 2]  # Of a network with few paths.


def remove_slowly(scores: np.ndarray, k: float) -> np.ndarray:
    """Masks the k % of smallest scores, one after the other."""
    mask = np.ones(scores.shape)
    order = sorted(range(scores.size), key=lambda i: scores.flat[i])
    for i in order[: round(k / 100 * scores.size)]:
        mask.flat[i] = 0
    return mask


def test_keep_mask() -> None:
    """Exactly round(k %) of the scores go, and these are the smallest."""
    draw = np.random.default_rng(0).normal
    shapes = [(7, 11), (13,), (1,), (0,)]
    for shape, k in itertools.product(shapes, [0, 25, 78.8, 100]):
        scores = draw(size=shape)
        mask = nb.keep_mask(scores, k)
        assert (mask == remove_slowly(scores, k)).all()
        assert mask.dtype == np.float32 and mask.shape == shape
        ties = np.rint(scores)  # Which of them go is not promised.
        sums = [np.sum(ties[remove(ties, k) == 0])
                for remove in [nb.keep_mask, remove_slowly]]
        assert sums[0] == sums[1]
        assert np.sum(nb.keep_mask(ties, k) == 0) == np.sum(mask == 0)


def test_prune(network: list) -> None:
    """Each matrix but the last loses its own smallest k percent.

    Scores are functions or arrays, of weights, units or inputs; matrices may
    be variables. Copies share nothing with the network, which stays as it is.
    """
    before = [matrix.copy() for matrix in network]
    weights = [np.abs(matrix) for matrix in before[:-1]]
    units = [np.sqrt(np.sum(matrix**2, axis=0)) for matrix in before[:-1]]
    inputs = [np.arange(len(matrix))[:, None] for matrix in before[:-1]]
    variables = [tf.Variable(matrix) for matrix in network]
    uneven = [0, 25, 50, 100]
    for scores, ks, copy in [
            (weights, [60] * 4, nb.prune(variables, 60, nb.weight_scores)),
            (weights, uneven, nb.prune(network, uneven, nb.weight_scores)),
            (units, uneven, nb.prune(network, uneven, nb.unit_scores)),
            (units, [60] * 4, nb.prune(network, 60, units)),
            (inputs, [60] * 4, nb.prune(network, 60, inputs))]:
        assert (copy[4] == before[4]).all() and len(copy) == 5
        for i in range(4):
            kept = remove_slowly(scores[i], ks[i])
            assert (copy[i] == np.where(kept, before[i], 0)).all()
        for i in range(5):
            assert (network[i] == before[i]).all()
            assert not np.shares_memory(network[i], copy[i])


def test_refuses(network: list) -> None:
    """Scores or sparsities are not broadcast nor cut; NaN is refused."""
    units = [matrix.shape[1] for matrix in network[:-1]]
    for shapes in [units[:-1], [*units, 10], [1] * 4, [()] * 4,
                   [(1, n) for n in units], [(n, 1) for n in units]]:
        with pytest.raises(ValueError, match="Scores|zip"):
            nb.prune(network, 50, [np.ones(shape) for shape in shapes])
    for k in [-1, 101, np.nan, [50] * 5, [50] * 3]:
        with pytest.raises(ValueError, match="shape|sparsity is"):
            nb.prune(network, k, nb.unit_scores)
    with pytest.raises(ValueError, match="Scores are NaN"):
        nb.keep_mask([1, np.nan], 0)


def count_slowly(network: list) -> int:
    """Counts weights on paths by walking each path from input to logit."""
    used = set()
    for path in itertools.product(*map(range, SIZES)):
        steps = [*enumerate(itertools.pairwise(path))]
        if all(network[i][units] for i, units in steps):
            used.update(steps)
    return len(used)


def test_compact() -> None:
    """All units on a path from an input to a logit stay, and no other."""
    draw = np.random.default_rng(5)
    images = draw.normal(size=(30, 3))
    for density in [1, 0.7, 0.5, 0.35, 0.2, 0] * 8:
        network = []
        for shape in itertools.pairwise(SIZES):
            network.append(draw.normal(size=shape))
            network[-1][draw.random(shape) >= density] = 0
        before = [matrix.copy() for matrix in network]
        assert nb.multiply_adds(network) == count_slowly(network)
        smaller, inputs = nb.compact(network)
        np.testing.assert_allclose(
            nb.forward(smaller, images[:, inputs]),
            nb.forward(network, images), rtol=1e-4, atol=1e-4)
        for i, matrix in enumerate(smaller):
            assert matrix.any(axis=1).all()  # Something reads every unit,
            assert i == 3 or matrix.any(axis=0).all()  # and it reads, too.
            assert (network[i] == before[i]).all()


def test_mean_and_spread() -> None:
    """Groups of several show mean ± sample deviation, groups of one itself."""
    table = pd.DataFrame({
        "k": [9, 0, 0, 0], "way": ["a", "b", "b", "b"],
        "accuracy": [7.3, 1, 2, 4.5], "loss": [0.5, 0.25, 0.25, 0.25]})
    shown = nb.mean_and_spread(table, ["k"], ["way"])
    assert shown["a"][9] == "7.3" and shown["b"][0] == "2.5 ± 1.8"
    shown = nb.mean_and_spread(table, ["way"], ["k"], "loss", digits=2)
    assert shown[0]["b"] == "0.25 ± 0.00" and shown[9]["a"] == "0.50"
