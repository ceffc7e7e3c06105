"""Checks the notebook as a document: form, budgets, and what it stores."""

import ast
import json
import pathlib
import re
import statistics
import subprocess
import sys

import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUDGETS = {  # Lines of code and words of prose: 1,100 and 4,200 in all.
    "1 The challenge": (0, 638),  # With the title.
    "2 Setup": (88, 34),
    "3 Data": (118, 63),
    "4 Network and training": (161, 163),
    "5 Pruning": (74, 138),
    "6 Results": (36, 286),
    "7 Why?": (150, 847),
    "8 Faster": (114, 310),
    "9 The units that are left": (200, 981),
    "10 Lottery tickets, an appendix": (42, 200),
    "11 Conclusions": (0, 479),
    "12 Hand-in": (117, 60),
}


def count_lines(cell: nbformat.NotebookNode) -> int:
    """Counts lines that are not blank."""
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def test_ran_in_order(code: list[nbformat.NotebookNode]) -> None:
    """Outputs of several runs, or of one that failed or warned."""
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]


def test_no_private_metadata(notebook: nbformat.NotebookNode) -> None:
    """Paths, times or names of a machine in the stored notebook."""
    assert {*notebook.metadata} <= {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert {*cell.metadata} <= {"tags"}
    text = json.dumps(notebook)
    assert not re.search(r"/(work|tmp|home|root)/", text)


def test_sections(notebook: nbformat.NotebookNode) -> None:
    """A section that grows out of what one can read."""
    found, name = {}, "title"
    for cell in notebook.cells:
        for heading in re.findall(r"^## (.+)$", cell.source, re.M):
            name = heading if cell.cell_type == "markdown" else name
        lines, words = found.get(name, (0, 0))
        if cell.cell_type == "code":
            lines += count_lines(cell)
        else:
            words += len(cell.source.split())
        found[name] = lines, words
    assert list(found) == list(BUDGETS)
    for name, (lines, words) in found.items():
        assert lines <= BUDGETS[name][0], name
        assert words <= BUDGETS[name][1], name


def test_budgets(
    notebook: nbformat.NotebookNode, code: list[nbformat.NotebookNode]
) -> None:
    """A notebook that grows out of what one can read."""
    lines = [count_lines(cell) for cell in code]
    source = "\n".join(cell.source for cell in code)
    words = [c.source.split() for c in notebook.cells if c not in code]
    first = next(i for i, cell in enumerate(code) if "±" in str(cell.outputs))
    others = [cell for cell in code if "def train(" not in cell.source]
    longest = max(map(count_lines, others))
    outputs = [output for cell in code for output in cell.outputs]
    size = (ROOT / "pruning_challenge.ipynb").stat().st_size
    budgets = {
        "cells": (len(notebook.cells), 100),
        "lines of code": (sum(lines), 1100),
        "words": (sum(map(len, words)), 4200),
        "functions": (len(re.findall(r"^ *(def|class) ", source, re.M)), 50),
        "figures": (sum("image/png" in o.get("data", {}) for o in outputs), 10),
        "bytes": (size, 1_200_000),
        "lines of the median cell": (statistics.median(lines), 10),
        "lines of a cell": (longest, 36),
        "lines up to the first table": (sum(lines[: first + 1]), 540),
        "PRESET": (len(re.findall(r"\bPRESET\b", source)), 4),
    }
    assert not {n: pair for n, pair in budgets.items() if pair[0] > pair[1]}


def test_pictures(executed: list[nbformat.NotebookNode]) -> None:
    """Figures that are left out without a word."""
    for cell in executed:
        if "plt.show()" in cell.source:
            assert any("image/png" in o.get("data", {}) for o in cell.outputs)


def test_docstrings(source: str) -> None:
    """A function or class without docstring, nested ones too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            assert ast.get_docstring(node), node.name


def test_wide_lines(code: list[nbformat.NotebookNode]) -> None:
    """Code wider than 80 columns."""
    lines = [line for cell in code for line in cell.source.splitlines()]
    assert not [line for line in lines if len(line) > 80]


def test_style() -> None:
    """What ruff finds in the notebook or in the tests."""
    files = ["pruning_challenge.ipynb", "tests"]
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", *files]
    subprocess.run(command, cwd=ROOT, check=True)


def test_settings_are_literals(code: list[nbformat.NotebookNode]) -> None:
    """Settings that papermill's parameters cannot replace."""
    (cell,) = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    for node in ast.parse(cell.source).body:
        ast.literal_eval(node.value)


@pytest.mark.parametrize("word", ["TODO", "session", "simply", "bucket"])
def test_words(notebook: nbformat.NotebookNode, word: str) -> None:
    """Words that do not belong into a report."""
    texts = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    allowed = "\n".join(texts).lower()
    assert word.lower() not in allowed
