"""Holds pruning to a loop that removes one score after the other."""

import fractions

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

assert_equal = np.testing.assert_array_equal
Arrays = list[np.ndarray]


def remove_slowly(scores: np.ndarray, k: float) -> np.ndarray:
    """Masks the k % of smallest scores; of equal ones the first go."""
    mask = np.ones(scores.size)
    order = sorted(range(scores.size), key=lambda i: (scores.flat[i], i))
    count = round(fractions.Fraction(str(k)) * scores.size / 100)
    mask[order[:count]] = 0
    return mask.reshape(scores.shape)


def norms(matrix: np.ndarray) -> np.ndarray:
    """Computes the norms of columns."""
    return np.sqrt(np.square(matrix.astype(float)).sum(axis=0))


@pytest.mark.parametrize("k", [*nb.REQUIRED, 99.9, 100, tf.constant(80)])
def test_keep_mask(k: float) -> None:
    """A count that is off, ties by chance, sorting by columns."""
    draw = np.random.default_rng(0).normal
    for shape in ((7, 11), (40, 25), (13,), (1, 1)):
        for scores in (draw(size=shape), np.rint(draw(size=shape)).clip(0)):
            mask = nb.keep_mask(scores, k)
            assert mask.dtype == np.float32
            assert_equal(mask, remove_slowly(scores, float(k)))


def test_scores() -> None:
    """Signs kept, rows for columns, overflow; NaN or a wrong k accepted."""
    integers = np.array([[-128, 3], [1, 127]], np.int8)
    assert_equal(nb.weight_scores(integers), [[128, 3], [1, 127]])
    np.testing.assert_allclose(nb.unit_scores(integers), norms(integers))
    large = np.full((400, 3), 300, np.float16)
    np.testing.assert_allclose(nb.unit_scores(large), [6000] * 3, rtol=1e-6)
    for k in (-1, 100.1, float("nan")):
        with pytest.raises(ValueError, match="sparsity"):
            nb.keep_mask(np.ones(5), k)
    with pytest.raises(ValueError, match="NaN"):
        nb.keep_mask([1, np.nan, 2], 0)


@pytest.mark.parametrize("k", [*nb.REQUIRED, 100])
def test_prune(k: float, weights: Arrays) -> None:
    """One ranking for all matrices, signed ranking, last matrix pruned."""
    weights = [(i + 1) * w for i, w in enumerate(weights)]
    before = [matrix.tobytes() for matrix in weights]
    variables = [tf.Variable(matrix) for matrix in weights]
    for name, score in {"weights": np.abs, "units": norms}.items():
        pruned = nb.METHODS[name](weights, k)
        same = nb.METHODS[name](variables, k)
        for i, (matrix, copy) in enumerate(zip(weights, pruned, strict=True)):
            kept = remove_slowly(score(matrix), k if i < 4 else 0)
            assert_equal(copy, np.where(kept, matrix, 0))
            assert_equal(copy, same[i])
            assert type(same[i]) is np.ndarray
            assert copy.dtype == matrix.dtype
            assert not np.shares_memory(matrix, copy)
            assert matrix.tobytes() == before[i]
            if k == 0 or i == 4:
                assert copy.tobytes() == before[i]
    activations = nb.forward(pruned[:1], np.eye(12)).numpy()
    dead = np.count_nonzero(~activations.any(axis=0))
    assert dead == round(20 * k / 100)


def check_compact(weights: Arrays) -> list[tuple[int, ...]]:
    """Compares logits with the masked network's and returns the shapes."""
    frozen = [matrix.copy() for matrix in weights]
    smaller, inputs = nb.compact(weights)
    images = np.random.default_rng(3).normal(size=(30, len(weights[0])))
    found = nb.forward(smaller, images[:, inputs])
    expected = nb.forward(weights, images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert all(matrix.any(axis=1).all() for matrix in smaller)
    assert all(matrix.any(axis=0).all() for matrix in smaller[:-1])
    for small, matrix, same in zip(smaller, weights, frozen, strict=True):
        assert not np.shares_memory(small, matrix)
        assert_equal(matrix, same)
    return [matrix.shape for matrix in smaller]


@pytest.mark.parametrize("k", [0, 25, 50, 80, 90, 95, 99, 100])
def test_compact(k: float, weights: Arrays) -> None:
    """Logits that change, rows and columns mixed up, views of the inputs."""
    check_compact(nb.prune(weights, k, nb.weight_scores))
    shapes = check_compact(nb.prune(weights, k, nb.unit_scores))
    if k == 50:
        assert shapes == [(12, 10), (10, 10), (10, 5), (5, 3), (3, 10)]


def test_compact_chains() -> None:
    """Units left behind that only feed dead ones, or hear only from such."""
    first, second, third, last = *np.ones((3, 3, 3)), np.eye(3)
    last[0] = 0  # Unit 0 of the third layer reaches no logit,
    third[0, 1:] = 0  # so unit 0 of the second layer does not either,
    second[:2, 1:] = 0  # nor do units 0 and 1 of the first.
    first[1, 2] = 0  # Then nothing reads input 1.
    network = [first, second, third, last]
    assert check_compact(network) == [(2, 1), (1, 2), (2, 2), (2, 3)]
    second[:] = 0
    assert check_compact(network) == [(0, 0)] * 3 + [(0, 3)]


def test_networks_without_units(dataset: object) -> None:
    """An exception where layers are empty and all logits equal."""
    wide = [w.numpy() for w in nb.init_weights(0, (784, 64, 32, 10))]
    zeros = 100 * np.mean(dataset.test.labels == 0)
    for copy in (nb.prune(wide, 99, nb.unit_scores), [0 * w for w in wide]):
        row = nb.measure(wide, copy, dataset.test)
        found = [row[name] for name in ("accuracy", "loss", "size")]
        assert found == pytest.approx([zeros, np.log(10), 0])
