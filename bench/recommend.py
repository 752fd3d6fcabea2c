"""How good are the recommendations of `augury recommend`? Every candidate is trained to the end, and races are run on the records.

    python bench/recommend.py record cifar10 --data-dir D --fraction 0.0667 --epochs 16 --folder F/cifar10
    python bench/recommend.py replay F/* --output results/recommend.json

`record` trains all candidates of the command in five rounds, for a quarter of the epochs, half of them and all, on the race's own
cuts of the training images, and writes accuracies on the held-out images and on the test part. It resumes where it was stopped.

`replay` takes what the trainings of all epochs reach on the test part, averaged over rounds, for the truth, and lets races of a
quarter of their cost choose by the same code as the command: rounds come in an order drawn anew for each of 200 races, held-out
images decide, and rounds that the race did not see make the comparison at the end. Beside them: a candidate drawn at random, the
same one for everybody, and successive halving at the same cost. False claims are counted where all candidates are the same: each
candidate's values are taken from their mean, and candidates change places at random in every round.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augury.core.memory import prepare_for_training
from augury.explain.statistics import compare_rows
from augury.jobs.environment import environment
from augury.jobs.recommend.candidates import Candidate, candidates
from augury.jobs.recommend.look import look
from augury.jobs.recommend.plan import RUNGS, Plan, held_out, rungs_of
from augury.jobs.recommend.race import Race, RaceRunner, resplit
from augury.jobs.recommend.recommend import is_taken, metric_for
from augury.jobs.recommend.settings import REFERENCE, RecommendSettings
from augury.train.data.dataset import Dataset
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.source import load_for
from augury.train.pools.pool import OnTold, Shared, unheard
from augury.train.search.journal import Journal
from augury.train.search.outcome import Job, Outcome

ROUNDS, FINAL_ROUNDS, RACES, SHARE_OF_COST, ERROR_RATE = 5, 3, 200, 0.25, 0.05
TEST_IMAGES = 4000  # at most, the first ones
ALWAYS = ("crop+flip+trivialaugment", "crop+flip+randaugment(num_ops=2, magnitude=9)")


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    prepare_for_training()
    if options.command == "record":
        record(options)
    else:
        found = replay([Recorded.of(folder) for folder in options.folders])
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------------- recording


def record(options: argparse.Namespace) -> None:
    """Train what `lines.jsonl` of the folder does not have yet, the first round of everything first."""
    given = {
        "data": options.data, "data_dir": options.data_dir, "fraction": options.fraction, "image_size": options.image_size,
        "precision": options.precision, "cache": "off",
    }  # fmt: skip
    settings = RecommendSettings.of(given, "record").training(model=options.model, epochs=options.epochs)
    dataset = load_for(settings)
    dataset = replace(dataset, test=dataset.test[torch.arange(min(len(dataset.test.ids), TEST_IMAGES))])
    metric = metric_for(look(dataset, None))
    settings = replace(settings, metric=metric).resolved(len(dataset.train.ids))
    images = len(dataset.train.ids) + len(dataset.validation.ids)
    held, chosen = held_out(images), candidates(REFERENCE, None)
    runner = RaceRunner(settings, dataset, tuple(chosen), held)
    options.folder.mkdir(parents=True, exist_ok=True)
    about = {
        "data": options.folder.name, "images": images, "test_images": len(dataset.test.ids), "classes": len(dataset.classes),
        "image_size": list(dataset.train.images.shape[-2:]), "model": options.model, "epochs": options.epochs, "metric": metric,
        "precision": options.precision, "command": _command(options), "held_out": round(held, 4),
        "candidates": [each.row() for each in chosen], "environment": environment("cpu"),
    }  # fmt: skip
    (options.folder / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    path = options.folder / "lines.jsonl"
    known = {(line["epochs"], line["round"], line["candidate"]) for line in _lines(path)}
    for turn in range(ROUNDS):
        for epochs in _lengths(options.epochs):
            for number, candidate in enumerate(chosen):
                if (epochs, turn, number) in known:
                    continue
                seed, started, test = 1000 * turn + epochs, time.process_time(), None
                if epochs == options.epochs:
                    result = trained(candidate.settings(settings, epochs, seed), resplit(dataset, seed, held))
                    value, test = result["last"], result["test_metrics"][metric]
                else:
                    value = runner.run(Job("race", 0, (number, epochs), seed)).accuracy
                line = {
                    "epochs": epochs, "round": turn, "candidate": number, "held_out": value, "test": test,
                    "seconds": round(time.process_time() - started, 3),
                }  # fmt: skip
                with open(path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")


def _command(options: argparse.Namespace) -> str:
    """The command without the places of this machine."""
    given = {"--fraction": options.fraction if options.fraction < 1 else None, "--image-size": options.image_size}
    flags = "".join(f" {flag} {value}" for flag, value in given.items() if value is not None)
    return (
        f"python bench/recommend.py record {Path(options.data).name}{flags} --model {options.model} --epochs {options.epochs} "
        f"--precision {options.precision} --folder F/{options.folder.name}"
    )


def trained(settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """result.json's content of a training that is evaluated once, at its end."""
    trainer = Trainer(prepare(settings, dataset))
    trainer.begin(None)
    return trainer.conclude([trainer.train_to_the_end()])


