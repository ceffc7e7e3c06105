"""Holds title, prose, README and report against the stored tables.

With `--executed other.ipynb` the claims are held against another full run; the
numbers quoted are only those of the stored one.
"""

import pathlib
import re
from collections.abc import Callable

import docx
import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATASETS = ("MNIST", "Fashion-MNIST")
# Quoted from others: Kim et al. 2020, Neuron Merging, LeNet-300-100 on
# Fashion-MNIST (authors' README): rows l1-norm, columns pruned and merged.
KIM = "88.69 86.92 82.75 80.02 88.40 85.17 71.26 66.76 89.80"
# The challenge's, the settings', and formulas' numbers (0.8⁹ = 13 %).
GIVEN = "0 25 50 60 70 80 90 95 97 99 10 0.9 0.1 0.999 0.001 2.3 0.3 1 0.8 13"


class Run:
    """The tables of an executed notebook, as numbers."""

    def __init__(self, read: Callable, other: bool = False) -> None:
        """Reads all tables by words of the cells that show them.

        Another run than the stored one is held to wider bounds.
        """
        self.other = other
        self.by_k = {
            int(k): dict(zip(("MNIST weights", "MNIST units",
                              "Fashion-MNIST weights", "Fashion-MNIST units"),
                             map(number, row)))
            for k, *row in read("display(tabulate(results))")
        }
        self.loss = {
            int(k): [number(x) for x in row]
            for k, *row in read("display(tabulate(results))", 1)
        }
        self.said = {
            (name, kind): [*map(int, row)]
            for name, kind, *row in read("counts.loc[")
        }
        self.heard = {
            (name, int(matrix), kind): [*map(float, row[5 * i : 5 * i + 5])]
            for matrix, kind, *row in read("heard.round(")
            for i, name in enumerate(DATASETS)
        }
        self.parts = {
            (name, int(k), of): [*map(float, row)]
            for name, k, of, *row in read("own[inner].mean()")
        }
        self.rules = {
            (name, rule): [number(x) for x in row]
            for name, rule, *row in read("tabulate(others)")
        }
        table = read("fewer multiply-adds")
        self.speed = {float(k): [x and float(x) for x in row]
                      for k, *row in table}
        self.left = {
            (name, method): [x and number(x) for x in row]
            for name, method, *row in read("tabulate(repaired)")
        }
        self.same = {
            (name, kind): float(x)
            for _, kind, name, x in read("same answers (%)")
        }
        self.lenet = [number(x) for _, x in read("300-100, chosen")]
        self.few = {
            (name, method): [x and float(x) for x in row]
            for name, method, *row in read("adapted.pivot_table")
        }
        self.tickets = {
            name: [*map(float, row)]
            for name, *row in read("tickets.pivot_table")
        }
        self.worth = {
            (method, float(k)): [*map(float, row)]
            for method, k, *row in read("worth.pivot_table")
        }

    def lead(self, name: str, k: int) -> float:
        """By how many points weights are ahead of units."""
        return self.by_k[k][f"{name} weights"] - self.by_k[k][f"{name} units"]

    def lost(self, what: str, k: int) -> float:
        """How many points a method has lost since k = 0."""
        return self.by_k[0][what] - self.by_k[k][what]


def number(text: str) -> float:
    """Reads a mean, with or without its deviation."""
    return float(text.split(" ± ")[0])


@pytest.fixture(scope="session")
def run(read_executed: Callable, request: pytest.FixtureRequest) -> Run:
    """Reads the tables of the run in question."""
    return Run(read_executed, bool(request.config.getoption("--executed")))


def all_of(check: Callable[[str], bool]) -> bool:
    """Tells whether something holds for both datasets."""
    return all(check(name) for name in DATASETS)


