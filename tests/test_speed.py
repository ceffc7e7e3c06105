"""Holds the fast ways to the masked network's logits; no clock is read."""

import contextlib
from unittest import mock

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
    monkeypatch.setattr(nb, "TIMED_IMAGES", 60)
    monkeypatch.setattr(nb, "SIZES", [12, 10])
    return tf.random.stateless_normal((60, 12), [0, 0])


@pytest.mark.parametrize("k", [0, 50, 100])
@pytest.mark.parametrize("way", WAYS)
def test_fast_ways(way: str, k: float, network: list, images: tf.Tensor
                   ) -> None:
    """With and without tiles they have the masked network's logits."""
    copy = nb.prune(network, k, nb.weight_scores)
    if k == 50:
        copy[0][[1, 2, 7]] = 0  # Inputs that nothing reads.
    expected = nb.forward(copy, images).numpy()
    for tile in [60, 20]:
        run = WAYS[way](copy, tile)
        np.testing.assert_allclose(run(images), expected, rtol=0,
                                   atol=1e-5 * np.abs(expected).max())
        graph = run.get_concrete_function(images).graph.as_graph_def()
        assert ("While" in str(graph)) == (tile < 60)  # It loops over tiles.


@pytest.mark.parametrize("k", [0, 80])
def test_compacted_is_small(k: float, network: list, images: tf.Tensor
                            ) -> None:
    """The compacted way multiplies by the compacted matrices, and no more."""
    copy = nb.prune(network, k, nb.unit_scores)
    graph = nb.compacted_run(copy, 60).get_concrete_function(images).graph
    shapes = []
    for operation in graph.get_operations():
        assert operation.type != "GatherV2"
        if operation.type == "MatMul":
            shapes.append(tuple(operation.inputs[1].shape))
    assert shapes == [matrix.shape for matrix in nb.compact(copy)[0]]


@pytest.mark.parametrize("way", WAYS)
def test_device(way: str, network: list, images: tf.Tensor) -> None:
    """Weights are on the device that is asked for, and so are products."""
    device = tf.config.list_logical_devices("CPU")[-1].name
    with tf.device(device):
        run = WAYS[way](network, 60)
        graph = run.get_concrete_function(images).graph
    assert len(graph.captures) > 1  # The smallest matrices are none.
    for tensor, _ in graph.captures:
        assert tensor.device.endswith(device)
    for operation in graph.get_operations():
        assert operation.device == "" or operation.device.endswith(device)


def test_check_run(network: list, images: tf.Tensor) -> None:
    """Logits that differ by more than 1e-4 of the largest are refused."""
    nb.check_run(lambda x: 1.00005 * nb.forward(network, x), network, images)
    with pytest.raises(AssertionError):
        nb.check_run(lambda x: 1.0002 * nb.forward(network, x), network, images)


def test_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs take turns; two rounds warm up; logits are fetched in time."""
    log = mock.Mock()
    log.perf_counter.side_effect = [*range(8), 10, 11, 20, 22, 30, 33, 40, 44]
    monkeypatch.setattr(nb, "time", log)
    runs = {("CSR", 9): log.fast, ("COO", 0): log.slow}
    table = nb.benchmark(runs, "images", rounds=2)
    turn = []
    for run in [mock.call.fast, mock.call.slow]:
        turn += [mock.call.perf_counter(), run("images"),
                 run("images").numpy(), mock.call.perf_counter()]
    assert log.mock_calls == turn * 4
    assert table.to_numpy().tolist() == [[1000, 2000], [3000, 4000]]
    assert table.columns.to_list() == [*runs]
