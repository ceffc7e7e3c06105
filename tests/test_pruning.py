"""Holds scores, masks, pruned copies and the sweep against slow oracles."""

import itertools
import types

import numpy as np
import pytest
import tensorflow as tf

SPARSITIES = (0, 25, 50, 60, 70, 80, 90, 95, 97, 99)


def prune_slowly(matrix: np.ndarray, sparsity: float, unit: bool) -> np.ndarray:
    """Prunes one matrix with loops: the definition, read aloud.

    Args:
        matrix: Weights (m, n).
        sparsity: Percentage to prune.
        unit: Whether to prune columns instead of single weights.

    Returns:
        A pruned copy.
    """
    rows, columns = matrix.shape
    ranking = []
    if unit:
        for j in range(columns):
            norm = np.linalg.norm(matrix[:, j])
            ranking.append((norm, j, [(i, j) for i in range(rows)]))
    else:
        for i in range(rows):
            for j in range(columns):
                ranking.append((abs(matrix[i, j]), i * columns + j, [(i, j)]))
    ranking.sort(key=lambda entry: entry[:2])
    pruned = matrix.copy()
    for _, _, positions in ranking[: round(sparsity / 100 * len(ranking))]:
        for position in positions:
            pruned[position] = 0
    return pruned


@pytest.mark.parametrize("method", ["weight", "unit"])
@pytest.mark.parametrize("sparsity", [*SPARSITIES, 3.3, 100])
def test_prune_matches_oracle(
    nb: types.ModuleType,
    weights: list[np.ndarray],
    method: str,
    sparsity: float,
) -> None:
    """Every matrix but the last is pruned by its own ranking."""
    pruned = nb.prune(weights, sparsity, nb.METHODS[method])
    for matrix, result in zip(weights[:-1], pruned[:-1], strict=True):
        expected = prune_slowly(matrix, sparsity, unit=method == "unit")
        np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(pruned[-1], weights[-1])