CLAIMS = {  # Words of the prose, and what has to hold for them.
    "**Weights go further than units.**": lambda r: all_of(
        lambda d: r.lead(d, 80) > 3 and r.lead(d, 90) > 10),
    "half a point of accuracy is lost, without 80 % of the units": lambda r: (
        0.2 <= r.lost("MNIST weights", 80) <= 0.8
        and 5 <= r.lost("MNIST units", 80) <= 17),
    "**Layers are redundant.**": lambda r: all_of(
        lambda d: all(a < b / 3 for a, b in zip(
            r.said[d, "trained"], r.said[d, "untrained"]))),
    "it differs by about a third at most": lambda r: all_of(
        lambda d: all(0.6 < a / b < 1.6 for a, b in zip(
            r.said[d, "trained, a quarter of the widths"],
            r.said[d, "trained"]))),
    "**Lost units err more where the next layers listen.**": (
        lambda r: all_of(lambda d: all(
            r.heard[d, m, "units"][0] > 3 * r.heard[d, m, "weights"][0]
            and r.heard[d, m, "weights"][0] <= r.heard[d, m, "weights"][1] + 3
            for m in (2, 3, 4)))),
    "change 11 % of the predictions. Errors of lost weights, scaled": (
        lambda r: all_of(lambda d: r.heard[d, 2, "units"][4] > 3 * max(
            r.heard[d, 2, kind][4] for kind in ("weights", "units, rotated")))),
    "Nearer the output the gap is smaller": lambda r: all_of(
        lambda d: r.heard[d, 4, "units"][4] - r.heard[d, 4, "weights"][4]
        < r.heard[d, 2, "units"][4] - r.heard[d, 2, "weights"][4]),
    "weights at k = 97 leave fewer multiply-adds than units at 90": lambda r: (
        r.speed[97][3] > r.speed[90][4] and all_of(
            lambda d: r.by_k[97][f"{d} weights"]
            > r.by_k[90][f"{d} units"])),
    "hear it over ten times as much as that of weights": lambda r: all_of(
        lambda d: (7 if r.other else 10) <= r.heard[d, 2, "units"][2]
        / r.heard[d, 2, "weights"][2] <= 16),
    "two to seven times in 3 and 4": lambda r: all_of(lambda d: all(
        2 <= r.heard[d, m, "units"][2] / r.heard[d, m, "weights"][2] <= 7
        for m in (3, 4))),
    "the same error does about as little as that of weights": lambda r: all_of(
        lambda d: all(r.heard[d, m, "units, rotated"][2]
                      <= r.heard[d, m, "weights"][2] + 0.01
                      for m in (2, 3, 4))),
    "layers (lower panels) hear all kinds far more alike": lambda r: all(
        0.2 <= row[3] <= 0.42 for row in r.heard.values()),
    "training makes layers hear noise outside so little": lambda r: all(
        row[2] < 0.06 for (*_, kind), row in r.heard.items()
        if kind == "noise outside"),
    "brings back much of what is lost; both together": lambda r: all_of(
        lambda d: all(
            r.by_k[0][f"{d} units"] - r.left[d, kind][1]
            < share * r.lost(f"{d} units", 90)
            for kind, share in (("chosen units", 0.7), ("units, refitted", 0.7),
                                ("chosen units, refitted", 0.05)))),
    "neither the size nor the direction of the units' errors alone explains": (
        lambda r: all_of(lambda d: (
        r.parts[d, 90, "weights"][0] - r.parts[d, 90, "units"][0] < 2.5
        and r.parts[d, 90, "weights"][1] < r.parts[d, 90, "units"][0] - 2
        and r.parts[d, 90, "units"][1] < r.parts[d, 90, "weights"][1] - 10))),
    "**Magnitudes choose better than chance at every k shown": lambda r:
        all_of(lambda d: all(
            a > b for rule in ("weights", "units") for a, b in zip(
                r.rules[d, rule], r.rules[d, f"random {rule}"]))
            and all(r.rules[d, "units"][i] > r.rules[d, "random units"][i] + 3
                    for i in (0, 1))),
    "active units alone would give much of the gain": lambda r: (
        all_of(lambda d: r.left[d, "random live units"][0]
               - r.rules[d, "random units"][1] > 0.35 * (
                   r.rules[d, "units"][1] - r.rules[d, "random units"][1]))),
    "Many units of a trained network are never active": lambda r: all_of(
        lambda d: r.said[d, "units never active"][0] > 100),
    "one and a half to three times as much as noise wholly": lambda r: all_of(
        lambda d: 1.3 <= r.heard[d, 2, "units"][2]
        / r.heard[d, 2, "noise inside"][2] <= 3.3),
    "noise outside changes more predictions than lost units": lambda r: all_of(
        lambda d: r.heard[d, 4, "noise outside"][4]
        > (0.8 if r.other else 1) * r.heard[d, 4, "units"][4]),
    "costs much more at k = 50 and 80 than removing units": lambda r: all_of(
        lambda d: all(a < b - 3 for a, b in zip(
            r.rules[d, "inputs"][:2], r.rules[d, "units"]))),
    "**The units that are left can take over.**": lambda r: all_of(
        lambda d: r.by_k[0][f"{d} units"]
        - r.few[d, "chosen units, refitted"][1] < 2.6),
    "loses two points where plain pruning loses sixty": lambda r: (
        1 <= r.by_k[0]["MNIST units"]
        - r.few["MNIST", "chosen units, refitted"][1] <= 2.6
        and 40 <= r.lost("MNIST units", 90) <= 80),
    "distilling takes three to ten times as many images": lambda r: all_of(
        lambda d: r.few[d, "chosen units, refitted"][1]
        - r.few[d, "distilled"][1] >= 2 and r.few[d, "distilled"][2]
        < r.few[d, "chosen units, refitted"][1] < r.few[d, "distilled"][3]),
    # Steps 100, 200, 300 of the ticket are like 300, 500, 700 of the whole.
    "in a third to a half of the whole network's steps": lambda r: (
        all(abs(r.tickets["whole network"][i + 2] - r.tickets["ticket"][i])
            < (0.6 if r.other else 0.3) for i in range(3))),
    "with magnitudes shuffled it learns as fast; with signs shuffled": (
        lambda r: all(
            abs(r.tickets["magnitudes shuffled"][i] - r.tickets["ticket"][i])
            < 0.5 and r.tickets["values shuffled"][i]
            < r.tickets["whole network"][i] for i in range(6))),
    "each pixel keeps as many (map below): hardly better": lambda r: all(
        abs(r.tickets["rows shuffled"][i] - r.tickets["matrices shuffled"][i])
        < 0.5 for i in range(6)),
    "refitted copies are over 16 times as fast": lambda r: (
        r.speed[90][2] > (12 if r.other else 16) and all_of(
            lambda d: r.by_k[0][f"{d} units"]
            - r.left[d, "chosen units, refitted"][1] < 1.3)),
    "Units drawn at random come near when refitted": lambda r: (
        r.left["MNIST", "units, refitted"][2]
        < r.left["MNIST", "random live units, refitted"][2] and all_of(
            lambda d: r.left[d, "random live units, refitted"][1]
            > r.left[d, "units, refitted"][1] - 5)),
    "83.9 %, somewhat slower": lambda r: (
        0.7 < r.worth["equal widths", 30.0][2] / r.speed[97][2] < 0.98),
    "within about a point of what 3,000 give": lambda r: all_of(
        lambda d: r.few[d, "chosen units, refitted"][3]
        - r.few[d, "chosen units, refitted"][1] <= 1.2),
    "on MNIST above refitting's mean; fine-tuning": lambda r: (
        r.few["MNIST", "distilled, shifted"][1]
        > r.few["MNIST", "chosen units, refitted"][1]
        and all_of(lambda d: r.few[d, "fine-tuned, with labels"][1]
                   < r.few[d, "distilled"][1])),
    "images of the other dataset do worse": lambda r: all_of(
        lambda d: r.few[d, "chosen units, other dataset"][3]
        < r.few[d, "chosen units, refitted"][3] - 2),
    "Refitted weights hold to k = 97": lambda r: all_of(
        lambda d: r.left[d, "weights, refitted"][3]
        > r.left[d, "weights"][3] + 20),
    "Does it need a trained layer?": lambda r: all_of(
        lambda d: r.same[d, "trained"] > 93 > 70 > r.same[d, "untrained"]),
    "it is behind at 50, and ahead from 60 to 80": lambda r: (
        r.lenet[1] < 88.69 and r.lenet[2] > 86.92 and r.lenet[3] > 82.75
        and r.lenet[4] > 80.02 and r.lenet[5] >= 79),
    "better even than the dense network with its 5": lambda r: (
        r.worth["small from scratch", 90.0][1]
        > r.by_k[0]["Fashion-MNIST units"]),
    "**Removed units pay at once, zeros late.**": lambda r: (
        r.speed[50][2] > 2 and r.speed[25][2] > 1.2 and r.speed[70][1] < 1.2
        and r.speed[90][0] < 1),
    "CSR breaks even between k = 70 and 80": lambda r: (
        r.speed[70][1] < 1 < r.speed[80][1]),
    "COO between 95 and 97": lambda r: r.speed[95][0] < 1 < r.speed[97][0],
    "**With all the data, train small.**": lambda r: all(
        a > b for k in (90.0, 95.0) for a, b in zip(
            r.worth["small from scratch", k][:2],
            r.worth["chosen units, refitted", k][:2])),
    "thirty in each keep 91.9 and 83.9 %": lambda r: all(
        a > b + 3 for a, b in zip(r.worth["equal widths", 30.0][:2],
                                  r.worth["chosen units, refitted", 97.0])),
    "**Plateau, then cliff: holds.**": lambda r: all(
        r.lost(what, 50) <= (0.5 if r.other else 0.31)
        and r.lost(what, 99) - r.lost(what, 50) >= (55 if r.other else 60)
        for what in r.by_k[0]),
    "**Weights beat units: holds from k = 60 on.**": lambda r: all_of(
        lambda d: all(r.lead(d, k) >= 0 for k in r.by_k if k >= 60)),
    "Up to 50 they differ by 0.1 at most": lambda r: all_of(
        lambda d: max(abs(r.lead(d, 25)), abs(r.lead(d, 50)))
        < (0.6 if r.other else 0.11)),
    "from 97 on, units only guess": lambda r: all_of(
        lambda d: r.by_k[97][f"{d} units"] < 15),
    "Half of the mean accuracy is gone at k = 90 by units": lambda r: all_of(
        lambda d: r.lost(f"{d} units", 90) > r.by_k[0][f"{d} units"] / 2
        > r.lost(f"{d} weights", 95)),
    "on all curves only from k = 80 to 95.**": lambda r: all(
        (r.loss[k][i] - r.loss[0][i]) / (2.303 - r.loss[0][i])
        > r.lost(what, k) / (r.by_k[0][what] - 10)
        for k in (80, 90, 95) for i, what in enumerate(r.by_k[0])),
}


