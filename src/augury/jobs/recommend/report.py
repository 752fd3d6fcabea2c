"""The report of `augury recommend`: the answer, the race, how to use it, and what it does to the user's images."""

from pathlib import Path
from typing import Any, Literal

from markupsafe import escape

from augury.augment.exported.export import export_policy
from augury.core.errors import InputError
from augury.core.options import parse_chain
from augury.explain.pages.page import comparison_page
from augury.explain.report.summary import interval, number
from augury.jobs.recommend.candidates import Candidate
from augury.jobs.reporting import settings_shown, sheet_of
from augury.train.data.dataset import Dataset
from augury.train.data.default_side import SIDES
from augury.train.engine.metrics import metric_of
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings

_LIBRARIES: tuple[Literal["torchvision", "timm"], ...] = ("torchvision", "timm")


def report_page(
    result: dict[str, Any], compared: dict[str, Any], settings: Settings, dataset: Dataset, output: Path
) -> str:  # fmt: skip
    """report.html; compared: the result of the comparison at the end."""
    lines = RunDirectory(output / "final").metrics()
    curves = {
        row["augment"] if row["strategy"] == "erm" else row["strategy"]: _seeds(lines, row["augment"], row["strategy"])
        for row in compared["rows"]
    }
    shown = settings_shown(settings, result["environment"]) | {
        "compared by": metric_of(result["metric"]).title,
        "data": f"{settings.data}: {result['look']['images'][0] + result['look']['images'][1]:,} training images",
        "time": f"{result['seconds'] / 60:.1f} minutes",
    }
    augments = list(dict.fromkeys(row["augment"] for row in compared["rows"]))
    sheets = [sheet_of(dataset, parse_chain(name, "--augment"), settings.seed) for name in reversed(augments)]
    return comparison_page(
        compared, settings=shown, curves=curves, sheets=sheets, notes=[*result["notes"], *_how(result)],
        title="Which augmentation for these images", lead=result["answer"],
        figures=[("Use it", usage(result, settings), "To paste."), ("The race", race_table(result), _race_caption(result))],
    )  # fmt: skip


def usage(result: dict[str, Any], settings: Settings) -> str:
    """How to train with the recommendation, as HTML: the command, Python, and other libraries' code where they can do it."""
    command, python = lines_of(result, settings)
    blocks = [("On the command line", command), ("In your own loop", python), *elsewhere(result, settings)]
    return "".join(
        f"<p>{escape(title)}</p>" + "".join(f"<pre><code>{escape(text)}</code></pre>" for text in texts) for title, *texts in blocks
    )


def elsewhere(result: dict[str, Any], settings: Settings) -> list[tuple[str, ...]]:
    """The recommended augmentation without Augury: for each library a title with its code, or one that says why there is none."""
    chosen, size = result["recommendation"], settings.image_size
    if chosen["strategy"] != "erm":
        return [(f"Other libraries have no {chosen['strategy']}: it is a way of training, not a transform.",)]
    side = max(size) if isinstance(size, tuple) else size
    blocks: list[tuple[str, ...]] = []
    for library in _LIBRARIES:
        try:
            code = export_policy(chosen["augment"], library, image_size=side or max(SIDES)).code
        except InputError as refused:
            blocks.append((f"With {library} alone this cannot be done: {refused}.",))
        else:  # what torchvision does alone is given once
            blocks += [(f"With {library} alone", code)] if f"from {library}" in code else []
    return blocks


