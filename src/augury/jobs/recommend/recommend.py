"""`augury recommend`: look, plan, race, then compare the best candidate with the reference on the test part, once."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from augury.core.errors import InputError, RunError
from augury.core.options import parse_chain
from augury.explain.race import seeds_to_settle
from augury.jobs.compare import compare
from augury.jobs.environment import environment
from augury.jobs.recommend.candidates import Candidate, candidates
from augury.jobs.recommend.look import Look, look, typical_side
from augury.jobs.recommend.plan import FEWEST_SEEDS, MOST_SEEDS, RESERVE, Plan, plan_of, probe, turns
from augury.jobs.recommend.race import Race, RaceRunner
from augury.jobs.recommend.report import report_page
from augury.jobs.recommend.settings import RecommendSettings
from augury.train.data.dataset import Dataset
from augury.train.data.subsets import kept_rows
from augury.train.engine.checkpoint import write_atomically, write_json
from augury.train.engine.metrics import metric_of
from augury.train.engine.prepare import check
from augury.train.engine.pretrained import size_of_weights
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import MetricName, Settings
from augury.train.engine.setup import one_class_only, pick_device
from augury.train.engine.source import load_for
from augury.train.pools.opened import ALONE, Workers, pool_of
from augury.train.search.child import refined_from
from augury.train.search.journal import Journal

UNEVEN = 1.5
EVALUATION_COST = 1 / 3  # of an image, in trainings of one: a pass forward of three passes
POLICY, FINAL, PLAN = "recommended.yaml", "final", "plan.json"
SECONDS_WORTH_PROCESSES, SECONDS_TO_BEGIN = 120.0, 5.0  # a process begins twice: for the race, and for the comparison
_SIDE = 64  # images are first looked at no larger than this
Told = Callable[[str], None]
Seen = Callable[[list[dict[str, Any]], str], None]


@dataclass(frozen=True)
class Prepared:
    """What is known before anything is raced. reserve: seconds to keep for reports at the end. workers: who trains."""

    settings: Settings
    dataset: Dataset
    chosen: tuple[Candidate, ...]
    look: Look
    plan: Plan
    reserve: float
    workers: Workers


def recommend(
    options: RecommendSettings, output: Path | None, *, workers: Workers = ALONE, resume: bool = False,
    overwrite: bool = False, dry_run: bool = False, told: Told = lambda text: None,
    seen: Seen | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Recommend an augmentation for the images; returns result.json's content, or the plan alone for `dry_run`.

    Writes config.yaml, plan.json, journal.jsonl (a line for each training of the race), final/ (a comparison of the best candidate
    with the reference), result.json, recommended.yaml and report.html. A killed recommendation resumes without losing finished
    trainings; with more minutes it takes further seeds. told: is given each line of progress,
    seen: the race's rows and metric after every training of it.

    Raises InputError for what is refused before anything is written.
    """
    started, already = time.monotonic(), _seconds_before(output) if output is not None and resume else 0.0
    opened = partial(RunDirectory.open, config=_config(options), overwrite=overwrite, resume=resume, may_change={"minutes"})
    if output is not None and (output / "config.yaml").exists() and not (overwrite or dry_run):
        opened(output)  # what was begun with other settings is refused before anything is measured
    end = started - already + 60 * options.minutes
    prepared = _prepared(options, output if resume else None, end, workers, told)
    if dry_run or output is None:
        return {"version": 1, "metric": prepared.settings.metric, "look": prepared.look.dict(), "plan": prepared.plan.dict()}
    directory = opened(output)
    if overwrite:
        _forget(output)
    write_json(output / PLAN, prepared.plan.dict())
    race = _raced(prepared, options, output, end, told, seen)
    challenger = race.challenger()
    if challenger is None:
        first = next(iter(race.errors.values()), "the time did not suffice for one round; give more --minutes")
        raise RunError(f"recommend: no candidate beside the reference was trained: {first}")
    best, compared = _compared(prepared, race, challenger, output, end, told)
    result = _result(prepared, race, best, compared)
    result["seconds"] = round(already + time.monotonic() - started, 1)
    result["environment"] = environment(pick_device(options.device))
    write_atomically(output / POLICY, _policy(result).encode())
    write_atomically(output / "report.html", report_page(result, compared, prepared.settings, prepared.dataset, output).encode())
    write_json(output / "time.json", {"seconds": result["seconds"]})
    directory.finish(result)
    return result


