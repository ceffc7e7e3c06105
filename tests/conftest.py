"""Lets tests import what the notebook defines, as `notebook_definitions`."""

import ast
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
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
CONSTANT = r"\(?[A-Z]|os\.environ|\w+ = functools\.partial"

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# Also the kernel in which nbval runs the notebook writes there.
os.environ.setdefault("PRUNING_OUTPUT_DIR", tempfile.mkdtemp())
matplotlib.use("Agg")


def load_definitions(folder: pathlib.Path) -> None:
    """Imports definitions and constants, but runs no experiments."""
    lines = ["import contextlib"]
    for node in ast.parse("\n".join(cell.source for cell in CODE)).body:
        text = ast.unparse(node)
        if isinstance(node, DEFINITIONS):
            lines.append(text)
        elif isinstance(node, ast.Assign) and re.match(CONSTANT, text):
            # A constant that needs an experiment's result is left out.
            lines.append("with contextlib.suppress(NameError):")
            lines.append(textwrap.indent(text, "    "))
    # A file, because TensorFlow reads the source of what it compiles.
    path = folder / "notebook_definitions.py"
    path.write_text("\n".join(lines), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[path.stem])


load_definitions(pathlib.Path(tempfile.mkdtemp()))


@pytest.fixture(scope="session")
def notebook() -> nbformat.NotebookNode:
    """Returns the notebook as committed, outputs included."""
    return NOTEBOOK


@pytest.fixture(scope="session")
def find_cell() -> Callable[[str], nbformat.NotebookNode]:
    """Returns a function that finds the code cell with some words."""
    return lambda words: next(c for c in CODE if words in c.source)


@pytest.fixture(scope="session")
def read_table(find_cell: Callable) -> Callable[[str], list[list[str]]]:
    """Returns a function that reads the table stored below such a cell."""

    def read(words: str) -> list[list[str]]:
        outputs = find_cell(words).outputs
        pages = [o.get("data", {}).get("text/html") for o in outputs]
        body = next(filter(None, pages)).split("<tbody>")[1]
        rows = [re.findall("<t[hd].*?>(.*?)</t", r) for r in body.split("<tr")]
        return [list(map(html.unescape, row)) for row in rows[1:]]

    return read


@pytest.fixture
def weights() -> list[np.ndarray]:
    """Draws a small network: five matrices, from 12 inputs to 10 logits."""
    draw = np.random.default_rng(0).normal
    shapes = itertools.pairwise((12, 20, 20, 10, 5, 10))
    return [draw(size=shape).astype(np.float32) for shape in shapes]


@pytest.fixture
def dataset() -> object:
    """Makes a dataset of 784 pixels that is easy to learn."""
    import notebook_definitions as nb

    generator = np.random.default_rng(1)
    prototypes, splits = generator.random((10, 784), dtype=np.float32), []
    for count in (600, 100, 203):
        labels = generator.integers(0, 10, count).astype(np.int32)
        noise = generator.random((count, 784), dtype=np.float32)
        splits.append(nb.Split((prototypes[labels] + noise) / 2, labels))
    return nb.Dataset("toy", *splits, list("0123456789"))
