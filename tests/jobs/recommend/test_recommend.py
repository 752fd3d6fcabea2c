"""A recommendation end to end, its race on made-up trainings, its plan, and what it refuses."""

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import augury
from augury.cli import main
from augury.core.errors import InputError
from augury.jobs.recommend.candidates import Candidate, candidates
from augury.jobs.recommend.look import look
from augury.jobs.recommend.plan import AVERAGE_COST, RUNGS, Plan, Rung, epochs_in, plan_of, work
from augury.jobs.recommend.race import Race, resplit
from augury.jobs.recommend.recommend import answer, recommend
from augury.jobs.recommend.report import usage
from augury.jobs.recommend.settings import RecommendSettings
from augury.train.data.dataset import Dataset, Split, load
from augury.train.engine.settings import Settings
from augury.train.search.journal import Journal
from augury.train.search.outcome import Job, Outcome

PLAN = Plan((32, 32), "small_cnn", 8, 400, 4, (Rung(2, 3, 4), Rung(4, 2, 2), Rung(8, 2, 2)), 3, 0.2, 1000.0, 60.0)
FOUR = tuple(Candidate(name) for name in ("crop+flip", "cutout", "mixup", "cutmix"))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


class Made:
    """A pool whose trainings have these means, a second an epoch, and a little noise of their own."""

    def __init__(self, means: list[float], clock: list[float]) -> None:
        self.means, self.clock, self.jobs = means, clock, [0]

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        for job in jobs:
            number, epochs = job.decisions
            self.jobs[0] += 1
            self.clock[0] += epochs
            noise = torch.randn(1, generator=torch.Generator().manual_seed(job.number)).item() * 0.1
            yield Outcome(job.arm, job.number, [number, epochs], job.seed, self.means[number] + noise, float(epochs), epochs)


def race(folder: Path, means: list[float], seconds: float = 1e9) -> tuple[Race, Made]:
    clock = [0.0]
    made = Race(PLAN, FOUR, Settings("digits"), Journal.open(folder), 0.05, seconds, clock=lambda: clock[0])
    pool = Made(means, clock)
    made.run(pool)
    return made, pool


def test_the_race_drops_the_worse_and_finds_the_best(tmp_path: Path) -> None:
    run, pool = race(tmp_path, [70.0, 40.0, 74.0, 69.0])
    assert run.best() == 2 == run.challenger()
    assert run.left[1]["why"] == "shown to be worse" and run.left[1]["epochs"] == 2
    rows = run.rows()
    assert rows[2]["epochs"] == 8 and rows[2]["n"] == 2 and rows[1]["n"] < 4 and rows[1]["dropped_after"]["round"] >= 2
    again, second = race(tmp_path, [0.0, 0.0, 0.0, 0.0])
    assert second.jobs == [0] and again.rows() == rows, "everything is taken from the journal"
    assert pool.jobs[0] < 4 * 3 + 2 * 2 + 2 * 2 + 1


def test_where_the_reference_leads_the_challenger_is_the_best_of_the_others(tmp_path: Path) -> None:
    run, _ = race(tmp_path, [80.0, 40.0, 71.0, 75.0])
    assert run.best() == 0 and run.challenger() == 3


def test_a_race_ends_in_time(tmp_path: Path) -> None:
    run, pool = race(tmp_path, [70.0, 40.0, 74.0, 69.0], seconds=13.0)
    assert pool.clock[0] <= 13 and pool.jobs[0] == 6
    assert run.challenger() in (1, 2, 3)


