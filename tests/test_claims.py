"""Holds the sentences of the notebook against its tables.

With `--executed other.ipynb` they are held against another full run.
"""

import io
import re
from collections.abc import Callable

import make_report
import nbformat
import pandas as pd
import pytest

BOTH = ("MNIST", "Fashion-MNIST")
TABLES = {  # A name for each table, and words of the cell that shows it.
    "accuracy": 'mean_and_spread(results, ["k"], ["dataset", "method"])',
    "work": 'results.pivot_table(["zeros (%)", "times fewer"]',
    "loss": '"loss", digits=2',
    "cost": "mean_and_spread(leads",
    "where": 'averages[["points lost", *MATRICES]]',
    "whole": "averages.query",
    "layers": "layers.round(2)",
    "wide": 'widened[["points lost", *MATRICES]]',
    "heard": 'answers.pivot_table("error of logits"',
    "spent": "mean_and_spread(spent",
    "speed": 'speed.unstack("way")',
    "refitted": "mean_and_spread(repaired",
    "few": "mean_and_spread(few",
    "worth": "means.round(2)",
    "tickets": 'tickets.pivot_table("accuracy"',
}
Table = Callable[..., float]


def read_table(page: str) -> Table:
    """Reads a table as a function from a cell's headers, in any order."""
    (frame,) = pd.read_html(io.StringIO(page))
    levels = [column if isinstance(column, tuple) else (column,)
              for column in frame.columns]
    # The last line of the header names the index; above values it is empty.
    is_index = [not column[-1].startswith("Unnamed") for column in levels]
    values = {}
    for row in frame.itertuples(index=False):
        index = [str(x) for x, named in zip(row, is_index) if named]
        for x, column, named in zip(row, levels, is_index):
            if not named and not pd.isna(x):
                header = [h for h in column if not h.startswith("Unnamed")]
                text = str(x).split(" ± ")
                values[frozenset(index + header)] = float(text[0] or "nan")
    return lambda *names: values[frozenset(str(name) for name in names)]


@pytest.fixture(scope="session")
def run(executed: list[nbformat.NotebookNode]) -> dict[str, Table]:
    """Reads all tables of the run in question."""
    return read_tables(executed)


def read_tables(cells: list[nbformat.NotebookNode]) -> dict[str, Table]:
    """Reads all tables below code cells."""
    tables = {}
    for name, words in TABLES.items():
        (cell,) = [cell for cell in cells if words in cell.source]
        pages = [o.data["text/html"] for o in cell.outputs
                 if "text/html" in o.get("data", {})]
        tables[name] = read_table(pages[-1])
    return tables


def lost(run: dict[str, Table], dataset: str, method: str, k: int) -> float:
    """Computes the points of test accuracy that a method has lost at k."""
    table = run["accuracy"]
    return table(dataset, method, 0) - table(dataset, method, k)


def for_both(check: Callable[[str], bool]) -> bool:
    """Tells whether something holds for both datasets."""
    return all(check(name) for name in BOTH)


def part(run: dict[str, Table], method: str, name: str, k: int, i: int
         ) -> float:
    """Computes the share of matrix i of what a method loses at k."""
    table = run["where"]
    return (table(method, name, k, f"matrix {i}")
            / table(method, name, k, "points lost"))


