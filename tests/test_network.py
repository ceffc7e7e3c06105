"""Holds the network, its loss and its training to slow formulas."""

import notebook_definitions as nb
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

assert_close = np.testing.assert_allclose


def run_slowly(network: list, images: np.ndarray) -> np.ndarray:
    """Computes logits in NumPy."""
    for matrix in network[:-1]:
        units = [images @ unit for unit in matrix.T]
        images = np.stack(units, axis=1).clip(0)
    return images @ network[-1]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Computes probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("form", ["float16", "float32", "float64"])
def test_forward(form: str, network: list) -> None:
    """ReLU on logits or missing; a kind of matrix that is not accepted."""
    images = np.random.default_rng(1).normal(size=(7, 12))
    rounded = [matrix.astype(form) for matrix in network]
    for of in (rounded, rounded[:1]):
        expected = run_slowly([w.astype(float) for w in of], images)
        for kind in (np.asarray, tf.constant, tf.Variable):
            found = nb.forward(list(map(kind, of)), images)
            assert_close(found, expected, 1e-3, 1e-4)


def test_init_weights() -> None:
    """A wrong variance, or layers and seeds that share their numbers."""
    sizes = (300, 300, 300, 10)
    draws = [nb.init_weights(seed, sizes) for seed in (3, 3, 4)]
    for fan_in, drawn, same, other in zip(sizes, *draws):
        assert np.var(drawn) == pytest.approx(1 / fan_in, rel=0.1)
        assert (drawn == same).all() and (drawn != other).all()
    assert (draws[0][1] != draws[0][0]).all()


def test_evaluate(network: list) -> None:
    """A mean of batches, a wrong loss, fractions; nonsense that is measured."""
    draw = np.random.default_rng(2)
    images, labels = draw.random((203, 12)), draw.integers(0, 10, 203)
    logits = run_slowly(network, images)
    loss, percent = nb.evaluate(network, images, labels)
    likely = softmax(logits)[range(203), labels]
    assert loss == pytest.approx(-np.log(likely).mean(), rel=1e-4)
    assert percent == 100 * sum(logits.argmax(axis=1) == labels) / 203
    assert percent == nb.accuracy(network, images, labels)
    for count, given in ((1, labels), (0, labels[:0]), (203, labels[:, None])):
        with pytest.raises(ValueError, match="images|abels"):
            nb.evaluate(network, images[:count], given)
    network[1][0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        nb.evaluate(network, images, labels)


@pytest.mark.parametrize("case", ["plain", "start", "soft labels", "zeros"])
def test_train_slowly(case: str, dataset: nb.Dataset,
                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Another rule than Adam's, rate, loss or gradient; zeros that grow."""
    images, labels = dataset.train
    options = {"sizes": (784, 10)}
    weights = nb.init_weights(0, (784, 10))[0].astype(float)
    share, mean, square = np.eye(10)[labels], 0, 0
    if case == "start":
        options["start"], weights = [weights[::-1]], weights[::-1].copy()
    elif case == "zeros":
        weights[::2] = 0
        options["start"] = [weights.copy()]
    elif case == "soft labels":
        share = softmax(3 * share + images[:, :10]).astype(np.float32)
        dataset = dataset._replace(train=nb.Split(images, share))
    for step, rate in ((1, 0.01), (2, 0.0055), (3, 0.001)):
        wrong = softmax(images @ weights) - share
        gradient = (images.T @ wrong) / len(images) * (weights != 0)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate *= np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weights -= rate * mean / (np.sqrt(square) + 1e-7)
    # Whatever the order of the images, they are one batch.
    monkeypatch.setattr(nb, "BATCH_SIZE", 9999)
    monkeypatch.setattr(nb, "LEARNING_RATES", [0.01, 0.001])
    found, history = nb.train(dataset, 0, steps=3, measure_at=(), **options)
    assert_close(found[0], weights, 1e-3, 1e-4)
    assert not len(history)
    if case == "plain":
        monkeypatch.setattr(nb, "BATCH_SIZE", 300)
        _, history = nb.train(dataset, 0, steps=3, **options)
        assert history.step.tolist() == [2, 2]


def test_train(dataset: nb.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """No learning, seeds ignored, images twice, the settings of a past run."""
    seen, step = [], nb.train_step
    monkeypatch.setattr(
        nb, "train_step", lambda *args: seen.append(args[2]) or step(*args))
    options = {"sizes": [784, 50, 10], "epochs": 3}
    settings = {"batch_size": 55, "learning_rates": [0.01, 0.001]}
    for name, value in (options | settings).items():
        monkeypatch.setattr(nb, name.upper(), value)
    calls = [(0, {}), (0, options), (1, {})]
    runs = [nb.train(dataset, seed, **chosen) for seed, chosen in calls]
    (first, history), (same, _), (other, _) = runs
    assert nb.accuracy(first, *dataset.test) > 80
    assert (first[1] == same[1]).all() and (first[1] != other[1]).any()
    assert history.step.tolist() == [10, 10, 20, 20, 30, 30]
    assert history.split.tolist() == ["train", "validation"] * 3
    rows = [(row.loss, row.accuracy) for row in history.tail(2).itertuples()]
    assert rows == [nb.evaluate(first, *dataset[i]) for i in (1, 2)]
    # An epoch, the next one, and one of another seed.
    orders = [np.vstack(seen[i : i + 10]) for i in (0, 10, 60)]
    assert len(np.unique(orders[0], axis=0)) == 550
    assert all((orders[0] != order).any() for order in orders[1:])
    networks, _ = nb.train_all({"a": dataset}, [1], steps=30)
    assert (networks["a", 1][0] == other[0]).all()


def test_plot_lines() -> None:
    """A figure without units or legend."""
    rows = [[name, "units", k, 1, 2] for name in "ab" for k in (0, 90)]
    table = pd.DataFrame(rows, columns=["dataset", "method", "k", "c", "d"])
    labels = {"k": "sparsity", "c": "points", "d": "nats"}
    figure = nb.plot_lines(table, labels, "Title")
    assert {axis.get_ylabel() for axis in figure.axes} >= {"points", "nats"}
    assert len(figure.axes) == 4 and figure.legends[0].get_texts()
    ticks = figure.axes[-1].get_xticklabels()
    assert [text.get_text() for text in ticks] == ["0", "90"]
    assert_close(figure.axes[0].get_xticks(), -np.log([100, 10]))
    assert_close(figure.axes[0].lines[0].get_xdata(), -np.log([100, 10]))