def test_no_more_are_kept_than_there_is_time_to_take_to_the_end(tmp_path: Path) -> None:
    # Catches a race whose time is up in the middle of a rung, so that short trainings decide.
    names = ("crop+flip", "cutout", "mixup", "cutmix", "crop", "none", "augmix", "random_erasing")
    plan = replace(PLAN, candidates=8, rungs=(Rung(2, 2, 8), Rung(4, 2, 4), Rung(8, 2, 2)))
    for seconds, kept in ((1e9, 4), (90.0, 3), (82.0, 2), (40.0, 2)):
        clock, folder = [0.0], tmp_path / str(seconds)
        folder.mkdir()
        run = Race(
            plan, tuple(map(Candidate, names)), Settings("digits"), Journal.open(folder), 0.001, seconds, clock=lambda c=clock: c[0]
        )
        run.run(Made([70.0 + 0.01 * k for k in range(8)], clock))
        assert sum(bool(values) for values in run.values[1]) == kept and clock[0] <= seconds
        if seconds > 40:
            assert [len(values) for values in run.values[2] if values] == [2, 2], "both rounds of the longest trainings"


def test_a_candidate_that_fails_leaves_the_race_by_name(tmp_path: Path) -> None:
    class Failing(Made):
        def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
            for outcome in super().run(jobs):
                failed = outcome.number % 1000 == 3
                yield replace(outcome, accuracy=None, error="ValueError: broken") if failed else outcome

    clock = [0.0]
    run = Race(PLAN, FOUR, Settings("digits"), Journal.open(tmp_path), 0.05, 1e9, clock=lambda: clock[0])
    run.run(Failing([70.0, 71.0, 74.0, 99.0], clock))
    assert run.challenger() == 2 and run.left[3]["why"] == "failed" and run.rows()[3]["error"] == "ValueError: broken"


def test_a_fraction_is_one_of_all_that_the_race_trains_on() -> None:
    # Catches a whole validation part beside a small share of the training images.
    def images(fraction: float) -> int:
        options = RecommendSettings.of({"data": "digits", "minutes": 60.0, "fraction": fraction}, "recommend")
        found: int = recommend(options, None, dry_run=True)["plan"]["images"]
        return found

    assert images(1.0) == 400 and abs(images(0.25) - 100) <= 5


def test_rounds_judge_on_images_of_their_own(digits: Dataset) -> None:
    one, two = resplit(digits, 1, 0.2), resplit(digits, 2, 0.2)
    every = torch.cat([digits.train.ids, digits.validation.ids]).sort().values
    for made in (one, two):
        assert torch.cat([made.train.ids, made.validation.ids]).sort().values.equal(every)
        counts = torch.bincount(made.validation.labels, minlength=10)
        assert int(counts.min()) > 0 and int(counts.max() - counts.min()) <= 2
    assert set(one.validation.ids.tolist()) != set(two.validation.ids.tolist())
    assert resplit(digits, 1, 0.2).validation.ids.equal(one.validation.ids)


RATES = {"small_cnn": 1000.0}


def test_a_plan_fits_its_time_and_grows_with_it(digits: Dataset) -> None:
    many = torch.arange(1000) % len(digits.train.ids)
    few = replace(digits, train=digits.train[many], validation=digits.validation[torch.arange(20)])
    images = 1020

    def made(minutes: float) -> Plan:
        return plan_of(Settings("digits"), few, 60 * minutes, RATES, candidates=15, epochs=None, side=None, native=32)

    plans = {minutes: made(minutes) for minutes in (0.9, 1.5, 5, 60)}
    for minutes, plan in plans.items():
        trained = work(plan.candidates) * plan.epochs * plan.images / 1000
        assert trained <= 60 * minutes and plan.seconds <= 60 * minutes, minutes
    assert plans[1.5].epochs <= plans[5].epochs <= plans[60].epochs and plans[60].seeds > plans[1.5].seeds
    assert plans[1.5].candidates < plans[60].candidates == 15 and plans[0.9].images < plans[5].images == images
    with pytest.raises(InputError, match=r"--minutes: too few on this machine .* give about \d"):
        made(0.1)
    assert epochs_in(100, 400, 1000, 10) == pytest.approx(95 * 1000 / 400 / work(10))