@pytest.mark.parametrize("words", CLAIMS)
def test_claim(words: str, run: Run, prose: str) -> None:
    """A claim that its tables contradict, or that is no longer made."""
    assert " ".join(words.split()) in prose
    assert CLAIMS[words](run)


def test_title_is_held(
    notebook: nbformat.NotebookNode, read_table: Callable
) -> None:
    """A bold sentence of the title without a check, a table of another run."""
    source = notebook.cells[0].source
    shown = re.findall(r"^\|(.+?)\|([\d.|]+)\|$", source, re.M)
    stored = Run(read_table).by_k
    header, *rows = [(name, line.split("|")) for name, line in shown]
    for name, percents in rows:
        column = name.replace(",", "")
        assert percents == [str(stored[int(k)][column]) for k in header[1]]
    assert len(rows) == 4
    title = " ".join(notebook.cells[0].source.split("## 1")[0].split())
    numbered = re.findall(r"\d\. (\*\*.+?\*\*)", title)
    assert len(numbered) == 6
    assert {*numbered} <= {*CLAIMS}


def find_numbers(text: str) -> set[str]:
    """Finds decimals, percentages, and numbers of directions or times."""
    text = re.sub(r"\$\$.+?\$\$|`[^`]+`|\([^()]*doi[^()]*\)", " ", text)
    units = r"\d+(?=\s(?:%|times|points|directions))"
    return set(re.findall(rf"\d+\.\d+|{units}", text.replace("\u00a0", " ")))


