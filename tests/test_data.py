"""Tests reading, downloading and replacing the data."""

import collections
import gzip
import hashlib
import http.server
import os
import pathlib
import socket
import struct
import threading
import time
import types
from collections.abc import Iterator

import numpy as np
import pytest

REAL_DATA = pathlib.Path(os.environ.get("PRUNING_DATA_DIR") or "no such folder")


def idx(array: np.ndarray) -> bytes:
    """Writes an array as an IDX file.

    Args:
        array: uint8 array.

    Returns:
        The bytes of the file.
    """
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Makes a small dataset in the four files of the original.

    Returns:
        uint8 arrays by file name: 5,007 training and 9 test images.
    """
    rng = np.random.default_rng(0)
    content = {}
    for part, count in (("train", 5007), ("t10k", 9)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        images[-1, -1, -1] = 255
        content[f"{part}-images-idx3-ubyte"] = images
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        content[f"{part}-labels-idx1-ubyte"] = labels
    return content


@pytest.fixture
def source(
    nb: types.ModuleType,
    arrays: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> Iterator[object]:
    """Points the notebook at the small dataset, away from user and network.

    Args:
        nb: The notebook's definitions.
        arrays: The content of the files.
        monkeypatch: Undoes the changes.
        tmp_path: Holds cache and data folder.

    Yields:
        The Source of "mnist"; it has no mirror yet.
    """
    digests = [
        hashlib.sha256(idx(arrays[file])).hexdigest() for file in nb.FILES
    ]
    small = nb.Source("Small", (), tuple(digests), "stand-in", "0123456789")
    monkeypatch.setattr(nb, "SOURCES", {"mnist": small})
    monkeypatch.setattr(nb, "CACHE_DIR", tmp_path / "cache")
    monkeypatch.setenv("PRUNING_DATA_DIR", str(tmp_path / "data"))
    nb.reachable_mirrors.cache_clear()
    yield small
    nb.reachable_mirrors.cache_clear()


def fill(folder: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a dataset as gzipped IDX files.

    Args:
        folder: Where `mnist/` goes.
        arrays: The content by file name.
    """
    (folder / "mnist").mkdir(parents=True)
    for file, array in arrays.items():
        path = folder / "mnist" / f"{file}.gz"
        path.write_bytes(gzip.compress(idx(array), compresslevel=1))


@pytest.fixture
def serve() -> Iterator[object]:
    """Starts web servers on this machine.

    Yields:
        A function from {path: bytes} to the server's URL and its request log.
    """
    servers = []

    def start(files: dict[str, bytes]) -> tuple[str, collections.Counter]:
        """Serves files until the test ends.

        Args:
            files: Content by path.

        Returns:
            URL and number of requests by path.
        """
        log = collections.Counter()

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers with the given files, else with 404."""

            def do_GET(self) -> None:  # noqa: N802 (the library's name)
                """Answers one request."""
                log[self.path] += 1
                body = files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                """Stays silent."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", log

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def use_mirrors(
    nb: types.ModuleType, monkeypatch: pytest.MonkeyPatch, *mirrors: str
) -> None:
    """Gives the small dataset mirrors.

    Args:
        nb: The notebook's definitions.
        monkeypatch: Undoes the change.
        *mirrors: Their URLs.
    """
    small = nb.dataclasses.replace(nb.SOURCES["mnist"], mirrors=mirrors)
    monkeypatch.setattr(nb, "SOURCES", {"mnist": small})


@pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 28, 28), (0,)])
def test_parse_idx(nb: types.ModuleType, shape: tuple[int, ...]) -> None:
    """Shape, values and their order survive."""
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    parsed = nb.parse_idx(idx(array))
    assert parsed.dtype == np.uint8
    np.testing.assert_array_equal(parsed, array)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\1\x08\1" + struct.pack(">I", 1) + b"x",
        b"\0\0\x0d\1" + struct.pack(">I", 1) + b"x",
        b"\0\0\x08\3" + struct.pack(">2I", 2, 2),
        b"\0\0\x08\1" + struct.pack(">I", 3) + b"xy",
        b"\0\0\x08\1" + struct.pack(">I", 1) + b"xy",
        b"\0\0\x08\1" + struct.pack("<I", 2) + b"xy",
    ],
)
def test_parse_idx_refuses(nb: types.ModuleType, content: bytes) -> None:
    """Empty, wrong magic, wrong type, cut off, too long, little-endian."""
    with pytest.raises(ValueError, match="IDX"):
        nb.parse_idx(content)


