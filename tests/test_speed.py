"""Holds fast ways to the logits of the masked network, and times a clock."""

import time

import notebook_definitions as nb
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

RULES = {"weights": nb.weight_scores, "units": nb.unit_scores}
TILES = "units", 0, lambda copy: nb.compile_run(nb.compacted_run(copy), 500)
WAYS = nb.WAYS | {"tiles": TILES}


@pytest.mark.parametrize("k", [0, 80, 99, 100])
@pytest.mark.parametrize("way", WAYS)
def test_fast_ways(way: str, k: float, network: list,
                   monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Logits that change, tiles lost or out of order, units kept."""
    monkeypatch.setattr(nb, "SIZES", [12, 10])
    copy = nb.prune([w.astype(float) for w in network], k, RULES[WAYS[way][0]])
    images = tf.random.stateless_normal((nb.BATCH, 12), [0, 0])
    run, expected = WAYS[way][2](copy), nb.forward(copy, images)
    atol = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(run(images), expected, rtol=0, atol=atol)
    if way == "compacted":
        constants = [op.outputs[0] for op in run.graph.get_operations()
                     if op.type == "Const"]  # fmt: skip
        read = sum(x.shape.num_elements() for x in constants if x.shape.rank)
        assert read == sum(map(np.size, nb.compact(copy, keep_inputs=True)[0]))


def test_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that are not divided by their number, another unit, no warm-up."""
    monkeypatch.setattr(nb, "quick", True, raising=False)
    calls = dict.fromkeys((0.001, 0.012), 0)

    def sleep(seconds: float, images: tf.Tensor) -> tf.Tensor:
        calls[seconds] += 1
        time.sleep(0.1 if calls[seconds] == 1 else seconds)  # Traced first.
        return images

    runs = {s: lambda x, s=s: sleep(s, x) for s in calls}
    table = nb.benchmark(runs, tf.zeros(1))
    assert table.shape == (3, 2) and calls[0.001] > 10 > calls[0.012] >= 5
    for s in calls:
        assert 1000 * s <= table[s].quantile(0.25) < 1800 * s + 1
        assert table[s].median() < 50


def test_tell_gain() -> None:
    """The test images choose k, a recovery counted, faster for slower."""
    speeds = pd.Series({0: 1.0, 25: 0.8, 50: 2.94, 70: 9.0})
    for k, curve, told in (
        (50, (98, 97.5, 97, 90), "2.9 times as fast (+194%), 0.3"),
        (25, (98, 98, 96, 98), "0.8 times as fast (-20%), 0.7"),
        (0, (98, 90, 98, 98), None),
    ):
        seeds = np.repeat([-2, 2], 4)  # Two networks, in any order.
        copies = {"k": [0, 25, 50, 70] * 2, "validation": [*curve] * 2 + seeds}
        copies["accuracy"] = seeds + [90, 89.3, 89.74, 0] * 2
        found = nb.tell_gain("A", pd.DataFrame(copies)[::-1], speeds)
        told = told and f"without {k} % of its units {told}"
        assert (told or "at no k measured") in found
