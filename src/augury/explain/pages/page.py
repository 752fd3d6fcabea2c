"""One self-contained HTML page of text, tables, figures and contact sheets, without external references."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from augury.augment.policies.file import PolicyFile
from augury.core.errors import InputError
from augury.explain.report.classes import class_rows, confusion_matrices
from augury.explain.report.controller import controller_panels
from augury.explain.report.figures import Epochs, accuracy_intervals, learning_curves, swatch
from augury.explain.report.palette import row_style
from augury.explain.report.risk import risk_curves
from augury.explain.report.schedule import schedule_panels
from augury.explain.report.sheet import Sheet
from augury.explain.report.summary import (
    Measure,
    bracketed,
    comparison_summary,
    interval_notes,
    number,
    paired,
    row_labels,
    values_of,
)

if TYPE_CHECKING:
    from augury.explain.measurements.measurement import Measured

__all__ = ["Sheet", "comparison_page", "diagnosis_page", "train_page"]

_COSTS = {"images": "Images seen", "forward": "Forward passes", "backward": "Backward passes", "steps": "Optimiser steps"}
# Base64 adds a third; with figures and tables the page stays under 5 MB.
_SHEET_BYTES = 3_000_000


def comparison_page(
    result: Mapping[str, Any],
    *,
    settings: Mapping[str, str],
    curves: Mapping[str, Sequence[Epochs]],
    sheets: Sequence[Sheet],
    notes: Sequence[str],
    title: str = "Augmentations compared",
    lead: str | None = None,
    figures: Sequence[tuple[str, str, str]] = (),
) -> str:
    """The report of `augury compare` as HTML.

    result: as in result.json, accuracies in percent; rows may also have "counts" with images, forward, backward and steps
    (shown as columns if they differ, else in one line). settings: name -> value of what was run, such as data, model, epochs,
    seeds, hardware. curves: label -> per seed -> epochs, labelled as by `summary.row_labels` or in the order of the rows
    (validation_accuracy in percent). notes: plain text, one paragraph each. lead: replaces the conclusion drawn from the rows.
    figures: title, HTML and caption of additional figures below the intervals. All other arguments are escaped. Raises
    InputError if the result has no rows.
    """
    rows = list(result.get("rows", ()))
    if not rows:
        raise InputError("result: it has no rows to report; give the result of a comparison")
    labels, measure = row_labels(rows), Measure.of(result)
    styles = {label: row_style(index) for index, label in enumerate(labels)}
    curve_styles = {label: styles.get(label, row_style(index)) for index, label in enumerate(curves)}
    costs = {key: name for key, name in _COSTS.items() if any(_cost(row, key) is not None for row in rows)}
    equal = {key: name for key, name in costs.items() if len({_cost(row, key) for row in rows}) == 1}
    costs = {key: name for key, name in costs.items() if key not in equal}
    return render_page(
        "comparison.html",
        title=title,
        summary=comparison_summary(rows, measure) if lead is None else lead,
        measure=measure,
        classes=class_rows(result),
        matrices=confusion_matrices(result),
        settings=settings,
        rows=[_comparison_row(row, rows[0], labels[place], place, costs, measure) for place, row in enumerate(rows)],
        costs=costs,
        equal_costs=", ".join(f"{number(_cost(rows[0], key), 0)} {name.lower()}" for key, name in equal.items() if key != "steps"),
        simultaneous=len(rows) > 2,
        figures=[(name, Markup(html), caption) for name, html, caption in figures],
        refined=any("before_refinement" in row for row in rows),
        interval_notes=" ".join(interval_notes(rows, measure=measure)),
        seeds=max(len(row["accuracies"]) for row in rows),
        intervals=Markup(accuracy_intervals(rows, measure)),
        curves=Markup(learning_curves(curves, curve_styles)),
        sheets=embedded_sheets(sheets),
        notes=notes,
    )


def train_page(
    result: Mapping[str, Any],
    *,
    settings: Mapping[str, str],
    curves: Epochs,
    sheets: Sequence[Sheet],
    notes: Sequence[str],
    title: str = "A network trained",
    schedule: PolicyFile | None = None,
) -> str:
    """The report of `augury train` as HTML; result: as in result.json, accuracies in percent; curves: the run's epochs.

    schedule: the policies found during training, if it searched for any.
    """
    several = (result.get("test_metrics") or {}).get("map")
    figures = {
        "Mean average precision": None if several is None else f"{number(several, 2)} %",
        "Accuracy" if several is None else "Subset accuracy": f"{number(result['accuracy'], 2)} %",
        "Top-5 accuracy": f"{number(result.get('accuracy_top5'), 2)} %" if result.get("accuracy_top5") is not None else None,
        "Cross-entropy": number(result["loss"], 4) if result.get("loss") is not None else None,
    }
    costs = {name: number(result["counts"][key], 0) for key, name in _COSTS.items() if key in result.get("counts", {})}
    return render_page(
        "training.html",
        title=title,
        figures={name: value for name, value in figures.items() if value is not None},
        classes=class_rows(result),
        matrices=confusion_matrices(result),
        others=_other_metrics(result) | _other_networks(result) | _other_figures(result) | costs,
        settings=settings,
        risk=Markup(risk_curves(curves)),
        schedule="" if schedule is None else Markup(schedule_panels(schedule)),
        controller=Markup(controller_panels(curves)),
        curves=Markup(learning_curves({"training": [curves]}, {"training": row_style(1)})),
        sheets=embedded_sheets(sheets),
        notes=notes,
    )


def diagnosis_page(
    parts: Mapping[str, Measured],
    *,
    summary: str,
    settings: Mapping[str, str],
    notes: Sequence[str],
    title: str = "Networks diagnosed",
) -> str:
    """The report of `augury diagnose` as HTML; parts: measurement, as requested -> result. All but the figures is escaped."""
    shown = [
        {
            "title": name,
            "summary": found.summary,
            "figures": [{"html": Markup(figure.html), "caption": figure.caption} for figure in found.figures],
            "tables": [
                {**vars(table), "rows": [[cell_text(v, table.digits) for v in r] for r in table.rows]} for table in found.tables
            ],
        }
        for name, found in parts.items()
    ]
    return render_page(
        "diagnosis.html", title=title, summary=summary, parts=shown, settings=settings, curves="", sheets=[], notes=notes
    )


def cell_text(value: str | float | None, digits: int) -> tuple[str | Markup, object]:
    """A cell's text and the value to sort it by: its number, the number that its text begins with, or the text."""
    if not isinstance(value, str):
        return number(value, digits), "" if value is None else value
    leading = re.match(r"[-+]?\d+(,\d{3})*(\.\d+)?(e[-+]?\d+)?", value)
    if leading is None:
        return _breakable(value), value
    return value, leading.group().replace(",", "")


