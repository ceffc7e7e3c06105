"""Holds the network, its loss and its training to slow formulas."""

import itertools

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

assert_close = np.testing.assert_allclose


def softmax(logits: np.ndarray) -> np.ndarray:
    """Computes probabilities in NumPy."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def run_slowly(network: list, images: np.ndarray) -> list[np.ndarray]:
    """Computes the outputs of each matrix, unit by unit."""
    outputs = []
    for matrix in network:
        units = [images @ unit for unit in matrix.astype(float).T]
        outputs.append(np.stack(units, axis=1))
        images = outputs[-1].clip(0)
    return outputs


def train_slowly(start: list, images: np.ndarray, share: np.ndarray,
                 rates: np.ndarray) -> list[list[np.ndarray]]:
    """Trains by Adam in NumPy; every batch has all images."""
    network = [matrix.astype(float) for matrix in start]
    means, squares = ([0 * matrix for matrix in network] for _ in range(2))
    stages = []
    for step, rate in enumerate(rates, start=1):
        *hidden, logits = run_slowly(network, images)
        back = (softmax(logits) - share) / len(images)
        rate *= np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        for i, matrix in reversed([*enumerate(network)]):
            gradient = (hidden[i - 1].clip(0) if i else images).T @ back
            back = (back @ matrix.T) * (hidden[i - 1] > 0) if i else None
            gradient *= start[i] != 0
            means[i] = 0.9 * means[i] + 0.1 * gradient
            squares[i] = 0.999 * squares[i] + 0.001 * gradient**2
            change = rate * means[i] / (np.sqrt(squares[i]) + 1e-7)
            network[i] = matrix - change
        stages.append(network.copy())
    return stages


def test_init_weights() -> None:
    """Weights have variance 1 / m; each layer and seed has its own."""
    sizes = (400, 300, 300, 300, 10)
    first, same, other = (nb.init_weights(seed, sizes) for seed in (3, 3, 4))
    for shape, w, again in zip(itertools.pairwise(sizes), first, same,
                               strict=True):
        assert w.shape == shape and w.dtype == np.float32
        assert np.mean(w**2) == pytest.approx(1 / shape[0], rel=0.1)
        assert abs(w.mean()) < 0.1 / shape[0] ** 0.5 and (w == again).all()
    for pair in itertools.combinations([*first[1:3], *other[1:3]], 2):
        assert abs(np.vdot(*pair)) < 5  # Of equal matrices about 300.


@pytest.mark.parametrize("kind", [np.asarray, tf.constant, tf.Variable])
@pytest.mark.parametrize("form", ["float16", "float32", "float64"])
def test_forward(kind: object, form: str, network: list) -> None:
    """ReLU is between matrices, not after the last; any kind will do."""
    images = np.random.default_rng(1).normal(size=(7, 12))
    rounded = [matrix.astype(form) for matrix in network]
    for of in (rounded, rounded[:1]):
        outputs = nb.layer_outputs([*map(kind, of)], images)
        for found, slow in zip(outputs, run_slowly(of, images), strict=True):
            assert_close(found, slow, 1e-3, 1e-4)
        assert (nb.forward(of, images) == outputs[-1]).numpy().all()


def test_measure(network: list) -> None:
    """The loss is the mean of -log p, the accuracy is of all, in percent."""
    draw = np.random.default_rng(2)
    images, labels = draw.normal(size=(203, 12)), draw.integers(0, 10, 203)
    logits = run_slowly(network, images)[-1]
    labels[:60] = logits[:60].argmax(axis=1)
    found = nb.measure(network, nb.Split(images, labels))
    losses = -np.log(softmax(logits))
    assert found == pytest.approx({
        "loss": losses[range(203), labels].mean(),
        "accuracy": 100 * sum(logits.argmax(axis=1) == labels) / 203,
    }, rel=1e-4)
    assert nb.accuracy(network, images, labels) == found["accuracy"] > 29
    share = softmax(draw.normal(size=(203, 10)))
    assert nb.cross_entropy(logits, share).numpy() == pytest.approx(
        np.sum(share * losses) / 203)
    # No number is made of no images, of NaN, or of a loss without end.
    broken = [matrix * np.nan for matrix in network]
    endless = [np.full((12, 2), [2e37, -2e37])]
    for of, x in ((network, images[:0]), (broken, images),
                  (endless, np.ones((9, 12)))):
        with pytest.raises(ValueError, match="loss|images"):
            nb.accuracy(of, x, np.ones(len(x), int))


@pytest.mark.parametrize("case", ["classes", "probabilities", "zeros"])
def test_train_slowly(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is Adam's rule with a step size that falls linearly.

    Stages are the network after their steps, not aliases of it; the start is
    not changed, and what is zero there stays zero.
    """
    draw = np.random.default_rng(3)
    images = draw.normal(size=(40, 12)).astype(np.float32)
    labels = draw.integers(0, 10, 40, np.int32)
    share = np.eye(10)[labels]
    start = nb.init_weights(0, (12, 15, 8, 10))
    if case == "zeros":
        start[1][::2] = 0
    if case == "probabilities":
        share = softmax(draw.normal(size=(40, 10)))
        labels = share.astype(np.float32)
    before = [matrix.copy() for matrix in start]
    # Fewer than a batch are a batch, so their order makes no difference.
    monkeypatch.setattr(nb, "FIRST_RATE", 0.03)
    monkeypatch.setattr(nb, "LAST_RATE", 0.01)
    split = nb.Split(images, labels)
    slow = train_slowly(start, images, share, np.linspace(0.03, 0.01, 9))
    stages = nb.train_stages(start, split, [1, 4, 9], seed=5)
    stages.append(nb.train(start, split, 9, seed=5))
    for stage, step in zip(stages, [1, 4, 9, 9], strict=True):
        for found, matrix in zip(stage, slow[step - 1], strict=True):
            assert_close(found, matrix, 1e-3, 1e-3)
            assert found.dtype == np.float32
    for given, same, first, second in zip(start, before, *stages[:2]):
        assert (given == same).all() and not np.shares_memory(first, second)
        assert not first[given == 0].any() and not second[given == 0].any()


