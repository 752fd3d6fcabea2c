"""The report of `augury patch`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from augury.explain.measurements.measurement import Figure, Table
from augury.explain.pages.patch import Part, patch_page
from augury.explain.report.diagrams import curve_of, dot_panel
from augury.explain.report.figures import learning_curves
from augury.explain.report.sheet import Sheet
from augury.explain.report.summary import bracketed, interval, interval_notes, number, percent
from augury.jobs.patch.retrain import Trained
from augury.jobs.reporting import settings_shown
from augury.train.data.dataset import Dataset
from augury.train.data.groups import Groups
from augury.train.engine.settings import Settings


def page(
    output: Path,
    result: dict[str, Any],
    settings: Settings,
    dataset: Dataset,
    groups: Groups,
    found: list[Trained],
    seeds: list[int],
) -> str:
    """report.html: a table of the strategies, the groups before patching, translations, saliency before and after, learning
    curves."""
    rows = result["rows"]
    shown = settings_shown(replace(settings, strategy=rows[0]["strategy"]), result["environment"]) | {
        "seeds": ", ".join(map(str, seeds)),
        "selection": {"last": "last epoch", "validation": "best validation accuracy"}.get(
            settings.select, "best worst group of the validation part"
        ),
        "images": f"{len(dataset.train.ids)} training, {len(dataset.validation.ids)} validation, {len(dataset.test.ids)} test",
    }
    parts = [
        _before(result["before"]),
        _compared(rows, groups),
        *_translations(output, result),
        _saliency(output, rows),
    ]
    return patch_page(parts + [_curves(found)], summary=summary(rows), settings=shown, notes=result["notes"])


def summary(rows: list[dict[str, Any]]) -> str:
    """One paragraph: the worst group's accuracy before and after, and which strategies are shown to be better."""
    first, others = rows[0], rows[1:]
    said = [f"{first['label']} classifies {number(first['worst_group'])} % of its worst group's test images correctly."]
    for row in sorted(others, key=lambda r: -(r["worst_group"] or 0)):
        said.append(f"{row['label']}: {number(row['worst_group'])} %, {_verdict(row)}.")
    if others and not any(row["verdict"] == "better" for row in others):
        said.append(f"Nothing here is shown to be better than {first['label']}.")
    n = first["n"]
    said.append(f"{n} seeds; differences are paired by seed." if n > 1 else "One seed cannot distinguish a difference from noise.")
    return " ".join(said)


def _verdict(row: dict[str, Any]) -> str:
    if row["difference_low"] is None:
        return f"a difference of {number(row['difference'], sign=True)} points, without an interval"
    brackets = interval(row["difference_low"], row["difference_high"], sign=True)
    if row["verdict"] in ("better", "worse"):
        return f"{row['verdict']} by {number(abs(row['difference']))} points {brackets}"
    return f"no difference shown ({number(row['difference'], sign=True)} {brackets})"


def _worst_brackets(row: dict[str, Any]) -> str:
    return bracketed(*percent(row["worst_group_low"], row["worst_group_high"]), row["n"])


def _brackets(row: dict[str, Any]) -> str:
    return bracketed(row["difference_low"], row["difference_high"], row["n"], sign=True)


def _before(found: dict[str, Any]) -> Part:
    rows = tuple((g["name"], float(g["training_images"]), float(g["images"]), _text(g["accuracy"])) for g in found["groups"])
    columns = ("group", "training images", "validation images", "accuracy, %")
    gaps = "; ".join(f"{name} {number(gap)} points" for name, gap in found["gaps"].items() if gap is not None)
    worst = f"worst in {found['worst_group_name']}: {number(found['worst_group'])} %" if found["worst_group"] is not None else ""
    words = f"{found['model']} on the validation part: {number(found['accuracy'])} % overall, {worst}. Gaps: {gaps}."
    return Part("What fails", words, tables=(Table("Before", columns, rows, digits=0),))


