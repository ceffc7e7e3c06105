"""Lets tests import what the notebook defines, as `notebook_definitions`."""

import importlib.util
import itertools
import pathlib
import re
import sys
import tempfile
from unittest import mock

import nbformat
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOK = nbformat.read(ROOT / "pruning_challenge.ipynb", as_version=4)
CODE = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]

source = "\n\n".join(cell.source for cell in CODE
                     if "definitions" in cell.metadata.get("tags", []))
# A file, because TensorFlow reads the source of what it compiles. It is
# deleted when Python ends.
folder = tempfile.TemporaryDirectory()
path = pathlib.Path(folder.name) / "notebook_definitions.py"
path.write_text(re.sub("^%.*", "", source, flags=re.MULTILINE),
                encoding="utf-8")
spec = importlib.util.spec_from_file_location(path.stem, path)
nb = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(nb)
nb.SAMPLE = ROOT / nb.SAMPLE


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that names another executed notebook."""
    parser.addoption("--executed", help="another executed notebook")


@pytest.fixture(scope="session")
def notebook() -> nbformat.NotebookNode:
    """Returns the notebook as committed, outputs included."""
    return NOTEBOOK


@pytest.fixture(scope="session")
def code() -> list[nbformat.NotebookNode]:
    """Returns the code cells of the notebook as committed."""
    return CODE


@pytest.fixture(scope="session")
def executed(request: pytest.FixtureRequest) -> list[nbformat.NotebookNode]:
    """Returns the code cells of the notebook that --executed names, if any."""
    name = request.config.getoption("--executed")
    cells = nbformat.read(name, as_version=4).cells if name else CODE
    return [cell for cell in cells if cell.cell_type == "code"]


@pytest.fixture(scope="session")
def prose() -> str:
    """Returns all text cells of the notebook as committed, on one line."""
    texts = [c.source for c in NOTEBOOK.cells if c.cell_type == "markdown"]
    return " ".join(" ".join(texts).split())


@pytest.fixture
def network() -> list[np.ndarray]:
    """Draws a small network: five matrices, from 12 inputs to 10 logits."""
    draw = np.random.default_rng(0).normal
    shapes = itertools.pairwise([12, 20, 20, 10, 5, 10])
    return [draw(size=shape).astype(np.float32) for shape in shapes]


@pytest.fixture(scope="session")
def sample() -> dict[str, nb.Dataset]:
    """Loads both datasets as they are without a connection."""
    refuse = mock.Mock(side_effect=nb.requests.ConnectionError)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PRUNING_DATA_DIR", raising=False)
        patch.setattr(nb.pooch, "retrieve", refuse)
        return {name: nb.load_dataset(name) for name in nb.DATASETS}
