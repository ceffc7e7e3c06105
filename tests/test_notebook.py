"""Checks the notebook as a document: order, outputs, metadata, style."""

import ast
import json
import pathlib
import re
import subprocess
import sys

import nbformat

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_executed_in_order(executed: list[nbformat.NotebookNode]) -> None:
    """All cells ran in one go, without an error and without red text."""
    counts = [cell.execution_count for cell in executed]
    assert counts == list(range(1, len(executed) + 1))
    outputs = [output for cell in executed for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]


def test_executed_figures(executed: list[nbformat.NotebookNode]) -> None:
    """Every cell that shows a figure has one in its output."""
    shown = [cell for cell in executed if "plt.show()" in cell.source]
    assert len(shown) > 5
    for cell in shown:
        assert any("image/png" in o.get("data", {}) for o in cell.outputs)


def test_no_private_metadata(notebook: nbformat.NotebookNode) -> None:
    """No path, time or name of a machine is stored."""
    assert {*notebook.metadata} <= {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert {*cell.metadata} <= {"tags"}
    assert not re.search(r"/(work|tmp|home|root)/", json.dumps(notebook))


def test_docstrings(code: list[nbformat.NotebookNode]) -> None:
    """Every function and class has a docstring, nested ones too."""
    source = re.sub(r"(?m)^%.*$", "", "\n".join(c.source for c in code))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            assert ast.get_docstring(node), node.name


def test_cells_start_empty(code: list[nbformat.NotebookNode]) -> None:
    """A cell that appends makes its list itself, so it can be run twice."""
    for cell in code:
        tree = ast.parse(re.sub(r"(?m)^%.*$", "", cell.source))
        made = {name.id for node in ast.walk(tree)
                if isinstance(node, (ast.Assign, ast.For, ast.comprehension))
                for target in getattr(node, "targets", [
                    getattr(node, "target", None)])
                for name in ast.walk(target) if isinstance(name, ast.Name)}
        for node in ast.walk(tree):
            if (isinstance(node, ast.Attribute) and node.attr == "append"
                    and isinstance(node.value, ast.Name)):
                assert node.value.id in made, (node.value.id, cell.source)


def test_style() -> None:
    """Ruff finds nothing in the notebook or in the tests."""
    files = ["pruning_challenge.ipynb", "tests"]
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", *files]
    subprocess.run(command, cwd=ROOT, check=True)


def test_preset_can_be_replaced(code: list[nbformat.NotebookNode]) -> None:
    """The tagged cell is one assignment of a text."""
    (cell,) = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    (node,) = ast.parse(cell.source).body
    assert node.targets[0].id == "PRESET"
    assert ast.literal_eval(node.value) == "full"
