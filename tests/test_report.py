"""Holds the Word document against the stored run."""

import hashlib
import pathlib
import re

import docx
import make_report
import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def document() -> docx.document.Document:
    """Reads the committed document."""
    return docx.Document(ROOT / "results.docx")


@pytest.fixture(scope="module")
def texts(document: docx.document.Document) -> list[str]:
    """Returns the text of each paragraph, with plain spaces."""
    return [p.text.replace("\u00a0", " ") for p in document.paragraphs]


def test_header(texts: list[str]) -> None:
    """The brief's four lines come first, empty."""
    assert texts[:4] == make_report.HEADER


def test_text(texts: list[str]) -> None:
    """The description is the one in the script, of roughly 200 words."""
    body = " ".join(make_report.TEXT)
    assert all(paragraph in texts for paragraph in make_report.TEXT)
    assert 180 <= len(body.split()) <= 220


def test_table(
    document: docx.document.Document, notebook: nbformat.NotebookNode
) -> None:
    """The table is the stored one, and its first row is a header."""
    (table,) = document.tables
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows == make_report.read_results(notebook)
    marked = [bool(row._tr.xpath("w:trPr/w:tblHeader")) for row in table.rows]
    assert marked == [True] + [False] * 10


def test_picture(document: docx.document.Document) -> None:
    """The picture is the README's, and has a text for who cannot see it."""
    (picture,) = document.inline_shapes
    reference = picture._inline.graphic.graphicData.pic.blipFill.blip.embed
    stored = document.part.related_parts[reference].blob
    drawn = (ROOT / ".github" / "curves.png").read_bytes()
    assert hashlib.md5(stored).digest() == hashlib.md5(drawn).digest()
    assert "accuracy" in picture._inline.docPr.get("descr")
    assert document.core_properties.title == make_report.TITLE


def test_numbers(texts: list[str], notebook: nbformat.NotebookNode) -> None:
    """Decimals of the text stand in an output of the notebook."""
    shown = " ".join(
        str(output.get("data", {}).get("text/html", output.get("text", "")))
        for cell in notebook.cells for output in cell.get("outputs", []))
    for paragraph in make_report.TEXT:
        for number in re.findall(r"\d+\.\d+", paragraph):
            assert number in shown, number
