"""Holds fast ways to the logits of the masked network, and times a clock."""

import time

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf


@pytest.mark.parametrize("k", [0, 80, 99, 100])
@pytest.mark.parametrize("way", list(nb.WAYS))
def test_fast_ways(
    way: str, k: float, weights: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits that change, tiles lost or out of order, empty layers."""
    monkeypatch.setattr(nb, "SIZES", [12, 10])
    method, run_way, _ = nb.WAYS[way]
    draw = np.random.default_rng(0).normal
    for batch, tile, kind in ((53, 53, "f4"), (53, 7, "f8"), (1, 1, "f4")):
        images = tf.constant(draw(size=(batch, 12)), tf.float32)
        copy = nb.METHODS[method]([w.astype(kind) for w in weights], k)
        run = nb.compile_network(run_way(copy), batch, tile)
        assert run(images).shape == (batch, 10)
        assert nb.agree(run(images), nb.forward(copy, images))


def test_agree() -> None:
    """Logits that are wrong, or not a number, taken for rounding."""
    logits = np.random.default_rng(0).normal(size=(50, 10)).astype("f4")
    for error, same in ((1e-5, True), (1e-3, False), (np.nan, False)):
        changed = logits + error * np.abs(logits).max() * np.eye(50, 10)
        assert nb.agree(changed, logits) == same


def test_benchmark() -> None:
    """Calls that are not divided by their number, another unit, one skipped."""
    seconds = (0.003, 0.012)
    runs = {s: lambda x, s=s: time.sleep(s) or x for s in seconds}
    table = nb.benchmark(runs, tf.zeros(1), 12)
    assert table.shape == (12, 2)
    for s in seconds:
        assert 1000 * s <= table[s].quantile(0.25) < 1800 * s
