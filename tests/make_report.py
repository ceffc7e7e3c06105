"""Makes results.docx and .github/curves.png from the stored notebook.

    python tests/make_report.py

The text below is written by hand: after another run, change its numbers.
`test_report.py` compares them with the notebook's tables.
"""

import base64
import io
import pathlib

import docx
import nbformat
import pandas as pd
from docx.oxml import OxmlElement
from docx.shared import Cm, Pt

ROOT = pathlib.Path(__file__).resolve().parent.parent
TITLE = "Results: pruning without retraining"
HEADER = ["Name:", "College/graduating year/GPA:", "Phone number:", "Email ID:"]
CAPTION = ("Test accuracy against k (left) and against how many times fewer "
           "multiply-adds are left (right).")
ALT_TEXT = ("Four line charts of test accuracy, MNIST above Fashion-MNIST. "
            "Against k, accuracy without units falls from k = 70 on, without "
            "weights from 90 (MNIST) or 80 on. Against multiply-adds, the two "
            "are closer.")
TEXT = [
    "All numbers are for MNIST. Before pruning, 98.5 % of the test images are "
    "right; with 80 % of the weights pruned 98.2 %, of the units 82.7 %. Half "
    "of either can go almost for free. The curves differ: as anticipated, both "
    "have a plateau and a cliff, and units fall first.",
    "Why? First, equal k is unequal work. A lost unit takes its outgoing "
    "weights along: k = 80 leaves 11 times fewer multiplications by units, 5 "
    "times by weights. Second, with ten times fewer by either, weights lead "
    "by their rule: drawn at random, units do. Third, at k = 90 most of what "
    "lost weights cost is lost in the first matrix, about half of what lost "
    "units cost in the narrow last hidden layer. Keep twice the share there, "
    "with as many zeros in all, and k = 80 by units leaves 89.4 %.",
    "Why can so much go? Hypothesis: layers are redundant. Many units are "
    "never active; the others say a few things many times.",
    "Speed: without 60 % of its units the network is about 300 % faster (3.9 "
    "times as fast), with 98.1 % correct. Outside the challenge, a tenth of "
    "the units, well chosen and refitted on 300 images without labels, is "
    "over 15 times as fast, with 96.3 % correct.",
]


def find_output(notebook: nbformat.NotebookNode, words: str, kind: str) -> str:
    """Finds the stored output of a kind below the code cell with words."""
    cell = next(c for c in notebook.cells
                if c.cell_type == "code" and words in c.source)
    return next(output.data[kind] for output in cell.outputs
                if kind in output.get("data", {}))


def read_results(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Reads the table of test accuracy with its header, as text."""
    page = find_output(
        notebook, 'mean_and_spread(results, ["k"], ["dataset", "method"])',
        "text/html")
    (table,) = pd.read_html(io.StringIO(page), converters={0: str})
    header = ["k (%)", *(f"{dataset}, {method}"
                         for dataset, method, _ in table.columns[1:])]
    return [header, *table.astype(str).to_numpy().tolist()]


def add_table(document: docx.document.Document, rows: list[list[str]]
              ) -> None:
    """Adds a table whose first row is marked as its header."""
    table = document.add_table(len(rows), len(rows[0]), "Light List Accent 1")
    for row, values in zip(table.rows, rows, strict=True):
        for cell, value in zip(row.cells, values, strict=True):
            cell.text = value
            cell.paragraphs[0].paragraph_format.space_after = Pt(0)
    mark = OxmlElement("w:tblHeader")
    table.rows[0]._tr.get_or_add_trPr().append(mark)


def main() -> None:
    """Writes both files."""
    notebook = nbformat.read(ROOT / "pruning_challenge.ipynb", as_version=4)
    picture = base64.b64decode(
        find_output(notebook, "display_id=True", "image/png"))
    (ROOT / ".github" / "curves.png").write_bytes(picture)
    document = docx.Document()
    document.core_properties.title = TITLE
    document.core_properties.author = ""
    document.core_properties.comments = ""
    page = document.sections[0]
    page.top_margin = page.bottom_margin = Cm(1)
    page.left_margin = page.right_margin = Cm(2.2)
    for name in ("Normal", "Caption"):
        document.styles[name].font.size = Pt(10)
        document.styles[name].paragraph_format.space_after = Pt(4)
    for line in HEADER:
        document.add_paragraph(line).paragraph_format.space_after = Pt(0)
    document.add_heading(TITLE, 1)
    drawing = document.add_picture(io.BytesIO(picture), Cm(13))
    drawing._inline.docPr.set("descr", ALT_TEXT)
    document.add_paragraph(f"Figure 1. {CAPTION}", "Caption")
    for paragraph in TEXT:
        document.add_paragraph(paragraph.replace(" %", "\u00a0%"))
    document.add_paragraph(
        "Table 1. Test accuracy (%), mean ± standard deviation of three "
        "networks.", "Caption")
    add_table(document, read_results(notebook))
    document.save(ROOT / "results.docx")


if __name__ == "__main__":
    main()