def test_load_dataset(
    nb: types.ModuleType,
    source: object,
    arrays: dict[str, np.ndarray],
    tmp_path: pathlib.Path,
) -> None:
    """The splits hold the files' images in order, scaled, without overlap."""
    fill(tmp_path / "data", arrays)
    dataset = nb.load_dataset("mnist")
    assert dataset.name == source.title
    train, validation, test = dataset.train, dataset.validation, dataset.test
    assert (len(train.labels), len(validation.labels)) == (7, 5000)
    for kind in ("images", "labels"):
        joined = np.concatenate(
            [getattr(train, kind), getattr(validation, kind)]
        )
        raw = arrays[f"train-{kind}-idx{3 if kind == 'images' else 1}-ubyte"]
        if kind == "images":
            joined = np.rint(joined * 255).reshape(raw.shape)
        np.testing.assert_array_equal(joined, raw)
    np.testing.assert_array_equal(
        np.rint(test.images * 255).reshape(-1, 28, 28),
        arrays["t10k-images-idx3-ubyte"],
    )
    np.testing.assert_array_equal(test.labels, arrays["t10k-labels-idx1-ubyte"])
    for split in (train, validation, test):
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int32
        assert split.images.shape == (len(split.labels), 784)
        assert split.images.min() >= 0
        assert split.images.max() <= 1
    assert test.images.max() == 1


def test_unknown_dataset(nb: types.ModuleType) -> None:
    """The error lists what there is."""
    with pytest.raises(ValueError, match=r"'cifar'.*fashion_mnist.*mnist"):
        nb.load_dataset("cifar")


@pytest.mark.parametrize("folder", ["data", "cache"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "exchanged"])
def test_damaged_local_file(
    nb: types.ModuleType,
    source: object,
    arrays: dict[str, np.ndarray],
    tmp_path: pathlib.Path,
    folder: str,
    damage: str,
) -> None:
    """It is named with what was expected, not used, and kept as it is."""
    fill(tmp_path / folder, arrays)
    path = tmp_path / folder / "mnist" / f"{nb.FILES[1]}.gz"
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 2] ^= 255
    else:
        content = gzip.compress(idx(arrays[nb.FILES[3]]))
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged") as error:
        nb.load_dataset("mnist")
    message = str(error.value)
    assert str(path) in message
    assert source.digests[1] in message
    assert "replace" in message
    if damage == "exchanged":
        assert source.digests[3] in message
    assert path.read_bytes() == bytes(content)


def test_data_folder_comes_before_cache(
    nb: types.ModuleType,
    source: object,
    arrays: dict[str, np.ndarray],
    tmp_path: pathlib.Path,
) -> None:
    """A damaged cache does not matter while the data folder is complete."""
    fill(tmp_path / "data", arrays)
    (tmp_path / "cache" / "mnist").mkdir(parents=True)
    (tmp_path / "cache" / "mnist" / f"{nb.FILES[0]}.gz").write_bytes(b"bad")
    assert nb.load_dataset("mnist").name == source.title


def test_download_is_verified_and_cached(
    nb: types.ModuleType,
    source: object,
    arrays: dict[str, np.ndarray],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    serve: object,
) -> None:
    """A damaged download is skipped, a good one kept whole."""
    good = {
        f"/{file}.gz": gzip.compress(idx(array), compresslevel=1)
        for file, array in arrays.items()
    }
    bad = dict(good)
    bad[f"/{nb.FILES[0]}.gz"] = good[f"/{nb.FILES[0]}.gz"][:-9]
    bad[f"/{nb.FILES[2]}.gz"] = b"<html>Please log in</html>"
    (first, first_log), (second, second_log) = serve(bad), serve(good)
    use_mirrors(nb, monkeypatch, first, second)
    assert nb.load_dataset("mnist").name == source.title
    fetched = {path for path in second_log if "images" in path}
    assert fetched == {f"/{nb.FILES[0]}.gz", f"/{nb.FILES[2]}.gz"}
    kept = {
        f"/{path.name}": path.read_bytes()
        for path in (tmp_path / "cache" / "mnist").iterdir()
    }
    assert kept == good
    requests = sum(first_log.values()) + sum(second_log.values())
    nb.load_dataset("mnist")
    assert sum(first_log.values()) + sum(second_log.values()) == requests


