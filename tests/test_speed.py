"""Holds the fast ways to the masked network's logits; no clock is read."""

import contextlib
import timeit
import types
from collections.abc import Callable

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

# Two parts of the processor: the second is the one that is asked for, and what
# does not follow is on the first. This has to come before all computing.
with contextlib.suppress(RuntimeError):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2)

WAYS = {
    "compacted": nb.compacted_run,
    "CSR": lambda copy, tile: nb.sparse_run(
        copy, nb.to_csr, nb.multiply_csr, tile),
    "COO": lambda copy, tile: nb.sparse_run(
        copy, tf.sparse.from_dense, tf.sparse.sparse_dense_matmul, tile),
}


@pytest.fixture(autouse=True)
def images(monkeypatch: pytest.MonkeyPatch) -> tf.Tensor:
    """Makes batches and images small, and draws a batch."""
    monkeypatch.setattr(nb, "BATCH", 60)
    monkeypatch.setattr(nb, "SIZES", [12, 10])
    return tf.random.stateless_normal((60, 12), [0, 0])


@pytest.mark.parametrize("k", [0, 50, 95, 100])
@pytest.mark.parametrize("rule", nb.RULES)
@pytest.mark.parametrize("way", WAYS)
def test_fast_ways(way: str, rule: str, k: float, network: list,
                   images: tf.Tensor) -> None:
    """All ways and tiles have the logits of the masked network, in order."""
    if k == 50:
        network[0][[1, 2, 7]] = 0  # Inputs that nothing reads.
    copy = nb.prune([w.astype(float) for w in network], k, nb.RULES[rule])
    expected = nb.forward(copy, images).numpy()
    assert k > 50 or len(np.unique(expected, axis=0)) > 40
    for tile in (60, 20):
        found = WAYS[way](copy, tile)(images)
        np.testing.assert_allclose(found, expected, rtol=0,
                                   atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("k", [0, 50, 80])
def test_compacted_reads_little(k: float, network: list) -> None:
    """The compacted way multiplies by the compacted matrices, and no more."""
    copy = nb.prune(network, k, nb.unit_scores)
    graph = nb.compacted_run(copy, 60).get_concrete_function().graph
    operations = graph.get_operations()
    shapes = [tuple(op.inputs[1].shape) for op in operations
              if op.type == "MatMul"]
    assert shapes == [matrix.shape for matrix in nb.compact(copy)[0]]
    assert "GatherV2" not in [op.type for op in operations]


@pytest.mark.parametrize("way", WAYS)
def test_device(way: str, network: list, images: tf.Tensor) -> None:
    """Weights and logits are on the device that is asked for."""
    device = tf.config.list_logical_devices("CPU")[-1].name
    with tf.device(device):
        run = WAYS[way](network, 60)
        assert run(images).device.endswith(device)
    captures = run.get_concrete_function().graph.captures
    held = [tensor.device for tensor, _ in captures]  # But for the smallest.
    assert len(held) > 1 and all(name.endswith(device) for name in held)


class FakeTimer:
    """Times calls as a script says, and notes what is done."""

    def __init__(self, statement: Callable) -> None:
        """Keeps the statement, which returns the name of its run."""
        self.statement = statement

    def repeat(self, repeat: int, number: int) -> list[float]:
        """Returns what the script has for some repeats."""
        return [self.timeit(number) for _ in range(repeat)]

    def timeit(self, number: int) -> float:
        """Returns what the script has for some calls."""
        name = self.statement()
        self.log.append((name, number))
        return self.script[name].pop(0)


def test_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Milliseconds a call are those of as many calls as fit in 5 ms.

    Two calls warm up, of which the faster one tells how many fit; runs take
    turns; and each column is of its own run, whose numbers are fetched.
    """
    FakeTimer.log, FakeTimer.script = [], {
        "fast": [0.9, 0.001, 0.012, 0.018],  # The first call compiles.
        "slow": [0.03, 0.02, 0.02, 0.04]}
    monkeypatch.setattr(timeit, "Timer", FakeTimer)
    runs = {(name, k): lambda images, name=name: types.SimpleNamespace(
        numpy=lambda: images + name) for name, k in (("fast", 9), ("slow", 0))}
    table = nb.benchmark(runs, "", rounds=2)
    turn = [("fast", 6), ("slow", 1)]
    warming = [("fast", 1), ("fast", 1), ("slow", 1), ("slow", 1)]
    assert FakeTimer.log == warming + 2 * turn
    np.testing.assert_allclose(table, [[2, 20], [3, 40]])
    assert table.columns.to_list() == [*runs]
    assert table.columns.names == ["way", "k"]
