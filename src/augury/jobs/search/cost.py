"""What a search trains on, and how long it will take."""

from pathlib import Path

from augury.jobs.estimate import Before, Work, announce
from augury.jobs.search.settings import SearchSettings
from augury.jobs.search.setup import controls_of
from augury.train.data.dataset import Dataset
from augury.train.engine.settings import Settings
from augury.train.pools.opened import Workers
from augury.train.search.budget import Budget
from augury.train.search.child import proxy
from augury.train.search.journal import Journal


def proxied(dataset: Dataset, settings: Settings, options: SearchSettings) -> Dataset:
    """What children are trained on."""
    few_labels = settings.labels is not None or settings.labels_per_class is not None
    return proxy(dataset, 10**9 if few_labels else options.proxy, settings.seed)


def announce_search(
    child: Settings, final: Settings, options: SearchSettings, reduced: Dataset, dataset: Dataset, resumed: Path | None,
    workers: Workers, before: Before | None,
) -> Workers:  # fmt: skip
    """Say how long both arms and the final trainings will take; returns who trains the children."""
    budget, rows = Budget.of(options.budget), 2 + len(controls_of(options))
    done = 0 if resumed is None or not resumed.is_dir() else len(Journal.open(resumed).known)
    children = 0 if budget.children is None else max(0, 2 * budget.children - done)
    works = [
        Work(child, reduced, children, children * child.epochs),
        Work(final, dataset, rows * options.seeds, rows * options.seeds * final.epochs),
    ]
    fixed = 0.0 if budget.seconds is None else 2 * budget.seconds
    return announce(works, before, workers, "the generators" if options.method == "tanda" else "", fixed)