def _compared(rows: list[dict[str, Any]], groups: Groups) -> Part:
    classes = [name for name in groups.class_names if any(row["gaps"].get(name) is not None for row in rows)]
    tested = [name for name in groups.names if any(row["groups"].get(name) is not None for row in rows)]
    columns = ("strategy", "accuracy, %", "worst group, %", "difference", "verdict", *(f"gap {name}" for name in classes))
    table = tuple(
        (
            row["label"], _text(row["accuracy"]),
            f"{number(row['worst_group'])} {_worst_brackets(row)}".strip(),
            "" if row is rows[0] else
            f"{number(row['difference'], sign=True)} {_brackets(row)}".strip(),
            row["verdict"], *(_text(row["gaps"][name]) for name in classes),
        )
        for row in rows
    )  # fmt: skip
    per_group = tuple((row["label"], *(_text(row["groups"][name]) for name in tested)) for row in rows)
    settings = tuple(
        (
            row["label"], f"{row['settings']['lr']:g}", f"{row['settings']['weight_decay']:g}", row["settings"]["sampling"],
            str(row["tried"]), f"{row['counts']['steps']:,}", f"{row['counts']['images']:,}", number(row["seconds_training"]),
        )
        for row in rows
    )  # fmt: skip
    costs = ("strategy", "lr", "weight decay", "sampling", "settings tried", "steps", "images seen", "seconds")
    series = {row["label"]: [[s["groups"][name] for s in row["seeds"]] for name in tested] for row in rows}
    caption = (
        "Test part, means over seeds. The worst group's accuracy is the lowest accuracy of any group, per seed, with its 95 % "
        "interval in brackets. Differences are those of the worst group to the first row, paired by seed, with intervals that hold "
        "for all rows at once. A gap is the difference between the best and the worst group of a class, in points."
    )
    caption = " ".join([caption, *interval_notes(rows, "worst_group_low", "worst_group_high")])
    tables = (
        Table("Accuracy, worst group and gaps", columns, table, caption),
        Table("Every group, accuracy in percent", ("strategy", *tested), per_group),
        Table(
            "Settings and cost",
            costs,
            settings,
            "Steps and images are those of one training; the cost of the translations is given with their sheets.",
        ),
    )
    panel = dot_panel("Test accuracy of every group, %", tested, series)
    return Part(
        "Strategies compared", "", (Figure("groups", panel, "Dots: means over seeds. Lines: lowest to highest seed."),), tables
    )


def _translations(output: Path, result: dict[str, Any]) -> list[Part]:
    pairs = result["translations"]
    if not pairs:
        return []
    made = [
        Sheet(
            pair["title"],
            f"Left: training images of both subgroups ({pair['images'][0]:,} and {pair['images'][1]:,} to learn from). Right: the "
            f"same images as retraining sees them in each subgroup, after {pair['steps']:,} steps "
            f"({number(pair['seconds'], 0)} s). A good "
            "translation changes what distinguishes the subgroups, but not the class.",
            (output / pair["sheet"]).read_bytes(),
        )
        for pair in pairs
    ]
    words = "CycleGANs trained on the training part alone. If they change the class, do not trust the strategies that use them."
    tables = (_qualities(result["qualities"], result["judge"]),) if "qualities" in result else ()
    return [Part("Translations between subgroups", words, tables=tables, sheets=tuple(made))]


def _qualities(found: list[dict[str, Any]], judge: dict[str, float | None]) -> Table:
    known = any(each["true_distance"] is not None for each in found)
    columns: tuple[str, ...] = (
        "class",
        "from",
        "to",
        "images",
        "in the target subgroup, %",
        "class kept, %",
        "distance before",
        "distance after",
    )
    rows = [
        (
            each["label"], each["start"], each["target"], f"{each['images']:,}", number(each["flipped"]), number(each["kept"]),
            number(each["distance_before"]), number(each["distance_after"]),
            *((number(each["untouched_distance"]), number(each["true_distance"])) if known else ()),
        )
        for each in found
    ]  # fmt: skip
    said = [
        "Subgroup and class are judged by support-vector machines trained on the pixels of the training part, which classify "
        f"{number(judge['subgroup_accuracy'])} and {number(judge['label_accuracy'])} % of the validation part's real images "
        "correctly. Distance: energy distance to the real images of the target subgroup, in grey levels per pixel, after and "
        "before translation."
    ]
    if known:
        columns = (*columns, "true counterpart before", "true counterpart after")
        said.append(
            "True counterpart: mean absolute difference, in grey levels, to the image's true appearance in the target subgroup."
        )
    return Table("How good the translations are", columns, tuple(rows), " ".join(said))


def _saliency(output: Path, rows: list[dict[str, Any]]) -> Part:
    caption = (
        "The same test images under both networks. Images that the first network gets wrong come first in every group, so it looks "
        "worse here than it is. Gradient: absolute gradient of the true class's logit at every pixel. Grad-CAM: where the last "
        "convolution's feature maps support the true class. Each map is clipped at its 99th percentile. Under each map: the "
        "network's prediction and its probability."
    )
    shown = Sheet(f"{rows[0]['label']} and {rows[-1]['label']}", caption, (output / "saliency.png").read_bytes())
    return Part("Where the networks look", "", sheets=(shown,))


def _curves(found: list[Trained]) -> Part:
    curves = {one.row.label: [run["metrics"] for run in one.runs] for one in found}
    figures = [Figure("curves", learning_curves(curves), "Line: mean over seeds. Band: lowest to highest seed.")]
    worst = curve_of("Worst group, validation part, %", curves, "validation_worst_group")
    if worst:
        figures.append(Figure("worst group", worst))
    return Part("Learning curves", "", tuple(figures))


def _text(value: float | None) -> str:
    return number(value)
