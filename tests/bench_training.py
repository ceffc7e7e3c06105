"""Times one training epoch against Keras and against bare matrix products.

Run by hand from the project's root, on an otherwise idle machine:

    python tests/bench_training.py --batch-size 256

All contestants work on the same 784-[1000, 1000, 500, 200]-10 network and the
same random images, interleaved in every round. Tracing and compilation happen
in a warm-up epoch outside the timing. Two bounds are given, each for as many
floating-point operations as the matrix products of one epoch take: products of
the very shapes that the batches make, and one large square product.
"""

import argparse
import itertools
import os
import pathlib
import statistics
import tempfile
import time
import types
from collections.abc import Callable

import numpy as np
import tensorflow as tf

import conftest


def our_epoch(
    nb: types.ModuleType, images: tf.Tensor, labels: tf.Tensor, batch: int
) -> Callable[[], object]:
    """Prepares the notebook's training loop.

    Args:
        nb: The notebook's definitions.
        images: float32 (N, 784).
        labels: int32 (N,).
        batch: Images per step.

    Returns:
        A function that trains for one epoch.
    """
    weights = nb.init_weights(0)
    moments = [
        (tf.Variable(tf.zeros_like(matrix)), tf.Variable(tf.zeros_like(matrix)))
        for matrix in weights
    ]

    def run() -> None:
        """Shuffles and trains, as in `train`."""
        batches = nb.shuffled_batches(len(labels), batch, [0, 1])
        rates, step = tf.fill([len(batches)], 0.001), tf.constant(0.0)
        nb.train_epoch(
            weights, moments, images, labels, batches, rates, step
        ).numpy()

    return run


def keras_epoch(
    sizes: list[int], images: tf.Tensor, labels: tf.Tensor, batch: int
) -> Callable[[], object]:
    """Prepares Keras `fit` on the same network, batch and optimiser.

    Args:
        sizes: Widths of all layers.
        images: float32 (N, 784).
        labels: int32 (N,).
        batch: Images per step.

    Returns:
        A function that trains for one epoch.
    """
    *hidden, classes = sizes[1:]
    keras = tf.keras
    layers = [keras.layers.Input([sizes[0]])]
    for width in hidden:
        layers.append(
            keras.layers.Dense(width, activation="relu", use_bias=False)
        )
    layers.append(keras.layers.Dense(classes, use_bias=False))
    model = keras.Sequential(layers)
    model.compile(
        optimizer=keras.optimizers.Adam(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    data = images.numpy(), labels.numpy()
    return lambda: model.fit(*data, batch_size=batch, epochs=1, verbose=0)


def batch_products(
    sizes: list[int], count: int, batch: int
) -> Callable[[], object]:
    """Prepares the matrix products of one epoch and nothing else.

    Args:
        sizes: Widths of all layers.
        count: Images per epoch.
        batch: Images per step.

    Returns:
        A function that multiplies as much as one epoch does.
    """
    draw = np.random.default_rng(0).normal
    hidden = [
        tf.constant(draw(size=(batch, n)).astype("float32")) for n in sizes
    ]
    weights = [
        tf.constant(draw(size=shape).astype("float32"))
        for shape in itertools.pairwise(sizes)
    ]

    @tf.function
    def step() -> list[tf.Tensor]:
        """Multiplies forwards, and backwards for weights and activations.

        Returns:
            All products; the first layer's inputs need no gradient.
        """
        products = []
        for layer, matrix in enumerate(weights):
            x, y = hidden[layer], hidden[layer + 1]
            products.append(tf.matmul(x, matrix))
            products.append(tf.matmul(x, y, transpose_a=True))
            if layer:
                products.append(tf.matmul(y, matrix, transpose_b=True))
        return products

    def run() -> None:
        """Takes all steps of an epoch."""
        for _ in range(count // batch):
            products = step()
        products[-1].numpy()

    return run


def square_products(
    sizes: list[int], count: int, batch: int, side: int = 2000
) -> Callable[[], object]:
    """Prepares square products of as many operations as one epoch.

    Args:
        sizes: Widths of all layers.
        count: Images per epoch.
        batch: Images per step.
        side: Rows and columns of the square matrix.

    Returns:
        A function that multiplies; it takes the nearest whole number of
        products and carries the fraction that is missing as `run.scale`.
    """
    pairs = list(itertools.pairwise(sizes))
    per_image = 3 * sum(m * n for m, n in pairs) - pairs[0][0] * pairs[0][1]
    exact = count // batch * batch * per_image / side**3
    whole = max(1, round(exact))
    matrix = tf.random.stateless_normal([side, side], seed=[0, 0])
    multiply = tf.function(lambda: tf.matmul(matrix, matrix))

    def run() -> None:
        """Multiplies."""
        for _ in range(whole):
            product = multiply()
        product.numpy()

    run.scale = exact / whole
    return run


def main() -> None:
    """Times all contestants and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--images", type=int, default=55_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    batch, count = options.batch_size, options.images
    with tempfile.TemporaryDirectory() as folder:
        nb = conftest.load_definitions(pathlib.Path(folder))
        rng = np.random.default_rng(0)
        images = tf.constant(rng.random((count, 784), dtype=np.float32))
        labels = tf.constant(rng.integers(0, 10, count).astype(np.int32))
        contestants = {
            "our loop": our_epoch(nb, images, labels, batch),
            "Keras fit": keras_epoch(nb.SIZES, images, labels, batch),
            "batch products": batch_products(nb.SIZES, count, batch),
            "square products": square_products(nb.SIZES, count, batch),
        }
        seconds = {name: [] for name in contestants}
        for round_number in range(options.rounds + 1):
            for name, run in contestants.items():
                start = time.perf_counter()
                run()
                elapsed = time.perf_counter() - start
                if round_number:  # The first round warms up.
                    seconds[name].append(elapsed * getattr(run, "scale", 1))
    ours = statistics.median(seconds["our loop"])
    print(
        f"TensorFlow {tf.__version__}, {os.cpu_count()} threads, "
        f"batch {batch}, median of {options.rounds} epochs"
    )
    for name, times in seconds.items():
        median = statistics.median(times)
        print(
            f"{name:16} {median:6.2f} s [{min(times):.2f}, {max(times):.2f}]"
            f"  {median / ours:5.2f} x our loop"
        )


if __name__ == "__main__":
    main()
