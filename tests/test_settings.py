"""Edits the settings, and runs their cell and the one that checks them."""

import re
from collections.abc import Callable

import notebook_definitions as nb
import pytest

Patch = pytest.MonkeyPatch
Run = Callable[..., dict]


@pytest.fixture
def run(find_cell: Callable, monkeypatch: Patch) -> Run:
    """Returns a function that runs the cell with other values."""
    monkeypatch.delenv("PRUNING_PRESET", raising=False)
    monkeypatch.delenv("PRUNING_DATA_DIR", raising=False)
    cells = map(find_cell, ("# @title Settings", "REQUIRED = ["))
    source = "\n".join(cell.source for cell in cells)

    def run_cell(**values: object) -> dict[str, object]:
        edited, names = source, dict(vars(nb))
        for name, value in values.items():
            (line,) = re.findall(rf"^{name} = .*  # @param", edited, re.M)
            edited = edited.replace(line, f"{name} = {value!r}  #")
        exec(edited, names)
        return names

    return run_cell


ALL = nb.REQUIRED
BAD = {
    "PRESET": ["fast"],
    "DATASETS": [[], ["mnist", "mnist"]],
    "SIZES": [[784, 10], [784, 0, 10], [784, 10.0, 10]],
    "SPARSITIES": [sorted([25, *ALL]), [*ALL, 120], [-5, *ALL], ALL[:-1]],
    "EPOCHS": [0],
    "BATCH_SIZE": [1.5],
    "LEARNING_RATES": [[0.003], [0.003, 0], ["0.003", 0.001]],
    "NAME": ["李 Li"],
    "COLLEGE": ["清华"],
}


@pytest.mark.parametrize("name", BAD)
def test_refused(run: Run, name: str) -> None:
    """A mistake that is found after an hour, or never, or not named."""
    for value in BAD[name]:
        with pytest.raises(ValueError, match=name):
            run(**{name: value})


def test_accepted(run: Run, monkeypatch: Patch) -> None:
    """Usual values refused, a data folder that is not there accepted."""
    values = {"NAME": " Zoë\t李\x07\n", "GPA": 8.7, "GRADUATING_YEAR": 2025}
    names = run(**values, COLLEGE="A/B", SPARSITIES=[*ALL, 99.8, 99.9])
    found = [names[n] for n in ("GPA", "GRADUATING_YEAR", "NAME", "SEEDS")]
    assert found == ["8.7", "2025", "Zoë 李", 5]
    monkeypatch.setenv("PRUNING_PRESET", "quick")
    monkeypatch.setenv("PRUNING_DATA_DIR", "~")
    assert run()["SEEDS"] == 1
    monkeypatch.setenv("PRUNING_DATA_DIR", "~/typo")
    with pytest.raises(ValueError, match="PRUNING_DATA_DIR.*typo"):
        run()


def test_more_sparsities(find_cell: Callable) -> None:
    """Later sections that miss k = 90 if others are added."""
    lines = find_cell("CLIFF =").source.splitlines()
    names = {"PRESET": "full", "SPARSITIES": [*ALL[:-1], 98, 99, 99.5]}
    exec("\n".join(x for x in lines if x[:5] in "COARSE STEEP CLIFF"), names)
    assert names["CLIFF"] == [80, 90, 95, 97, 98, 99, 99.5]