def lines_of(result: dict[str, Any], settings: Settings) -> tuple[str, str]:
    """The command and the Python lines that train with the recommendation."""
    chosen = result["recommendation"]
    strategy = "" if chosen["strategy"] == "erm" else f" --strategy '{chosen['strategy']}'"
    refine = f" --refine-at {round(settings.epochs * (1 - chosen['refine_share']))}" if chosen.get("refine_share") else ""
    tune = " --tune probe" if settings.freeze == "backbone" else ""
    weights = "" if settings.pretrained is None else f" --pretrained '{settings.pretrained}'{tune}"
    size = ",".join(map(str, settings.image_size)) if isinstance(settings.image_size, tuple) else settings.image_size
    command = (
        f"augury train {settings.data} --augment '{chosen['augment']}'{strategy}{refine} --model '{settings.model}'{weights} "
        f"--epochs {settings.epochs} --image-size {size} --output run"
    )
    named = "" if chosen["strategy"] == "erm" else f", strategy={chosen['strategy']!r}"
    python = (
        f"augment = augury.pipeline({chosen['augment']!r})  # uint8 images [B,C,H,W], labels, ids\n"
        f"method = augury.method(model, augment={chosen['augment']!r}{named}, classes=..., mean=..., std=...)"
    )
    return command, python


def race_table(result: dict[str, Any]) -> str:
    """The race as an HTML table, the longest trainings first and the best of them at the top."""
    metric = metric_of(result["metric"])
    heads = (
        "Candidate",
        "Epochs",
        "Rounds",
        f"{metric.title[0].upper()}{metric.title[1:]}, {metric.unit}",
        "Left the race",
        "Seconds",
    )
    sign = 1 if metric.rising else -1
    rows = sorted(
        result["rows"], key=lambda row: (-(row["epochs"] or 0), -sign * (row["mean"] if row["mean"] is not None else -1e9))
    )
    body = "".join(f"<tr>{''.join(_cells(row, metric.unit))}</tr>" for row in rows)
    head = "".join(f'<th scope="col"{"" if k in (0, 4) else NUMBER}>{escape(name)}</th>' for k, name in enumerate(heads))
    table = f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll" tabindex="0" role="group" aria-label="Table of the race">{table}</div>'


NUMBER = ' class="number"'


def _cells(row: dict[str, Any], unit: str) -> list[str]:
    name = Candidate.of(row).name
    left, digits = row["dropped_after"], 1 if unit == "%" else 3
    said = (
        "not trained"
        if not row["n"]
        else ""
        if left is None
        else f"{left['why']}, round {left['round']} of {left['epochs']} epochs"
    )
    said = f"failed: {row['error']}" if row["error"] else said
    value = f"{number(row['mean'], digits)} {interval(*row['interval'], digits=digits)}".rstrip()
    return [
        f'<th scope="row"><span class="name">{escape(name)}</span></th>',
        *(f"<td{NUMBER}>{escape(text)}</td>" for text in (number(row["epochs"], 0), number(row["n"], 0), value)),
        f"<td>{escape(said)}</td><td{NUMBER}>{number(row['seconds'], 0)}</td>",
    ]


def _race_caption(result: dict[str, Any]) -> str:
    return (
        "Candidates trained in paired rounds, each judged on training images held out anew in every round; the test part was "
        "not read. Trainings of different lengths cannot be compared. A candidate is dropped when it is shown to be worse than the "
        f"best one; the chance that the best of all was dropped is at most {result['error_rate']:.0%}. In brackets: 95 % intervals."
    )


def _how(result: dict[str, Any]) -> list[str]:
    plan = result["plan"]
    size = "x".join(map(str, plan["image_size"]))
    return [
        f"The race chose; the comparison above was trained anew, with {result['gain']['n']} seeds of its own, and read the test "
        "part once, so that its interval owes nothing to the choice. It speaks of the noise between trainings, not of other test "
        "images.",
        f"Planned from {plan['images_per_second']:,.0f} images/s of {plan['model']} on {size} pixels.",
    ]


def _seeds(lines: list[dict[str, Any]], augment: str, strategy: str) -> list[list[dict[str, Any]]]:
    own = [line for line in lines if line["augment"] == augment and line["strategy"] == strategy]
    return [[line for line in own if line["seed"] == seed] for seed in dict.fromkeys(line["seed"] for line in own)]
