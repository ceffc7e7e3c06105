"""Tests finding, downloading, reading and replacing the data."""

import functools
import gzip
import hashlib
import http.server
import pathlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import notebook_definitions as nb
import numpy as np
import pytest

Capture = pytest.CaptureFixture
Patch = pytest.MonkeyPatch
Path = pathlib.Path
Serve = Callable[..., list[str]]


def idx(array: np.ndarray) -> bytes:
    """Writes an array as an IDX file."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def make_files(train: int = 1200, labels: int = 10) -> dict[str, bytes]:
    """Makes the four files of a small dataset, gzipped, by their names."""
    draw, files = np.random.default_rng(0).integers, {}
    for part, count in (("train", train), ("t10k", 9)):
        images, classes = draw(0, 256, (count, 28, 28)), np.arange(count)
        files[f"{part}-images-idx3-ubyte.gz"] = idx(images)
        files[f"{part}-labels-idx1-ubyte.gz"] = idx(classes % labels)
    return {f: gzip.compress(raw, 1, mtime=0) for f, raw in files.items()}


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes files into a folder, which may be new."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(autouse=True)
def isolate(monkeypatch: Patch, tmp_path: Path) -> None:
    """Keeps tests from the user's data, cache and network."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PRUNING_DATA_DIR", raising=False)
    monkeypatch.setattr(nb.pooch, "os_cache", lambda _: tmp_path / "cache")
    monkeypatch.setattr(nb, "DATASETS", ["mnist"])
    nb.locate_all.cache_clear()


@pytest.fixture
def serve(monkeypatch: Patch, tmp_path: Path) -> Iterator[Serve]:
    """Yields a function that gives datasets mirrors on this machine."""
    servers = []
    good = [make_files()[f"{file}.gz"] for file in nb.FILES]
    hashes = [hashlib.sha256(content).hexdigest() for content in good]

    def start(name: str, *mirrors: dict[str, bytes]) -> list[str]:
        urls = []
        for files in mirrors:
            folder = fill(tmp_path / f"server {len(servers)}", files)
            handler = http.server.SimpleHTTPRequestHandler
            handler = functools.partial(handler, directory=folder)
            servers.append(http.server.HTTPServer(("127.0.0.1", 0), handler))
            target = servers[-1].serve_forever
            threading.Thread(target=target, args=[0.05], daemon=True).start()
            urls.append(f"http://127.0.0.1:{servers[-1].server_port}")
        new = {"mirrors": urls, "sha256": hashes}
        monkeypatch.setitem(nb.SOURCES, name, nb.SOURCES[name] | new)
        return urls

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_read_idx(tmp_path: Path) -> None:
    """Shape or order of the values lost, gzipped or not."""
    array = np.random.default_rng(0).integers(0, 256, (4, 3, 2), np.uint8)
    for content in (idx(array), gzip.compress(idx(array))):
        found = nb.read_idx(fill(tmp_path, {"a": content}) / "a")
        np.testing.assert_array_equal(found, array)


def test_read_idx_refuses(tmp_path: Path) -> None:
    """Damage that is not reported, or by another error, or without path."""
    whole = idx(np.zeros((300, 3)))
    damaged = [b"", whole[:3], whole[:7], whole[:-1], whole + b"x", b"PK", b"P"]
    damaged += [b"PK" + whole, whole.replace(b"\x08", b"\x0d")]
    damaged += [gzip.compress(whole)[:-20], b"\x1f\x8b\x08\0 no gzip at all"]
    for content in damaged:
        path = fill(tmp_path, {"broken": content}) / "broken"
        with pytest.raises(ValueError, match="broken"):
            nb.read_idx(path)


@pytest.mark.parametrize("form", ["packed", "unpacked", "dotted"])
def test_local_files(form: str, monkeypatch: Patch, tmp_path: Path) -> None:
    """A usual name not found, and splits that lose, mix or scale images."""
    files = make_files()
    raw = {f[:-3]: gzip.decompress(content) for f, content in files.items()}
    dotted = {f.replace("-idx", ".idx"): content for f, content in raw.items()}
    forms = {"packed": files, "unpacked": raw, "dotted": dotted}
    fill(tmp_path / "data" / "mnist", forms[form])
    monkeypatch.setenv("PRUNING_DATA_DIR", "~/data")
    _, train, validation, test, _ = nb.load_dataset("mnist")
    assert [len(s.labels) for s in (train, validation, test)] == [1100, 100, 9]
    images = np.concatenate([train.images, validation.images])
    pixels = np.frombuffer(raw["train-images-idx3-ubyte"][16:], np.uint8)
    np.testing.assert_allclose(images.ravel(), pixels / 255, rtol=1e-6)
    assert validation.labels.tolist() == [*range(10)] * 10
    assert (images.dtype, test.labels.dtype) == (np.float32, np.int32)


