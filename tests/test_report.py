"""Reads the Word document and the zip file back, and makes them fail."""

import contextlib
import io
import pathlib
import sys
import zipfile
from collections.abc import Callable

import docx
import matplotlib.figure
import notebook_definitions as nb
import pandas as pd
import pytest

Patch = pytest.MonkeyPatch
Path = pathlib.Path
HEADER = ["Name", "College/graduating year/GPA", "Phone number", "Email ID"]
FIELDS = ["NAME", "COLLEGE", "GRADUATING_YEAR", "GPA", "PHONE", "EMAIL"]
VALUES = ["Søren Strauß", "A/B", "2025", "8.7", "1", "a@b.c"]
FORM = dict(zip(FIELDS, VALUES, strict=True))
RESULTS = pd.DataFrame([
    {"dataset": "MNIST", "seed": 2, "method": method, "k": k,
     "accuracy": 90 - k}
    for method in ("weights", "units") for k in (0, 2.5)])  # fmt: skip


@pytest.fixture
def run(find_cell: Callable, monkeypatch: Patch, tmp_path: Path) -> Callable:
    """Returns a function that runs the last cell and returns what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PRUNING_OUTPUT_DIR", "~/out")
    Path("README.md").write_text("text", encoding="utf-8")
    Path("pruning_challenge.ipynb").write_text("{}", encoding="utf-8")

    def run_cell(**form: object) -> str:
        figure = matplotlib.figure.Figure()
        figure.subplots().plot([0, 1])
        names = vars(nb) | {"results": RESULTS}
        names |= {"findings": ["5 % words."]} | dict.fromkeys(FORM, "") | form
        names |= {"start_of_run": 0, "training_seconds": 9, "LABELS": {}}
        names |= {"plot_lines": lambda *_: figure}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            for words in ("form = [", "build_report(\n"):
                exec(find_cell(words).source, names)
        return printed.getvalue()

    return run_cell


def test_full_form(run: Callable) -> None:
    """A header line, table, figure or part of the zip file that is lost."""
    assert "Not written" not in run(**FORM)
    parts = {"pruning_challenge.ipynb": b"{}", "README.md": b"text"}
    parts["results.docx"] = Path("out/results.docx").read_bytes()
    packed = zipfile.ZipFile("out/søren_ab.zip")
    assert {name: packed.read(name) for name in packed.namelist()} == parts
    document = docx.Document("out/results.docx")
    texts = [paragraph.text for paragraph in document.paragraphs]
    values = [VALUES[0], "/".join(VALUES[1:4]), *VALUES[4:]]
    assert texts[:4] == list(map(": ".join, zip(HEADER, values, strict=True)))
    assert "5\u00a0% words." in texts
    (table,), (picture,) = document.tables, document.inline_shapes
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows == [["k (%)", "MNIST, weights", "MNIST, units"],
                    ["0", "90.0", "90.0"], ["2.5", "87.5", "87.5"]]  # fmt: skip
    marked = [bool(row._tr.xpath("w:trPr/w:tblHeader")) for row in table.rows]
    assert marked == [True, False, False]
    assert "accuracy" in picture._inline.docPr.get("descr")


def test_form(run: Callable) -> None:
    """A form that raises: empty, of numbers, with characters not allowed."""
    printed = run()
    assert all(words in printed for words in HEADER)
    assert [path.name for path in Path("out").iterdir()] == ["results.docx"]
    assert HEADER[1] in run(**FORM | {"GPA": ""})
    assert "Not written" in run(**FORM | {"NAME": "A\x07"})
    odd = {"NAME": " 李名 Li\n", "COLLEGE": "A. *B"}
    odd["GPA"] = 8.7
    assert "Not written" not in run(**odd)
    assert Path("out/李名_ab.zip").exists()
    lines = [p.text for p in docx.Document("out/results.docx").paragraphs[:2]]
    assert lines == ["Name: 李名 Li", f"{HEADER[1]}: A. *B/8.7"]


@pytest.mark.parametrize("lost", ["docx", "folder", "disk"])
def test_failures(lost: str, run: Callable, monkeypatch: Patch) -> None:
    """The notebook fails at its end, or a failure damages an older file."""
    path = nb.check_folder("PRUNING_OUTPUT_DIR", write=True) / "results.docx"
    path.write_bytes(b"old")
    monkeypatch.setitem(sys.modules, lost, None)
    if lost == "folder":
        monkeypatch.setenv("PRUNING_OUTPUT_DIR", "README.md")
    elif lost == "disk":
        monkeypatch.setattr(Path, "replace", lambda *_: 1 / 0)
    assert "Not written" in run(**FORM)
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["results.docx"]
