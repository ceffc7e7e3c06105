"""Tests finding, downloading and reading the data, and the sample."""

import gzip
import os
import pathlib
import struct
from unittest import mock

import notebook_definitions as nb
import numpy as np
import pytest

Patch = pytest.MonkeyPatch
Paths = list[pathlib.Path]
FILES = [file for file in nb.MD5 if file.startswith("mnist/")]
DRAW = np.random.default_rng(0).integers
ARRAYS = [DRAW(0, 256, (24, 4, 3), np.uint8), DRAW(0, 10, 24, np.uint8),
          DRAW(0, 256, (5, 4, 3), np.uint8), DRAW(0, 10, 5, np.uint8)]


@pytest.fixture
def paths(monkeypatch: Patch, tmp_path: pathlib.Path) -> Paths:
    """Writes the files of a small MNIST into a data folder in ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PRUNING_DATA_DIR", "~/data")
    paths = [tmp_path / "data" / f"{file}-ubyte.gz" for file in FILES]
    paths[0].parent.mkdir(parents=True)
    for path, array in zip(paths, ARRAYS):
        header = struct.pack(f">{array.ndim + 1}i", 2048 + array.ndim,
                             *array.shape)
        path.write_bytes(gzip.compress(header + array.tobytes()))
    return paths


def unplug(monkeypatch: Patch, error: Exception) -> None:
    """Makes every download fail, and unsets the data folder."""
    monkeypatch.delenv("PRUNING_DATA_DIR", raising=False)
    monkeypatch.setattr(nb.pooch, "retrieve", mock.Mock(side_effect=error))


def test_folder(paths: Paths) -> None:
    """Files of a data folder are used; one that is missing is named."""
    assert [nb.find_file(file) for file in FILES] == paths
    paths[3].unlink()
    with pytest.raises(FileNotFoundError, match=paths[3].name):
        nb.load_dataset("mnist")


def test_download(paths: Paths, monkeypatch: Patch) -> None:
    """Without a data folder each file is downloaded, by its own hash."""
    retrieve = mock.Mock(
        side_effect=lambda url, _: paths[0].parent / url.split("/")[-1])
    monkeypatch.setattr(nb.pooch, "retrieve", retrieve)
    monkeypatch.setenv("PRUNING_DATA_DIR", "")
    for name in nb.DATASETS:
        for array, expected in zip(nb.load_arrays(name), ARRAYS, strict=True):
            np.testing.assert_array_equal(array, expected)
    calls = []
    for file, md5 in nb.MD5.items():
        name, base = file.split("/")
        url = ("https://storage.googleapis.com/"
               f"{nb.FOLDERS[name]}/{base}-ubyte.gz")
        calls.append(mock.call(url, f"md5:{md5}"))
    assert retrieve.call_args_list == calls
    assert len({*nb.MD5.values()}) == 8


def test_errors(monkeypatch: Patch) -> None:
    """Only a missing connection is answered by the sample."""
    for error in [ValueError, OSError, nb.requests.HTTPError]:
        unplug(monkeypatch, error)
        with pytest.raises(error):
            nb.load_dataset("mnist")


def test_offline(monkeypatch: Patch, capsys: pytest.CaptureFixture) -> None:
    """It is printed that a sample is used; without one, what can be done."""
    unplug(monkeypatch, nb.requests.Timeout("Unplugged."))
    assert nb.load_dataset("mnist").title == "MNIST sample"
    assert "sample.npz is used. Unplugged." in capsys.readouterr().out
    monkeypatch.setattr(nb, "SAMPLE", pathlib.Path("none.npz"))
    with pytest.raises(FileNotFoundError, match="set PRUNING_DATA_DIR"):
        nb.load_dataset("mnist")


def test_damaged(paths: Paths) -> None:
    """A damaged file is refused by its name."""
    packed = paths[2].read_bytes()
    whole = gzip.decompress(packed)
    damaged = [whole, packed[:-9], packed[:-8] + bytes(8),
               packed[:10] + b"\xff" * 20]
    for part in [b"", whole[:7], whole[:-1], whole + b"x"]:
        damaged.append(gzip.compress(part))
    for content in damaged:
        paths[2].write_bytes(content)
        with pytest.raises(ValueError, match=paths[2].name):
            nb.load_dataset("mnist")


def test_load_dataset(monkeypatch: Patch) -> None:
    """The last twelfth is for validation, and no image loses its label."""
    for count, title in [(60_000, "MNIST"), (59_988, "MNIST sample")]:
        images, labels = DRAW(0, 256, (count, 2, 3)), DRAW(0, 10, count)
        arrays = mock.Mock(return_value=[images, labels, images, labels])
        monkeypatch.setattr(nb, "load_arrays", arrays)
        dataset = nb.load_dataset("mnist")
        assert dataset.title == title
        cut = count - count // 12
        parts = [slice(cut), slice(cut, count), slice(count)]
        for split, part in zip(dataset[:3], parts, strict=True):
            pixels = np.reshape(images[part], (-1, 6)) / np.float32(255)
            np.testing.assert_allclose(split.images, pixels)
            np.testing.assert_array_equal(split.labels, labels[part])
    few = dataset.test.first(9)
    assert (few.images == dataset.test.images[:9]).all()
    np.testing.assert_array_equal(few.labels, labels[:9])
    with pytest.raises(ValueError, match="labels for"):
        nb.make_split(images, labels[1:])


def test_sample(sample: dict[str, nb.Dataset]) -> None:
    """The sample has as many images of each class, scaled as all are."""
    for dataset in sample.values():
        for (images, labels), count in zip(dataset[:3], [550, 50, 100]):
            assert np.bincount(labels).tolist() == [count] * 10
            assert images.shape == (10 * count, 784)
            assert (images.min(), images.max()) == (0, 1)
            assert (images.dtype, labels.dtype) == (np.float32, np.int32)


@pytest.mark.skipif(not os.environ.get("PRUNING_DATA_DIR"), reason="No data.")
def test_sample_is_published(sample: dict[str, nb.Dataset]) -> None:
    """The sample has published training images, each once, with its label."""
    for name, dataset in sample.items():
        found, published = set(), set()
        for images, labels in dataset[:3]:
            found.update(zip(map(bytes, images), labels))
        for images, labels in nb.load_dataset(name)[:2]:
            published.update(zip(map(bytes, images), labels))
        assert len(found) == 7000 and found <= published