def read_sections(notebook: nbformat.NotebookNode) -> dict[str, list]:
    """Returns the prose of each section, and the numbers that it shows."""
    sections, name = {}, "title"
    for cell in notebook.cells:
        for number in re.findall(r"^## (\d+) ", cell.source, re.M):
            name = number
        section = sections.setdefault(name, ["", set()])
        if cell.cell_type == "markdown":
            section[0] += f" {cell.source}"
        for output in cell.get("outputs", []):
            shown = output.get("data", {}).get("text/html", "")
            shown += output.get("text", "")
            numbers = set(re.findall(r"\d+(?:\.\d+)?", shown))
            section[1] |= numbers | {f"{float(x):.0f}" for x in numbers}
    return sections


def test_numbers(notebook: nbformat.NotebookNode) -> None:
    """A number that no output shows of its section or of one that is named."""
    sections = read_sections(notebook)
    everything = set().union(*(shown for _, shown in sections.values()))
    given = {*KIM.split(), *GIVEN.split()} | OTHERS
    for name, (prose, shown) in sections.items():
        known = given | shown
        for number in re.findall(r"\b[Ss]ections?\s(\d+)", prose):
            known |= sections[number][1]
        if name in ("1", "11"):  # The title is in the cell of section 1.
            known |= everything
        unknown = find_numbers(prose) - known
        assert not unknown, name
    report = docx.Document(ROOT / "results.docx")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    text = readme + " ".join(p.text for p in report.paragraphs)
    assert not find_numbers(text) - given - everything


# Numbers of sections and of versions.
OTHERS = {"7.1", "7.2", "7.3", "7.4", "9.1", "9.2", "9.3", "3.10", "3.13",
          "2.18", "2.20", "1e-3"}


def test_report_has_the_stored_table(read_table: Callable) -> None:
    """A results.docx of another run than the stored one."""
    (table,) = docx.Document(ROOT / "results.docx").tables
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows[1:] == read_table("display(tabulate(results))")
