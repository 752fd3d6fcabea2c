"""The loop: resumable bit for bit, the same images whatever the batch size, and a loss that is what it says."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from augury.core.errors import InputError, RunError
from augury.core.plan import Clock
from augury.train.data.dataset import Dataset, Split, load
from augury.train.engine import checkpoint, outcome
from augury.train.engine.evaluate import evaluate
from augury.train.engine.order import batches, epoch_order
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.schedule import learning_rate
from augury.train.engine.settings import Settings
from augury.train.engine.step import rows_of
from augury.train.engine.training import Training
from augury.train.method.views import StepViews

AUGMENT = "crop+randaugment+cutout(length=8)+mixup"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture
def settings() -> Settings:
    return Settings("digits", augment=AUGMENT, epochs=3, batch_size=32)


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in training.model.state_dict().items()}


def test_resuming_at_every_epoch_gives_the_weights_of_an_unbroken_run(tmp_path: Path, digits: Dataset, settings: Settings) -> None:
    unbroken = prepare(settings, digits)
    whole = Trainer(unbroken).run()
    for stop in (1, 2):
        directory = RunDirectory.open(tmp_path / str(stop), settings.dict())
        first = prepare(settings, digits)

        def interrupt(row: dict, stop: int = stop) -> None:
            if row["epoch"] == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Trainer(first).run(directory, interrupt)
        second = prepare(settings, digits)
        again = Trainer(second).run(directory)
        for name, value in weights(unbroken).items():
            assert torch.equal(value, weights(second)[name]), name
        assert {k: again[k] for k in ("accuracy", "loss", "counts")} == {k: whole[k] for k in ("accuracy", "loss", "counts")}
        assert [row["epoch"] for row in directory.metrics()] == [1, 2, 3]


def test_a_killed_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL in the middle of the run, through the command line."""

    def command(output: Path, *more: str) -> list[str]:
        flags = ["--augment", "randaugment+mixup", "--epochs", "6", "--batch-size", "16", "--output", str(output), "--quiet"]
        return [sys.executable, "-m", "augury", "train", "digits", *flags, *more]

    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")}
    subprocess.run(command(tmp_path / "whole"), check=True, env=environment, capture_output=True, timeout=300)
    broken = subprocess.Popen(command(tmp_path / "broken"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = tmp_path / "broken" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while broken.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and len(metrics.read_text().splitlines()) >= 2:
            broken.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    assert broken.wait(timeout=60) == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (tmp_path / "broken" / "result.json").exists()
    subprocess.run(command(tmp_path / "broken", "--resume"), check=True, env=environment, capture_output=True, timeout=300)
    whole, again = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    first, second = (np.load(tmp_path / name / "predictions.npz") for name in ("whole", "broken"))
    assert all(np.array_equal(first[key], second[key]) for key in first.files)


def test_training_leaves_the_callers_generator_alone(digits: Dataset, settings: Settings) -> None:
    torch.random.manual_seed(5)
    expected = torch.rand(3)
    torch.random.manual_seed(5)
    Trainer(prepare(replace(settings, epochs=1), digits)).run()
    assert torch.equal(torch.rand(3), expected)


def test_the_seed_decides_everything(digits: Dataset, settings: Settings) -> None:
    short = replace(settings, epochs=1)
    one, two, other = (prepare(replace(short, seed=seed), digits) for seed in (3, 3, 4))
    for training in (one, two, other):
        Trainer(training).run()
    assert all(torch.equal(a, b) for a, b in zip(weights(one).values(), weights(two).values(), strict=True))
    assert not torch.equal(next(iter(weights(one).values())), next(iter(weights(other).values())))


def augmented(digits: Dataset, rows: torch.Tensor, augment: str) -> dict[int, torch.Tensor]:
    training = prepare(Settings("digits", augment=augment), digits)
    views = StepViews({"train": lambda: rows_of(digits.train, rows, None, 10)}, (training.method.pipelines[0],), 0, Clock(epoch=2))
    batch = views()
    return dict(zip(batch.ids.tolist(), batch.images, strict=True))


def test_an_image_gets_the_same_draws_in_any_batch(digits: Dataset) -> None:
    rows = torch.arange(24)
    together = augmented(digits, rows, "crop+flip+randaugment+cutout")
    backwards = augmented(digits, rows.flip(0), "crop+flip+randaugment+cutout")
    for number in range(0, 24, 5):
        alone = augmented(digits, rows[number : number + 1], "crop+flip+randaugment+cutout")
        for key, image in alone.items():
            assert torch.equal(image, together[key]) and torch.equal(image, backwards[key])


def test_no_address_is_used_twice(digits: Dataset, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a real run, every (address, stage) pair that draws is new."""
    from augury.augment.stages.plan import PlanStage

    seen: set[tuple[int, str]] = set()
    plain = PlanStage.sample

    def recording(self, batch, noise, *rest):  # type: ignore[no-untyped-def]
        for key in noise.key.tolist():
            assert (key, self.name) not in seen
            seen.add((key, self.name))
        return plain(self, batch, noise, *rest)

    monkeypatch.setattr(PlanStage, "sample", recording)
    Trainer(prepare(replace(settings, epochs=2), digits)).run()
    assert len(seen) == 2 * 4 * len(digits.train.ids)


def test_every_epoch_sees_every_image_once_in_its_own_order(digits: Dataset) -> None:
    orders = [epoch_order(digits.train.ids, 0, epoch) for epoch in range(3)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(len(order)))
    assert not torch.equal(orders[0], orders[1])
    assert [len(rows) for rows in batches(torch.arange(65), 32)] == [32, 32]
    assert [len(rows) for rows in batches(torch.arange(66), 32)] == [32, 32, 2]


def test_counts_and_metrics(tmp_path: Path, digits: Dataset, settings: Settings) -> None:
    directory = RunDirectory.open(tmp_path, settings.dict())
    result = Trainer(prepare(settings, digits)).run(directory)
    steps = 3 * -(-len(digits.train.ids) // 32)
    assert result["counts"] == {"images": 3 * len(digits.train.ids), "forward": steps, "backward": steps, "steps": steps}
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert result["best"] == max(row["validation_accuracy"] for row in rows)
    predictions = np.load(tmp_path / "predictions.npz")
    assert np.mean(predictions["label"] == predictions["prediction"]) * 100 == pytest.approx(result["accuracy"])
    assert np.array_equal(predictions["id"], digits.test.ids.numpy())


def test_an_epoch_that_is_not_evaluated_trains_the_same(
    digits: Dataset, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    # Catches an evaluation that leaves a trace, and one that is done although nobody reads it: a seventh of a race's time.
    evaluations = []

    def counted(*arguments: object, **named: object) -> object:
        evaluations.append(True)
        return evaluate(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(outcome, "evaluate", counted)
    each, last = Trainer(prepare(settings, digits)), Trainer(prepare(settings, digits))
    row = [each.train_epoch() for _ in range(3)][-1]
    assert len(evaluations) == 3
    assert last.train_epoch(evaluated=False) == {} == last.train_epoch(evaluated=False)
    assert len(evaluations) == 3
    timed = {"seconds", "device_seconds"}
    assert {k: v for k, v in last.train_epoch().items() if k not in timed} == {k: v for k, v in row.items() if k not in timed}
    assert all(weights(last.training)[name].equal(value) for name, value in weights(each.training).items())


def test_evaluation_against_scikit_learn(digits: Dataset) -> None:
    from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

    training = prepare(Settings("digits", epochs=1), digits)
    Trainer(training).run()
    found = evaluate(training.model, digits.test, training.method.normalize, 10, batch_size=100)
    with torch.no_grad():
        logits = training.model.eval()(training.method.normalize.normalise(digits.test.images))
    probability = logits.double().softmax(1).numpy()
    labels = digits.test.labels.numpy()
    assert found.accuracy == pytest.approx(100 * accuracy_score(labels, probability.argmax(1)))
    assert found.accuracy_top5 == pytest.approx(100 * top_k_accuracy_score(labels, probability, k=5))
    assert found.loss == pytest.approx(log_loss(labels, probability), rel=1e-4)


def test_schedules() -> None:
    cosine = [learning_rate(s, 100, base=0.4, sched="cosine", milestones=(), rate=1) for s in range(101)]
    assert cosine[0] == 0.4 and cosine[50] == pytest.approx(0.2) and cosine[100] == pytest.approx(0, abs=1e-12)
    step = [learning_rate(s, 10, base=1.0, sched="multistep", milestones=(5, 8), rate=0.1) for s in range(10)]
    assert step == pytest.approx([1.0] * 5 + [0.1] * 3 + [0.01] * 2)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    for number in (1, 2):
        checkpoint.save_checkpoint(tmp_path, {"model.w": torch.full((3,), float(number))}, {"epoch": number})
    newest = tmp_path / checkpoint.NAME
    newest.write_bytes(newest.read_bytes()[:40])
    found = checkpoint.load_checkpoint(tmp_path)
    assert found is not None and found[1]["epoch"] == 1 and found[0]["model.w"][0] == 1


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    checkpoint.write_atomically(path, b"before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        checkpoint.write_atomically(path, b"after")
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_a_loss_that_explodes_stops_in_one_line(digits: Dataset) -> None:
    with pytest.raises(RunError, match="--lr"):
        Trainer(prepare(Settings("digits", lr=1e9, epochs=3), digits)).run()


def test_constant_images_and_a_single_batch_train(digits: Dataset) -> None:
    part = Split(torch.full((4, 1, 8, 8), 7, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]), torch.arange(4))
    tiny = Dataset("tiny", ("a", "b"), part, part, part, (0.5,), (0.25,))
    result = Trainer(prepare(Settings("tiny", augment="standard+randaugment+cutmix", epochs=1), tiny)).run()
    assert result["counts"]["steps"] == 1


class TestRunDirectory:
    config = {"data": "digits", "epochs": 3}

    def test_refuses_a_second_run_without_a_word(self, tmp_path: Path) -> None:
        RunDirectory.open(tmp_path, self.config)
        with pytest.raises(InputError, match="unfinished run; add --overwrite"):
            RunDirectory.open(tmp_path, self.config)

    def test_names_what_changed_when_resuming(self, tmp_path: Path) -> None:
        RunDirectory.open(tmp_path, self.config)
        with pytest.raises(InputError, match=r"epochs \(was 3, now 4\)"):
            RunDirectory.open(tmp_path, {**self.config, "epochs": 4}, resume=True)

    def test_overwriting_removes_a_runs_files_and_no_others(self, tmp_path: Path) -> None:
        RunDirectory.open(tmp_path, self.config)
        run = tmp_path / "runs" / "0-none-seed0"
        run.mkdir(parents=True)
        for file in (tmp_path / "thesis.tex", run / "notes.txt", run / "result.json", tmp_path / "result.json"):
            file.write_text("{}")
        RunDirectory.open(tmp_path, self.config, overwrite=True)
        left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
        assert left == ["config.yaml", "runs/0-none-seed0/notes.txt", "thesis.tex"]

    def test_a_half_written_line_of_metrics_is_left_out(self, tmp_path: Path) -> None:
        directory = RunDirectory.open(tmp_path, self.config)
        (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo')
        assert directory.metrics() == [{"epoch": 1}]