def render_page(template: str, **values: object) -> str:
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = Markup((folder / "page.css").read_text(encoding="utf-8"))
    script = Markup((folder / "sort.js").read_text(encoding="utf-8"))
    return environment.get_template(template).render(style=style, script=script, **values)


def _comparison_row(
    row: Mapping[str, Any], first: Mapping[str, Any], label: str, index: int, costs: Mapping[str, str], measure: Measure
) -> dict[str, Any]:
    return {
        "label": _breakable(label),
        "augment": _breakable(row["augment"]),
        "strategy": _breakable(row["strategy"]),
        "swatch": swatch(row_style(index)),
        "n": row["n"],
        "mean": row["mean"],
        "mean_text": measure.number(row["mean"]),
        "interval": bracketed(*measure.ends(row["low"], row["high"]), row["n"], digits=measure.digits),
        **_before_refinement(row),
        "difference": row["difference"],
        "difference_text": measure.number(row["difference"], sign=True) if index else "",
        "difference_interval": bracketed(
            row["difference_low"], row["difference_high"], paired(row, first), sign=True, digits=measure.digits
        ),
        "verdict": row["verdict"],
        "speed": row.get("images_per_second"),
        "speed_text": number(row.get("images_per_second"), 0),
        "costs": [(_cost(row, key), number(_cost(row, key), 0)) for key in costs],
        "accuracies": [number(value, measure.digits + 1) for value in values_of(row)],
    }


