"""The result of a search as a sentence, a page and a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from augury.core.options import parse_chain
from augury.explain.pages.page import comparison_page
from augury.explain.report.diagrams import Point, line_panel, side_by_side
from augury.explain.report.summary import interval, number
from augury.jobs.reporting import settings_shown, sheet_of
from augury.jobs.search.arms import arm_words
from augury.jobs.search.settings import SearchSettings
from augury.train.data.dataset import Dataset
from augury.train.engine.metrics import Metric, metric_of
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.search.budget import Budget

SHEETS = 2


def sentence(found: Mapping[str, Any]) -> str:
    """The verdict on the found policy, from its row's paired difference to random search's."""
    if found["n"] < 2 or found["difference"] is None:
        return "one seed cannot tell it from random search; use three seeds or more"
    brackets = interval(found["difference_low"], found["difference_high"], sign=True)
    points = f"{number(found['difference'], sign=True)} points {brackets}".rstrip()
    words = {"better": "better than random search", "worse": "worse than random search"}
    return f"{words.get(found['verdict'], 'not shown to be better or worse than random search')} ({points}, {found['n']} seeds)"


def noise_note(rewards: Sequence[float], kept: int, metric: Metric, labels: Tensor) -> str | None:
    """That the choice fell on noise, where the best child that was not kept is less than one validation image behind.

    rewards: of the children that may be chosen, in falling order; kept: so many of them are.
    """
    if len(rewards) <= kept:
        return None
    image = metric.one_image(labels)
    behind = rewards[kept - 1] - rewards[kept]
    if behind >= image * (1 - 1e-9):
        return None
    near = sum(rewards[kept - 1] - each < image * (1 - 1e-9) for each in rewards[kept:])
    return (
        f"picked on noise: {near} of the other children {'is' if near == 1 else 'are'} less than one of the {len(labels):,} "
        f"validation images behind ({image:.2g} points); a larger validation part or more --epochs would tell them apart"
    )


def _equal(arms: Mapping[str, Any]) -> str:
    """What was equal in the two searches."""
    found, random = arms["found"], arms["random"]
    if found["children"] == random["children"]:
        return f"Both searches trained {found['children']} children."
    return (
        f"The method trained {found['children']} children in {found['seconds']:.0f} s, their generators included, and random "
        f"search {random['children']} in {random['seconds']:.0f} s."
    )


def report_page(result: dict[str, Any], final: Settings, options: SearchSettings, dataset: Dataset, output: Path) -> str:
    """report.html: the comparison of the winners, the course of the search, and the policies' effect on the user's images."""
    metrics = RunDirectory(output / "retrained").metrics()
    curves = {}
    for row in result["rows"]:
        lines = [line for line in metrics if line["augment"] == row["path"]]
        curves[row["name"]] = [[x for x in lines if x["seed"] == seed] for seed in dict.fromkeys(x["seed"] for x in lines)]
    shown = settings_shown(final, result["environment"]) | {
        "seeds": str(options.seeds),
        "search": f"{options.method}, a budget of {Budget.of(options.budget)}, seed {final.seed}; children: "
        f"{options.child_model or final.model} on at most {options.proxy} images",
        "before the policy": final.augment,
    }
    sheets = [
        replace(sheet_of(dataset, parse_chain(row["path"], "--augment"), final.seed), title=row["name"])
        for row in sorted(result["rows"][:SHEETS], key=lambda row: row["name"] != "found")
    ]
    notes = [
        f"The found policy is {result['verdict']}. {_equal(result['search'])} Both selected on the validation part "
        "alone; the test part was used once, at the end of the trainings shown here.",
        *(arm_words(name, arm) for name, arm in result["search"].items()),
        *result["notes"],
    ]
    return comparison_page(
        result, settings=shown, curves=curves, sheets=sheets, notes=notes, title="Policy search",
        figures=[rewards(result["search"], metric_of(final.metric).score_title)],
    )  # fmt: skip


def rewards(arms: Mapping[str, Any], score: str) -> tuple[str, str, str]:
    """Every child's reward in order, and the best so far: title, HTML and caption. score: what a reward is."""
    names = {"found": "the method", "random": "random search"}
    series: dict[str, list[Point]] = {}
    best: dict[str, list[Point]] = {}
    for arm, found in arms.items():
        highest = 0.0
        for child, reward in enumerate(found["rewards"], start=1):
            if reward is not None:
                highest = max(highest, reward)
                series.setdefault(names[arm], []).append((child, reward, reward, reward))
                best.setdefault(names[arm], []).append((child, highest, highest, highest))
    axes = ("child", f"validation: {score}, %")
    panels = [line_panel("Reward of every child", series, axes), line_panel("Best so far", best, axes, points=False)]
    caption = f"A child's reward is its {score} on the validation part after its last epoch. Children that crashed have none."
    return "Rewards", side_by_side(panels, list(series)), caption
