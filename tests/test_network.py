"""Holds the network, its loss and its training to slow formulas."""

import itertools
from unittest import mock

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

assert_close = np.testing.assert_allclose


def softmax(logits: np.ndarray) -> np.ndarray:
    """Computes probabilities in NumPy."""
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def run_slowly(network: list, images: np.ndarray) -> list[np.ndarray]:
    """Computes the outputs of each matrix, unit by unit."""
    outputs = []
    for matrix in network:
        units = [images @ unit for unit in matrix.T]
        outputs.append(np.stack(units, axis=1))
        images = outputs[-1].clip(0)
    return outputs


def test_init_weights() -> None:
    """Weights have variance 1 / m; each layer and seed has its own."""
    sizes = [400, 300, 300, 300, 10]
    first, same, other = [nb.init_weights(seed, sizes) for seed in [3, 3, 4]]
    for i, matrix in enumerate(first):
        assert matrix.shape == (sizes[i], sizes[i + 1])
        assert matrix.dtype == np.float32 and (matrix == same[i]).all()
        assert matrix.std() == pytest.approx(sizes[i] ** -0.5, rel=0.05)
        assert abs(matrix.mean()) < 0.1 * matrix.std()
    for pair in itertools.combinations([*first[1:3], *other[1:3]], 2):
        assert abs(np.vdot(*pair)) < 5  # Of equal matrices about 300.


def test_measure(network: list) -> None:
    """ReLU is between matrices, the loss is mean -log p, accuracy percent."""
    draw = np.random.default_rng(2)
    images, labels = draw.normal(size=(203, 12)), draw.integers(0, 10, 203)
    outputs = run_slowly(network, images)
    variables = [tf.Variable(matrix.astype(float)) for matrix in network]
    for found, slow in zip(nb.layer_outputs(variables, images), outputs,
                           strict=True):
        assert_close(found, slow, 1e-3, 1e-4)
    labels[:60] = outputs[4][:60].argmax(axis=1)
    losses = -np.log(softmax(outputs[4]))
    loss = np.mean([losses[i, label] for i, label in enumerate(labels)])
    percent = 100 * np.mean(outputs[4].argmax(axis=1) == labels)
    found = nb.measure(network, nb.Split(images, labels))
    assert found == pytest.approx({"loss": loss, "accuracy": percent}, 1e-4)
    assert nb.accuracy(network, images, labels) == found["accuracy"]
    # No number is made of no images, of NaN, or of a loss without end.
    endless = [np.full((12, 2), [2e37, -2e37])]
    wrong = [(network, images[:0]), ([network[0] * np.nan], images),
             (endless, np.ones((203, 12)))]
    for given, seen in wrong:
        with pytest.raises(ValueError, match="The loss is"):
            nb.accuracy(given, seen, np.ones(len(seen), int))


def test_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is Keras's Adam with a rate that falls; zeros stay."""
    monkeypatch.setattr(nb, "FIRST_RATE", 0.03)
    monkeypatch.setattr(nb, "LAST_RATE", 0.01)
    batches = mock.Mock(wraps=nb.draw_batches)
    monkeypatch.setattr(nb, "draw_batches", batches)
    draw = np.random.default_rng(3).normal
    images = draw(size=(40, 12)).astype(np.float32)
    goal = softmax(draw(size=(40, 10))).astype(np.float32)
    start = nb.init_weights(0, [12, 15, 8, 10])
    start[1][::2] = 0
    before = [matrix.copy() for matrix in start]
    network = [tf.Variable(matrix) for matrix in start]
    adam = tf.keras.optimizers.Adam()
    slow = []
    for rate in np.linspace(0.03, 0.01, 9):
        adam.learning_rate = rate
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.keras.losses.categorical_crossentropy(
                goal, nb.forward(network, images), from_logits=True))
        gradients = tape.gradient(loss, network)
        gradients[1] *= start[1] != 0
        adam.apply_gradients(zip(gradients, network))
        slow.append([matrix.numpy() for matrix in network])
    split = nb.Split(images, goal)
    stages = nb.train_stages(start, split, [1, 4, 9], seed=5)
    stages.append(nb.train(start, split, 9, seed=5))
    assert batches.call_args_list == [mock.call(split, 5)] * 2
    for stage, step in zip(stages, [1, 4, 9, 9], strict=True):
        for found, matrix in zip(stage, slow[step - 1], strict=True):
            assert_close(found, matrix, 1e-4, 1e-4)
            assert not found[matrix == 0].any()
    for matrix, same in zip(start, before):
        assert (matrix == same).all()


def test_draw_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch takes no image twice, has its labels, and its own order."""
    monkeypatch.setattr(nb, "BATCH_SIZE", 20)
    split = nb.Split(np.arange(79)[:, None], np.arange(79))
    orders = []
    for seed in [1, 1, 2]:
        order = []
        batches = nb.draw_batches(split, seed)
        for images, labels in itertools.islice(batches, 8):
            assert (images[:, 0] == labels).all() and len(labels) == 20
            order += labels.tolist()
        first, second = {*order[:60]}, {*order[60:120]}
        assert len(order) == 160 and len(first) == len(second) == 60
        assert first != second and order[:60] != sorted(order[:60])
        orders.append(order)
    assert orders[0] == orders[1] != orders[2]


def test_learns(sample: dict[str, nb.Dataset]) -> None:
    """A small network learns from classes, and is traced only once."""
    before = nb.train_step.experimental_get_tracing_count()
    start = nb.init_weights(0, [784, 30, 10])
    trained = nb.train(start, sample["mnist"].train, 200, seed=0)
    assert nb.train_step.experimental_get_tracing_count() == before + 1
    assert nb.accuracy(trained, *sample["mnist"].validation) > 85
