"""Lets tests import what the notebook defines, as `notebook_definitions`."""

import ast
import functools
import html
import importlib.util
import itertools
import os
import pathlib
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable

import matplotlib
import nbformat
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOK = nbformat.read(ROOT / "pruning_challenge.ipynb", as_version=4)
CODE = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]
SOURCE = re.sub(  # Without the magics of IPython.
    r"^( *)%.*", r"\1pass", "\n".join(cell.source for cell in CODE),
    flags=re.MULTILINE)
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
CONSTANT = r"[A-Z]|os\.environ|to_csr"

# Also the kernel in which nbval runs the notebook writes there.
os.environ.setdefault("PRUNING_OUTPUT_DIR", tempfile.mkdtemp())
matplotlib.use("Agg")
lines = ["import contextlib"]
for node in ast.parse(SOURCE).body:
    text = ast.unparse(node)
    if isinstance(node, DEFINITIONS):
        lines.append(text)
    elif isinstance(node, ast.Assign) and re.match(CONSTANT, text):
        # A constant that needs an experiment's result is left out.
        text = textwrap.indent(text, "    ")
        lines.append(f"with contextlib.suppress(NameError):\n{text}")
# A file, because TensorFlow reads the source of what it compiles.
path = pathlib.Path(tempfile.mkdtemp()) / "notebook_definitions.py"
path.write_text("\n".join(lines), encoding="utf-8")
spec = importlib.util.spec_from_file_location(path.stem, path)
nb = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(nb)


@pytest.fixture(scope="session")
def find_cell() -> Callable[[str], nbformat.NotebookNode]:
    """Returns a function that finds the code cell with some words."""
    return lambda words: next(c for c in CODE if words in c.source)


@pytest.fixture
def network() -> list[np.ndarray]:
    """Draws a small network: five matrices, from 12 inputs to 10 logits."""
    draw = np.random.default_rng(0).normal
    shapes = itertools.pairwise((12, 20, 20, 10, 5, 10))
    return [draw(size=shape).astype(np.float32) for shape in shapes]


@pytest.fixture
def dataset() -> nb.Dataset:
    """Makes a dataset of 784 pixels that is easy to learn."""
    draw, splits = np.random.default_rng(1), []
    prototypes = draw.random((10, 784), np.float32)
    for count in (600, 100, 203):
        labels = draw.integers(0, 10, count, np.int32)
        noise = draw.random((count, 784), np.float32)
        splits.append(nb.Split((prototypes[labels] + noise) / 2, labels))
    return nb.Dataset("toy", *splits)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option for the claims' other notebook."""
    parser.addoption("--executed", help="another executed notebook")


@pytest.fixture(scope="session")
def notebook() -> nbformat.NotebookNode:
    """Returns the notebook as committed, outputs included."""
    return NOTEBOOK


@pytest.fixture(scope="session")
def code() -> list[nbformat.NotebookNode]:
    """Returns the code cells of the notebook as committed."""
    return CODE


def read_rows(cells: list, words: str, which: int = 0) -> list[list[str]]:
    """Reads the body of a table stored below the cell with some words."""
    cell = next(c for c in cells if words in c.source)
    pages = [o.get("data", {}).get("text/html") for o in cell.outputs]
    body = [page for page in pages if page][which].split("<tbody>")[1]
    rows, spans = [], {}
    for line in body.split("<tr")[1:]:
        row = []
        for span, text in re.findall(
            r'<t[hd](?: rowspan="(\d+)")?[^>]*>(.*?)</t', line
        ):
            while spans.get(len(row), [0])[0]:  # From a row above.
                spans[len(row)][0] -= 1
                row.append(spans[len(row)][1])
            spans[len(row)] = [int(span or 1) - 1, html.unescape(text)]
            row.append(html.unescape(text))
        rows.append(row)
    return rows


@pytest.fixture(scope="session")
def read_table() -> Callable[..., list[list[str]]]:
    """Returns a function that reads a table of the notebook as committed."""
    return functools.partial(read_rows, CODE)


@pytest.fixture(scope="session")
def executed(request: pytest.FixtureRequest) -> list[nbformat.NotebookNode]:
    """Returns the code cells of the notebook that --executed names, if any."""
    path = request.config.getoption("--executed")
    cells = nbformat.read(path, as_version=4).cells if path else CODE
    return [cell for cell in cells if cell.cell_type == "code"]


@pytest.fixture(scope="session")
def read_executed(executed: list[nbformat.NotebookNode]) -> Callable:
    """Returns a function that reads a table of that notebook."""
    return functools.partial(read_rows, executed)


@pytest.fixture(scope="session")
def source() -> str:
    """Returns all code of the notebook as committed."""
    return SOURCE


@pytest.fixture(scope="session")
def prose() -> str:
    """Returns all text cells of the notebook as committed, on one line."""
    texts = [c.source for c in NOTEBOOK.cells if c.cell_type == "markdown"]
    return " ".join(" ".join(texts).split())
