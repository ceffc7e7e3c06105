"""Tests finding, downloading, reading and replacing the data."""

import gzip
import hashlib
import pathlib
import struct

import notebook_definitions as nb
import numpy as np
import pytest

Path = pathlib.Path
TURNS = np.arange(1200) % 10


def idx(array: np.ndarray, shape: tuple | None = None) -> bytes:
    """Writes an array as an IDX file, with a header that may lie."""
    shape = array.shape if shape is None else shape
    header = struct.pack(f">4B{len(shape)}i", 0, 0, 8, len(shape), *shape)
    return header + array.astype(np.uint8).tobytes()


def fill(folder: Path, train: np.ndarray = TURNS, test: np.ndarray = TURNS[:20]
         ) -> dict[str, bytes]:  # fmt: skip
    """Writes a small dataset with these labels, gzipped, and returns it."""
    draw, files = np.random.default_rng(0).integers, {}
    folder.mkdir(exist_ok=True)
    for part, labels in (("train", train), ("t10k", test)):
        images = draw(0, 256, (len(labels), 28, 28))
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(images), 1)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels), 1)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return files


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Returns a folder for data; the user's own and the cache are far."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PRUNING_DATA_DIR", "~")
    monkeypatch.setattr(nb.pooch, "os_cache", lambda _: tmp_path / "cache")
    return tmp_path


def test_read_idx(tmp_path: Path) -> None:
    """Shape or order lost; damage not reported, or without path."""
    array = np.random.default_rng(0).integers(1, 256, (4, 3), np.uint8)
    whole, path = idx(array), tmp_path / "broken"
    for content in (whole, gzip.compress(whole)):
        path.write_bytes(content)
        np.testing.assert_array_equal(nb.read_idx(path), array)
    damaged = [b"", whole[:3], whole[:7], whole[:-1], whole + b"x", b"PK"]
    damaged += [b"PK" + whole, whole.replace(b"\0\0\x08", b"\0\0\x0d")]
    damaged += [gzip.compress(whole)[:-9], b"\x1f\x8b\x08\0 no gzip at all"]
    damaged += [idx(array, shape) for shape in ((-1, 3), (4, -3), (-4, -3))]
    damaged += [idx(array[0, :1], ()), idx(array[:0], (0, 3)), idx(array, (9,))]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="broken"):
            nb.read_idx(path)


def test_local_files(folder: Path) -> None:
    """A usual name not found, and splits that lose, mix or scale images."""
    for form in ("packed", "unpacked", "dotted"):
        files = fill(folder / form)
        for name, content in files.items():
            raw, path = gzip.decompress(content), folder / form / name
            if form != "packed":
                path.unlink()
                mark = ".idx" if form == "dotted" else "-idx"
                path = path.with_name(name[:-3].replace("-idx", mark))
                path.write_bytes(raw)
            if name[:9] == "train-ima":
                pixels = np.frombuffer(raw[16:], np.uint8) / 255
        title, train, validation, test, shape = nb.load_dataset(form)
        images = np.concatenate([train.images, validation.images])
        np.testing.assert_allclose(images.ravel(), pixels, rtol=1e-6)
        assert validation.labels.tolist() == [*range(10)] * 10
        assert (images.dtype, test.labels.dtype) == (np.float32, np.int32)
        assert (title, tuple(shape), len(test.images)) == (form, (28, 28), 20)


def test_own_dataset(folder: Path) -> None:
    """Own data refused; or accepted although they cannot be right."""
    for name, labels in {
        "own": (), "sorted": (np.sort(TURNS),), "one image": (TURNS[:1],) * 2,
        "eleven": (np.arange(1200) % 11,),
    }.items():  # fmt: skip
        fill(folder / name, *labels)
        if labels:
            with pytest.raises(ValueError, match=f"^{name}: "):
                nb.load_dataset(name)
    path = folder / "own" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(idx(TURNS[:19]))
    with pytest.raises(ValueError, match=r"own: .*\(20, 28, 28\).*\(19,\)"):
        nb.load_dataset("own")
    path.unlink()
    for name, words in (("own", "t10k-labels"), ("fashion_mnist", "fash")):
        with pytest.raises(ValueError, match=f"PRUNING_DATA_DIR.*{words}"):
            nb.load_dataset(name)


def test_mirrors(folder: Path, monkeypatch: pytest.MonkeyPatch,
                 capsys: pytest.CaptureFixture) -> None:  # fmt: skip
    """A file used without its hash, errors kept, a stand-in not named."""
    good, draw, served = fill(folder / "mirror"), nb.draw_patterns, {}
    hashes = [hashlib.md5(good[f"{f}.gz"]).hexdigest() for f in nb.FILES]
    hashes = {f: [h, h] for f, h in zip(nb.FILES, hashes, strict=True)}

    def fetch(url: str, path: str, _: object) -> None:
        mirror, file = url.rsplit("/", 1)
        nb.require(mirror in served, "refused")
        Path(path).write_bytes(served[mirror].get(file, b"<html>Log in</html>"))

    monkeypatch.delenv("PRUNING_DATA_DIR")
    monkeypatch.setattr(nb, "FILES", hashes)
    monkeypatch.setattr(nb, "draw_patterns",
                        lambda name, count: draw(name, count // 40))
    monkeypatch.setattr(nb.pooch, "HTTPDownloader", lambda timeout: fetch)
    first, second = nb.MIRRORS["fashion_mnist"]
    served |= dict(zip(nb.MIRRORS["mnist"], ({}, good), strict=True))
    served[second] = dict([*good.items()][1:])
    assert nb.load_dataset("mnist").title == "MNIST"
    assert "stand-in" in nb.load_dataset("fashion_mnist").title
    lines = capsys.readouterr().out.splitlines()
    assert first in lines[0] and "refused" in lines[0]
    assert second in lines[1] and "hash" in lines[1]
    served.clear()
    assert nb.load_dataset("mnist").title == "MNIST"  # From the cache.
    monkeypatch.setattr(nb.pooch, "os_cache", lambda _: Path(__file__))
    assert "stand-in" in nb.load_dataset("mnist").title
    with pytest.raises(ValueError, match="PRUNING_DATA_DIR.*own"):
        nb.load_dataset("own")


def test_draw_patterns() -> None:
    """Images that cannot be told apart, classes missing, other every time."""
    images, labels = nb.draw_patterns("mnist", 1000)
    means = np.stack([images[labels == i].mean(axis=0) for i in range(10)])
    nearest = ((images[:, None] - means) ** 2).sum(axis=(2, 3)).argmin(axis=1)
    assert 0.5 < np.mean(nearest == labels) < 1
    assert (images == nb.draw_patterns("mnist", 1000)[0]).all()
    for other in (("mnist", 999), ("fashion_mnist", 1000)):
        assert (images[:999] != nb.draw_patterns(*other)[0][:999]).any()
