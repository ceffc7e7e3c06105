"""Holds pruning to a loop that removes one score after the other."""

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

RULES = {"weights": nb.weight_scores, "units": nb.unit_scores}


def remove_slowly(scores: np.ndarray, k: float) -> np.ndarray:
    """Masks the k % of smallest scores; of equal ones the first go."""
    mask = np.ones(scores.size)
    order = sorted(range(scores.size), key=lambda i: (scores.flat[i], i))
    mask[order[: round(k / 100 * scores.size)]] = 0
    return mask.reshape(scores.shape)


def norms(matrix: np.ndarray) -> np.ndarray:
    """Computes the norms of columns."""
    return np.sqrt(np.square(matrix.astype(float)).sum(axis=0))


@pytest.mark.parametrize("k", [*nb.SPARSITIES, 99.9, 100, tf.constant(80)])
def test_keep_mask(k: float) -> None:
    """A count that is off, ties by chance, sorting by columns."""
    draw = np.random.default_rng(0).normal
    for shape in ((7, 11), (40, 25), (13,), (1, 1)):
        for scores in (draw(size=shape), np.rint(draw(size=shape)).clip(0)):
            mask = nb.keep_mask(scores, k)
            assert (mask == remove_slowly(scores, float(k))).all()


def test_scores() -> None:
    """Signs kept, rows for columns, overflow; NaN or a wrong k accepted."""
    integers = np.array([[-128, 3], [1, 127]], np.int8)
    assert nb.weight_scores(integers).tolist() == [[128, 3], [1, 127]]
    for matrix in (integers, 300 * np.eye(300, dtype=np.float16)):
        np.testing.assert_allclose(nb.unit_scores(matrix), norms(matrix))
    for scores, k in ([1], -1), ([1], 100.1), ([1], np.nan), ([1, np.nan], 0):
        with pytest.raises(ValueError, match="sparsity|NaN"):
            nb.keep_mask(scores, k)


@pytest.mark.parametrize("k", [*nb.SPARSITIES, 100])
def test_prune(k: float, network: list) -> None:
    """One ranking for all matrices, signed ranking, last matrix pruned."""
    network = [(i + 1) * w for i, w in enumerate(network)]
    before = [matrix.tobytes() for matrix in network]
    for name, score in (("weights", np.abs), ("units", norms)):
        pruned = nb.prune(network, k, RULES[name])
        variables, arrays = map(tf.Variable, network), map(score, network[:-1])
        same = nb.prune([*variables], [k] * 4, [*arrays])
        for i, (matrix, copy) in enumerate(zip(network, pruned, strict=True)):
            kept = remove_slowly(score(matrix), k if i < 4 else 0)
            assert (copy == np.where(kept, matrix, 0)).all()
            assert (copy == same[i]).all() and type(same[i]) is np.ndarray
            assert not np.shares_memory(matrix, copy)
            assert (matrix.tobytes(), matrix.dtype) == (before[i], copy.dtype)
            assert k > 0 and i < 4 or copy.tobytes() == before[i]
    activations = nb.forward(pruned[:1], np.eye(12)).numpy()
    assert np.sum(~activations.any(axis=0)) == round(20 * k / 100)


def test_prune_refuses(network: list) -> None:
    """Scores or sparsities that are broadcast, or cut to the shorter list."""
    units = [matrix.shape[1] for matrix in network[:-1]]
    for shapes in (units[:-1], [*units, 10], [1] * 4, [()] * 4,
                   [(1, n) for n in units], [(n, 1) for n in units]):
        with pytest.raises(ValueError, match="Scores|zip"):
            nb.prune(network, 50, list(map(np.ones, shapes)))
    for k in ([50] * 5, [50] * 3, [50, 50, 50, 101], [[50] * 4] * 2):
        with pytest.raises(ValueError, match="shape|sparsity|dimensions"):
            nb.prune(network, k, nb.unit_scores)
    inputs = nb.prune(network, 25, lambda w: norms(w.T)[:, None])
    assert [np.sum(~w.any(axis=1)) for w in inputs] == [3, 5, 5, 2, 0]


def check_compact(network: list) -> list[tuple[int, ...]]:
    """Compares logits with the masked network's and returns the shapes."""
    frozen = [matrix.copy() for matrix in network]
    images = np.random.default_rng(3).normal(size=(30, len(network[0])))
    for keep in (True, False):
        smaller, inputs = nb.compact(network, keep_inputs=keep)
        found = nb.forward(smaller, images[:, inputs])
        np.testing.assert_allclose(
            found, nb.forward(network, images), rtol=1e-4, atol=1e-4)
        assert not keep or len(smaller[0]) == len(network[0])
    for small, matrix, same in zip(smaller, network, frozen, strict=True):
        assert not np.shares_memory(small, matrix)
        assert (matrix == same).all() and small.any(axis=1).all()
    return [matrix.shape for matrix in smaller]


@pytest.mark.parametrize("k", [0, 50, 80, 95, 100])
def test_compact(k: float, network: list) -> None:
    """Logits that change, rows and columns mixed up, views of the inputs."""
    check_compact(nb.prune(network, k, nb.weight_scores))
    shapes = check_compact(nb.prune(network, k, nb.unit_scores))
    assert k != 50 or shapes == [(12, 10), (10, 10), (10, 5), (5, 3), (3, 10)]
    first, second, third, last = *np.ones((3, 3, 3)), np.eye(3)
    last[0] = 0  # Unit 0 of the third layer reaches no logit,
    third[0, 1:] = 0  # so unit 0 of the second layer does not either,
    second[:2, 1:] = 0  # nor do units 0 and 1 of the first.
    first[1, 2] = 0  # Then nothing reads input 1.
    chain = [first, second, third, last]
    assert check_compact(chain) == [(2, 1), (1, 2), (2, 2), (2, 3)]


def test_sweep(dataset: nb.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of another copy or of other images; a wrong mean or spread."""
    datasets = {"a": dataset, "b": dataset._replace(test=dataset.train)}
    networks = {(name, seed): nb.init_weights(seed, (784, 64, 32, 10))
                for name, seed in (("a", 0), ("a", 1), ("b", 2))}  # fmt: skip
    monkeypatch.setattr(nb, "datasets", datasets, raising=False)
    monkeypatch.setattr(nb, "networks", networks, raising=False)
    table = nb.sweep(networks, nb.METHODS, [0, 90, 99])
    assert len(table) == 3 * 2 * 3
    for row in table.itertuples():  # At 99 % no unit is left.
        dense, of = networks[row.dataset, row.seed], datasets[row.dataset]
        copy = nb.prune(dense, row.k, RULES[row.method])
        expected = *nb.evaluate(copy, *of.test), nb.accuracy(copy, *of[2])
        found = row.loss, row.accuracy, row.validation
        np.testing.assert_allclose(found, expected, 1e-4)
    of = table.query("dataset == 'a' and method == 'units' and k == 90")
    written = f"{of.accuracy.mean():.1f} ± {of.accuracy.std(ddof=1):.1f}"
    assert nb.tabulate(table).loc["90", ("a", "units")] == written
    assert "±" not in nb.tabulate(table).loc["99", ("b", "units")]
