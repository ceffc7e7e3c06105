"""Runs the settings cell and those that check it, with other values."""

import os
from collections.abc import Callable

import notebook_definitions as nb
import pytest

ALL = [0, 25, 50, 60, 70, 80, 90, 95, 97, 99]
INF, NAN = float("inf"), float("nan")
WRONG = [None, "5", True, [[5]], INF, NAN, -1, {}, []]  # Whatever is asked for.
BAD = {
    "PRESET": ["fast", ["full"]],
    "DATASETS": ["mnist", [1], [["mnist"]], ["mnist", "mnist"]],
    "SIZES": [[784, 9, 10], *([784, 9, x, 10] for x in (0, 9.0, True))],
    # A k twice narrows the spread over networks, a seed twice is one network.
    "SPARSITIES": [[*ALL, x] for x in (100, NAN, "95", 25)] + [[*ALL[1:], 1]],
    "SEEDS": [2, [2.0], [-1], [3, True], ["2"], [2, 2]],
    "EPOCHS": [0, 1.5, [5]],
    "BATCH_SIZE": [0, 1.5, [128]],
    "LEARNING_RATES": [
        [1], [1] * 3, 1, [[1, 1]], *([1, x] for x in (0, INF, NAN, "1"))],
}


@pytest.fixture
def run(find_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Returns a function that runs the cells and returns all names."""
    for name in ("PRESET", "DATA_DIR", "OUTPUT_DIR"):
        monkeypatch.delenv(f"PRUNING_{name}", raising=False)

    def run_cells(**values: object) -> dict[str, object]:
        names = dict(vars(nb))
        exec(find_cell("# @title Settings").source, names)
        names |= values
        for words in ("asked = {", "threads ="):
            exec(find_cell(words).source, names)
        return names

    return run_cells


@pytest.mark.parametrize("name", BAD)
def test_refused(run: Callable, name: str) -> None:
    """A mistake that is found after an hour, or never, or not named."""
    for value in BAD[name] + WRONG:
        with pytest.raises(ValueError, match=name):
            run(**{name: value})
            print(value, "is accepted")


def test_accepted(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usual values refused, preset ignored, threads guessed, a lost folder."""
    values = {"LEARNING_RATES": [1, 1e-9], "SPARSITIES": [*ALL, 99.9]}
    assert run(SIZES=[9, 1, 1, 2], **values)["EPOCHS"] == 5
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1}, raising=False)
    monkeypatch.setenv("PRUNING_PRESET", "quick")
    names = run(SEEDS=[7, 0])
    found = [names[name] for name in ("SEEDS", "EPOCHS", "threads")]
    assert found == [[7], 1, 1]
    for variable in ("PRUNING_DATA_DIR", "PRUNING_OUTPUT_DIR"):
        for folder in ("~no.such.user/out", __file__, f"{__file__}/out", "~"):
            monkeypatch.setenv(variable, folder)
            if folder != "~":
                with pytest.raises(ValueError, match=variable):
                    run()
        run()