def _lengths(epochs: int) -> list[int]:
    """Epochs of the rungs, as `augury recommend` plans them."""
    return [rung.epochs for rung in rungs_of(epochs, 1)]


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


# ---------------------------------------------------------------------------------------------------------------- records


@dataclass(frozen=True)
class Recorded:
    """What one data set's trainings reached, the metric in percent. held_out, seconds: [rung, candidate, round]; test: [candidate,
    round], of the trainings of all epochs."""

    about: dict[str, Any]
    held_out: np.ndarray
    test: np.ndarray
    seconds: np.ndarray

    @staticmethod
    def of(folder: Path) -> "Recorded":
        """From `record`'s folder; a ValueError if it is not complete."""
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        lengths, count = _lengths(about["epochs"]), len(about["candidates"])
        shape = (len(lengths), count, ROUNDS)
        held_out, test, seconds = np.full(shape, np.nan), np.zeros(shape[1:]), np.zeros(shape)
        for line in _lines(folder / "lines.jsonl"):
            place = (lengths.index(line["epochs"]), line["candidate"], line["round"])
            held_out[place], seconds[place] = line["held_out"], line["seconds"]
            if line["test"] is not None:
                test[place[1:]] = line["test"]
        if np.isnan(held_out).any():
            missing = int(np.isnan(held_out).sum())
            raise ValueError(f"{folder}: {missing} of {held_out.size} trainings are missing; run record again")
        return Recorded(about, held_out, test, seconds)

    @property
    def truth(self) -> np.ndarray:
        """Each candidate's mean on the test part over all rounds, at all epochs."""
        return np.asarray(self.test.mean(1))

    @property
    def exhaustive(self) -> float:
        """Seconds of training every candidate in every round, at all epochs."""
        return float(self.seconds[-1].sum())

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        return tuple(Candidate.of(row) for row in self.about["candidates"])

    def without_effect(self, rng: np.random.Generator) -> "Recorded":
        """The same, but that no candidate is better than another: only the noise between trainings is left of their values, and
        the candidates change places in every round."""
        places = np.stack([rng.permutation(len(self.chosen)) for _ in range(ROUNDS)], 1)

        def shuffled(values: np.ndarray) -> np.ndarray:
            return np.take_along_axis(values - values.mean(1, keepdims=True) + values.mean(), places, 0)

        return replace(self, held_out=np.stack([shuffled(each) for each in self.held_out]), test=shuffled(self.test))


