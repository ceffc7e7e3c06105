"""Holds the README against the notebook and the files beside it."""

import base64
import pathlib
import re

import nbformat

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_links() -> None:
    """Every file that a link or a command names is there."""
    named = set(re.findall(r"\]\((?!http|#)([^)#]+)", README))
    files = r"[\w./-]+\.(?:py|ipynb|txt|md|docx)\b"
    for command in re.findall(r"```sh\n(.+?)```", README, re.DOTALL):
        named |= set(re.findall(files, command))
    assert {"pruning_challenge.ipynb", ".github/curves.png"} <= named
    for name in named:
        assert (ROOT / name).exists() or name.startswith("out/"), name


def test_picture(notebook: nbformat.NotebookNode) -> None:
    """The picture is the stored figure: first screen, section 6, README."""
    stored = []
    for cell in notebook.cells:
        if "display_id=True" in cell.source or "picture.update" in cell.source:
            stored += [base64.b64decode(output.data["image/png"])
                       for output in cell.outputs if "data" in output]
    drawn = (ROOT / ".github" / "curves.png").read_bytes()
    assert len(stored) == 2
    assert all(picture == drawn for picture in stored)


def test_variables(notebook: nbformat.NotebookNode) -> None:
    """The variables that README names are those that the notebook reads."""
    source = "\n".join(cell.source for cell in notebook.cells)
    read = set(re.findall(r'"(PRUNING_\w+)"', source))
    assert set(re.findall(r"PRUNING_[A-Z_]+", README)) == read


def test_names(notebook: nbformat.NotebookNode) -> None:
    """What README says to change is defined in the notebook."""
    source = "\n".join(cell.source for cell in notebook.cells)
    for name in ("SEEDS", "EPOCHS", "SIZES", "SPARSITIES", "RULES", "PRESET"):
        assert name in README
        assert re.search(rf"^{name} = ", source, re.MULTILINE), name
    for name in ("weight_scores", "load_arrays"):
        assert name in README
        assert f"def {name}(" in source, name


def test_commands() -> None:
    """Both long commands make their own environment; CI runs the second."""
    commands = re.findall(r"```sh\n(.+?)```", README, re.DOTALL)
    for command in (commands[0], commands[-1]):
        assert "venv .venv" in command
        assert "-r requirements.txt" in command
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "PRUNING_PRESET" in script
    assert "-m pytest" in script
    assert "-m pytest" in commands[-1]