def _before_refinement(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's accuracy at the end of stage one and its gain by refinement; None and "" for a row that was not refined."""
    found = row.get("before_refinement")
    if found is None:
        return {"before": None, "before_text": "", "gain": None, "gain_text": ""}
    return {
        "before": found["mean"], "before_text": number(found["mean"]),
        "gain": found["gain"], "gain_text": number(found["gain"], sign=True),
    }  # fmt: skip


def _breakable(name: object) -> Markup:
    """Allows line breaks before and between a name's options, so that a long one does not widen the table beyond the page."""
    return Markup(re.sub(r"([(,+])", r"\1<wbr>", str(escape(name))))


def _cost(row: Mapping[str, Any], key: str) -> float | None:
    value: float | None = (row.get("counts") or {}).get(key, row.get(key))
    return value


def _other_figures(result: Mapping[str, Any]) -> dict[str, str]:
    """The values below the main figures; accuracies of epochs are on the validation part and labelled so."""
    epochs = result.get("epochs", 10)
    said = {"last": "Last epoch, validation"}
    if epochs > 1:
        said |= {"best": "Best epoch, validation", "median_last_10": f"Median of the last {min(epochs, 10)} epochs, validation"}
    found = {name: f"{number(result[key], 2)} %" for key, name in said.items() if isinstance(result.get(key), int | float)}
    before = result.get("stage_one")
    if before:
        found[f"Before refinement, after epoch {before['epoch']}"] = f"{number(before['accuracy'], 2)} %"
    for key, seconds in (result.get("seconds") or {}).items():
        found[f"Seconds, {key}"] = number(seconds, 1)
    return found


def _other_metrics(result: Mapping[str, Any]) -> dict[str, str]:
    """The metrics other than accuracy and loss, which are among the main figures."""
    said = {
        "map_micro": "Average precision of all answers", "balanced": "Balanced accuracy", "macro_f1": "Macro F1",
        "auroc": "Area under the ROC curve",
        "worst_class": "Accuracy of the worst class", "worst_group": "Accuracy of the worst group",
    }  # fmt: skip
    found = result.get("test_metrics") or {}
    return {said[key]: f"{number(found[key], 2)} %" for key in said if found.get(key) is not None}


def _other_networks(result: Mapping[str, Any]) -> dict[str, str]:
    """The accuracies of all networks but the first, whose accuracy is among the main figures."""
    found = enumerate(result.get("networks", ()), start=1)
    return {f"Network {n}, {each['model']}": f"{number(each['accuracy'], 2)} %" for n, each in found if n > 1}


def embedded_sheets(sheets: Sequence[Sheet]) -> list[dict[str, str]]:
    total = sum(len(sheet.png) for sheet in sheets)
    images = [(sheet.png, "png") for sheet in sheets]
    if total > _SHEET_BYTES:
        images = [(_jpeg(sheet.png, scale=1.0), "jpeg") for sheet in sheets]
        total = sum(len(data) for data, _ in images)
    if total > _SHEET_BYTES:
        # Bytes grow more slowly than pixels, so scale by less than the square root of the ratio.
        scale = 0.85 * (_SHEET_BYTES / total) ** 0.5
        images = [(_jpeg(sheet.png, scale=scale), "jpeg") for sheet in sheets]
    return [
        {
            "title": sheet.title,
            "caption": sheet.caption,
            "width": str(_width(sheet.png)),
            "source": f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
        }
        for sheet, (data, kind) in zip(sheets, images, strict=True)
    ]


def _width(png: bytes) -> int:
    with Image.open(io.BytesIO(png)) as opened:
        return opened.width


def _jpeg(png: bytes, scale: float) -> bytes:
    with Image.open(io.BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    if scale < 1:
        picture = picture.resize(
            (max(1, int(picture.width * scale)), max(1, int(picture.height * scale))), Image.Resampling.LANCZOS
        )
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=82, optimize=True)
    return target.getvalue()