@pytest.mark.parametrize("workers", [2, 3, 16])
def test_processes_leave_time_for_more(workers: int, digits: Dataset) -> None:
    def made(minutes: float, count: int) -> Plan:
        return plan_of(
            Settings("digits"), digits, 60 * minutes, RATES, candidates=15, epochs=20, side=None, native=32, workers=count
        )  # fmt: skip

    assert work(15, 1) / workers <= work(15, workers) < work(15, 1)
    assert work(4, 1000) == pytest.approx(AVERAGE_COST * (sum(share * rounds for share, rounds, _ in RUNGS) + 1)), "one at a time"
    for minutes in (4, 6, 20):
        alone, several = made(minutes, 1), made(minutes, workers)
        assert several.seconds <= 60 * minutes and several.final_seconds < alone.final_seconds
        assert (several.candidates, several.images, several.seeds) >= (alone.candidates, alone.images, alone.seeds)
    assert made(4, workers).candidates > made(4, 1).candidates and "processes" in made(4, workers).words()


def test_larger_images_and_networks_are_taken_where_there_is_time(digits: Dataset) -> None:
    def made(minutes: float, native: int) -> Plan:
        rates = {"small_cnn": 1000.0, "resnet20": 200.0}
        return plan_of(Settings("digits"), digits, 60 * minutes, rates, candidates=8, epochs=None, side=None, native=native)

    sides = [made(minutes, 300).image_size for minutes in (10, 100, 10_000)]
    assert sides[0] < sides[1] <= sides[2] == (224, 224)
    assert made(1e6, 70).image_size == (64, 64), "nothing is enlarged"
    assert made(1e6, 70).model == "resnet20" and made(5, 32).model == "small_cnn"
    assert made(1e6, 300).model == "small_cnn", "resnet20 is for small images"


def test_the_list_of_candidates() -> None:
    listed = candidates("crop+flip", None)
    assert listed[0] == Candidate("crop+flip") and len(set(listed)) == len(listed) > 12
    assert Candidate("none") in listed and all(c.augment == "none" or c.augment.startswith("crop") for c in listed)
    assert [c.augment for c in candidates("none", "cutout,none,mixup")] == ["none", "cutout", "mixup"]
    assert all(not c.augment.startswith("none+") for c in candidates("none", None))
    with pytest.raises(InputError, match="'cutout' is named twice"):
        candidates("none", "cutout,cutout")


def test_near_duplicates_are_counted(digits: Dataset) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=generator)
    noisy = (images[:2].int() + 1).clamp(0, 255).to(torch.uint8)

    def part(images: torch.Tensor) -> Split:
        return Split(images, torch.zeros(len(images), dtype=torch.int64), torch.arange(len(images)))

    train, test = part(torch.cat([images[:8], noisy])), part(torch.cat([images[2:3], images[8:]]))
    found = look(replace(digits, train=train, validation=part(images[:0]), test=test, classes=("0",)), 500)
    assert (found.near, found.crossing, found.side) == (4, 1, 500)


@pytest.mark.parametrize(
    ("verdict", "recommended", "gain", "said"),
    [
        ("better", "cutout", (1.5, 0.5, 2.5), "Use cutout. It is better than crop+flip here: +1.5 points"),
        ("no difference shown", "cutout", (0.5, -0.6, 1.6), "The best guess is cutout, but its gain over crop+flip is not shown"),
        (
            "no difference shown",
            "crop+flip",
            (-0.5, -1.6, 0.6),
            "Nothing that was tried beats crop+flip here; gains above 0.6",
        ),
    ],
)
def test_the_answer_says_what_was_shown(verdict: str, recommended: str, gain: tuple[float, float, float], said: str) -> None:
    row = {"augment": recommended, "strategy": "erm"}
    result = {
        "metric": "accuracy", "verdict": verdict, "recommendation": row, "reference": {"augment": "crop+flip", "strategy": "erm"},
        "challenger": {"augment": "cutout", "strategy": "erm"}, "seeds_to_settle": 12 if verdict != "better" else None,
        "gain": {"mean": gain[0], "low": gain[1], "high": gain[2], "n": 3},
    }  # fmt: skip
    assert answer(result).startswith(said) and ("12 seeds would settle it" in answer(result)) is (verdict != "better")


