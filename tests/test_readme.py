"""Holds the README against the notebook and the files beside it."""

import pathlib
import re
from collections.abc import Callable

import nbformat

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_files_exist() -> None:
    """A text nobody reads to its end, a command or link that leads nowhere."""
    assert len(README.split()) <= 700
    named = set(re.findall(r"\]\((?!http|#)([^)#]+)", README))
    files = r"[\w./-]+\.(?:py|ipynb|txt|md)\b"
    for part in re.findall(r"```\w*\n(.+?)```|(`.+?`)", README, re.DOTALL):
        named |= set(re.findall(files, "".join(part)))
    assert "pruning_challenge.ipynb" in named
    for name in named:
        assert (ROOT / name).exists() or name.startswith("out/"), name


def test_variables(notebook: nbformat.NotebookNode) -> None:
    """A variable that is not explained, or one that does nothing."""
    source = "\n".join(cell.source for cell in notebook.cells)
    read = re.findall(r'"(PRUNING_\w+)"', source)
    assert set(re.findall(r"PRUNING_[A-Z_]+", README)) == set(read)


def test_commands() -> None:
    """A command that needs another one before it."""
    commands = re.findall(r"```sh\n(.+?)```", README, re.DOTALL)
    assert len(commands) == 2
    for command in commands:
        assert "venv .venv" in command
        assert "-r requirements.txt" in command


def test_ci_runs_the_test_command() -> None:
    """A CI that runs other tests than the README names."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "-m pytest" in script
    assert "quick" in script


def test_table(read_table: Callable) -> None:
    """Results of another run than the stored one."""
    lines = [line.strip(" |").split("|") for line in README.splitlines()]
    rows = [[cell.strip() for cell in line] for line in lines]
    rows = [row for row in rows if len(row) > 2 and row[0].isdigit()]
    stored = read_table("display(tabulate(results))")
    assert rows == [[x.split(" ± ")[0] for x in row] for row in stored]