def test_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch takes each image once, with its label, in a new order."""
    seen = []
    monkeypatch.setattr(nb, "BATCH_SIZE", 20)
    monkeypatch.setattr(nb, "train_step", lambda *args: seen.append(args[2]))
    orders = []
    for count, seed in ((60, 1), (60, 1), (60, 2), (79, 1)):
        split = nb.Split(np.arange(count)[:, None], np.arange(count))
        nb.train([np.ones((1, 10))], split, 8, seed)
        assert all((batch.images[:, 0] == batch.labels).all() for batch in seen)
        orders.append([batch.labels.tolist() for batch in seen])
        seen.clear()
    for batches in orders:
        assert [len(batch) for batch in batches] == [20] * 8
        epochs = [sum(batches[i : i + 3], []) for i in (0, 3)]
        # Of 79 images 19 are left out, but none is taken twice.
        assert len({*epochs[0]}) == len({*epochs[1]}) == 60
        assert epochs[0] != epochs[1] and epochs[0] != [*range(60)]
    assert orders[0] == orders[1] != orders[2]


def test_learns(sample: dict[str, nb.Dataset]) -> None:
    """A small network learns both datasets, and is traced only once."""
    for name, least in (("mnist", 85), ("fashion_mnist", 75)):
        before = nb.train_step.experimental_get_tracing_count()
        start = nb.init_weights(0, (784, 30, 10))
        trained = nb.train(start, sample[name].train, 200, seed=0)
        assert nb.train_step.experimental_get_tracing_count() <= before + 1
        assert nb.accuracy(start, *sample[name].validation) < 30
        assert nb.accuracy(trained, *sample[name].validation) > least
