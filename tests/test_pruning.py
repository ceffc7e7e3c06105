"""Holds pruning, compacting and counting to slow loops."""

import itertools

import notebook_definitions as nb
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

KS = [*nb.SPARSITIES, 78.8, 100]


def norms(matrix: np.ndarray) -> np.ndarray:
    """Computes the norms of columns."""
    return np.sqrt(np.square(matrix.astype(float)).sum(axis=0))


def remove_slowly(scores: np.ndarray, k: float) -> np.ndarray:
    """Masks the k % of smallest scores, one after the other."""
    mask = np.ones(scores.size)
    order = sorted(range(scores.size), key=scores.ravel().__getitem__)
    mask[order[: round(k / 100 * scores.size)]] = 0
    return mask.reshape(scores.shape)


@pytest.mark.parametrize("k", KS)
def test_keep_mask(k: float) -> None:
    """Masks have exactly round(k %) zeros, where scores are smallest."""
    draw = np.random.default_rng(0).normal
    for shape in ((7, 11), (40, 25), (13,), (30, 1), (1, 1), (0,)):
        scores = draw(size=shape)
        mask = nb.keep_mask(scores, k)
        assert (mask == remove_slowly(scores, k)).all()
        assert mask.dtype == np.float32 and mask.shape == shape
        ties = np.rint(scores).clip(0)  # Which of them go is not promised.
        mask = nb.keep_mask(ties, k)
        assert np.sum(mask == 0) == round(k / 100 * scores.size)
        assert np.max(ties[mask == 0], initial=0) <= np.min(
            ties[mask == 1], initial=np.inf)


def test_keep_mask_refuses() -> None:
    """A sparsity outside 0 to 100 and NaN scores are refused."""
    for scores, k in (([1], -1), ([1], 100.1), ([1], np.nan), ([1, np.nan], 0),
                      ([1, np.nan], 50), ([1, np.nan], 100)):
        with pytest.raises(ValueError, match="sparsity|NaN"):
            nb.keep_mask(scores, k)


@pytest.mark.parametrize("rule", nb.RULES)
@pytest.mark.parametrize("k", KS)
def test_prune(k: float, rule: str, network: list) -> None:
    """Each matrix but the last loses its own smallest k percent.

    One k or one for each, functions or arrays, arrays or variables make no
    difference. Copies share nothing with the network, which stays as it is.
    """
    network = [(i + 1) * w for i, w in enumerate(network)]
    before = [matrix.tobytes() for matrix in network]
    score = np.abs if rule == "weights" else norms
    pruned = nb.prune(network, k, nb.RULES[rule])
    same = nb.prune([tf.Variable(w) for w in network], [k] * 4,
                    [score(matrix) for matrix in network[:-1]])
    for i, (matrix, copy) in enumerate(zip(network, pruned, strict=True)):
        kept = remove_slowly(score(matrix), k if i < 4 else 0)
        assert (copy == np.where(kept, matrix, 0)).all()
        assert (copy == same[i]).all() and type(same[i]) is np.ndarray
        assert not np.shares_memory(matrix, copy)
        assert (matrix.tobytes(), matrix.dtype) == (before[i], copy.dtype)


def test_prune_unevenly(network: list) -> None:
    """Each matrix has its own k, and whole inputs can be removed."""
    pruned = nb.prune(network, [0, 25, 50, 100], nb.unit_scores)
    assert [np.sum(~w.any(axis=0)) for w in pruned] == [0, 5, 5, 5, 0]
    pruned = nb.prune(network, 25, lambda w: norms(w.T)[:, None])
    assert [np.sum(~w.any(axis=1)) for w in pruned] == [3, 5, 5, 2, 0]


def test_prune_refuses(network: list) -> None:
    """Scores or sparsities are neither broadcast nor cut to a shorter list."""
    units = [matrix.shape[1] for matrix in network[:-1]]
    for shapes in (units[:-1], [*units, 10], [12, *units[:-1]], [1] * 4,
                   [()] * 4, [(1, n) for n in units], [(n, 1) for n in units]):
        with pytest.raises(ValueError, match="Scores|zip"):
            nb.prune(network, 50, list(map(np.ones, shapes)))
    for k in ([50] * 5, [50] * 3, [50, 50, 50, 101], [[50] * 4] * 2):
        with pytest.raises(ValueError, match="shape|sparsity|dimensions"):
            nb.prune(network, k, nb.unit_scores)


