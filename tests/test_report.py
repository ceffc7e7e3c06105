"""Holds the Word document against the stored run."""

import pathlib
import re

import docx
import make_report
import nbformat

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = docx.Document(ROOT / "results.docx")


def test_text() -> None:
    """The brief's four lines come first, then the script's 200 words."""
    texts = [p.text.replace("\u00a0", " ") for p in DOCUMENT.paragraphs]
    assert texts[:4] == make_report.HEADER
    assert {*make_report.TEXT} <= {*texts}
    assert 180 <= len(" ".join(make_report.TEXT).split()) <= 220


def test_table(notebook: nbformat.NotebookNode) -> None:
    """The table is the stored one, and its first row is a header."""
    (table,) = DOCUMENT.tables
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows == make_report.read_results(notebook)
    assert table.rows[0]._tr.xpath("w:trPr/w:tblHeader")


def test_picture() -> None:
    """The picture is the README's, and has a text for who cannot see it."""
    (picture,) = DOCUMENT.inline_shapes
    reference = picture._inline.graphic.graphicData.pic.blipFill.blip.embed
    stored = DOCUMENT.part.related_parts[reference].blob
    assert stored == (ROOT / ".github" / "curves.png").read_bytes()
    assert "accuracy" in picture._inline.docPr.get("descr")


def test_speed(notebook: nbformat.NotebookNode) -> None:
    """The increase of speed is the one that the notebook prints."""
    printed = [output.get("text", "") for cell in notebook.cells
               for output in cell.get("outputs", [])]
    (line,) = [text for text in printed if "MNIST: without 60 %" in text
               and not text.startswith("Fashion")]
    percent, times = re.findall(r"about (\d+) % faster \((.+?) times", line)[0]
    assert f"{percent} % faster ({times} times" in " ".join(make_report.TEXT)


def test_numbers(notebook: nbformat.NotebookNode) -> None:
    """Decimals of the text stand in an output of the notebook."""
    shown = " ".join(
        str(output.get("data", {}).get("text/html", output.get("text", "")))
        for cell in notebook.cells for output in cell.get("outputs", []))
    for number in re.findall(r"\d+\.\d+", " ".join(make_report.TEXT)):
        assert number in shown, number
