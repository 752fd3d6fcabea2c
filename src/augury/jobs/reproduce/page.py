"""What recipes need and what has been measured: the list on the terminal, and the page docs/results.md."""

import json
import re
from pathlib import Path
from typing import Any

from augury.core.errors import InputError
from augury.core.registry import names
from augury.jobs.fitted import print_table, table
from augury.jobs.reproduce import own_table
from augury.jobs.reproduce.plans import planned, waves
from augury.jobs.reproduce.reproduce import reasons
from augury.recipes.needs import hours, title_of
from augury.recipes.recipe import Recipe, load

# Our own comparisons, then the papers' order, and within a paper the order of tables and figures.
PAPERS = {
    "reduced": "Comparisons of our own", "inaugment": "InAugment", "refined": "Refined augmentation", "keepaugment": "KeepAugment",
    "adversarial": "Adversarial AutoAugment", "patching": "Model patching", "ait": "Augmentation invariant training",
}  # fmt: skip


def results_in(folder: Path) -> dict[str, dict[str, Any]]:
    """The JSON files of a folder of measurements, keyed by their paths in it; InputError if one cannot be read."""
    found = {}
    for file in sorted(folder.rglob("*.json")):
        try:
            found[file.relative_to(folder).as_posix()] = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise InputError(f"--results {file}: cannot be read ({error})") from None
    return found


