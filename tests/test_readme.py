"""Holds the README against the notebook and the commands it promises."""

import pathlib
import re

import nbformat

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_table_is_the_notebook_s(notebook: nbformat.NotebookNode) -> None:
    """Each cell of the results table equals the stored output."""
    (stored,) = (
        output.data["text/html"]
        for cell in notebook.cells
        if cell.source.endswith("\naccuracy_table(results)")
        or cell.source == "accuracy_table(results)"
        for output in cell.outputs
    )
    rows = re.findall(r"<tr>\s*<th>(\d+)</th>(.*?)</tr>", stored, re.DOTALL)
    expected = [[k, *re.findall(r"<td>(.*?)</td>", cells)] for k, cells in rows]
    quoted = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in README.splitlines()
        if re.match(r"\| \d+ \|", line)
    ]
    assert len(quoted) == 10
    assert quoted == expected


def test_commands() -> None:
    """CI runs the README's test command; both name files that exist."""
    commands = re.findall(r"```sh\n(.+?)\n```", README, re.DOTALL)
    assert len(commands) == 2
    run, test = commands
    assert "-r requirements.txt" in run
    assert "pruning_challenge.ipynb" in run
    # The report that is committed belongs to the outputs that are stored.
    assert "PRUNING_OUTPUT_DIR=out " in run
    assert "out/" in (ROOT / ".gitignore").read_text(encoding="utf-8")
    assert test in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_environment_variables(notebook: nbformat.NotebookNode) -> None:
    """Every variable that the notebook reads is explained, and no other."""
    code = "\n".join(cell.source for cell in notebook.cells)
    in_code = set(re.findall(r'environ(?:\.get\(|\[)"(PRUNING_\w+)"', code))
    assert set(re.findall(r"^\| `(PRUNING_\w+)`", README, re.M)) == in_code


def test_files_exist() -> None:
    """Every file that the README names is there."""
    names = set(
        re.findall(r"`((?:tests/)?\w+\.(?:py|ipynb|txt|docx))`", README)
    )
    for name in names:
        assert (ROOT / name).is_file(), name


def test_workflow() -> None:
    """The code host tests the versions of Python that the README names."""
    path = ROOT / ".github" / "workflows" / "tests.yml"
    workflow = path.read_text(encoding="utf-8")
    first, last = re.search(r"Python 3\.(\d+) to 3\.(\d+)", README).groups()
    supported = {f"3.{i}" for i in range(int(first), int(last) + 1)}
    assert set(re.findall(r'"(3\.\d+)"', workflow)) == supported
    (matrix,) = re.findall(r"python: \[(.+)\]", workflow)
    assert set(re.findall(r"3\.\d+", matrix)) == supported
    assert "python -m pytest" in workflow
