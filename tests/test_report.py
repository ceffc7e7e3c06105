"""Holds claims, Word document and zip file against the stored results."""

import html
import io
import json
import pathlib
import re
import sys
import types
import zipfile

import docx
import matplotlib.figure
import nbformat
import numpy as np
import pandas as pd
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADER = ["Name", "College/graduating year/GPA", "Phone number", "Email ID"]


def find_cell(
    notebook: nbformat.NotebookNode, words: str
) -> nbformat.NotebookNode:
    """Finds the one cell that contains some words.

    Args:
        notebook: The notebook.
        words: What to look for.

    Returns:
        The cell.
    """
    (cell,) = (cell for cell in notebook.cells if words in cell.source)
    return cell


def table_rows(cell: nbformat.NotebookNode) -> list[list[str]]:
    """Reads the rows of the table that a cell shows.

    Args:
        cell: A code cell whose last line is a DataFrame.

    Returns:
        The texts of each row's cells, without the index and the header.
    """
    (page,) = (
        output.data["text/html"]
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    )
    body = page.split("<tbody>")[1]
    return [
        [html.unescape(text) for text in re.findall(r"<td>(.*?)</td>", row)]
        for row in body.split("</tr>")
        if "<td>" in row
    ]


def plain(text: str) -> str:
    """Joins the lines of a text.

    Args:
        text: Text with line breaks.

    Returns:
        The same words with single spaces between them.
    """
    return " ".join(text.split())