def _prepared(options: RecommendSettings, resumed: Path | None, end: float, workers: Workers, told: Told) -> Prepared:
    """Load the data, look at them, and plan, or take up the plan of before. end: when all has to be done, of the clock. workers:
    chosen here where they are open."""
    started, native = time.monotonic(), typical_side(options.data)
    side = options.image_size or (None if native is None else min(native, _SIDE))
    dataset = _loaded(options.training(image_size=side))
    one_class_only(dataset, "recommend")
    found = look(dataset, native)
    told(found.words())
    reserve = max(60 * options.minutes * RESERVE, 2 + 2 * (time.monotonic() - started))
    metric = options.metric or metric_for(found)
    chosen = tuple(candidates(options.reference, options.candidates, dataset.train.images.shape[1]))
    base = options.training(metric=metric)
    for each in chosen:
        _checked(each, base, dataset, "--reference" if each is chosen[0] else "--candidates")
    plan = _plan_before(resumed)
    workers = _chosen_workers(workers, plan, options, len(chosen))
    reserve += 0 if workers.here else 2 * SECONDS_TO_BEGIN
    if plan is None:
        rates = probe(replace(base, epochs=1), dataset, 60 * options.minutes, options.network, workers.count)
        size = options.image_size or size_of_weights(base)
        plan = plan_of(
            base, dataset, end - reserve - time.monotonic(), rates, candidates=len(chosen), epochs=options.epochs,
            side=None if size is None else (size if isinstance(size, tuple) else (size, size)), native=found.side,
            workers=workers.count,
        )  # fmt: skip
    told(plan.words())
    share = min(1.0, max(0.01, plan.images / (len(dataset.train.ids) + len(dataset.validation.ids))))
    settings = replace(
        base, model=plan.model, epochs=plan.epochs, image_size=plan.image_size, fraction=round(options.fraction * share, 4)
    )  # fmt: skip
    if tuple(dataset.train.images.shape[-2:]) != plan.image_size or share < 1:
        dataset = _loaded(settings)
    settings = settings.resolved(len(dataset.train.ids))
    return Prepared(settings, dataset, chosen[: plan.candidates], found, plan, reserve, workers)


def _chosen_workers(workers: Workers, plan: Plan | None, options: RecommendSettings, candidates: int) -> Workers:
    """Who trains: as in the plan of before, this process alone in a short time, else a process for each core. Those that the user
    named stay."""
    if not workers.open:
        return workers
    if plan is not None:
        return Workers(plan.workers)
    return ALONE if 60 * options.minutes < SECONDS_WORTH_PROCESSES else workers.chosen(candidates, options.device)


def _loaded(settings: Settings) -> Dataset:
    """The data set with the settings' fraction of its validation part too, since a race trains on both."""
    dataset = load_for(settings)
    if settings.fraction == 1:
        return dataset
    return replace(dataset, validation=dataset.validation[kept_rows(dataset.validation, settings.fraction)])


def _checked(candidate: Candidate, settings: Settings, dataset: Dataset, flag: str) -> None:
    """InputError, naming the flag, for a candidate that could not be trained."""
    try:
        check(candidate.settings(settings, settings.epochs, settings.seed), dataset)
    except InputError as error:
        raise InputError(str(error).replace("--augment", flag, 1)) from None


