"""Holds compaction, sparse networks and the benchmark to their promises."""

import itertools
import time
import types

import numpy as np
import pytest
import tensorflow as tf

COMPILERS = ("compile_dense", "compile_compacted", "compile_coo", "compile_csr")


def draw(sizes: tuple[int, ...], seed: int, density: float) -> list[np.ndarray]:
    """Draws a network with zeros at random places.

    Args:
        sizes: Widths of all layers.
        seed: Seed of the draw.
        density: Share of weights that are not zero.

    Returns:
        float32 matrices.
    """
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=shape) * (rng.random(shape) < density)).astype("f4")
        for shape in itertools.pairwise(sizes)
    ]


def live_units(weights: list[np.ndarray]) -> list[set[int]]:
    """Finds the units on a path from an input to a logit, one step at a time.

    Args:
        weights: Matrices.

    Returns:
        For each layer but the logits the units that such a path crosses.
    """
    reached = [set(range(len(weights[0])))]
    for matrix in weights:
        reached.append(
            {j for i in reached[-1] for j in np.flatnonzero(matrix[i])}
        )
    used = [set(range(weights[-1].shape[1]))]
    for matrix in reversed(weights):
        used.append({i for j in used[-1] for i in np.flatnonzero(matrix[:, j])})
    return [a & b for a, b in zip(reached, used[::-1], strict=True)][:-1]


@pytest.mark.parametrize("seed", range(20))
def test_compact_keeps_what_matters(nb: types.ModuleType, seed: int) -> None:
    """What is left are the units on a path to a logit; logits stay."""
    density = np.random.default_rng(seed).uniform(0.03, 0.4)
    weights = draw((12, 20, 20, 10, 5, 10), seed, density)
    given = [matrix.copy() for matrix in weights]
    smaller, inputs = nb.compact(weights)
    expected = live_units(weights)
    assert inputs.tolist() == sorted(expected[0])
    assert [len(matrix) for matrix in smaller] == [len(u) for u in expected]
    images = np.random.default_rng(seed + 99).random((7, 12), dtype=np.float32)
    np.testing.assert_allclose(
        nb.forward(smaller, images[:, inputs]),
        nb.forward(weights, images),
        atol=1e-4,
    )
    for matrix, original in zip(weights, given, strict=True):
        np.testing.assert_array_equal(matrix, original)


def test_compact_follows_chains(nb: types.ModuleType) -> None:
    """A dead end is removed up to the inputs, through all layers."""
    weights = [np.eye(3, dtype=np.float32) for _ in range(4)]
    weights[3][1] = 0  # Nothing reads unit 1 of the last hidden layer,
    weights[0][:, 2] = 0  # and nothing feeds unit 2 of the first one.
    smaller, inputs = nb.compact(weights)
    assert inputs.tolist() == [0]
    assert [matrix.shape for matrix in smaller] == [
        *((1, 1), (1, 1), (1, 1), (1, 3)),
    ]


def test_compact_of_unit_pruning(
    nb: types.ModuleType, weights: list[np.ndarray]
) -> None:
    """The pruned units go, with their rows, and nothing else."""
    smaller, inputs = nb.compact(nb.prune(weights, 50, nb.unit_scores))
    assert inputs.tolist() == list(range(12))
    assert [matrix.shape for matrix in smaller] == [
        *((12, 10), (10, 10), (10, 5), (5, 3), (3, 10)),
    ]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("count", [1, 24, 25, 26, 53, 1001])
def test_compiled_networks_agree(
    nb: types.ModuleType,
    weights: list[np.ndarray],
    compiler: str,
    count: int,
) -> None:
    """Every way computes the logits of the masked dense network."""
    images = np.random.default_rng(3).random((count, 12), dtype=np.float32)
    weights[0][[0, 5]] = 0  # Two inputs that nothing reads.
    for method, k in [("weight", 70), ("weight", 97), ("unit", 60)]:
        pruned = nb.prune(weights, k, nb.METHODS[method])
        logits = getattr(nb, compiler)(pruned)(tf.constant(images))
        assert logits.shape == (count, 10)
        np.testing.assert_allclose(
            logits, nb.forward(pruned, images), atol=1e-4
        )


@pytest.mark.parametrize("compiler", COMPILERS)
def test_networks_without_any_path(nb: types.ModuleType, compiler: str) -> None:
    """A network that is pruned to nothing answers 0 in every way."""
    weights = draw((12, 20, 20, 10, 5, 10), 0, density=0)
    logits = getattr(nb, compiler)(weights)(tf.ones((30, 12)))
    np.testing.assert_array_equal(logits, np.zeros((30, 10)))


def test_compile_fixes_the_weights(nb: types.ModuleType) -> None:
    """Later changes of a variable do not reach a compiled network."""
    weights = [tf.Variable(tf.ones((4, 3))), tf.Variable(tf.ones((3, 2)))]
    for compiler in COMPILERS:
        run = getattr(nb, compiler)(weights)
        before = run(tf.ones((2, 4))).numpy()
        weights[0].assign_add(tf.ones((4, 3)))
        np.testing.assert_array_equal(run(tf.ones((2, 4))), before)