@pytest.mark.parametrize("damage", ["typo", "flat", "one file", "quotes"])
def test_missing_files(damage: str, monkeypatch: Patch, tmp_path: Path) -> None:
    """A wrong folder that is ignored, or an error without what to do."""
    inside, files = "" if damage == "flat" else "mnist", make_files()
    if damage == "one file":
        del files["t10k-images-idx3-ubyte.gz"]
    fill(tmp_path / "data" / inside, files)
    named = str(tmp_path / ("date" if damage == "typo" else "data"))
    quote = "'" if damage == "quotes" else ""
    monkeypatch.setenv("PRUNING_DATA_DIR", f"{quote}{named}{quote}")
    with pytest.raises(ValueError, match="PRUNING_DATA_DIR") as error:
        nb.load_dataset("mnist")
    part = "t10k" if damage == "one file" else "train"
    for words in (named, "/mnist", f"{part}-images-idx3-ubyte.gz"):
        assert words in str(error.value)


def test_own_dataset(monkeypatch: Patch, tmp_path: Path) -> None:
    """An own dataset that needs an entry of SOURCES, or does not fit."""
    monkeypatch.setattr(nb, "DATASETS", ["own"])
    with pytest.raises(ValueError, match="PRUNING_DATA_DIR"):
        nb.load_dataset("own")
    monkeypatch.setenv("PRUNING_DATA_DIR", str(tmp_path))
    fill(tmp_path / "own", make_files(labels=3))
    assert nb.load_dataset("own").name == "own"
    with monkeypatch.context() as patch:
        patch.setattr(nb, "SIZES", [784, 5, 27])  # As many as in EMNIST.
        assert len(nb.load_dataset("own").classes) == 27
    short, many = make_files(100), make_files(labels=11)
    one = make_files(labels=1)  # As if sorted by class.
    other = make_files() | dict(list(short.items())[:1])
    for files in (many, other, short, one):
        fill(tmp_path / "own", files)
        with pytest.raises(ValueError, match="SIZES|training images"):
            nb.load_dataset("own")


@pytest.mark.parametrize("cache", ["cache", "file/cache", "~no.one/cache"])
def test_corrupted_download(
    cache: str, serve: Serve, monkeypatch: Patch, tmp_path: Path
) -> None:
    """A file used without its hash; stops if there is no home to write in."""
    folder, cached = fill(tmp_path, {"file": b""}), cache == "cache"
    path = Path(cache) if cache[0] == "~" else folder / cache
    monkeypatch.setattr(nb.pooch, "os_cache", lambda _: path)
    bad = dict.fromkeys(make_files(), b"<html>Please log in</html>")
    serve("mnist", bad, make_files())
    assert nb.load_dataset("mnist").name == "MNIST"
    nb.locate_all.cache_clear()
    serve("mnist", {})  # An empty mirror: all has to be in the cache.
    assert (nb.locate_all() is not None) == cached


def test_stand_ins(serve: Serve, monkeypatch: Patch, capsys: Capture) -> None:
    """One dataset real and the other drawn, or errors kept from the user."""
    monkeypatch.setattr(nb, "DATASETS", ["mnist", "fashion_mnist"])
    serve("mnist", make_files())
    urls = serve("fashion_mnist", {}, dict.fromkeys(make_files(), b"other"))
    drawn = np.zeros((2400, 28, 28), np.uint8), np.arange(2400) % 10
    monkeypatch.setattr(nb, "draw_stand_in", lambda *_, **__: drawn)
    names = [nb.load_dataset(name).name for name in nb.DATASETS]
    assert names == ["stand-in digits", "stand-in letters"]
    lines = capsys.readouterr().out.splitlines()
    for url, reason in zip(urls, ("404", "hash"), strict=True):
        assert any(url in line and reason in line for line in lines)


def test_stalled_mirror(monkeypatch: Patch, capsys: Capture) -> None:
    """A server that accepts and never answers stops the notebook."""

    class Impatient(nb.pooch.HTTPDownloader):
        def __init__(self, timeout: float, **options: object) -> None:
            super().__init__(timeout=timeout / 20, **options)

    monkeypatch.setattr(nb.pooch, "HTTPDownloader", Impatient)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setitem(nb.SOURCES["mnist"], "mirrors", [url])
        assert nb.locate_all() is None
    assert "timed out" in capsys.readouterr().out.lower()


def test_draw_stand_in() -> None:
    """Images that cannot be told apart, classes missing, other every time."""
    images, labels = nb.draw_stand_in(nb.LETTERS, 1000, seed=0)
    assert (images.shape, images.dtype) == ((1000, 28, 28), np.uint8)
    means = np.stack([images[labels == i].mean(axis=0) for i in range(10)])
    nearest = ((images[:, None] - means) ** 2).sum(axis=(2, 3)).argmin(axis=1)
    assert np.mean(nearest == labels) > 0.3
    for seed, same in ((0, True), (1, False)):
        again = nb.draw_stand_in(nb.LETTERS, 1000, seed)[0]
        assert (images == again).all() == same
