"""Seeds side by side are each what they are alone; captured steps are what eager ones are."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from augury.core.plan import Clock
from augury.jobs.compare import compare
from augury.train.data.dataset import Dataset, load
from augury.train.engine.captured import WARM_UP, Capture, WatchedClock
from augury.train.engine.interleaved import run_together
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.training import Training

SHORT = Settings("digits", augment="crop+randaugment+mixup", epochs=2, batch_size=50)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    found = load("digits")
    return replace(found, **{n: few(getattr(found, n), 100) for n in ("train", "validation", "test")})


def few(split: Any, count: int) -> Any:
    return replace(split, images=split.images[:count], labels=split.labels[:count], ids=split.ids[:count])


def weights(training: Training) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in training.model.state_dict().values()]


def equal(first: Training, second: Training) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


def test_side_by_side_each_is_its_lone_run(digits: Dataset) -> None:
    """With dropout, whose noise comes from PyTorch's own generator, and with different lengths."""
    each = [replace(SHORT, model="wide_resnet(depth=10, widen=1, dropout=0.3)", seed=seed, epochs=1 + seed) for seed in range(2)]
    alone = [prepare(settings, digits) for settings in each]
    lone = [Trainer(training).run() for training in alone]
    torch.random.manual_seed(3)
    expected = torch.random.get_rng_state()
    together = [prepare(settings, digits) for settings in each]
    found = run_together([Trainer(each) for each in together], [None] * len(each), [None] * len(each))
    assert torch.equal(torch.random.get_rng_state(), expected)
    for first, second, a, b in zip(alone, together, lone, found, strict=True):
        assert equal(first, second)
        assert {k: a[k] for k in ("accuracy", "loss", "counts")} == {k: b[k] for k in ("accuracy", "loss", "counts")}
    assert not torch.equal(weights(together[0])[0], weights(together[1])[0])


def test_compare_with_parallel_seeds_gives_the_same_table(tmp_path: Path) -> None:
    settings = Settings("digits", augment="crop,mixup", epochs=1, batch_size=50, refine_epochs=1)
    plain = compare(settings, 2, tmp_path / "a", quiet=True)
    parallel = compare(settings, 2, tmp_path / "b", quiet=True, parallel_seeds=True)
    assert [row["accuracies"] for row in plain["rows"]] == [row["accuracies"] for row in parallel["rows"]]
    before = parallel["rows"][1]["before_refinement"]
    assert before["gain"] == pytest.approx(parallel["rows"][1]["mean"] - before["mean"]) and len(before["accuracies"]) == 2
    (tmp_path / "b" / "result.json").unlink()
    again = compare(settings, 2, tmp_path / "b", quiet=True, parallel_seeds=True, resume=True)
    assert json.dumps(again["rows"]) == json.dumps(parallel["rows"])


class Pretended:
    """Stands for CUDA graphs: recording has no effect, and a replay does the recorded work on the buffers as they are then."""

    def __init__(self, training: Training) -> None:
        self.training, self.recorded = training, 0

    def eager(self, work: Callable[[], Any]) -> Any:
        return work()

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        self.recorded += 1
        t = self.training
        model, optimizer = {k: v.clone() for k, v in t.model.state_dict().items()}, t.optimizer.state_dict()
        momenta = [state["momentum_buffer"].clone() for state in optimizer["state"].values()]
        noise = torch.random.get_rng_state()
        loss, logs = work()
        t.model.load_state_dict(model)
        for state, momentum in zip(t.optimizer.state_dict()["state"].values(), momenta, strict=True):
            state["momentum_buffer"].copy_(momentum)
        torch.random.set_rng_state(noise)
        kept = torch.zeros_like(loss)

        def replay() -> None:
            counts = replace(t.counts)
            found, _ = work()
            kept.copy_(found)
            for name, value in vars(counts).items():
                setattr(t.counts, name, value)

        return replay, (kept, logs)