def test_stand_in_when_the_network_hangs(
    nb: types.ModuleType,
    source: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """Servers that accept and never answer cost one timeout, once."""
    monkeypatch.setattr(nb, "TIMEOUT", 1.0)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        use_mirrors(nb, monkeypatch, f"{address}/a", f"{address}/b")
        start = time.monotonic()
        assert nb.reachable_mirrors() == frozenset()
        assert time.monotonic() - start < 15
        first = nb.load_dataset("mnist")
        second = nb.load_dataset("mnist")
        server.setblocking(False)
        for _ in "ab":  # Each mirror was asked
            server.accept()[0].close()
        with pytest.raises(BlockingIOError):  # once.
            server.accept()
    assert first.name == second.name == "stand-in"
    notice = capsys.readouterr().out
    assert "Small is NOT used" in notice
    assert "STAND-IN" in notice


def test_offline_decision_takes_at_most_20_seconds(
    nb: types.ModuleType,
) -> None:
    """All mirrors are asked at the same time, within TIMEOUT."""
    assert nb.TIMEOUT <= 20


def test_stand_in(nb: types.ModuleType) -> None:
    """It is deterministic, balanced and made of ten distinct glyphs."""
    tiles = nb.draw_glyphs("0123456789")
    assert tiles.dtype == np.uint8
    means = tiles.mean(axis=1).reshape(10, -1)
    distances = np.linalg.norm(means[:, None] - means, axis=-1)
    assert distances[~np.eye(10, dtype=bool)].min() > 100
    images, labels = nb.render_stand_in(tiles, 2000, seed=0)
    assert images.shape == (2000, 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert (images.reshape(2000, -1).max(axis=1) > 100).all()
    assert np.bincount(labels, minlength=10).min() > 140
    same_images, same_labels = nb.render_stand_in(tiles, 2000, seed=0)
    np.testing.assert_array_equal(images, same_images)
    np.testing.assert_array_equal(labels, same_labels)
    other, _ = nb.render_stand_in(tiles, 2000, seed=1)
    assert (images != other).any()


def test_write_whole(nb: types.ModuleType, tmp_path: pathlib.Path) -> None:
    """A failure leaves the old file and nothing else."""
    path = tmp_path / "new" / "file"
    nb.write_whole(path, b"old")
    with pytest.raises(TypeError):
        nb.write_whole(path, "not bytes")
    assert path.read_bytes() == b"old"
    with pytest.raises(OSError):  # A folder can't be replaced by a file.
        nb.write_whole(path.parent, b"new")
    assert list(tmp_path.iterdir()) == [path.parent]
    assert list(path.parent.iterdir()) == [path]
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode  # Readable by others.


@pytest.mark.skipif(
    not (REAL_DATA / "mnist").is_dir(), reason="needs PRUNING_DATA_DIR"
)
@pytest.mark.parametrize(
    ("name", "first_labels", "last_test_label"),
    [
        ("mnist", [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], 6),
        ("fashion_mnist", [9, 0, 0, 3, 0, 2, 7, 2, 5, 5], 5),
    ],
)
def test_real_data(
    nb: types.ModuleType,
    name: str,
    first_labels: list[int],
    last_test_label: int,
) -> None:
    """The published files have the published sizes and labels."""
    dataset = nb.load_dataset(name)
    assert dataset.name == nb.SOURCES[name].title
    assert dataset.train.images.shape == (55000, 784)
    assert dataset.validation.images.shape == (5000, 784)
    assert dataset.test.images.shape == (10000, 784)
    assert dataset.train.labels[:10].tolist() == first_labels
    assert dataset.test.labels[-1] == last_test_label
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    if name == "fashion_mnist":
        assert np.bincount(labels).tolist() == [6000] * 10
    assert dataset.train.images.max() == 1
