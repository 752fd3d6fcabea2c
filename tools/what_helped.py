"""Writes what results/recommend.json says into docs/what-helped-where.md and docs/recommend.md.

python tools/what_helped.py [--check]
"""

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from generated import ROOT, main

RESULTS = ROOT / "results" / "recommend.json"
BEGIN, END = "<!-- written by tools/what_helped.py -->\n", "<!-- end -->\n"
OWN = "augury recommend"
SETS = ["data", "images", "test images", "classes", "pixels", "epochs", "metric", "reference", "best", "reaches"]


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(row: dict[str, Any]) -> str:
    """A candidate's difference to the reference, in bold where it is shown."""
    if row["difference"] is None:
        return "0"
    mean, low, high = (f"{row[key]:+.1f}" for key in ("difference", "low", "high"))
    shown = row["verdict"] in ("better", "worse")
    return f"{f'**{mean}**' if shown else mean}<br>{low} to {high}"


def helped(found: dict[str, Any]) -> str:
    """docs/what-helped-where.md."""
    data, rounds = found["data"], found["rounds"]
    names = [row["name"] for row in data[0]["rows"]]
    reference = names.pop(0)
    by_name = [{row["name"]: row for row in each["rows"]} for each in data]
    rows = []
    for name in names:
        own = [rows[name] for rows in by_name]
        counts = [str(sum(row["verdict"] == verdict for row in own)) for verdict in ("better", "worse")]
        rows.append([_added(name, reference), *map(cell, own), *counts])
    return "\n".join([
        "# What helped where\n",
        paragraph(
            f"Every candidate of [`augury recommend`](recommend.md), trained {rounds} times to the end on each of {len(data)} data "
            f"sets and read on the test part. Each cell is the difference to `{reference}` in points of the data set's metric, "
            "with a 95 % interval that holds for all candidates of the data set at once; in bold where a difference is shown. The "
            f"last columns count the data sets on which the candidate is shown to be better, and worse. A name that begins with + "
            f"is added to `{reference}`."
        ),
        paragraph(short(data)),
        table(["candidate", *(each["data"].replace("_", " ") for each in data), "better on", "worse on"], rows),
        paragraph(
            f"The data sets, what `{reference}` reaches on their test parts in percent of the metric, and the candidate that "
            "reaches the most. A name that ends in 1k or 3k stands for the first so many thousand training images:"
        ),
        table(SETS, sets(data)),
        paragraph(
            "The intervals speak of the noise between trainings; the test images are the same for all. The images that are not for "
            "testing were cut anew in every round, the same cut for all candidates. Every value is in "
            "[results/recommend.json](../results/recommend.json); `bench/recommend.py` records and replays, and "
            "`tools/what_helped.py` writes this page."
        ),
    ])  # fmt: skip


def short(data: list[dict[str, Any]]) -> str:
    """How long the trainings are, and what that means for the table."""
    seconds = [each["rows"][0]["seconds"] for each in data]
    epochs = [each["epochs"] for each in data]
    nothing = sum(max(each["rows"], key=lambda row: row["mean"])["name"] == "none" for each in data)
    return (
        f"Read it for what it is: trainings of {min(epochs)} to {max(epochs)} epochs, {min(seconds):.0f} to {max(seconds):.0f} "
        f"seconds each, of a small network (`{data[0]['model']}`), as a recommendation of a few minutes makes them. Augmentation "
        f"gains with training time, and in trainings as short as these it is seldom worth its price: on {nothing} of {len(data)} "
        "data sets no augmentation at all reaches the most. A row that loses here may win in a training ten times as long."
    )


def sets(data: list[dict[str, Any]]) -> list[list[str]]:
    found = []
    for each in data:
        best, size = max(each["rows"], key=lambda row: row["mean"]), "x".join(map(str, each["image_size"]))
        counts = [f"{each['images']:,}", f"{each['test_images']:,}", str(each["classes"]), size, str(each["epochs"])]
        means = [f"{each['rows'][0]['mean']:.1f}", f"`{best['name']}`", f"{best['mean']:.1f}"]
        found.append([each["data"], *counts, each["metric"], *means])
    return found


def judged(found: dict[str, Any]) -> str:
    """The section of docs/recommend.md."""
    data, rounds, races = found["data"], found["rounds"], found["races"]
    ways = list(data[0]["regret"])
    regret = [[each["data"], *(f"{each['regret'][way]['mean']:.2f}" for way in ways)] for each in data]
    counted = ("claims", "wrong_claims", "best_dropped", "claims_without_effect", "best_dropped_without_effect")
    claims = [[each["data"], *(str(each[key]) for key in counted)] for each in data]
    within = sum(each["regret"][OWN]["mean"] <= 0.5 for each in data)
    return "\n".join([
        "",
        paragraph(
            f"All candidates were trained to the end in {rounds} rounds on {len(data)} data sets "
            f"([what helped where](what-helped-where.md)). On these records {races} races each were replayed, by the command's own "
            "code, at a quarter of that comparison's cost. The regret is what is lost against the candidate whose mean over all "
            "rounds is highest on the test part, in points; beside it, what other ways of choosing lose:"
        ),
        table(["data", *map(_coded, ways)], regret),
        paragraph(
            f"The mean regret is at most half a point on {within} of {len(data)} data sets. So many times of {races} a winner was "
            "called better, and wrongly so, and the best candidate was dropped as shown to be worse; in the last two columns all "
            f"candidates are made the same but for the noise between trainings, and {100 * found['error_rate']:.0f} % are stated "
            "at most:"
        ),
        table(["data", "called better", "wrongly", "best dropped", "all equal: called better", "all equal: best dropped"], claims),
        paragraph(
            f"The truth itself is a mean of {rounds} trainings on some hundred to some thousand test images, and the best of "
            f"{len(data[0]['rows'])} such means is a little too high, which all ways of choosing are charged alike "
            "([results](../results/recommend.json), by `bench/recommend.py`)."
        ),
        "",
    ])  # fmt: skip


def paragraph(text: str) -> str:
    return textwrap.fill(text, 132, break_long_words=False, break_on_hyphens=False) + "\n"


def _added(name: str, reference: str) -> str:
    """A candidate's name, short where it holds the reference."""
    added = name.removeprefix(reference)
    return f"`{added}`" if added.startswith("+") else f"`{reference}`{added}" if added != name else f"`{name}`"


def _coded(way: str) -> str:
    word, _, name = way.partition(" ")
    return f"{word} `{name}`" if word == "always" and "+" in name else way


def pages() -> dict[Path, str]:
    """Both pages' texts, by their paths."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    guide = ROOT / "docs" / "recommend.md"
    before, begin, rest = guide.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    if not begin or not after:
        raise SystemExit(f"{guide}: lacks {BEGIN.strip()} and {END.strip()}")
    return {ROOT / "docs" / "what-helped-where.md": helped(found), guide: before + BEGIN + judged(found) + END + after}


if __name__ == "__main__":
    sys.exit(main("what_helped.py", (__doc__ or "").splitlines()[0], pages()))
