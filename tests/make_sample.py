"""Makes tests/sample.npz from the published training files, once.

    PRUNING_DATA_DIR=folder python tests/make_sample.py

It holds 7,000 images of each dataset with their labels, under the names of the
published files: 5,500 to train and 500 to validate, which the notebook splits,
and 1,000 to test. Each of these three has as many images of every class. All
are from the training files, so that no published test image is looked at daily.
"""

import gzip
import os
import pathlib

import numpy as np

PARTS = [5500, 500, 1000]


def read(path: pathlib.Path, header: int) -> np.ndarray:
    """Reads the bytes of a gzipped IDX file after its header."""
    return np.frombuffer(gzip.decompress(path.read_bytes())[header:], np.uint8)


def main() -> None:
    """Draws the rows of each dataset and writes the file."""
    folder = pathlib.Path(os.environ["PRUNING_DATA_DIR"])
    arrays = {}
    for name in ["mnist", "fashion_mnist"]:
        images = read(folder / name / "train-images-idx3-ubyte.gz", 16)
        images = images.reshape(-1, 28, 28)
        labels = read(folder / name / "train-labels-idx1-ubyte.gz", 8)
        generator = np.random.default_rng(0)
        of_class = [generator.permutation(np.flatnonzero(labels == digit))
                    for digit in range(10)]
        rows, start = [], 0
        for size in PARTS:
            part = [of[start : start + size // 10] for of in of_class]
            rows.append(generator.permutation(np.concatenate(part)))
            start += size // 10
        chosen = np.concatenate(rows)
        arrays |= {
            f"{name}/train-images-idx3": images[chosen[:6000]],
            f"{name}/train-labels-idx1": labels[chosen[:6000]],
            f"{name}/t10k-images-idx3": images[chosen[6000:]],
            f"{name}/t10k-labels-idx1": labels[chosen[6000:]]}
    np.savez_compressed(pathlib.Path(__file__).with_name("sample"), **arrays)


if __name__ == "__main__":
    main()