def test_from_the_command_line_to_a_file_that_can_be_used(
    digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, data = tmp_path / "out", tmp_path / "data"
    data.mkdir()
    for part in ("train", "test"):
        x = getattr(digits, part).images.numpy().transpose(0, 2, 3, 1)[:, ::2, ::2]
        np.savez(data / f"{part}.npz", x=x, y=getattr(digits, part).labels.numpy())
    run = ["recommend", str(data), "--minutes", "1", "--candidates", "cutout,none", "--epochs", "2", "--output", str(out)]
    assert main(run) == 0
    shown = capsys.readouterr()
    assert "candidates race" in shown.err and "policy:" in shown.out
    result = json.loads((out / "result.json").read_text())
    keys = {"version", "metric", "recommendation", "reference", "gain", "verdict", "rows", "plan", "seconds"}
    assert keys <= set(result) and {"mean", "low", "high", "n"} == set(result["gain"])
    assert [row["augment"] for row in result["rows"]] == ["crop+flip", "cutout", "none"]
    assert all({"n", "mean", "interval", "dropped_after", "seconds"} <= set(row) for row in result["rows"])
    assert len(result["notes"]) == len(set(result["notes"])) > 0, "what is true of both steps is said once"
    policy = out / "recommended.yaml"
    assert yaml.safe_load(policy.read_text())["augment"] == result["recommendation"]["augment"]
    images, labels = torch.zeros(2, 1, 32, 32, dtype=torch.uint8), torch.tensor([0, 1])
    assert len(augury.pipeline(str(policy))(images, labels)[0]) == 2
    page = (out / "report.html").read_text()
    assert result["answer"].split(".")[0] in page and "The race" in page and f"augury train {data}" in page
    assert main(run) == 2 and "--resume" in capsys.readouterr().err
    before = (out / "journal.jsonl").read_text()
    run[3] = "1.2"
    assert main([*run, "--resume", "--quiet"]) == 0
    assert (out / "journal.jsonl").read_text().startswith(before)
    assert json.loads((out / "result.json").read_text())["gain"]["n"] >= result["gain"]["n"]


def test_a_dry_run_plans_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    run = ["recommend", "digits", "--minutes", "30", "--dry-run", "--json", "--quiet", "--output", str(out)]
    assert main(run) == 0 and not out.exists()
    made = json.loads(capsys.readouterr().out)
    assert made["plan"]["candidates"] >= 3 and made["look"]["classes"] == 10


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--candidates", "cutout,nonsense"], "nonsense"),
        (["--metric", "f1"], "--metric"),
        (["--minutes", "0"], "--minutes"),
        (["--reference", "crop+nonsense"], "nonsense"),
        (["--metric", "worst_group"], "no groups"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    minutes = [] if "--minutes" in flags else ["--minutes", "1"]
    assert main(["recommend", "digits", *minutes, "--epochs", "2", "--output", str(out), "--quiet", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize(
    ("augment", "strategy", "said", "unsaid"),
    [
        ("crop+flip+randaugment", "erm", ["v2.RandAugment(", "from timm", "augury train"], ["cannot"]),
        ("crop(padding=2)+flip", "erm", ["v2.RandomCrop(24, padding=2"], ["With timm"]),
        ("none", "erm", ["transform = v2.Identity()"], ["class Operation", "With timm"]),
        ("crop+inaugment", "erm", ["With torchvision alone this cannot be done: inaugment"], ["import v2"]),
        ("crop", "ait", ["no ait: it is a way of training", "--strategy"], ["import v2"]),
    ],
)
def test_the_report_has_code_for_other_libraries_where_they_can_do_it(
    augment: str, strategy: str, said: list[str], unsaid: list[str]
) -> None:
    """Catches a block of a library that does something else, and a method that is lost on the way to it."""
    pytest.importorskip("timm")
    text = html.unescape(usage({"recommendation": {"augment": augment, "strategy": strategy}}, Settings("d", image_size=(24, 20))))
    assert all(each in text for each in said) and not any(each in text for each in unsaid)
