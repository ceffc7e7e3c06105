"""Tests finding, downloading and reading the data, and the sample."""

import gzip
import inspect
import os
import pathlib
import struct

import notebook_definitions as nb
import numpy as np
import pytest

Path = pathlib.Path
Patch = pytest.MonkeyPatch
FILES = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
         "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
DRAW = np.random.default_rng(0).integers
ARRAYS = [DRAW(0, 256, (24, 28, 28), np.uint8), DRAW(0, 10, 24, np.uint8),
          DRAW(0, 256, (5, 28, 28), np.uint8), DRAW(0, 10, 5, np.uint8)]


def idx(array: np.ndarray, shape: tuple | None = None) -> bytes:
    """Writes an array as an IDX file, with a header that may lie."""
    shape = array.shape if shape is None else shape
    header = struct.pack(f">4B{len(shape)}i", 0, 0, 8, len(shape), *shape)
    return header + array.tobytes()


@pytest.fixture
def folder(monkeypatch: Patch, tmp_path: Path) -> Path:
    """Makes a data folder in the home folder; in it, a small MNIST."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PRUNING_DATA_DIR", "~/data")
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    for file, array in zip(FILES, ARRAYS):
        path = tmp_path / "data" / "mnist" / file
        path.write_bytes(gzip.compress(idx(array)))
    return tmp_path / "data"


def test_find_file(folder: Path, monkeypatch: Patch) -> None:
    """Files of a data folder are used; a missing one is never downloaded."""
    monkeypatch.setattr(nb.pooch, "retrieve", lambda *_: pytest.fail("Asked."))
    files = [file for file in nb.MD5 if file.startswith("mnist")]
    found = [nb.find_file(file) for file in files]
    assert found == [folder / "mnist" / file for file in FILES]
    found[3].unlink()
    for load, of in ((nb.find_file, files[3]), (nb.load_dataset, "mnist")):
        with pytest.raises(FileNotFoundError) as caught:
            load(of)
        assert str(found[3]) in str(caught.value)


def test_download(folder: Path, monkeypatch: Patch) -> None:
    """Without a data folder each file is asked for, by its hash."""
    signature, asked = inspect.signature(nb.pooch.retrieve), []

    def retrieve(*args: object, **options: object) -> str:
        """Notes what it is asked for, and finds it in the folder."""
        asked.append(signature.bind(*args, **options).arguments)
        return str(folder / "mnist" / asked[-1]["url"].split("/")[-1])

    monkeypatch.setattr(nb.pooch, "retrieve", retrieve)
    monkeypatch.setenv("PRUNING_DATA_DIR", "")
    for name in nb.DATASETS:
        for array, expected in zip(nb.load_arrays(name), ARRAYS, strict=True):
            np.testing.assert_array_equal(array, expected)
    assert [of["known_hash"] for of in asked] == [
        f"md5:{nb.MD5[file]}" for file in nb.MD5]
    # Each has a hash of its own, and a place of its own in the cache.
    assert len({*nb.MD5.values()}) == len(nb.MD5) == 8
    assert len({Path(of["path"]) / of["fname"] for of in asked}) == 8


def test_other_failures(folder: Path, monkeypatch: Patch) -> None:
    """Only a missing connection is answered by the sample."""
    damaged = folder / "mnist" / FILES[2]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(ValueError, match=FILES[2]):
        nb.load_dataset("mnist")
    monkeypatch.delenv("PRUNING_DATA_DIR")
    # Another hash, a cache that cannot be written, a file that is not there.
    for error in (ValueError, PermissionError, OSError, nb.requests.HTTPError):
        def retrieve(*_: object, error: type = error) -> None:
            """Fails."""
            raise error("Told.")

        monkeypatch.setattr(nb.pooch, "retrieve", retrieve)
        with pytest.raises(error, match=r"Told\."):
            nb.load_dataset("mnist")


def test_read_idx(tmp_path: Path) -> None:
    """Shapes and values are read; a damaged file is refused by its name."""
    array, path = ARRAYS[0][:2, :3, :4], tmp_path / "broken"
    for part in (array, array[0, 0], array[:1]):
        path.write_bytes(gzip.compress(idx(part)))
        np.testing.assert_array_equal(nb.read_idx(path), part)
    whole = idx(array)
    packed = gzip.compress(whole)
    damaged = [gzip.compress(content) for content in (
        b"", whole[:3], whole[:7], whole[:-1], whole + b"x",
        idx(array, (2, 3, 5)), idx(array, (24,) * 3))]
    damaged += [whole, b"", b"PK", packed[:-9], packed[:20], packed + whole,
                packed[:10] + b"\xff" * 20, packed[:-8] + bytes(8)]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="broken"):
            nb.read_idx(path)


def test_splits(folder: Path) -> None:
    """The last twelfth is for validation, and no image loses its label."""
    dataset = nb.load_dataset("mnist")
    (images, labels), test = ARRAYS[:2], ARRAYS[2:]
    expected = [images[:22], labels[:22], images[22:], labels[22:], *test]
    for part, array in zip([*dataset.train, *dataset.validation, *dataset.test],
                           expected, strict=True):
        scale = 255 if array.ndim == 3 else 1
        assert (np.rint(part * scale) == array.reshape(part.shape)).all()
    for i in (1, 3):  # A label is missing; to train, to test.
        path = folder / "mnist" / FILES[i]
        path.write_bytes(gzip.compress(idx(ARRAYS[i][:-1])))
        with pytest.raises(ValueError, match="labels for"):
            nb.load_dataset("mnist")
        path.write_bytes(gzip.compress(idx(ARRAYS[i])))


def test_sample(sample: dict[str, nb.Dataset]) -> None:
    """Without a connection a sample is loaded, and its title says so."""
    for name, title in nb.DATASETS.items():
        assert sample[name].title == f"{title} sample"
        for split, count in zip(sample[name][:3], (550, 50, 100)):
            assert np.bincount(split.labels).tolist() == [count] * 10
            assert split.images.shape == (10 * count, 784)
            assert (split.images.min(), split.images.max()) == (0, 1)
            assert split.images.dtype == np.float32
            assert split.labels.dtype == np.int32


def test_offline(monkeypatch: Patch, capsys: pytest.CaptureFixture,
                 tmp_path: Path) -> None:
    """It is printed that a sample is used; without one, what can be done."""
    def refuse(*_: object) -> None:
        """Fails as a download does."""
        raise nb.requests.ConnectionError("Unplugged.")

    monkeypatch.delenv("PRUNING_DATA_DIR", raising=False)
    monkeypatch.setattr(nb.pooch, "retrieve", refuse)
    monkeypatch.setattr(nb, "SAMPLE", Path(__file__).with_name("sample.npz"))
    nb.load_dataset("mnist")
    output = capsys.readouterr().out
    assert "mnist" in output and "sample" in output and "Unplugged" in output
    monkeypatch.setattr(nb, "SAMPLE", tmp_path / "sample.npz")
    with pytest.raises(FileNotFoundError, match="Set PRUNING_DATA_DIR"):
        nb.load_dataset("mnist")


def test_sample_is_published(sample: dict[str, nb.Dataset]) -> None:
    """The sample has published training images, each once, with its label."""
    if not os.environ.get("PRUNING_DATA_DIR"):
        pytest.skip("PRUNING_DATA_DIR is not set.")
    for name, (*splits, _) in sample.items():
        whole = nb.load_dataset(name)
        found, published = ([
            (np.rint(255 * image).astype(np.uint8).tobytes(), label)
            for split in of for image, label in zip(*split, strict=True)
        ] for of in (splits, whole[:2]))
        assert {*found} <= {*published}
        assert len({*found}) == len(found) == 7000