def overview(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """For every recipe, what it needs and how many of its rows have been measured at each scale."""
    return [_needs(load(name), results) for name in ordered()]


def ordered() -> list[str]:
    """The recipes, paper by paper, tables before figures."""
    return sorted(names("recipe"), key=lambda name: (list(PAPERS).index(name.split("_")[0]), "_figure" in name, name))


def _needs(recipe: Recipe, results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    plans = planned([(row, row.settings) for row in recipe.rows if row.unavailable is None])
    taking = waves(plans).taking
    each = [
        hours(recipe, plan.rows[0], {**plan.settings, "epochs": 0} if plan in taking else plan.settings, recipe.seeds)
        for plan in plans
    ]  # fmt: skip
    known = [value for value in each if value is not None]
    measured: dict[str, set[str]] = {}
    for result in results.values():
        if result.get("recipe") == recipe.name:
            rows = {row["id"] for row in result["rows"] if row["status"] == "measured"}
            measured[result["scale"]] = measured.get(result["scale"], set()) | rows
    return {
        "recipe": recipe.name, "title": recipe.title, "source": recipe.source, "rows": len(recipe.rows),
        "runnable": sum(row.unavailable is None for row in recipe.rows), "trainings": len(plans), "seeds": recipe.seeds,
        "data": sorted({title_of(row.settings["data"]) for row in recipe.rows}),
        "gpu_hours": round(sum(known), 1) if known else None,
        "measured": {scale: len(ids) for scale, ids in measured.items()},
    }  # fmt: skip


def overview_table(rows: list[dict[str, Any]]) -> None:
    """Print the overview on stdout."""
    made = table()
    for heading in ("recipe", "rows", "trainings x seeds", "data", "GPU hours", "measured", "shows"):
        made.add_column(heading, justify="right" if heading in ("rows", "trainings x seeds", "GPU hours") else "left", no_wrap=True)
    for row in rows:
        made.add_row(
            row["recipe"], str(row["rows"]), f"{row['trainings']} x {row['seeds']}" if row["trainings"] else "-",
            ", ".join(row["data"]), _hours(row["gpu_hours"]), _measured(row) or "nothing", row["title"],
        )  # fmt: skip
    print_table(made, ["GPU hours", "trainings x seeds"])
    print("GPU hours: for all rows at full scale, estimated from multiply-adds at 50 Tflop/s; too low for small networks.")


def _measured(row: dict[str, Any]) -> str:
    return ", ".join(f"{count} of {row['rows']} ({scale})" for scale, count in sorted(row["measured"].items()))


def _hours(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def result_table(result: dict[str, Any]) -> None:
    """Print a result on stdout: a line per row, then what differs from the publication."""
    made = table(f"{result['title']} ({result['source']})")
    for heading in HEADINGS:
        made.add_column(heading, justify="left" if heading in ("row", "within", "") else "right", no_wrap=True)
    for cells in cells_of(result):
        made.add_row(*cells)
    print_table(made)
    for line in explained(result):
        print(line)


HEADINGS = ("row", "published", "ours", "n", "spread", "within", "difference published", "difference ours", "")


def cells_of(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """The rows as text: published, ours, n, spread, within, and the differences to the reference."""
    found: list[tuple[str, ...]] = []
    for row in result["rows"]:
        published = _number(row["published"]) + (f" ± {row['published_spread']:g}" if row["published_spread"] else "")
        sign = "x" if row["ratio"] else "+"
        reference = f"to {row['reference']}" if row["reference"] and row["status"] == "measured" else ""
        found.append((
            row["id"], published + (" (cited)" if row["cited"] else ""), _number(row["ours"]), str(row["n"] or ""),
            _number(row["spread"]), {True: "yes", False: "no", None: ""}[row["within"]],
            _difference(row["published_difference"], sign), _difference(row["difference"], sign),
            reference if row["status"] == "measured" else row["status"].split(":")[0],
        ))  # fmt: skip
    return found


def explained(result: dict[str, Any]) -> list[str]:
    """The scale in words, the meaning of `within`, why rows have no number, the recipe's notes."""
    lines = []
    if result["scale"] != "full":
        changed: dict[str, int] = {}
        for row in result["rows"]:
            for change in row["changed"] if row["status"] == "measured" else ():
                changed[change] = changed.get(change, 0) + 1
        least = 0.2 * max([1, *changed.values()])
        words = ", ".join(change for change, count in changed.items() if count > least)
        smoke = result["scale"] == "smoke"
        said = "the numbers show only that the rows run" if smoke else "only differences can be compared"
        lines.append(f"Scale {result['scale']}: not the published training ({words}), so {said}.")
    elif any("training images" in change for row in result["rows"] for change in row["changed"]):
        lines.append(
            "The data are not complete, so no number is judged: "
            + next(change for row in result["rows"] for change in row["changed"] if "training images" in change)
            + "."
        )
    elif result["tolerance"] is not None:
        lines.append(f"within: at most {result['tolerance']:g} from the published number, or twice its spread if that is more.")
    lines += reasons(result["rows"])
    seeds = result["seeds"]
    lines.append(f"Seeds {seeds[0]} to {seeds[-1]}; spread: standard deviation over seeds. {result['environment']['device']}.")
    return lines + [*result["notes"]]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _difference(value: float | None, sign: str) -> str:
    return "" if value is None else f"x {value:.2f}" if sign == "x" else f"{value:+.2f}"


def results_page(folder: Path) -> str:
    """docs/results.md: our own table, every measured recipe with all its rows, what was not measured, the other measurements."""
    results = results_in(folder)
    rows = overview(results)
    lines = [
        "# Results", "",
        "Written by `augury reproduce --results results --page docs/results.md` from the files in `results/`; change those, not",
        "this page. `augury reproduce` makes them ([how](reproduce.md)).", "",
        *own_table.head(results.values()), "## The papers' tables", "", *_summary(rows, results), "",
    ]  # fmt: skip
    for name in ordered():
        for file, result in results.items():
            # Our own stand in the table above.
            if result.get("recipe") == name and not (name == own_table.TABLE and result["scale"] == "full"):
                lines += _section(file, result)
    lines += ["## What has been measured of every table and figure", "", "| recipe | shows | rows | data | GPU hours | measured |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in rows:
        data = ", ".join(row["data"])
        hour = _hours(row["gpu_hours"])
        lines.append(f"| `{row['recipe']}` | {row['title']} | {row['rows']} | {data} | {hour} | {_measured(row) or 'nothing'} |")
    lines += ["", "GPU hours: all rows at full scale, estimated from multiply-adds at 50 Tflop/s; too low for small networks.", ""]
    return "\n".join(lines + _others(results)) + "\n"


def _summary(rows: list[dict[str, Any]], results: dict[str, dict[str, Any]]) -> list[str]:
    published = [(result, row) for result in results.values() if "recipe" in result for row in result["rows"]]
    full = [row for result, row in published if result["scale"] == "full" and row["status"] == "measured"]
    judged = [row for row in full if row["within"] is not None]
    short = [row for result, row in published if result["scale"] == "short" and row["status"] == "measured"]
    directions = [row for row in short if row["difference"] is not None and row["published_difference"] is not None]
    same = sum(row["difference"] * row["published_difference"] > 0 for row in directions)
    total = sum(row["rows"] for row in rows)
    said = f"{len(rows)} recipes have {total} rows. At full scale {len(full)} were measured"
    said += f", of which {sum(row['within'] for row in judged)} of {len(judged)} lie within. " if judged else ". "
    said += (
        f"At short scale {len(short)} were measured: another training than the published one, which shows no more than directions"
    )
    said += f"; {same} of {len(directions)} differences to the reference have the published sign." if directions else "."
    return [said, "No number of the papers is claimed here that is not in a table below with n and spread."]


def _section(file: str, result: dict[str, Any]) -> list[str]:
    lines = [f"## {result['title']}", "", f"{result['source']}; scale {result['scale']}; [results/{file}](../results/{file}).", ""]
    lines += [f"    {result['command']}", "", "| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(cells) + " |" for cells in cells_of(result)]
    return [*lines, "", *(f"- {line}" for line in [*explained(result), *result.get("remarks", ())]), ""]


def _others(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "## Other measurements",
        "",
        "Not of the papers' tables; described where they are linked from.",
        "",
        "| file | what | made by |",
    ]
    lines.append("|---|---|---|")
    for file, result in results.items():
        if "recipe" not in result:
            what = re.sub(r"\s+", " ", str(result.get("what") or result.get("title") or "see the file")).replace("|", "/")
            command = str(result.get("command", "")).replace("|", "/")
            lines.append(f"| [{file}](../results/{file}) | {what} | {f'`{command}`' if command else ''} |")
    return lines
