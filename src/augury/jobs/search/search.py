"""`augury search`: find a policy on the user's own images, and compare it with random search at equal budget.

The search sees only the training and the validation part. Children train on a proxy whose test part is empty, so that nothing
can be selected by it. The winner, random search's winner and the controls are then trained on the full training part, and
the test part is read once, at the end of each of those trainings.
"""

from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from augury.augment.names import read_policy_file
from augury.augment.policies.file import PolicyFile, write_policy
from augury.core.errors import InputError
from augury.core.options import Spec, parse_chain
from augury.jobs.compare import compare
from augury.jobs.environment import environment
from augury.jobs.estimate import Before
from augury.jobs.progress import bar
from augury.jobs.search.cost import announce_search, proxied
from augury.jobs.search.extend import EXTENDABLE, extends, forget_trainings, trained_as
from augury.jobs.search.report import noise_note, report_page, sentence
from augury.jobs.search.settings import FINAL_TIMES, SearchSettings
from augury.jobs.search.setup import controls_for, controls_of, random_searcher, searcher_of, space_of
from augury.train.data.dataset import Dataset
from augury.train.engine.checkpoint import write_atomically
from augury.train.engine.metrics import Metric, metric_of
from augury.train.engine.prepare import prepare
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.setup import one_class_only, pick_device
from augury.train.engine.source import load_for
from augury.train.pools.opened import ALONE, Workers, pool_of
from augury.train.pools.pool import Pool
from augury.train.search.arm import ArmResult, run_arm
from augury.train.search.budget import Budget
from augury.train.search.child import ChildRunner, refined_from
from augury.train.search.journal import Journal
from augury.train.search.outcome import Job, Outcome
from augury.train.search.spaces import RandAugmentSpace, SearchSpace
from augury.train.search.tanda_space import TandaSpace

ARMS = ("found", "random")
JOINED = 5


@dataclass(frozen=True)
class SearchOptions:
    """How a search is run, without influence on its result. workers: who trains. storage: where Optuna keeps its
    study, a file in the output folder by default.
    """

    workers: Workers = ALONE
    storage: str | None = None


