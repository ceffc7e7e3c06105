"""Holds the network, its loss and its training to slow formulas."""

import itertools

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

assert_equal = np.testing.assert_array_equal
SIZES = (784, 50, 10)


def run_slowly(weights: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """Computes logits in NumPy, an image after the other."""
    logits = []
    for values in images:
        for matrix in weights[:-1]:
            values = np.array([max(values @ unit, 0) for unit in matrix.T])
        logits.append(values @ weights[-1])
    return np.array(logits)


@pytest.mark.parametrize("form", ["float16", "float32", "float64"])
def test_forward(form: str, weights: list[np.ndarray]) -> None:
    """ReLU on logits or missing; a kind of matrix that is not accepted."""
    images = np.random.default_rng(1).normal(size=(7, 12))
    rounded = [matrix.astype(form) for matrix in weights]
    for network in (rounded, rounded[:1]):
        expected = run_slowly([w.astype(float) for w in network], images)
        for kind in (np.asarray, tf.constant, tf.Variable):
            found = nb.forward(list(map(kind, network)), images)
            assert found.dtype == tf.float32
            np.testing.assert_allclose(found, expected, 1e-3, 1e-4)
        assert expected.min() < 0


def test_init_weights() -> None:
    """A wrong variance, or layers and seeds that share their numbers."""
    sizes = (400, 300, 300, 10)
    options = ((3, sizes), (3, sizes), (4, sizes), (3, sizes, 2))
    draws = [nb.init_weights(*arguments) for arguments in options]
    for fan_in, drawn, same, other, twice in zip(sizes, *draws):  # noqa: B905
        assert np.var(drawn) == pytest.approx(1 / fan_in, rel=0.1)
        assert np.var(twice) == pytest.approx(2 / fan_in, rel=0.1)
        assert_equal(drawn, same)
        assert (drawn != other).numpy().all()
    shapes = [tuple(matrix.shape) for matrix in nb.init_weights(0)]
    assert shapes == list(itertools.pairwise(nb.SIZES))


def test_evaluate(weights: list[np.ndarray]) -> None:
    """A mean of batches, a wrong loss, fractions for percent."""
    generator = np.random.default_rng(2)
    images = generator.normal(size=(203, 12)).astype(np.float32)
    labels = generator.integers(0, 10, 203).astype(np.int32)
    logits = run_slowly(weights, images)
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    likely = (likely / likely.sum(axis=1, keepdims=True))[range(203), labels]
    loss, percent = nb.evaluate(weights, images, labels)
    assert loss == pytest.approx(-np.log(likely).mean(), rel=1e-4)
    assert percent == 100 * sum(logits.argmax(axis=1) == labels) / 203
    assert percent == nb.accuracy(weights, images, labels)
    weights[1][0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        nb.evaluate(weights, images, labels)


def test_adam_update() -> None:
    """Another bias correction, moments mixed up or not kept."""
    weights = nb.init_weights(0, (3, 4, 2))
    moments = nb.init_moments(weights)
    expected = [matrix.numpy().astype(float) for matrix in weights]
    means, squares = [0, 0], [0, 0]
    for step in (1, 2, 3):
        draw = np.random.default_rng(step).normal
        gradients = [draw(size=w.shape).astype("f4") for w in weights]
        time, rate = tf.constant(float(step)), tf.constant(0.01 * step)
        tensors = list(map(tf.constant, gradients))
        nb.adam_update(weights, moments, tensors, time, rate)
        for i, gradient in enumerate(gradients):
            means[i] = 0.9 * means[i] + 0.1 * gradient
            squares[i] = 0.999 * squares[i] + 0.001 * gradient**2
            root = np.sqrt(squares[i] / (1 - 0.999**step)) + 1e-7
            expected[i] -= 0.01 * step * means[i] / (1 - 0.9**step) / root
            np.testing.assert_allclose(weights[i], expected[i], 1e-4, 1e-6)


def test_train(dataset: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """No learning, seeds ignored, a rate that stays, rows mixed up."""
    seen, train_epoch = [], nb.train_epoch
    spy = lambda *args: seen.append(args) or train_epoch(*args)  # noqa: E731
    monkeypatch.setattr(nb, "train_epoch", spy)
    options = {"batch_size": 55, "sizes": SIZES, "learning_rates": (0.01, 1e-3)}
    runs = [nb.train(dataset, seed, 3, **options) for seed in (0, 0, 1)]
    (first, table), (same, _), (other, _) = runs
    for matrix, equal, different in zip(first, same, other, strict=True):
        assert_equal(matrix, equal)
        assert (matrix != different).numpy().mean() > 0.9
    assert nb.accuracy(first, *dataset.test) > 80
    assert table.epoch.tolist() == [1, 1, 2, 2, 3, 3]
    assert table.split.tolist() == ["train", "validation"] * 3
    rows = [(row.loss, row.accuracy) for row in table.tail(2).itertuples()]
    assert rows == [nb.evaluate(first, *dataset[i]) for i in (1, 2)]
    for epoch, (*_, batches, rates, step, _) in enumerate(seen[:3]):
        assert step == 10 * epoch
        assert batches.shape == (10, 55)
        assert len({*batches.numpy().ravel()}) == 550  # No image twice.
        np.testing.assert_allclose(rates, np.linspace(0.01, 1e-3, 30), 1e-4)
    for other in (1, 6):  # The next epoch, and another seed.
        assert (seen[0][4] != seen[other][4]).numpy().any()
    with pytest.raises(ValueError, match="batch"):
        nb.train(dataset, 0, 1, batch_size=601, sizes=SIZES)


def take_step(
    dataset: object, step: int, rates: list[float], **options: object
) -> list[np.ndarray]:
    """Trains for one batch and returns the weights."""
    weights = nb.init_weights(0, SIZES)
    data = *map(tf.constant, dataset.train), nb.shuffle(50, 50, [0, 0])
    data = nb.init_moments(weights), *data, tf.constant(rates)
    found = nb.train_epoch(weights, *data, tf.constant(step), **options)
    assert int(found) == step + 1
    return [matrix.numpy() for matrix in weights]


def test_train_epoch(dataset: object) -> None:
    """The rate of another step; penalty, progress or mask without effect."""
    start = nb.init_weights(0, SIZES)[0].numpy()

    def penalty(weights: list[tf.Variable], progress: tf.Tensor) -> tf.Tensor:
        progress = tf.cast(progress, tf.float32)
        return 1e6 * progress * tf.reduce_sum(tf.abs(weights[0]))

    assert_equal(take_step(dataset, 1, [1.0, 0.0, 1.0])[0], start)
    plain_first = take_step(dataset, 0, [0.01, 0.01])[0]
    for step, same in ((0, True), (1, False)):
        plain = take_step(dataset, step, [0.01, 0.01])[0]
        penalised = take_step(dataset, step, [0.01, 0.01], penalty=penalty)[0]
        assert (plain == penalised).all() == same
    assert (np.abs(penalised) < np.abs(start))[np.abs(start) > 0.02].all()
    masks = [nb.keep_mask(w, 50) for w in nb.init_weights(0, SIZES)]
    masked = take_step(dataset, 0, [0.01, 0.01], masks=masks)[0]
    assert_equal(masked, np.where(masks[0], plain_first, start))
