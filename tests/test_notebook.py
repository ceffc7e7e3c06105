"""Checks the notebook as a document: form, style, and what it stores."""

import ast
import itertools
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
IGNORE = "nbval-ignore-output"


def code_cells(
    notebook: nbformat.NotebookNode,
) -> list[nbformat.NotebookNode]:
    """Lists the code cells.

    Args:
        notebook: The notebook.

    Returns:
        Its code cells, in order.
    """
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def stored_text(notebook: nbformat.NotebookNode) -> str:
    """Joins all outputs that are text.

    Args:
        notebook: The notebook.

    Returns:
        Printed text and text of results, in order.
    """
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in code_cells(notebook)
        for output in cell.outputs
    )


def definitions(notebook: nbformat.NotebookNode) -> Iterator[ast.AST]:
    """Finds functions and classes, nested ones too.

    Args:
        notebook: The notebook.

    Yields:
        Their syntax trees.
    """
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, kinds):
                yield node


def test_ran_in_order_without_errors(notebook: nbformat.NotebookNode) -> None:
    """Every cell ran once, from top to bottom, and none failed."""
    cells = code_cells(notebook)
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    kinds = {o.output_type for cell in cells for o in cell.outputs}
    assert "error" not in kinds


def test_stores_the_full_preset_on_real_data(
    notebook: nbformat.NotebookNode,
) -> None:
    """The committed figures come from all seeds and both datasets."""
    text = stored_text(notebook)
    assert "full: 5 seeds" in text
    assert "Loaded: MNIST, Fashion-MNIST" in text
    assert "NOT used" not in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('PRESET = "full"', 'PRESET = "fast"', "'fast'; use 'full' or 'quick'"),
        ("95, 97, 99]", "97]", r"Add \[95, 99\] to SPARSITIES"),
        ("PENALTY_SEEDS = 3", "PENALTY_SEEDS = 6", "SEED_COUNT, 5, or less"),
        ("TICKET_ROUNDS = 15", "TICKET_ROUNDS = 12", "TICKET_CONTROLS to 12"),
    ],
)
def test_configuration_is_refused(
    notebook: nbformat.NotebookNode,
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    message: str,
) -> None:
    """A mistake in the form is named before anything is trained."""
    monkeypatch.delenv("PRUNING_PRESET", raising=False)
    (source,) = (
        cell.source
        for cell in code_cells(notebook)
        if cell.source.startswith("# @title Configuration")
    )
    exec(source, {"os": os})
    assert source.count(old) == 1
    with pytest.raises(ValueError, match=message):
        exec(source.replace(old, new), {"os": os})


def test_compared_outputs(notebook: nbformat.NotebookNode) -> None:
    """Figures and log lines are not compared, and most checks are."""
    compared = 0
    for cell in code_cells(notebook):
        if IGNORE in cell.metadata.get("tags", []):
            continue
        for output in cell.outputs:
            compared += 1
            assert output.get("name") != "stderr"
            assert "image/png" not in output.get("data", {})
    assert compared >= 10


def test_no_widgets_and_small(notebook: nbformat.NotebookNode) -> None:
    """Code hosts render it: no widget state, current format, under 2 MB."""
    assert "widgets" not in notebook.metadata
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in code_cells(notebook):
        assert set(cell.metadata) <= {"tags"}
        for output in cell.outputs:
            mime_types = output.get("data", {})
            assert not any("widget" in mime for mime in mime_types)
    assert (ROOT / "pruning_challenge.ipynb").stat().st_size < 2_000_000


def test_cells_are_short_and_introduced(
    notebook: nbformat.NotebookNode,
) -> None:
    """Code fits 80 columns and 75 lines, and ends without a semicolon."""
    for cell in code_cells(notebook):
        lines = cell.source.splitlines()
        assert len(lines) <= 75, cell.source
        assert max(map(len, lines)) <= 80, cell.source
        assert not lines[-1].rstrip().endswith(";"), cell.source
    pairs = itertools.pairwise(notebook.cells)
    code_after_code = [
        after.source
        for before, after in pairs
        if before.cell_type == after.cell_type == "code"
    ]
    assert len(code_after_code) <= 0.2 * len(code_cells(notebook))


def test_headings(notebook: nbformat.NotebookNode) -> None:
    """One title, numbered sections in order, each linked in the contents."""
    text = "\n".join(
        cell.source for cell in notebook.cells if cell.cell_type == "markdown"
    )
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    sections = re.findall(r"^## (\d+) (.+)$", text, re.MULTILINE)
    assert [int(number) for number, _ in sections] == list(
        range(1, len(sections) + 1)
    )
    linked = re.findall(r"^(\d+)\. \[(.+)\]\(#(\w+)\)$", text, re.MULTILINE)
    assert [entry[:2] for entry in linked] == sections
    for *_, anchor in linked:
        assert f'<a id="{anchor}"' in text


def test_docstrings(notebook: nbformat.NotebookNode) -> None:
    """Functions document arguments, results and errors, classes attributes."""
    for node in definitions(notebook):
        text = ast.get_docstring(node) or ""
        assert text, node.name
        if isinstance(node, ast.ClassDef):
            assert "Attributes:" in text, node.name
            continue
        assert node.returns is not None, node.name
        arguments = (
            node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        )
        for argument in arguments:
            assert argument.annotation is not None, node.name
            assert f"{argument.arg}: " in text, (node.name, argument.arg)
        returns_none = ast.unparse(node.returns) == "None"
        assert returns_none or "Returns:" in text, node.name
        raised = {
            ast.unparse(child.exc.func)
            for child in ast.walk(node)
            if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call)
        }
        for error in raised:
            assert f"{error}: " in text, (node.name, error)


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_style(command: list[str]) -> None:
    """Ruff finds nothing, neither in the notebook nor in the tests."""
    files = ["pruning_challenge.ipynb", "tests"]
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *command, *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_quoted_figures(notebook: nbformat.NotebookNode) -> None:
    """Numbers with decimals in prose stand in the stored outputs."""
    stored = set(re.findall(r"\d+\.\d+", stored_text(notebook)))
    prose = [
        cell.source for cell in notebook.cells if cell.cell_type == "markdown"
    ]
    prose.append((ROOT / "README.md").read_text(encoding="utf-8"))
    for text in prose:
        # Versions (2.18) and thresholds in code are not results.
        quoted = re.findall(r"(?<![\w.])\d+\.\d(?= (?:%|points|times))", text)
        missing = set(quoted) - stored
        assert not missing, (missing, text[:60])