@pytest.mark.parametrize("seed", range(20))
def test_mask_of_random_scores(nb: types.ModuleType, seed: int) -> None:
    """The count is exact and the smallest go, for any shape, with ties."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 12, rng.integers(1, 4)))
    scores = rng.integers(0, 5, shape).astype(np.float32)
    sparsity = rng.uniform(0, 100)
    mask = nb.keep_mask(scores, sparsity)
    count = round(sparsity / 100 * scores.size)
    expected = np.ones(scores.size)
    expected[np.argsort(scores, axis=None, kind="stable")[:count]] = 0
    np.testing.assert_array_equal(mask, expected.reshape(shape))
    assert mask.dtype == np.float32


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_counts_are_exact_under_ties(
    nb: types.ModuleType, sparsity: float
) -> None:
    """A matrix of equal weights loses neither more nor fewer than asked."""
    tied = [np.full((40, 50), -2, np.float32), np.ones((50, 10), np.float32)]
    expected = round(sparsity / 100 * 2000)
    assert nb.count_zeros(nb.prune(tied, sparsity, nb.weight_scores)) == [
        expected,
        0,
    ]
    units = round(sparsity / 100 * 50)
    assert nb.count_zeros(nb.prune(tied, sparsity, nb.unit_scores)) == [
        40 * units,
        0,
    ]


@pytest.mark.parametrize("method", ["weight", "unit"])
def test_zero_sparsity_is_the_identity(
    nb: types.ModuleType, weights: list[np.ndarray], method: str
) -> None:
    """Pruning nothing changes no bit."""
    for matrix, result in zip(
        weights, nb.prune(weights, 0, nb.METHODS[method]), strict=True
    ):
        assert result.numpy().tobytes() == matrix.tobytes()


@pytest.mark.parametrize("method", ["weight", "unit"])
def test_zeros_are_nested(
    nb: types.ModuleType, weights: list[np.ndarray], method: str
) -> None:
    """What goes at one sparsity is gone at every higher one."""
    kept = [
        [matrix.numpy() != 0 for matrix in nb.prune(weights, k, scores)]
        for scores in [nb.METHODS[method]]
        for k in SPARSITIES
    ]
    for lower, higher in itertools.pairwise(kept):
        for before, after in zip(lower, higher, strict=True):
            assert not (after & ~before).any()


def test_pruned_units_are_silent(
    nb: types.ModuleType, weights: list[np.ndarray]
) -> None:
    """A pruned unit is a zero column, so its activation is always zero."""
    first = nb.prune(weights, 60, nb.unit_scores)[0].numpy()
    silent = (first == 0).all(axis=0)
    assert silent.sum() == 12
    assert not (first[:, ~silent] == 0).any()
    images = np.random.default_rng(2).normal(size=(50, 12))
    assert not np.maximum(images @ first, 0)[:, silent].any()


@pytest.mark.parametrize("method", ["weight", "unit"])
@pytest.mark.parametrize("make", [np.array, tf.constant, tf.Variable])
def test_prune_leaves_its_input_alone(
    nb: types.ModuleType,
    weights: list[np.ndarray],
    method: str,
    make: type,
) -> None:
    """Pruning copies; changing the copy or the input changes only that."""
    given = [make(matrix) for matrix in weights]
    pruned = nb.prune(given, 90, nb.METHODS[method])
    for matrix, original in zip(given, weights, strict=True):
        np.testing.assert_array_equal(np.asarray(matrix), original)
    before = [matrix.numpy().copy() for matrix in pruned]
    for matrix in given:
        if isinstance(matrix, np.ndarray):
            matrix[:] = 7
        elif isinstance(matrix, tf.Variable):
            matrix.assign(matrix * 0 + 7)
    for matrix, copy in zip(pruned, before, strict=True):
        np.testing.assert_array_equal(matrix, copy)


def test_variables_tensors_and_arrays_prune_alike(
    nb: types.ModuleType, weights: list[np.ndarray]
) -> None:
    """The kind of container does not matter."""
    results = [
        nb.prune([make(matrix) for matrix in weights], 50, nb.weight_scores)
        for make in (np.array, tf.constant, tf.Variable)
    ]
    for matrices in zip(*results, strict=True):
        assert len({matrix.numpy().tobytes() for matrix in matrices}) == 1


@pytest.mark.parametrize("sparsity", [-1, 100.1, float("nan"), float("inf")])
def test_sparsity_out_of_range(nb: types.ModuleType, sparsity: float) -> None:
    """The error says what the sparsity may be."""
    with pytest.raises(ValueError, match="0 to 100"):
        nb.keep_mask(np.ones(4), sparsity)
    with pytest.raises(ValueError, match="0 to 100"):
        nb.prune([np.ones((2, 2))] * 2, sparsity, nb.weight_scores)


@pytest.mark.parametrize("method", ["weight", "unit"])
def test_nan_is_refused(
    nb: types.ModuleType, weights: list[np.ndarray], method: str
) -> None:
    """A diverged network cannot be ranked."""
    weights[1][3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        nb.prune(weights, 50, nb.METHODS[method])


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4)])
def test_wrong_rank_is_refused(
    nb: types.ModuleType, shape: tuple[int, ...]
) -> None:
    """Only matrices have weights and units."""
    for scores in nb.METHODS.values():
        with pytest.raises(ValueError, match="2 dimensions"):
            scores(np.ones(shape))


def test_scores_that_do_not_fit_are_refused(
    nb: types.ModuleType, weights: list[np.ndarray]
) -> None:
    """Scores of rows have to say so by their shape."""
    with pytest.raises(ValueError, match="do not fit"):
        nb.prune(weights, 50, lambda matrix: np.linalg.norm(matrix, axis=1))


def test_sweep(nb: types.ModuleType, dataset: object) -> None:
    """Rows are complete, exact, independent, and measured on the test set."""
    sizes = (784, 30, 20, 20, 10, 10)
    networks = {("toy", 3): nb.init_weights(3, sizes)}
    table = nb.sweep(networks, [dataset], nb.METHODS, [0, 50, 90])
    assert list(table.columns) == [
        *("dataset", "seed", "method", "k"),
        *("zeros", "sparsity", "energy", "accuracy", "loss"),
    ]
    assert list(table.method) == ["weight"] * 3 + ["unit"] * 3
    total = sum(m * n for m, n in itertools.pairwise(sizes))
    for row in table.itertuples():
        pruned = nb.prune(networks["toy", 3], row.k, nb.METHODS[row.method])
        test = dataset.test
        assert row.accuracy == nb.accuracy(pruned, test.images, test.labels)
        assert row.zeros == sum(nb.count_zeros(pruned))
        assert row.sparsity == pytest.approx(100 * row.zeros / total)
        kept = [
            np.sum(np.square(after)) / np.sum(np.square(before))
            for before, after in zip(
                networks["toy", 3][:-1], pruned[:-1], strict=True
            )
        ]
        assert row.energy == pytest.approx(100 - 100 * np.mean(kept), abs=1e-4)
    validated = nb.sweep(
        networks, [dataset], nb.METHODS, [0], split="validation"
    )
    images, labels = dataset.validation.images, dataset.validation.labels
    expected = nb.evaluate(networks["toy", 3], images, labels)
    assert validated.loss[0] == pytest.approx(expected[0], rel=1e-5)
    assert validated.loss[0] != pytest.approx(table.loss[0], rel=1e-5)
    backwards = nb.sweep(networks, [dataset], nb.METHODS, [90, 50, 0])
    keys = ["method", "k"]
    assert (
        backwards.sort_values(keys, ignore_index=True)
        .drop(columns="loss")
        .equals(table.sort_values(keys, ignore_index=True).drop(columns="loss"))
    )


def test_accuracy_table(nb: types.ModuleType) -> None:
    """Means and sample deviations land under the right headings."""
    rows = [
        ("toy", seed, method, k, 0, 0.98 * k, value + seed - k, 1.0)
        for seed in (0, 1)
        for method, value in (("weight", 98.0), ("unit", 97.0))
        for k in (0, 50)
    ]
    columns = ["dataset", "seed", "method", "k"]
    columns += ["zeros", "sparsity", "accuracy", "loss"]
    table = nb.accuracy_table(nb.pd.DataFrame(rows, columns=columns))
    assert table["toy", "weight"].tolist() == ["98.5 ± 0.7", "48.5 ± 0.7"]
    assert table["toy", "unit"].tolist() == ["97.5 ± 0.7", "47.5 ± 0.7"]
    assert table["network", "zeros (%)"].tolist() == [0, 49]
