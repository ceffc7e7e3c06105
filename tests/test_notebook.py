"""Checks the notebook as a document: form, size, and what it stores."""

import ast
import pathlib
import re
import statistics
import subprocess
import sys
from collections.abc import Callable

import docx
import nbformat
import pytest

Notebook = nbformat.NotebookNode
ROOT = pathlib.Path(__file__).resolve().parent.parent
CLAIMS = '["measured", "holds"]'


def test_ran_in_order(notebook: Notebook) -> None:
    """Outputs of several runs, or of one that failed or warned."""
    code = [cell for cell in notebook.cells if "outputs" in cell]
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]


def test_budgets(notebook: Notebook) -> None:
    """A notebook that grows out of what one can read."""
    code = [cell for cell in notebook.cells if "outputs" in cell]
    texts = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    lines = [[x for x in c.source.splitlines() if x.strip()] for c in code]
    source = "\n".join(cell.source for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    path = ROOT / "pruning_challenge.ipynb"
    budgets = {
        "cells": (len(notebook.cells), 105),
        "lines of code": (sum(map(len, lines)), 1500),
        "words": (sum(len(text.split()) for text in texts), 4500),
        "functions": (len(re.findall(r"^ *def ", source, re.M)), 60),
        "figures": (sum("image/png" in o.get("data", {}) for o in outputs), 11),
        "bytes": (path.stat().st_size, 1_300_000),
        "lines of the median cell": (statistics.median(map(len, lines)), 12),
        "lines of a cell": (max(map(len, lines)), 45),
    }
    assert not {n: pair for n, pair in budgets.items() if pair[0] > pair[1]}


def test_form(notebook: Notebook) -> None:
    """A function or class without docstring, nested ones too."""
    sources = [cell.source for cell in notebook.cells if "outputs" in cell]
    for node in ast.walk(ast.parse("\n".join(sources))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            assert ast.get_docstring(node), node.name


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_style(command: list[str]) -> None:
    """What ruff finds in the notebook or in the tests."""
    files = ["pruning_challenge.ipynb", "tests"]
    command = [sys.executable, "-m", "ruff", *command, "--no-cache", *files]
    subprocess.run(command, cwd=ROOT, check=True)


def test_title(notebook: Notebook, read_table: Callable) -> None:
    """A claim that is not checked or does not hold, a figure of another run."""
    claims = [row[-3:] for row in read_table(CLAIMS)]
    title = " ".join(notebook.cells[0].source.split())
    stated = re.findall(r"\*\*(.+?)\*\*", title)
    assert stated
    assert set(stated) <= {claim for claim, *_ in claims}
    assert {holds for *_, holds in claims} == {"True"}
    stored = []
    for cell in notebook.cells[1:]:
        if re.search("# @title Settings|" + re.escape(CLAIMS), cell.source):
            stored.append(cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {"text": output.get("text")})
            stored += [str(v) for k, v in data.items() if k[:4] == "text"]
    known = set(re.findall(r"\d+(?:\.\d+)?", "\n".join(stored)))
    quoted = re.findall(r"\d+\.\d+|\d+(?=\s?%)", title)
    assert quoted
    assert set(quoted) <= known


def test_report_has_the_stored_table(read_table: Callable) -> None:
    """A results.docx of another run than the stored one."""
    (table,) = docx.Document(ROOT / "results.docx").tables
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows[1:] == read_table("display(tabulate(results))")
