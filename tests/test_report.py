"""Reads the Word document and the zip file back, and makes them fail."""

import contextlib
import io
import json
import pathlib
import re
import sys
import types
import zipfile
from collections.abc import Callable

import docx
import matplotlib.figure
import notebook_definitions as nb
import pandas as pd
import pytest

Patch = pytest.MonkeyPatch
Path = pathlib.Path
Run = Callable[..., str]
HEADER = ["Name", "College/graduating year/GPA", "Phone number", "Email ID"]
COLUMNS = pd.MultiIndex.from_product([["MNIST"], ["weights", "units"]])
CELLS = [["98.0 ± 0.1", "97.0"], ["1.0", "2"]]
TABLE = pd.DataFrame(CELLS, pd.Index([0, 99.5], name="k (%)"), COLUMNS)
FIELDS = ["NAME", "COLLEGE", "GRADUATING_YEAR", "GPA", "PHONE", "EMAIL"]
VALUES = ["Søren Strauß", "A/B", "2025", "8.7", "1", "a@b.c"]
FORM = dict(zip(FIELDS, VALUES, strict=True))


@pytest.fixture
def run(find_cell: Callable, monkeypatch: Patch, tmp_path: Path) -> Run:
    """Returns a function that runs the last cells and what they print."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PRUNING_OUTPUT_DIR", "~/out")
    Path("README.md").write_text("text", encoding="utf-8")
    Path("pruning_challenge.ipynb").write_text("{}", encoding="utf-8")

    def run_cells(**form: str) -> str:
        names = vars(nb) | dict.fromkeys(FORM, "") | form
        figure = matplotlib.figure.Figure()
        figure.subplots().plot([0, 1])
        names |= {"paragraphs": ["Some words."], "curves_figure": figure}
        names |= {"tabulate": lambda _: TABLE, "results": None, "datasets": {}}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            for words in ("header = {", "report = build", "if NAME and"):
                exec(find_cell(words).source, names)
        return printed.getvalue()

    return run_cells


def test_full_form(run: Run, tmp_path: Path) -> None:
    """A header line, table, figure or part of the zip file that is lost."""
    printed = run(**FORM)
    assert "soren_ab.zip; missing: nothing" in printed
    assert "was saved" in printed
    report = (tmp_path / "out" / "results.docx").read_bytes()
    parts = {"pruning_challenge.ipynb": b"{}", "results.docx": report}
    parts |= {"README.md": b"text"}
    packed = zipfile.ZipFile(tmp_path / "out" / "soren_ab.zip")
    assert {name: packed.read(name) for name in packed.namelist()} == parts
    document = docx.Document(io.BytesIO(report))
    texts = [paragraph.text for paragraph in document.paragraphs]
    values = [VALUES[0], "/".join(VALUES[1:4]), *VALUES[4:]]
    assert texts[:4] == list(map(": ".join, zip(HEADER, values, strict=True)))
    assert "Some words." in texts
    (table,) = document.tables
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows[0] == ["k (%)", "MNIST, weights", "MNIST, units"]
    assert rows[1:] == [["0.0", *CELLS[0]], ["99.5", *CELLS[1]]]
    marked = [bool(row._tr.xpath("w:trPr/w:tblHeader")) for row in table.rows]
    assert marked == [True, False, False]
    (picture,) = document.inline_shapes
    assert "accuracy" in picture._inline.docPr.get("descr")
    styles = [paragraph.style.name for paragraph in document.paragraphs]
    assert styles.count("Caption") == 2


def test_empty_form(run: Run, tmp_path: Path) -> None:
    """A zip file without a name, or other header lines."""
    assert "fill in NAME and COLLEGE" in run()
    (path,) = (tmp_path / "out").iterdir()
    lines = [p.text.strip() for p in docx.Document(path).paragraphs[:4]]
    assert lines == [f"{label}:" for label in HEADER]


def test_failures(run: Run, monkeypatch: Patch, tmp_path: Path) -> None:
    """The notebook fails at its end for want of a package or a folder."""
    for module in (None, types.ModuleType("docx")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "docx", module)
            assert "pip install python-docx" in run(**FORM)
    monkeypatch.setenv("PRUNING_OUTPUT_DIR", str(tmp_path / "README.md"))
    assert re.search("No new results.docx(.|\n)*No soren_ab.zip", run(**FORM))


def test_on_colab(run: Run, monkeypatch: Patch, tmp_path: Path) -> None:
    """Another notebook than the one on screen, or a failure of Colab's."""
    shown, colab = {"cells": ["é"]}, types.ModuleType("google.colab")
    request = lambda request, timeout_sec: {"ipynb": shown}  # noqa: E731
    colab._message = types.SimpleNamespace(blocking_request=request)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert "was saved" not in run(**FORM)
    path = tmp_path / "out" / "soren_ab.zip"
    packed = zipfile.ZipFile(path).read("pruning_challenge.ipynb")
    assert json.loads(packed) == shown
    del colab._message
    assert "missing: pruning_challenge.ipynb" in run(**FORM)
    assert "pruning_challenge.ipynb" not in zipfile.ZipFile(path).namelist()


def test_write_whole(monkeypatch: Patch, tmp_path: Path) -> None:
    """A failure that damages the old file or leaves another one."""
    path = tmp_path / "new" / "file"
    nb.write_whole(path, b"old")
    monkeypatch.setattr(Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nb.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_to_latin() -> None:
    """Letters that are dropped in place of being spelled."""
    words = "Søren Łukasz Strauß Þór A/B Zoë O'Neil Đỗ Æ1 李"
    spelled = "soren lukasz strauss thor ab zoe oneil do ae1 "
    assert [nb.to_latin(w) for w in words.split()] == spelled.split(" ")
