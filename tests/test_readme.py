"""Holds the README against the notebook and the files beside it."""

import base64
import pathlib
import re

import make_report
import nbformat

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.+?)```", README, re.DOTALL)


def test_links() -> None:
    """Every file that a link or a command names is there."""
    named = re.findall(r"\]\((?!http|#)([^)#]+)", README)
    for command in COMMANDS:
        named += re.findall(r"[\w./-]+\.(?:py|ipynb|txt|md|docx)\b", command)
    assert {"pruning_challenge.ipynb", ".github/curves.png"} <= {*named}
    for name in named:
        assert (ROOT / name).exists() or name.startswith("out/"), name


def test_picture(notebook: nbformat.NotebookNode) -> None:
    """The picture is the stored figure: first screen, section 6, README."""
    drawn = (ROOT / ".github" / "curves.png").read_bytes()
    for words in ["display_id=True", "picture.update"]:
        stored = make_report.find_output(notebook, words, "image/png")
        assert base64.b64decode(stored) == drawn


def test_commands() -> None:
    """The long commands make their own environment; CI runs the second."""
    for command in [COMMANDS[0], COMMANDS[-1]]:
        assert "venv .venv" in command and "-r requirements.txt" in command
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for words in ["PRUNING_PRESET", "-m pytest"]:
        assert words in script and words in COMMANDS[-1]