@pytest.mark.parametrize("change", [0.0, 1e-6, 1e-2])
def test_compare_logits(nb: types.ModuleType, change: float) -> None:
    """Rounding is told from error, near a tie and away from it."""
    expected = tf.constant([[1.0, 0.0], [1.0, 1.0 - 1e-7], [0.5, 4.0]])
    found = expected + tf.constant([[0.0, 0.0], [0.0, change], [change, 0.0]])
    found += tf.constant([[0.0, 2.0 if change > 1e-3 else 0.0], [0, 0], [0, 0]])
    result = nb.compare_logits(expected, found)
    if change > 1e-3:
        assert result["difference"] == pytest.approx(0.5)
        assert (result["other class"], result["clearly other class"]) == (2, 1)
    else:
        assert result["difference"] <= 1e-6
        assert result["other class"] == (1 if change else 0)
        assert result["clearly other class"] == 0


def test_costs_are_those_of_the_stored_tensors(nb: types.ModuleType) -> None:
    """Multiply-adds and bytes are counted as the tensors hold them."""
    weights = draw((40, 30, 20, 10), 5, density=0.3)
    weights[-1] = np.ones((20, 10), np.float32)
    coo = [tf.sparse.from_dense(matrix) for matrix in weights[:-1]]
    entries = [len(matrix.values) for matrix in coo]
    assert nb.multiply_adds(weights) == sum(entries) + 200
    held = sum(m.values.numpy().nbytes + m.indices.numpy().nbytes for m in coo)
    assert nb.megabytes(weights, entry_bytes=20) == (held + 800) / 1e6
    held = 0
    for matrix in weights[:-1]:
        parts = tf.raw_ops.CSRSparseMatrixComponents(
            csr_sparse_matrix=nb.to_csr(tf.constant(matrix)),
            index=0,
            type=tf.float32,
        )
        held += parts.col_inds.numpy().nbytes + parts.values.numpy().nbytes
    assert nb.megabytes(weights, entry_bytes=8) == (held + 800) / 1e6


def test_benchmark(nb: types.ModuleType) -> None:
    """Warm-up is left out, turns are interleaved, slow functions leave."""
    calls = []

    def sleeper(name: str, seconds: float, first: float = 0.0) -> object:
        """Makes a function that takes a known time.

        Args:
            name: What it adds to `calls`.
            seconds: Duration of a call.
            first: Duration of the first call.

        Returns:
            A function from a tensor to itself.
        """

        def run(images: tf.Tensor) -> tf.Tensor:
            """Waits.

            Args:
                images: Any tensor.

            Returns:
                The tensor.
            """
            time.sleep(first if first and name not in calls else seconds)
            calls.append(name)
            return images

        return run

    functions = {
        "base": sleeper("base", 0.02),
        "fast": sleeper("fast", 0.01, first=0.3),
        "slow": sleeper("slow", 0.08),
    }
    table = nb.benchmark(
        functions, tf.ones(1), rounds=10, seconds=0.1, turn=0.001
    )
    assert table.turns.tolist() == [10, 10, 5]
    order = calls[6:]
    assert [order.count(name) for name in functions] == [10, 10, 5]
    # Every other round has all three, in changing order; the rest lacks "slow".
    full_rounds = [tuple(order[5 * i : 5 * i + 3]) for i in range(5)]
    assert all(set(names) == set(functions) for names in full_rounds)
    assert len(set(full_rounds)) > 1
    assert (table.low <= table.ms).all() and (table.ms <= table.high).all()
    assert 20 <= table.ms["base"] < 60
    assert 10 <= table.ms["fast"] < 30
    assert table.speedup["base"] == 1
    assert 1.2 < table.speedup["fast"] < 3
    assert table.speedup["slow"] < 0.6


def test_benchmark_averages_short_calls(nb: types.ModuleType) -> None:
    """A turn of short calls lasts as long as asked; times are per call."""
    calls = []

    def run(images: tf.Tensor) -> tf.Tensor:
        """Waits two milliseconds.

        Args:
            images: Any tensor.

        Returns:
            The tensor.
        """
        time.sleep(0.002)
        calls.append(1)
        return images

    table = nb.benchmark(
        {"short": run}, tf.ones(1), rounds=3, seconds=1, turn=0.03
    )
    assert 2 <= table.ms["short"] < 8
    assert 2 + 3 * 4 <= len(calls) <= 2 + 3 * 16


def test_fastest_k(nb: types.ModuleType) -> None:
    """The fastest network within a point is found, if there is one."""
    validation = nb.pd.Series({0: 98.0, 50: 97.5, 80: 97.1, 90: 96.9})
    speedup = nb.pd.Series({0: 9.0, 50: 2.0, 80: 1.5, 90: 4.0})
    assert nb.fastest_k(validation, speedup) == 50
    assert nb.fastest_k(validation, speedup[[0, 90]]) == 0