@pytest.mark.parametrize(
    ("augment", "more"),
    [("crop+randaugment+mixup", {}), ("crop+mixup", {"refine_epochs": 2, "refine_mode": "gradual"}), ("pba", {}),
     ("crop", {"strategy": "manifold_mixup"})],
)  # fmt: skip
def test_captured_steps_are_eager_ones(digits: Dataset, tmp_path: Path, augment: str, more: dict) -> None:
    """Buffers, the choice of the graph, the counts and the epoch's address; the recorder is a stand-in."""
    reads_clock = augment == "pba"
    if reads_clock:
        (tmp_path / "pba.json").write_text(json.dumps([[1, [5, 3] * 30], [2, [9, 6] * 30]]))
        augment = f"pba(file={tmp_path / 'pba.json'})"
    settings = Settings("digits", augment=augment, epochs=3, batch_size=8, **more)
    eager, captured = prepare(settings, digits), prepare(settings, digits)
    pretended = Pretended(captured)
    capture = Capture(torch.device("cpu"), recorder=pretended)
    expected, found = Trainer(eager).run(), Trainer(captured, capture).run()
    assert capture.reason is None and capture.replayed > 10
    assert equal(eager, captured)
    assert found["counts"] == expected["counts"] and found["accuracy"] == expected["accuracy"]
    # A policy that reads the clock is recorded anew in every epoch, anything else once per program.
    assert capture.reads_clock == reads_clock
    assert pretended.recorded >= (3 if reads_clock else 1)
    if augment == "crop+randaugment+mixup":
        assert pretended.recorded == 1  # batches of 8 from 100 images: the last, of 4, comes WARM_UP times at most
        assert captured.counts.steps - capture.replayed == 2 * WARM_UP + 1  # and the one that is compared with a replay


@pytest.mark.parametrize("wrong", ["loss", "weights"])
def test_a_replay_that_is_not_the_step_is_taken_back_and_told(digits: Dataset, wrong: str) -> None:
    # Catches a comparison of the loss alone or of the weights alone, and a replay whose update stays.
    class Stale(Pretended):
        def record(self, work: Callable[[], Any]) -> Any:
            replay, (loss, logs) = super().record(work)

            def off() -> None:
                before = weights(self.training)
                replay()
                if wrong == "loss":
                    loss.mul_(1.1)
                else:  # a tenth of the update is missing
                    for tensor, old in zip(self.training.model.state_dict().values(), before, strict=True):
                        tensor.copy_(tensor - (tensor - old) * 0.1)

            return off, (loss, logs)

    settings = Settings("digits", augment="crop", epochs=2, batch_size=8)
    eager, training = prepare(settings, digits), prepare(settings, digits)
    capture = Capture(torch.device("cpu"), recorder=Stale(training))
    expected, found = Trainer(eager).run(), Trainer(training, capture).run()
    assert capture.replayed == 0 and equal(eager, training) and found["counts"] == expected["counts"]
    assert len(found["notes"]) == 1 and "augury doctor" in found["notes"][0]


def test_what_cannot_be_captured_trains_on_and_says_why(digits: Dataset) -> None:
    class Refusing(Pretended):
        def record(self, work: Callable[[], Any]) -> Any:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    settings = Settings("digits", augment="crop", epochs=1, batch_size=8)
    eager, training = prepare(settings, digits), prepare(settings, digits)
    capture = Capture(torch.device("cpu"), recorder=Refusing(training))
    expected, found = Trainer(eager).run(), Trainer(training, capture).run()
    assert found["notes"] == ["steps were not captured in a CUDA graph: operation not permitted when stream is capturing"]
    assert equal(eager, training) and found["counts"] == expected["counts"]
    turns = prepare(replace(settings, strategy="dml(updates=alternating)"), digits)
    capture = Capture(torch.device("cpu"), recorder=Refusing(turns))
    assert "between the turns" in Trainer(turns, capture).run()["notes"][0]


def test_a_clock_notes_who_reads_the_time() -> None:
    clock = WatchedClock(1, 4, 9, 0.5, 7)
    assert clock.intensity == 0.5 and clock.seed == 7 and not clock.__dict__.get("read")
    assert clock.fraction == Clock(1, 4).fraction and clock.__dict__["read"]
