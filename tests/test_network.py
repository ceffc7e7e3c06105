"""Holds the network and its training against slow oracles."""

import dataclasses
import itertools
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

SIZES = (784, 30, 20, 20, 10, 10)


def test_initial_weights(nb: types.ModuleType) -> None:
    """Five matrices, no biases, He's variance, a draw of its own each."""
    weights = nb.init_weights(0, nb.SIZES)
    shapes = [tuple(matrix.shape) for matrix in weights]
    assert shapes == [
        *((784, 1000), (1000, 1000), (1000, 500)),
        *((500, 200), (200, 10)),
    ]
    for matrix in weights:
        assert isinstance(matrix, tf.Variable)
        assert matrix.dtype == tf.float32
        expected = np.sqrt(2 / matrix.shape[0])
        assert np.std(matrix) == pytest.approx(expected, rel=0.05)
        assert abs(np.mean(matrix)) < 0.05 * expected
    again, other = nb.init_weights(0), nb.init_weights(1)
    for matrix, same, different in zip(weights, again, other, strict=True):
        assert matrix.numpy().tobytes() == same.numpy().tobytes()
        assert not np.allclose(matrix, different)
    square = nb.init_weights(0, [20, 20, 20])
    assert not np.allclose(square[0], square[1])


@pytest.mark.parametrize("make", [np.array, tf.constant, tf.Variable])
def test_forward(
    nb: types.ModuleType, weights: list[np.ndarray], make: type
) -> None:
    """ReLU between the layers, none on the logits."""
    images = np.random.default_rng(0).random((7, 12), dtype=np.float32)
    hidden = images
    for matrix in weights[:-1]:
        hidden = np.maximum(hidden @ matrix, 0)
    expected = hidden @ weights[-1]
    assert (expected < 0).any()
    logits = nb.forward([make(matrix) for matrix in weights], images)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_forward_has_no_bias(
    nb: types.ModuleType, weights: list[np.ndarray]
) -> None:
    """A black image gives zero logits, twice the light twice the logits."""
    images = np.random.default_rng(0).random((7, 12), dtype=np.float32)
    assert not np.any(nb.forward(weights, 0 * images))
    np.testing.assert_allclose(
        nb.forward(weights, 2 * images),
        2 * nb.forward(weights, images),
        rtol=1e-5,
    )


def test_trained_network_has_no_bias(
    nb: types.ModuleType, dataset: object
) -> None:
    """Training yields the five matrices and nothing else."""
    weights, _ = nb.train(dataset, 0, epochs=1, sizes=SIZES, batch_size=100)
    shapes = [tuple(matrix.shape) for matrix in weights]
    assert shapes == list(itertools.pairwise(SIZES))
    assert not np.any(nb.forward(weights, np.zeros((1, 784), np.float32)))


def test_cross_entropy(nb: types.ModuleType) -> None:
    """The mean of -log softmax at the label."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(9, 10)).astype(np.float32)
    labels = rng.integers(0, 10, 9).astype(np.int32)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(softmax[np.arange(9), labels]).mean()
    assert float(nb.cross_entropy(logits, labels)) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("count", [1, 1003])
def test_accuracy_counts_every_example(
    nb: types.ModuleType, count: int
) -> None:
    """All errors are at the end, where a mean of batch means overweights."""
    labels = np.arange(count, dtype=np.int32) % 10
    images = np.eye(10, dtype=np.float32)[labels]
    wrong = min(count - 1, 100)
    labels[count - wrong :] = (labels[count - wrong :] + 1) % 10
    weights = [np.eye(10, dtype=np.float32)] * 2
    expected = 100 * (count - wrong) / count
    assert nb.accuracy(weights, images, labels) == expected
    assert nb.evaluate(weights, images, labels)[1] == expected


def test_adam_update(nb: types.ModuleType) -> None:
    """Three steps equal the formulas of Kingma and Ba."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(4, 3)).astype(np.float32)
    variable = tf.Variable(matrix)
    moments = nb.init_moments([variable])
    mean = square = np.zeros_like(matrix)
    for step in (1, 2, 3):
        gradient = rng.normal(size=(4, 3)).astype(np.float32)
        nb.adam_update(
            [variable], moments, [gradient], tf.constant(float(step)), 0.1
        )
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        corrected = np.sqrt(square / (1 - 0.999**step))
        matrix -= 0.1 * mean / (1 - 0.9**step) / (corrected + 1e-7)
    np.testing.assert_allclose(variable, matrix, rtol=1e-4)


