"""Makes the notebook's definitions and stored outputs available to tests."""

import ast
import importlib.util
import itertools
import os
import pathlib
import sys
import types

import matplotlib
import nbformat
import numpy as np
import pytest

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
matplotlib.use("Agg")

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "pruning_challenge.ipynb"
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


def is_definition(node: ast.stmt) -> bool:
    """Tells definitions and constants from statements that do the work.

    Constants are in capitals, and names of types start with one.

    Args:
        node: A top-level statement of a code cell.

    Returns:
        Whether it imports, defines, or assigns constants only.
    """
    names = [
        name.id
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    ]
    constants = bool(names) and all(name[0].isupper() for name in names)
    return isinstance(node, DEFINITIONS) or (
        constants and isinstance(node, (ast.Assign, ast.If))
    )


def load_definitions(folder: pathlib.Path) -> types.ModuleType:
    """Imports the notebook's definitions without running the experiments.

    They go through a file, because TensorFlow reads the source of the
    functions that it compiles.

    Args:
        folder: Where the file goes; it has to outlive the module.

    Returns:
        A module with every function, class and constant of the notebook.
    """
    nodes = [
        node
        for cell in nbformat.read(NOTEBOOK, as_version=4).cells
        if cell.cell_type == "code"
        for node in ast.parse(cell.source).body
        if is_definition(node)
    ]
    path = folder / "notebook_definitions.py"
    path.write_text(ast.unparse(ast.Module(nodes, [])), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def notebook() -> nbformat.NotebookNode:
    """Reads the notebook as committed.

    Returns:
        The notebook, outputs included.
    """
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="session")
def nb(tmp_path_factory: pytest.TempPathFactory) -> types.ModuleType:
    """Imports the notebook's definitions once for all tests.

    Args:
        tmp_path_factory: Makes the folder of the file.

    Returns:
        A module with every function, class and constant of the notebook.
    """
    return load_definitions(tmp_path_factory.mktemp("definitions"))


@pytest.fixture
def weights() -> list[np.ndarray]:
    """Draws a small network.

    Returns:
        Five matrices from 12 inputs to 10 logits.
    """
    sizes = (12, 20, 20, 10, 5, 10)
    draw = np.random.default_rng(0).normal
    shapes = itertools.pairwise(sizes)
    return [draw(size=shape).astype(np.float32) for shape in shapes]


@pytest.fixture
def dataset(nb: types.ModuleType) -> object:
    """Makes a dataset of 784 random pixels that is easy to learn.

    Args:
        nb: The notebook's definitions.

    Returns:
        A Dataset of 600 training, 100 validation and 203 test images.
    """
    rng = np.random.default_rng(1)
    prototypes = rng.random((10, 784), dtype=np.float32)

    def split(count: int) -> object:
        """Draws one split.

        Args:
            count: Number of images.

        Returns:
            Noisy copies of the ten prototypes.
        """
        labels = rng.integers(0, 10, count).astype(np.int32)
        noise = rng.random((count, 784), dtype=np.float32)
        return nb.Split((prototypes[labels] + noise) / 2, labels)

    return nb.Dataset("toy", split(600), split(100), split(203))