CLAIMS = {  # Words of the notebook, and what has to hold for them.
    "**Half can go almost for free, either way; then units fall first.**":
        lambda r: for_both(
            lambda d: max(lost(r, d, "weights", 50),
                          lost(r, d, "units", 50)) < 0.8
            and lost(r, d, "units", 80) > lost(r, d, "weights", 80) + 3),
    "Up to k = 50 no curve loses a point": lambda r: for_both(
        lambda d: all(lost(r, d, m, 50) < 0.8 and lost(r, d, m, 99) > 55
                      for m in ("weights", "units"))),
    "Half of the accuracy is gone between k = 80 and 90": lambda r: for_both(
        lambda d: lost(r, d, "units", 80) < 44 < lost(r, d, "units", 90)
        and lost(r, d, "weights", 95) < 44 < lost(r, d, "weights", 99)),
    "**Loss before accuracy: holds.**": lambda r: for_both(
        lambda d: (r["loss"](d, "units", 80) - r["loss"](d, "units", 0))
        / (2.3 - r["loss"](d, "units", 0))
        > lost(r, d, "units", 80) / (r["accuracy"](d, "units", 0) - 10) + 0.1),
    "**Partly that is arithmetic; for the rest it is the choice.**": lambda r: (
        10 < r["work"]("times fewer", "units", 80) < 12
        and 4.5 < r["work"]("times fewer", "weights", 80) < 5.5),
    "the two are close: weights lead by 0.5 on MNIST": lambda r: for_both(
        lambda d: abs(r["cost"](d, 5, "weights' lead")) < 6),
    "twenty times fewer, weights lead on both datasets": lambda r: for_both(
        lambda d: r["cost"](d, 20, "weights' lead") > 4),
    "weights never lead: with ten and twenty times fewer units do":
        lambda r: for_both(
            lambda d: max(r["cost"](d, work, "their lead at random")
                          for work in (10, 20)) < -1
            and r["cost"](d, 5, "their lead at random") < 4),
    "**The two fail at opposite ends.**": lambda r: for_both(
        lambda d: part(r, "weights", d, 90, 1) > 0.6
        and 0.35 < part(r, "units", d, 90, 4) < 0.75),
    "matrix 1 has more than half of the points lost": lambda r: for_both(
        lambda d: all(part(r, "weights", d, k, 1) > 0.5 for k in (80, 90, 97))),
    "For units at k = 90, matrix 4 saves most": lambda r: for_both(
        lambda d: min(range(1, 5), key=lambda i: r["whole"](
            "units", d, 90, f"{i} left whole")) == 4),
    "matrix 1 errs most on both datasets": lambda r: for_both(lambda d: all(
        r["layers"](d, 1, column) > 1.1 * r["layers"](d, i, column)
        for column in ("error, weights k = 90", "the same, centred")
        for i in (2, 3, 4))),
    "of which 12 (MNIST) and 16 are live": lambda r: for_both(
        lambda d: 9 <= r["layers"](d, 4, "live, units k = 90") <= 19),
    "With 100 units left, layer 4's part all but vanishes": lambda r: for_both(
        lambda d: all(
            r["wide"](d, k, "100 units left in layer 4", "matrix 4")
            < r["wide"](d, k, "standard", "matrix 4") / 4 for k in (80, 90))),
    "still more than half as many at k = 90": lambda r: for_both(
        lambda d: r["wide"](d, 90, "100 units left in layer 4", "points lost")
        > r["wide"](d, 90, "standard", "points lost") / 2),
    "**it is their direction that does the harm**": lambda r: for_both(
        lambda d: all(
            r["heard"](d, i, "units", "trained")
            > 2 * max(r["heard"](d, i, other, "trained")
                      for other in ("weights", "units, rotated"))
            for i in (2, 3))),
    "**So spend the same k unevenly.**": lambda r: for_both(lambda d: all(
        r["spent"]("units", "unevenly", d, k)
        > r["spent"]("units", "evenly", d, k) + 2 for k in (80, 90))),
    "about four points more on Fashion-MNIST at k = 90": lambda r: (
        r["spent"]("weights", "unevenly", "Fashion-MNIST", 90)
        - r["spent"]("weights", "evenly", "Fashion-MNIST", 90) > 2.5),
    "One threshold for units leaves guessing": lambda r: for_both(
        lambda d: r["spent"]("units", "one threshold", d, 80) < 25),
    "**Well chosen and refitted, units nearly catch up.**": lambda r: for_both(
        lambda d: r["accuracy"](d, "units", 0)
        - r["few"](d, "refitted", "training images", 300) < 3
        and r["refitted"](d, "chosen units, refitted", 90)
        > r["refitted"](d, "weights, refitted", 95) - 1),
    "points better than distilling on the same 300": lambda r: for_both(
        lambda d: r["few"](d, "refitted", "training images", 300)
        - r["few"](d, "distilled", "training images", 300) > 2),
    "**Removed units pay at once, zeros late.**": lambda r: (
        r["speed"]("units removed", 50) > 2
        and r["speed"]("units removed", 60) > 3
        and r["speed"]("zeros, CSR", 80) > 1 > r["speed"]("zeros, COO", 90)),
    "**With all the data, train small.**": lambda r: for_both(
        lambda d: r["worth"](d, "small from scratch", WIDTHS, "accuracy")
        > r["worth"](d, "same k", WIDTHS, "accuracy")),
    "k = 90 is over 15 times as fast": lambda r: (
        r["worth"]("MNIST", "same k", WIDTHS, "times as fast") > 15
        and r["speed"]("units removed", 90) > 15),
    "before training over 250": lambda r: for_both(lambda d: all(
        r["layers"](d, i, "directions") < 100
        and r["layers"](d, i, "before training") > 250 for i in (1, 2))),
    "With magnitudes shuffled it learns about as fast": lambda r: all(
        abs(r["tickets"]("ticket", step)
            - r["tickets"]("magnitudes shuffled", step)) < 0.6
        and r["tickets"]("values shuffled", step)
        < r["tickets"]("ticket", step) - 0.5 for step in (100, 200, 300)),
}
WIDTHS = "(100, 100, 50, 20)"


@pytest.mark.parametrize("words", CLAIMS)
def test_claim(words: str, run: dict[str, Table], prose: str) -> None:
    """A sentence stands in the notebook and holds in the run."""
    assert words in prose
    assert CLAIMS[words](run)


def test_first_screen(notebook: nbformat.NotebookNode) -> None:
    """Each answer of the first screen is a claim that is held."""
    answers = " ".join(notebook.cells[2].source.split())
    bold = re.findall(r"\d\. (\*\*.+?\*\*)", answers)
    assert len(bold) == 7
    assert {*bold} <= {*CLAIMS}


def test_uneven_numbers(
    notebook: nbformat.NotebookNode, code: list[nbformat.NotebookNode]
) -> None:
    """The first screen and the report quote the table of the stored run."""
    spent = read_tables(code)["spent"]
    answers = notebook.cells[2].source
    item = answers[answers.index("4. **") : answers.index("5. **")]
    assert [float(x) for x in re.findall(r"\d+\.\d", item)] == [
        spent("units", way, "MNIST", k)
        for k in (80, 90) for way in ("unevenly", "evenly")]
    assert f"{spent('units', 'unevenly', 'MNIST', 80)} %" in make_report.TEXT[1]


def test_numbers(notebook: nbformat.NotebookNode) -> None:
    """A number with a decimal in the prose stands in some output."""
    shown = " ".join(
        str(output.get("data", {}).get("text/html", output.get("text", "")))
        for cell in notebook.cells for output in cell.get("outputs", []))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"\$.+?\$|`.+?`|\(doi.+?\)", "", cell.source)
            text = re.sub(r"(?m)^#.*|section \d+\.\d|\(\d+\.\d\)", "", text)
            for number in re.findall(r"\b\d+\.\d+\b", text):
                if not re.search(r"\b[79]\.[1-5]\b", number):
                    assert number in shown, number
