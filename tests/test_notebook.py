"""Checks the notebook as a document: order, outputs, metadata, style."""

import ast
import json
import pathlib
import re
import subprocess
import sys

import nbformat

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_executed(executed: list[nbformat.NotebookNode]) -> None:
    """All cells ran in one go, without errors, and figures are stored."""
    for count, cell in enumerate(executed, start=1):
        assert cell.execution_count == count
        kinds = [output.output_type for output in cell.outputs]
        assert "error" not in kinds
        for output in cell.outputs:
            assert output.get("name") != "stderr"
        if "plt.show()" in cell.source or "plot_accuracy(" in cell.source:
            assert "def " in cell.source or "display_data" in kinds, cell.source


def test_no_private_metadata(notebook: nbformat.NotebookNode) -> None:
    """No path, time or name of a machine is stored."""
    assert {*notebook.metadata} <= {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert {*cell.metadata} <= {"tags"}
    assert not re.search(r"/(work|tmp|home|root)/", json.dumps(notebook))


def test_docstrings(code: list[nbformat.NotebookNode]) -> None:
    """Every function and class has a docstring, nested ones too."""
    for cell in code:
        for node in ast.walk(ast.parse(re.sub("(?m)^%.*$", "", cell.source))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                assert ast.get_docstring(node), node.name


def test_cells_start_empty(code: list[nbformat.NotebookNode]) -> None:
    """A cell that appends makes its list itself, so it can be run twice."""
    for cell in code:
        for name in re.findall(r"(?m)^ *(\w+)\.append\(", cell.source):
            made = rf"\b{name}\b[\w, ]* = |for .*\b{name}\b.* in "
            assert re.search(made, cell.source), (name, cell.source)


def test_style() -> None:
    """Ruff finds nothing in the notebook or in the tests."""
    files = ["pruning_challenge.ipynb", "tests"]
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", *files]
    subprocess.run(command, cwd=ROOT, check=True)


def test_preset_can_be_replaced(code: list[nbformat.NotebookNode]) -> None:
    """The tagged cell is one assignment of a text."""
    (cell,) = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    assert re.fullmatch('PRESET = "full" *(#.*)?', cell.source.strip())


def test_optional_cells(notebook: nbformat.NotebookNode) -> None:
    """A failure in sections 7 to 10 stops nothing; one before them does."""
    section = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            numbers = re.findall(r"(?m)^## (\d+) ", cell.source)
            section = int(numbers[-1]) if numbers else section
            continue
        tags = cell.metadata.get("tags", [])
        optional = "definitions" not in tags and (
            7 <= section <= 10 or cell.source.startswith("plot_accuracy("))
        assert ("raises-exception" in tags) == optional, cell.source