def check_compact(network: list) -> list[tuple[int, ...]]:
    """Compares logits with the masked network's and returns the shapes."""
    frozen = [matrix.copy() for matrix in network]
    images = np.random.default_rng(3).normal(size=(30, len(network[0])))
    smaller, inputs = nb.compact(network)
    np.testing.assert_allclose(
        nb.forward(smaller, images[:, inputs]), nb.forward(network, images),
        rtol=1e-4, atol=1e-4)
    for small, matrix, same in zip(smaller, network, frozen, strict=True):
        assert not np.shares_memory(small, matrix)
        assert (matrix == same).all() and small.dtype == matrix.dtype
        assert small.any(axis=1).all()  # Something reads every unit.
    # And every unit reads something.
    assert all(small.any(axis=0).all() for small in smaller[:-1])
    return [matrix.shape for matrix in smaller]


@pytest.mark.parametrize("k", [0, 50, 80, 95, 100])
def test_compact(k: float, network: list) -> None:
    """A compacted copy has the same logits and no unit without influence."""
    check_compact(nb.prune(network, k, nb.weight_scores))
    shapes = check_compact(nb.prune(network, k, nb.unit_scores))
    assert k != 0 or shapes == [matrix.shape for matrix in network]
    assert k != 50 or shapes == [(12, 10), (10, 10), (10, 5), (5, 3), (3, 10)]
    assert k != 100 or shapes == [(0, 0)] * 4 + [(0, 10)]


def test_compact_chain() -> None:
    """What a lost unit needs or feeds is lost with it."""
    first, second, third, last = *np.ones((3, 3, 3)), np.eye(3)
    last[0] = 0  # Unit 0 of the third layer reaches no logit,
    third[0, 1:] = 0  # so unit 0 of the second layer does not either,
    second[:2, 1:] = 0  # nor do units 0 and 1 of the first.
    first[1, 2] = 0  # Then nothing reads input 1.
    chain = [first, second, third, last]
    assert check_compact(chain) == [(2, 1), (1, 2), (2, 2), (2, 3)]
    assert nb.compact(chain)[1].tolist() == [0, 2]


def count_slowly(network: list) -> int:
    """Counts weights on paths by walking each path from input to logit."""
    sizes = [len(network[0]), *(matrix.shape[1] for matrix in network)]
    used = set()
    for path in itertools.product(*map(range, sizes)):
        steps = [(i, *pair) for i, pair in enumerate(itertools.pairwise(path))]
        if all(network[i][a, b] for i, a, b in steps):
            used.update(steps)
    return len(used)


def test_multiply_adds() -> None:
    """Only weights on a path from an input to a logit are counted."""
    draw = np.random.default_rng(5).random
    counts = set()
    for density in 4 * (1, 0.7, 0.5, 0.35, 0.2, 0):
        sizes = itertools.pairwise((3, 4, 3, 4, 2))
        network = [np.float32(draw(size) < density) for size in sizes]
        counts.add(nb.multiply_adds(network))
        assert nb.multiply_adds(network) == count_slowly(network)
    assert {0, 3 * 4 * 3 + 4 * 2} < counts and len(counts) > 9


def test_mean_and_spread() -> None:
    """Groups of several show mean ± sample deviation, groups of one itself."""
    table = pd.DataFrame({"k": [0, 0, 0, 9], "value": [1, 2, 4.5, 7.3]})
    groups = table.groupby("k").value
    assert nb.mean_and_spread(groups).to_dict() == {0: "2.5 ± 1.8", 9: "7.3"}
    found = nb.mean_and_spread(groups, digits=2)
    assert found.to_dict() == {0: "2.50 ± 1.80", 9: "7.30"}