@pytest.fixture(scope="module")
def claims(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Reads the table of claims with the measured values.

    Args:
        notebook: The notebook.

    Returns:
        Claim and measured text of each row.
    """
    return table_rows(find_cell(notebook, 'claims[["claim", "measured"]]'))


@pytest.fixture(scope="module")
def document() -> object:
    """Reads the committed Word document.

    Returns:
        A `docx.Document`.
    """
    return docx.Document(ROOT / "results.docx")


def test_answers_are_the_claims(
    notebook: nbformat.NotebookNode, claims: list[list[str]]
) -> None:
    """The title lists all claims, with figures from the row of each."""
    answers = notebook.cells[0].source.split("**Answers.**")[1]
    answers = answers.split("**Contents**")[0]
    items = re.split(r"^\d+\. ", answers, flags=re.MULTILINE)[1:]
    assert len(items) == len(claims) == 12
    for item, (claim, measured) in zip(map(plain, items), claims, strict=True):
        assert item.startswith(f"**{claim}"), item
        known = set(re.findall(r"\d+(?:\.\d+)?", claim + measured))
        quoted = re.findall(r"\d+(?:\.\d+)?", item)
        assert set(quoted) <= known, (item, measured)


def test_claims_hold(
    notebook: nbformat.NotebookNode, claims: list[list[str]]
) -> None:
    """No claim fails, and nbval compares that."""
    cell = find_cell(notebook, 'claims[["claim", "holds"]]')
    assert "tags" not in cell.metadata
    assert table_rows(cell) == [[claim, "True"] for claim, _ in claims]


def test_document_header(document: object) -> None:
    """It begins with the header of the challenge, not filled in."""
    lines = [paragraph.text for paragraph in document.paragraphs[:4]]
    assert lines == [f"{label}:" for label in HEADER]


def test_document_text(
    document: object, notebook: nbformat.NotebookNode
) -> None:
    """About 200 words, the very text that the notebook shows."""
    shown = find_cell(notebook, "findings = {").outputs[0].text
    paragraphs = [
        paragraph.text
        for paragraph in document.paragraphs[4:]
        if paragraph.style.name == "Normal" and paragraph.text
    ]
    words = " ".join(paragraphs).split()
    assert 180 <= len(words) <= 230
    assert len(paragraphs) == 4
    for paragraph in paragraphs:
        assert paragraph in shown


def test_document_table(
    document: object, notebook: nbformat.NotebookNode
) -> None:
    """Its table has the stored numbers and a header row that repeats."""
    (table,) = document.tables
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    stored = table_rows(find_cell(notebook, "\naccuracy_table(results)"))
    assert [row[1:] for row in rows[1:]] == stored
    assert rows[0][0] == "k (%)"
    assert rows[0][2:4] == ["MNIST, weight", "MNIST, unit"]
    assert table.rows[0]._tr.trPr.xpath("w:tblHeader")


def test_document_form(document: object) -> None:
    """Headings, captions, a described figure and properties are there."""
    styles = [paragraph.style.name for paragraph in document.paragraphs]
    assert styles.count("Heading 1") == 1
    assert styles.count("Heading 2") == 5
    assert styles.count("Caption") == 2
    (picture,) = document.inline_shapes
    assert len(picture._inline.docPr.get("descr")) > 50
    properties = document.core_properties
    assert "network" in properties.title
    assert properties.subject
    assert properties.author == ""


@pytest.fixture
def content(nb: types.ModuleType) -> dict[str, object]:
    """Makes the arguments of `build_document`.

    Args:
        nb: The notebook's definitions.

    Returns:
        Keyword arguments.
    """
    figure = matplotlib.figure.Figure()
    figure.subplots().plot([0, 1])
    columns = [("network", "zeros (%)"), ("toy", "weight")]
    return {
        "header": dict.fromkeys(HEADER, "") | {"Name": "Jane Doe"},
        "findings": {"Why?": "Because."},
        "table": pd.DataFrame(
            [[0.0, "98.0 ± 0.1"]],
            index=pd.Index([0], name="k (%)"),
            columns=pd.MultiIndex.from_tuples(columns),
        ),
        "figure": figure,
        "training": "two toys",
    }


def test_build_document(
    nb: types.ModuleType, content: dict[str, object]
) -> None:
    """The same results give the same bytes, at any time."""
    built = nb.build_document(**content)
    assert built == nb.build_document(**content)
    document = docx.Document(io.BytesIO(built))
    assert document.paragraphs[0].text == "Name: Jane Doe"
    assert document.paragraphs[1].text == f"{HEADER[1]}:"
    properties = document.core_properties
    assert properties.author == "Jane Doe"
    assert {properties.created.year, properties.modified.year} == {1980}
    with zipfile.ZipFile(io.BytesIO(built)) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    texts = [cell.text for row in document.tables[0].rows for cell in row.cells]
    assert texts == [
        *("k (%)", "network, zeros (%)", "toy, weight"),
        *("0", "0.0", "98.0 ± 0.1"),
    ]
    assert any("two toys" in part.text for part in document.paragraphs)
    other = content | {"findings": {"Why?": "Who knows."}}
    assert nb.build_document(**other) != built


def run_cell(
    notebook: nbformat.NotebookNode, words: str, names: dict[str, object]
) -> None:
    """Runs a cell of the notebook with names of our own.

    Args:
        notebook: The notebook.
        words: What the cell contains.
        names: What its code finds.
    """
    exec(find_cell(notebook, words).source, names)


def test_without_python_docx(
    nb: types.ModuleType,
    notebook: nbformat.NotebookNode,
    content: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The notebook goes on, says what is missing, and writes nothing."""
    monkeypatch.setitem(sys.modules, "docx", None)
    monkeypatch.setitem(sys.modules, "docx.shared", None)
    monkeypatch.setenv("PRUNING_OUTPUT_DIR", str(tmp_path))
    with pytest.raises(ImportError):
        nb.build_document(**content)
    run_cell(
        notebook,
        "report = build_document(",
        vars(nb)
        | {
            "findings": {},
            "results": pd.DataFrame(),
            "report_figure": None,
            "accuracy_table": lambda results: results,
        },
    )
    printed = capsys.readouterr().out
    assert "pip install python-docx" in printed
    assert "is not of this run" in printed
    assert not list(tmp_path.iterdir())


def test_pack(nb: types.ModuleType) -> None:
    """A zip file keeps names, order and contents, and can be read on Unix."""
    files = {"b.txt": b"1" * 1000, "a/c.txt": b""}
    packed = nb.pack(files)
    assert packed == nb.pack(files)
    assert list(nb.unpack_zip(packed).items()) == list(files.items())
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.external_attr >> 16 == 0o644
    assert len(packed) < 500  # Compressed.


@pytest.mark.parametrize(
    ("name", "college", "expected"),
    [
        ("John", "IIT Bombay", "john_iitbombay.zip"),
        ("  Zoë Müller-Lüdenscheidt", "ETH (Zürich) 2", "zoe_ethzurich2.zip"),
        ("O'Neil Jr.", "MIT", "oneil_mit.zip"),
    ],
)
def test_submission_name(
    nb: types.ModuleType, name: str, college: str, expected: str
) -> None:
    """First name and college, lower case, letters and digits only."""
    assert nb.submission_name(name, college) == expected


@pytest.mark.parametrize(
    ("name", "college", "problem"),
    [
        ("", "MIT", "name ''"),
        ("   ", "MIT", "name"),
        ("John", "!?", "college '!\\?'"),
        ("李", "MIT", "name '李' has no letter"),
        ("../John", "MIT", "name '../John' looks like a path"),
        ("John", "..", "college"),
        ("John", "MIT/../../etc", "looks like a path"),
        ("C:\\John", "MIT", "looks like a path"),
    ],
)
def test_submission_name_refuses(
    nb: types.ModuleType, name: str, college: str, problem: str
) -> None:
    """What is empty or a path is named and refused."""
    with pytest.raises(ValueError, match=problem):
        nb.submission_name(name, college)


def test_collect_submission(
    nb: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    """Files that are there are read; the document from its own folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("pruning_challenge.ipynb", "README.md", "other.txt"):
        pathlib.Path(name).write_text(name, encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.docx").write_bytes(b"new")
    pathlib.Path("results.docx").write_bytes(b"old")
    assert nb.collect_submission(out) == {
        "pruning_challenge.ipynb": b"pruning_challenge.ipynb",
        "results.docx": b"new",
        "README.md": b"README.md",
    }


def test_collect_submission_on_colab(
    nb: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    """There the notebook comes from the page that shows it."""
    shown = {"cells": [], "nbformat": 4}
    message = types.SimpleNamespace(
        blocking_request=lambda request, timeout_sec: {"ipynb": shown}
    )
    colab = types.ModuleType("google.colab")
    colab._message = message
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.chdir(tmp_path)
    files = nb.collect_submission(tmp_path)
    assert list(files) == ["pruning_challenge.ipynb"]
    assert json.loads(files["pruning_challenge.ipynb"]) == shown
    message.blocking_request = lambda request, timeout_sec: None
    assert nb.collect_submission(tmp_path) == {}


@pytest.mark.parametrize("name", ["", "John Smith"])
def test_zip_file(
    nb: types.ModuleType,
    notebook: nbformat.NotebookNode,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """It is written if the form is filled in, and asked for otherwise."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("README.md").write_text("text", encoding="utf-8")
    run_cell(
        notebook,
        "if NAME and COLLEGE:",
        vars(nb)
        | {"NAME": name, "COLLEGE": "IIT Bombay", "output_folder": tmp_path},
    )
    said = capsys.readouterr().out
    if name:
        packed = (tmp_path / "john_iitbombay.zip").read_bytes()
        assert nb.unpack_zip(packed) == {"README.md": b"text"}
        assert "john_iitbombay.zip holds README.md" in said
        assert "Missing: pruning_challenge.ipynb, results.docx, req" in said
    else:
        assert "fill in NAME and COLLEGE" in said
        assert not list(tmp_path.glob("*.zip"))


def test_state(nb: types.ModuleType) -> None:
    """Values are written in the order of the datasets."""
    values = pd.Series({"A": 1.26, "B": np.float64(2)})
    assert nb.state(["B", "A"], "{x:.1f} %", x=values) == "B: 2.0 %; A: 1.3 %"


def test_list_values(nb: types.ModuleType) -> None:
    """Values are listed in the order of the datasets."""
    values = pd.Series({"A": 1.26, "B": np.float64(2)})
    assert nb.list_values(["B", "A"], values) == "2.0 % on B and 1.3 % on A"
    assert nb.list_values(["A"], values, "{:.0f}") == "1 on A"