@dataclass
class RecordPool:
    """A pool whose trainings were done before. order: the recorded rounds, as a race of this number meets them; clock: seconds of
    the trainings taken so far."""

    recorded: Recorded
    order: np.ndarray
    clock: float = 0.0

    def run(self, jobs: Iterable[Job], told: OnTold = unheard) -> Iterator[Outcome]:
        lengths = _lengths(self.recorded.about["epochs"])
        for job in jobs:
            candidate, epochs = job.decisions
            place = (lengths.index(epochs), candidate, self.order[job.number // 1000 % 1000])
            taken = float(self.recorded.seconds[place])
            self.clock += taken
            yield Outcome(job.arm, job.number, list(job.decisions), job.seed, float(self.recorded.held_out[place]), taken, epochs)

    def share(self, value: Any) -> Shared[Any]:
        return Shared(value)


class Unwritten(Journal):
    """A journal that stays in memory."""

    def add(self, outcome: Outcome) -> None:
        self.known[outcome.arm, outcome.number] = outcome


# ---------------------------------------------------------------------------------------------------------------- races


@dataclass(frozen=True)
class Ended:
    """What a race came to. chosen: the candidate recommended; claimed: whether it was called better than the reference; lost:
    whether the truly best one was dropped as shown to be worse; seconds: its cost, the comparison at the end included."""

    chosen: int
    claimed: bool
    lost: bool
    seconds: float


def raced(recorded: Recorded, rng: np.random.Generator, seconds: float, best_of_all: int) -> Ended:
    """One race within so many seconds, and the comparison of its best candidate with the reference."""
    order = rng.permutation(ROUNDS)
    pool = RecordPool(recorded, order)
    final = float(recorded.seconds[-1].mean()) * 2 * FINAL_ROUNDS
    race = Race(
        _plan(recorded), recorded.chosen, RecommendSettings.of({"data": "-"}, "replay").training(metric=recorded.about["metric"]),
        Unwritten(Path("-")), ERROR_RATE, seconds - final, clock=lambda: pool.clock,
    )  # fmt: skip
    race.run(pool)
    challenger, led = race.challenger() or 1, race.best() != 0
    # The race met the first rounds; the last three are the comparison's own.
    values = [[float(v) for v in recorded.test[k][order[-FINAL_ROUNDS:]]] for k in (0, challenger)]
    best = compare_rows(values)[1]
    taken = is_taken(best.verdict, best.difference or 0.0, led)
    dropped = {k for k, left in race.left.items() if left["why"] == "shown to be worse"}
    spent = pool.clock + float(sum(recorded.seconds[-1][k][order[-FINAL_ROUNDS:]].sum() for k in (0, challenger)))
    return Ended(challenger if taken else 0, best.verdict == "better", best_of_all in dropped, spent)


def _plan(recorded: Recorded) -> Plan:
    """The rungs as `augury recommend` makes them; what only real trainings need is left at nothing."""
    count, epochs = len(recorded.chosen), recorded.about["epochs"]
    return Plan((0, 0), "", epochs, 0, count, rungs_of(epochs, count), FINAL_ROUNDS, 0.0, 1.0, 0.0)


def halved(recorded: Recorded, rng: np.random.Generator, seconds: float) -> int:
    """Successive halving: one training each, the better half goes on to twice the epochs, over again until the time is spent."""
    best, clock = 0, 0.0
    for turn in rng.permutation(ROUNDS):
        racing = list(range(len(recorded.chosen)))
        for rung in range(len(RUNGS)):
            clock += float(recorded.seconds[rung, racing, turn].sum())
            if clock > seconds:
                return best
            values = recorded.held_out[rung, racing, turn]
            best = racing[int(values.argmax())]
            racing = [racing[k] for k in np.argsort(-values)[: max(1, (len(racing) + 1) // 2)]]
    return best


def replay(every: list[Recorded]) -> dict[str, Any]:
    """results/recommend.json: what was recorded, the truth, and what the ways of choosing lose of it."""
    return {
        "version": 1,
        "what": "regret of recommendations in points of the metric on the test part: the best candidate's mean over all rounds "
        "less that of the one recommended; races of a quarter of the exhaustive comparison's cost on recorded trainings",
        "command": "python bench/recommend.py record DATA --epochs E --folder F/NAME; "
        "python bench/recommend.py replay F/* --output FILE",
        "rounds": ROUNDS, "races": RACES, "share_of_cost": SHARE_OF_COST, "error_rate": ERROR_RATE,
        "data": [_of(recorded) for recorded in every],
    }  # fmt: skip


def _of(recorded: Recorded) -> dict[str, Any]:
    rng, budget = np.random.default_rng(0), recorded.exhaustive * SHARE_OF_COST
    truth, names = recorded.truth, [candidate.name for candidate in recorded.chosen]
    ends = [raced(recorded, rng, budget, int(truth.argmax())) for _ in range(RACES)]
    # Where all are the same, any of them is the best of all: the reference stands for it.
    null = [raced(recorded.without_effect(rng), rng, budget, 0) for _ in range(RACES)]
    ways: dict[str, Callable[[], int]] = {
        "a candidate drawn at random": lambda: int(rng.integers(len(names))),
        "successive halving": lambda: halved(recorded, rng, budget),
        "always the reference": lambda: 0,
        **{f"always {name}": partial(names.index, name) for name in ALWAYS},
    }  # fmt: skip
    chosen = {"augury recommend": [end.chosen for end in ends]} | {
        name: [choose() for _ in range(RACES)] for name, choose in ways.items()
    }
    rows = compare_rows([[float(v) for v in each] for each in recorded.test])
    return {
        **recorded.about,
        "exhaustive_seconds": round(recorded.exhaustive, 1),
        "race_seconds": round(float(np.mean([end.seconds for end in ends])), 1),
        "regret": {name: _spread(truth.max() - truth[places]) for name, places in chosen.items()},
        "recommended": {names[k]: sum(end.chosen == k for end in ends) for k in sorted({end.chosen for end in ends})},
        "claims": sum(end.claimed for end in ends),
        "wrong_claims": sum(bool(end.claimed and truth[end.chosen] <= truth[0]) for end in ends),
        "best_dropped": sum(end.lost for end in ends),
        "claims_without_effect": sum(end.claimed for end in null),
        "best_dropped_without_effect": sum(end.lost for end in null),
        "rows": [
            {"name": name, "values": [round(float(v), 3) for v in values], "mean": row.mean, "difference": row.difference,
             "low": row.difference_low, "high": row.difference_high, "verdict": row.verdict,
             "seconds": round(float(taken.mean()), 2)}
            for name, values, row, taken in zip(names, recorded.test, rows, recorded.seconds[-1], strict=True)
        ],
    }  # fmt: skip


def _spread(regret: np.ndarray) -> dict[str, float]:
    return {"mean": round(float(regret.mean()), 3), "highest": round(float(regret.max()), 3),
            "share_within_half_a_point": round(float((regret <= 0.5).mean()), 3)}  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    own = commands.add_parser("record")
    own.add_argument("data", help="whatever augury train takes")
    own.add_argument("--data-dir")
    own.add_argument("--fraction", type=float, default=1.0)
    own.add_argument("--image-size", type=int)
    own.add_argument("--model", default="small_cnn")
    own.add_argument("--epochs", type=int, default=16)
    own.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    own.add_argument("--folder", type=Path, required=True, help="where the records go; its name is the data set's in the results")
    own = commands.add_parser("replay")
    own.add_argument("folders", type=Path, nargs="+")
    own.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