def test_batches_visit_each_image_at_most_once(nb: types.ModuleType) -> None:
    """Seed and epoch decide the order; the remainder is left out."""
    batches = nb.shuffled_batches(103, 10, [0, 1]).numpy()
    assert batches.shape == (10, 10)
    assert len(np.unique(batches)) == 100
    assert batches.min() >= 0
    assert batches.max() < 103
    same = nb.shuffled_batches(103, 10, [0, 1]).numpy()
    np.testing.assert_array_equal(batches, same)
    for other in ([0, 2], [1, 1]):
        assert (nb.shuffled_batches(103, 10, other).numpy() != batches).any()
    with pytest.raises(ValueError, match="batch of 10 from 9"):
        nb.shuffled_batches(9, 10, [0, 1])


def test_same_seed_same_bits(nb: types.ModuleType, dataset: object) -> None:
    """Training twice gives the same weights; another seed gives others."""
    first, second, other = (
        nb.train(dataset, seed, epochs=2, sizes=nb.SIZES, batch_size=64)[0]
        for seed in (0, 0, 1)
    )
    for one, two, three in zip(first, second, other, strict=True):
        assert one.numpy().tobytes() == two.numpy().tobytes()
        assert not np.allclose(one, three)


def test_training_sees_the_training_split_only(
    nb: types.ModuleType, dataset: object
) -> None:
    """Validation and test images have no influence on the weights."""
    spoilt = nb.Split(
        np.ones_like(dataset.validation.images),
        np.zeros_like(dataset.validation.labels),
    )
    other = dataclasses.replace(dataset, validation=spoilt, test=spoilt)
    arguments = {"epochs": 2, "sizes": SIZES, "batch_size": 50}
    weights, history = nb.train(dataset, 0, **arguments)
    again, spoilt_history = nb.train(other, 0, **arguments)
    for matrix, same in zip(weights, again, strict=True):
        assert matrix.numpy().tobytes() == same.numpy().tobytes()
    changed = history.loss != spoilt_history.loss
    assert changed.tolist() == (history.split == "validation").tolist()


def test_order_depends_on_seed_and_epoch(
    nb: types.ModuleType, dataset: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every epoch of every seed is shuffled by a seed of its own."""
    asked = []
    shuffle = nb.shuffled_batches

    def record(count: int, batch_size: int, seed: list[int]) -> tf.Tensor:
        """Notes the seed and shuffles."""
        asked.append(tuple(seed))
        return shuffle(count, batch_size, seed)

    monkeypatch.setattr(nb, "shuffled_batches", record)
    for seed in (0, 7):
        nb.train(dataset, seed, epochs=2, sizes=SIZES, batch_size=50)
    assert len(set(asked)) == 4
    assert [seed for seed, _ in asked] == [0, 0, 7, 7]


def test_training_learns(nb: types.ModuleType, dataset: object) -> None:
    """The history has a row per epoch and split, and the loss falls."""
    weights, history = nb.train(
        dataset, 0, epochs=20, sizes=SIZES, batch_size=50
    )
    assert list(history.columns) == ["epoch", "split", "loss", "accuracy"]
    assert len(history) == 40
    losses = history[history.split == "train"].loss.tolist()
    assert losses[-1] < losses[0] / 2
    test = dataset.test
    assert nb.accuracy(weights, test.images, test.labels) > 90


def test_benchmark_runs() -> None:
    """The benchmark that is run by hand still fits the notebook."""
    script = pathlib.Path(__file__).with_name("bench_training.py")
    options = ["--images", "512", "--rounds", "1"]
    run = subprocess.run(
        [sys.executable, script, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "our loop" in run.stdout