def _raced(prepared: Prepared, options: RecommendSettings, output: Path, end: float, told: Told, seen: Seen | None) -> Race:
    """The race, which leaves the time for the final trainings."""
    plan, dataset = prepared.plan, prepared.dataset
    journal = Journal.open(output)
    deadline = end - prepared.reserve - plan.final_seconds
    race = Race(plan, prepared.chosen, prepared.settings, journal, options.error_rate, deadline, told=told, seen=seen)
    unseen = replace(dataset, test=dataset.test[torch.zeros(0, dtype=torch.int64)], notes=())
    with pool_of(RaceRunner(prepared.settings, unseen, prepared.chosen, plan.validation), prepared.workers) as pool:
        race.run(pool)
    return race


def _compared(
    prepared: Prepared, race: Race, challenger: int, output: Path, end: float, told: Told
) -> tuple[Candidate, dict[str, Any]]:  # fmt: skip
    """The best candidate, and its comparison with the reference: both trained in full with new seeds and read on the test part."""
    plan, best = prepared.plan, prepared.chosen[challenger]
    before = _final_before(output)
    epochs = plan.epochs if before is None else before["epochs"]
    # They evaluate the whole validation part after every epoch, where the race's trainings evaluated once.
    evaluated = len(prepared.dataset.validation.ids) / prepared.settings.fraction / len(prepared.dataset.train.ids)
    each = sum((race.seconds_per_epoch(k) or 0.0) for k in (0, challenger)) / 2 * (1.1 + evaluated * EVALUATION_COST)
    left, count = max(0.0, end - prepared.reserve - time.monotonic()), prepared.workers.count
    seeds = min(MOST_SEEDS, int(left / max(1e-9, each * epochs)) * count // 2)
    if before is not None:
        seeds = max(before["seeds"], min(MOST_SEEDS, before["seeds"] + seeds))
        best = Candidate(before["augment"], before["strategy"], before["refine_share"])
    elif seeds < FEWEST_SEEDS:
        seeds, epochs = FEWEST_SEEDS, max(1, min(plan.epochs, int(left / max(1e-9, each * turns(2 * FEWEST_SEEDS, count)))))
    told(f"{best.name} against {prepared.chosen[0].name}: {epochs} epochs, {seeds} seeds, on the test part")
    write_json(output / "final.json", {**asdict(best), "epochs": epochs, "seeds": seeds})
    settings = replace(prepared.settings, epochs=epochs, augment=f"{prepared.chosen[0].augment},{best.augment}")
    if best.strategy != "erm":
        settings = replace(settings, augment=best.augment, strategy=f"erm,{best.strategy}")
    own = {best.augment: refined_from(epochs, best.refine_share)} if best.refine_share else {}
    found = compare(
        settings, seeds, output / FINAL, resume=True, quiet=True, may_change={"seeds"}, own=own, workers=prepared.workers
    )  # fmt: skip
    return best, found


def _result(prepared: Prepared, race: Race, winner: Candidate, compared: dict[str, Any]) -> dict[str, Any]:
    """result.json."""
    reference, best = compared["rows"]
    chosen = prepared.chosen
    metric = metric_of(prepared.settings.metric)
    sign = 1 if metric.rising else -1
    led = race.best() != 0
    gain = sign * (best["difference"] or 0.0)
    taken = is_taken(best["verdict"], gain, led)
    differences = [b - a for a, b in zip(reference["values"], best["values"], strict=True)]
    result = {
        "version": 1,
        "metric": metric.name,
        "recommendation": (winner if taken else chosen[0]).row(),
        "reference": {**chosen[0].row(), "mean": reference["mean"], "low": reference["low"], "high": reference["high"]},
        "challenger": {**winner.row(), "mean": best["mean"], "low": best["low"], "high": best["high"]},
        "gain": {
            "mean": best["difference"], "low": best["difference_low"], "high": best["difference_high"], "n": best["n"],
        },
        "verdict": best["verdict"],
        "seeds_to_settle": seeds_to_settle(differences) if best["verdict"] == "no difference shown" else None,
        "rows": race.rows(),
        "error_rate": race.error_rate,
        "classes": compared.get("classes", []),
        "look": prepared.look.dict(),
        "plan": prepared.plan.dict(),
        "notes": list(dict.fromkeys([*prepared.dataset.notes, *compared["notes"]])),
    }  # fmt: skip
    return result | {"answer": answer(result)}


def metric_for(found: Look) -> MetricName:
    """What candidates are compared by, where the user does not say."""
    return "balanced" if found.uneven > UNEVEN else "accuracy"


def is_taken(verdict: str, gain: float, led: bool) -> bool:
    """Whether the best candidate is recommended, and not the reference. gain: over the reference, in the final comparison; led:
    whether it led the race."""
    return verdict == "better" or (led and gain > 0 and verdict != "worse")


def answer(result: dict[str, Any]) -> str:
    """The recommendation in two or three sentences."""
    gain, metric = result["gain"], metric_of(result["metric"])
    unit = "points" if metric.unit == "%" else metric.unit
    digits = 1 if metric.unit == "%" else 3
    reference, name = result["reference"]["augment"], Candidate.of(result["challenger"]).name
    mean = f"{gain['mean']:+.{digits}f}"
    within = "" if gain["low"] is None else f", 95 % interval {gain['low']:+.{digits}f} to {gain['high']:+.{digits}f}"
    what = f"{mean} {unit} of {metric.title} on the test part ({gain['n']} seeds{within})"
    if result["verdict"] == "better":
        return f"Use {name}. It is better than {reference} here: {what}."
    more = result["seeds_to_settle"]
    open_ = f" {more} seeds would settle it if the trainings go on as they did." if more else ""
    if Candidate.of(result["recommendation"]) == Candidate.of(result["challenger"]):
        return f"The best guess is {name}, but its gain over {reference} is not shown: {what}.{open_}"
    excluded = _excluded(gain, metric.rising)
    bound = "" if excluded is None else f"; gains above {excluded:.{digits}f} {unit} are excluded"
    return f"Nothing that was tried beats {reference} here{bound}. The best of the others, {name}, has {what}.{open_}"


def _excluded(gain: dict[str, Any], rising: bool) -> float | None:
    end = gain["high"] if rising else gain["low"]
    return None if end is None else max(0.0, end if rising else -end)


def _policy(result: dict[str, Any]) -> str:
    """recommended.yaml: the recommendation as a policy file, usable wherever an augmentation is named."""
    chosen = result["recommendation"]
    chain = parse_chain(chosen["augment"], "--candidates")
    if any(stage.name.endswith((".yaml", ".yml")) for stage in chain.stages):  # a policy file cannot name another one
        text: str = yaml.safe_dump({"augment": chosen["augment"], "strategy": chosen["strategy"]}, sort_keys=False)
        return f"# Settings, for -c: {result['answer']}\n{text}"
    made = {
        "augury_policy": 1, "name": "recommended", "source": "augury recommend", "augment": str(chain),
        "provenance": {key: result[key] for key in ("answer", "metric", "gain", "verdict")} | {"strategy": chosen["strategy"]},
    }  # fmt: skip
    text = yaml.safe_dump(made, sort_keys=False, width=120)
    return text


def _config(options: RecommendSettings) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(options).items()}


def _forget(output: Path) -> None:
    """Remove what an earlier recommendation left beside what every run has."""
    Journal(output).clear()
    RunDirectory(output / FINAL).clear()
    for name in (POLICY, PLAN, "final.json", "time.json"):
        (output / name).unlink(missing_ok=True)


def _plan_before(output: Path | None) -> Plan | None:
    if output is None or not (output / PLAN).exists():
        return None
    return Plan.of(json.loads((output / PLAN).read_text(encoding="utf-8")))


def _final_before(output: Path) -> dict[str, Any] | None:
    path = output / "final.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _seconds_before(output: Path) -> float:
    """What earlier calls took: as they noted at their end, or at least what the journal's trainings took."""
    noted = output / "time.json"
    if noted.exists():
        return float(json.loads(noted.read_text(encoding="utf-8"))["seconds"])
    return sum(outcome.seconds for outcome in Journal.open(output).known.values()) if output.is_dir() else 0.0