def search(
    settings: Settings, options: SearchSettings, output: Path, how: SearchOptions | None = None, *, resume: bool = False,
    overwrite: bool = False, quiet: bool = False, before: Before | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Search, then train the winner and its controls with several seeds; returns result.json's content.

    settings.augment is applied before the searched policy, and settings.epochs are those of a child. Writes config.yaml,
    journal.jsonl (a
    line per child), found.yaml and random.yaml (policy files; TANDA's generators beside them), retrained/ (the comparison),
    result.json and report.html. A killed search resumes without losing finished children.
    """
    how = how or SearchOptions()
    dataset = load_for(settings)
    one_class_only(dataset, "search")
    settings = replace(settings, metric=metric_of(settings.metric).name)
    settings = settings.resolved(len(dataset.train.ids)) if settings.batch_size else settings
    final = replace(settings, epochs=options.final_epochs or FINAL_TIMES * settings.epochs)
    device = str(pick_device(settings.device))
    space, left_out = space_of(options, dataset, device)
    options = replace(options, controls=controls_for(options, dataset))
    child = _checked(settings, options, final, dataset)
    reduced = proxied(dataset, settings, options)
    tpe = _study(options, settings, output, how)
    # Optuna's sampler proposes by what has ended: its findings would depend on how many cores there are.
    children = replace(how.workers, open=how.workers.open and options.sampler != "tpe")
    children = announce_search(child, final, options, reduced, dataset, output if resume else None, children, before)
    fresh = not output.exists()
    told = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()}
    config = {**settings.dict(), **told}
    extended = resume and extends(output, options, config)
    directory = _opened(output, config, overwrite, resume)
    finished = directory.result()
    if finished is not None and not extended:
        return finished
    (output / "result.json").unlink(missing_ok=True)  # from before the extension
    journal = Journal.open(output)
    with ExitStack() as stack:
        try:
            searcher, budget = searcher_of(options, space, settings, tpe, journal.decisions("found"))
            pool = stack.enter_context(pool_of(ChildRunner(child, reduced, space), children))
        except InputError:
            if fresh:
                _leave_nothing(directory)
            raise
        arms = _searched(searcher, budget, space, settings, pool, journal, children.count, quiet)
    for arm, found in arms.items():
        _write_policy(output, arm, found, space, reduced, settings, options, journal)
    shares = {arm: _refine_share(found, space, reduced) for arm, found in arms.items()}
    retrained = _retrained(final, options, output, shares, how.workers, quiet)
    result = _result(options, arms, retrained, space, children, metric_of(settings.metric), dataset.validation.labels)
    result["environment"] = environment(device)
    result["notes"] = [*dataset.notes, *left_out]
    write_atomically(output / "report.html", report_page(result, final, options, dataset, output).encode())
    directory.finish(result)
    return result


def _checked(settings: Settings, options: SearchSettings, final: Settings, dataset: Dataset) -> Settings:
    """The children's settings; InputError, before anything is written, for settings that cannot be trained."""
    child = replace(settings, model=options.child_model or settings.model)
    prepare(child, dataset)
    for chain in controls_of(options):
        if str(chain) in ARMS:
            raise InputError(f"--controls: {chain} is the search's own row; name other augmentations")
        prepare(replace(final, augment=_after(settings.augment, str(chain))), dataset)
    return child


def _leave_nothing(directory: RunDirectory) -> None:
    """Remove the files of a search that was refused after it had begun."""
    directory.clear()
    (directory.path / "study.journal").unlink(missing_ok=True)
    with suppress(OSError):
        directory.path.rmdir()


def _opened(output: Path, config: dict[str, Any], overwrite: bool, resume: bool) -> RunDirectory:
    directory = RunDirectory.open(output, config, overwrite=overwrite, resume=resume, may_change=EXTENDABLE)
    if overwrite and not resume:
        Journal(output).clear()
        RunDirectory(output / "retrained").clear()
        for name in ("found.yaml", "random.yaml", "found.safetensors", "random.safetensors", "study.journal"):
            (output / name).unlink(missing_ok=True)
    return directory


def _study(options: SearchSettings, settings: Settings, output: Path, how: SearchOptions) -> dict[str, Any]:
    """The storage and the name of Optuna's study; the same search has the same name wherever it runs."""
    if how.storage is not None and options.sampler != "tpe":
        raise InputError("--storage: applies to --sampler tpe only; leave it out")
    if options.sampler != "tpe":
        return {}
    from augury.train.search.tpe import optuna_module, owner_of

    optuna_module()
    same = {**settings.dict(), **asdict(options), **dict.fromkeys(EXTENDABLE), "seed": None, "device": None, "data_dir": None}
    name = "augury " + " ".join(f"{k}={v}" for k, v in same.items() if v not in (None, []))
    storage = how.storage or str(output / "study.journal")
    # A study in the output folder belongs to this search alone, even after the folder has been moved.
    owner = f"this:{settings.seed}" if how.storage is None else owner_of(str(output.resolve()), settings.seed)
    return {
        "storage": storage, "study_name": name[:500], "owner": owner,
        "round_size": how.workers.count,
    }  # fmt: skip


def _searched(
    searcher: Any,
    budget: Budget,
    space: SearchSpace,
    settings: Settings,
    pool: Pool[Job, Outcome],
    journal: Journal,
    workers: int,
    quiet: bool,
) -> dict[str, ArmResult]:
    """Run both arms: the method, then random search with an equal budget."""
    total, before = 2 * (budget.children or int(budget.seconds or 0)), set(journal.known)
    with bar(total, quiet, "children" if budget.children else "seconds") as progress:

        def count(outcome: Outcome) -> None:
            said = f"{outcome.accuracy:.1f} %" if outcome.accuracy is not None else "crashed"
            progress.label(f"{outcome.arm} {outcome.number + 1}: {said}")
            done = progress.skip if (outcome.arm, outcome.number) in before else progress.advance
            done(1 if budget.children else max(1, round(outcome.seconds / workers)))

        found = run_arm("found", searcher, budget, pool, journal, seed=settings.seed, workers=workers, on_child=count)
        chance = random_searcher(space, settings.seed)
        equal = equal_budget(space, found, workers)
        random = run_arm("random", chance, equal, pool, journal, seed=settings.seed, workers=workers, on_child=count)
    return {"found": found, "random": random}


def equal_budget(space: SearchSpace, found: ArmResult, workers: int) -> Budget:
    """Random search's budget: as many children. TANDA's children train a generator first, which random ones do not, so random
    search then gets as much time, and at least as many children."""
    children = len(found.outcomes)
    return Budget(None, found.seconds / workers, least=children) if isinstance(space, TandaSpace) else Budget(children)


def policies_kept(options: SearchSettings, children: int) -> int:
    """How many of the best policies are joined into the result: AutoAugment's 5, or a quarter of fewer than 20 children; else
    1."""
    return max(1, min(JOINED, children // 4)) if options.method == "autoaugment" else 1


def _write_policy(
    output: Path, arm: str, found: ArmResult, space: SearchSpace, dataset: Dataset, settings: Settings, options: SearchSettings,
    journal: Journal,
) -> None:  # fmt: skip
    """Write ARM.yaml with its provenance, and the generator next to it if there is one."""
    best = found.best(policies_kept(options, len(found.outcomes)))
    contents = [_content(outcome, space, dataset, journal) for outcome in best]
    rows = tuple(row for content in contents for row in content.periods[0][1])
    provenance = {
        "method": options.method if arm == "found" else f"random search over the space of {options.method}",
        "data": settings.data, "training_images": len(dataset.train.ids), "validation_images": len(dataset.validation.ids),
        "model": options.child_model or settings.model, "epochs": settings.epochs, "augment_before": settings.augment,
        "seed": settings.seed, "children": len(found.outcomes), "chosen": [outcome.number for outcome in best],
        "validation_accuracy": [outcome.accuracy for outcome in best], "words": [space.words(o.decisions) for o in best],
        "refine_share": _refine_share(found, space, dataset), "made_by": f"augury {environment()['augury']}",
    }  # fmt: skip
    name = f"{arm} by augury search"
    text = write_policy(PolicyFile(name, ((1.0, rows),), "augury search", provenance, contents[0].repeat))
    file = output / f"{arm}.yaml"
    before, kept = trained_as(file), file.read_bytes() if file.exists() else b""
    write_atomically(file, text.encode())
    if before is not None and trained_as(file) != before:
        forget_trainings(output / "retrained", file)
    elif before is not None:
        # The policy is unchanged: keep the file's text, so that its trainings are not repeated for another number of children.
        write_atomically(file, kept)
    generator = journal.file(arm, best[0].number, "safetensors")
    if generator.exists():
        write_atomically(output / f"{arm}.safetensors", generator.read_bytes())


def _content(outcome: Outcome, space: SearchSpace, dataset: Dataset, journal: Journal) -> PolicyFile:
    """A child's policy: from its own file if rebuilding it would mean training, otherwise from its decisions."""
    file = journal.file(outcome.arm, outcome.number, "yaml")
    if file.exists():
        return read_policy_file(file)
    made = space.candidate(outcome.decisions, dataset, outcome.seed)
    return PolicyFile(outcome.arm, ((1.0, made.rows),), repeat=made.repeat)


def _after(before: str, policy: str) -> str:
    """The chain of the preceding augmentation and a policy's file or name."""
    chain = parse_chain(before, "--augment")
    policies = parse_chain(policy, "--controls")
    return str(replace(chain, stages=tuple(s for s in (*chain.stages, *policies.stages) if s != Spec("none"))))


def _refine_share(found: ArmResult, space: SearchSpace, dataset: Dataset) -> float:
    """The share of epochs, at the end, that the arm's winner trains without its policy."""
    if not isinstance(space, RandAugmentSpace):
        return 0.0
    best = found.best(1)[0]
    return space.candidate(best.decisions, dataset, best.seed).refine_share


def _retrained(
    final: Settings, options: SearchSettings, output: Path, shares: dict[str, float], workers: Workers, quiet: bool
) -> dict[str, Any]:  # fmt: skip
    """The final comparison, with random search's winner as the reference. shares: of epochs without the policy, by arm."""
    files = {arm: str(Spec(str((output / f"{arm}.yaml").resolve()))) for arm in ("random", "found")}
    names = [*files.values(), *map(str, controls_of(options))]
    augment = ",".join(_after(final.augment, name) for name in names)
    folder = output / "retrained"
    found = compare(
        replace(final, augment=augment), options.seeds, folder, resume=True, quiet=quiet, may_change=("augment", "seeds"),
        own={_after(final.augment, files[arm]): refined_from(final.epochs, share) for arm, share in shares.items()},
        workers=workers,
    )  # fmt: skip
    labels = ["random", "found", *names[2:]]
    found["rows"] = [
        {"name": label, **row, "path": row["augment"], "augment": label} for label, row in zip(labels, found["rows"], strict=True)
    ]
    return found


def _result(
    options: SearchSettings,
    arms: dict[str, ArmResult],
    retrained: dict[str, Any],
    space: SearchSpace,
    children: Workers,
    metric: Metric,
    labels: Tensor,
) -> dict[str, Any]:
    found = next(row for row in retrained["rows"] if row["name"] == "found")
    own, spent = arms["found"].own_seconds, arms["found"].seconds
    return {
        "version": 1,
        "method": options.method,
        "verdict": sentence(found),
        "rows": retrained["rows"],
        "policy": "found.yaml",
        "search": {arm: _arm(result, options, space, metric, labels) for arm, result in arms.items()},
        "controller": {"seconds": round(own, 4), "share": round(own / spent, 6) if spent else None},
        "workers": children.count,
    }


def _arm(found: ArmResult, options: SearchSettings, space: SearchSpace, metric: Metric, labels: Tensor) -> dict[str, Any]:
    """An arm's part of result.json. labels: of the validation part, by which its children were chosen."""
    best = found.best(policies_kept(options, len(found.outcomes)))
    scores = [outcome.accuracy or 0.0 for outcome in found.best(len(found.outcomes))]
    return {
        "children": len(found.outcomes),
        "failed": sum(outcome.error is not None for outcome in found.outcomes),
        "pruned": sum(outcome.pruned for outcome in found.outcomes),
        "epochs": sum(outcome.epochs for outcome in found.outcomes),
        "seconds": round(found.seconds, 3),
        "chosen": [outcome.number for outcome in best],
        "validation_accuracy": [outcome.accuracy for outcome in best],
        "score": metric.score_title,
        "noise": noise_note(scores, len(best), metric, labels),
        "policy": [space.words(outcome.decisions) for outcome in best],
        "rewards": [outcome.accuracy for outcome in found.outcomes],
        "errors": sorted({outcome.error for outcome in found.outcomes if outcome.error})[:5],
    }
