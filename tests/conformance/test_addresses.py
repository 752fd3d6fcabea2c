"""In a real training no two stages of any two steps ever draw from one address."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

import augury
from augury.augment.pipeline import Pipeline
from augury.core.noise import Noise
from augury.train.data.dataset import Dataset, Split
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings


@dataclass
class Ledger:
    """Every (address, stage) that a stage was asked to sample, and every key whose bits were drawn while a pipeline ran."""

    stages: list[tuple[str, int]] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    running: bool = False


class Watched:
    """A stage that writes down its addresses."""

    def __init__(self, stage: Any, ledger: Ledger) -> None:
        self._stage, self._ledger = stage, ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)

    def sample(self, batch: Any, noise: Noise, *more: Any, **options: Any) -> Any:
        self._ledger.stages += [(self._stage.name, key) for key in noise.key.tolist()]
        return self._stage.sample(batch, noise, *more, **options)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    book = Ledger()
    run = Pipeline.run

    def watched_run(self: Pipeline, *given: Any, **options: Any) -> Any:
        book.running = True
        try:
            return run(replace(self, stages=tuple(Watched(stage, book) for stage in self.stages)), *given, **options)
        finally:
            book.running = False

    def watched(draw: Callable[[Noise, int], torch.Tensor]) -> Callable[[Noise, int], torch.Tensor]:
        def drawing(self: Noise, count: int) -> torch.Tensor:
            if not book.running:
                return draw(self, count)
            book.keys += self.key.tolist()
            book.running = False  # uniforms may be made of bits, which are the same draw
            try:
                return draw(self, count)
            finally:
                book.running = True

        return drawing

    monkeypatch.setattr(Pipeline, "run", watched_run)
    monkeypatch.setattr(Noise, "bits", watched(Noise.bits))
    monkeypatch.setattr(Noise, "uniform", watched(Noise.uniform))
    return book


def tiny() -> Dataset:
    digits = augury.dataset("digits")

    def few(split: Split) -> Split:
        return Split(split.images[:24, :, ::4, ::4], split.labels[:24], split.ids[:24])

    return replace(digits, train=few(digits.train), validation=few(digits.validation), test=few(digits.test))


CHAINS = {"standard": 2, "standard+randaugment+cutout": 4, "randaugment+randaugment": 2, "rotate+rotate+mixup+cutmix+mixup": 5}


@pytest.mark.parametrize("chain", CHAINS)
def test_no_address_repeats_in_a_training(chain: str, ledger: Ledger) -> None:
    # Catches an epoch, a stage's number or a slot left out of the address: two things would share their draws.
    settings = Settings("digits", chain, model="small_cnn(width=2)", epochs=2, batch_size=8)
    training = prepare(settings, tiny())
    Trainer(training).run()
    drawing = [pair for pair in ledger.stages if pair[0] != "normalize"]
    assert len(drawing) == 2 * 24 * CHAINS[chain]
    assert len({key for _, key in ledger.stages}) == len(ledger.stages), "two stages were given one address"
    assert len(set(ledger.keys)) == len(ledger.keys) >= len(drawing), "one key was drawn from twice"


def test_views_of_a_step_have_their_own_addresses(ledger: Ledger) -> None:
    from augury.core.plan import Clock
    from augury.train.engine.step import rows_of
    from augury.train.method.views import StepViews

    split = tiny().train
    pipeline = augury.pipeline("randaugment+cutmix")
    for epoch in range(2):
        views = StepViews({"train": lambda: rows_of(split, torch.arange(8), None, 10)}, (pipeline,), 0, Clock(epoch, 2, epoch))
        for view in range(3):
            views(view)
    assert len({key for _, key in ledger.stages}) == len(ledger.stages) == 2 * 3 * 8 * 2
    assert len(set(ledger.keys)) == len(ledger.keys)


def test_repeated_ids_are_told_apart_by_their_visit(ledger: Ledger) -> None:
    from augury.core.batch import Batch

    images, ids = torch.zeros(6, 1, 8, 8, dtype=torch.uint8), torch.tensor([3, 3, 3, 4, 4, 5])
    visits = torch.tensor([0, 1, 2, 0, 1, 0])
    augury.pipeline("randaugment+rotate")(Batch(images, None, ids, visits))
    assert len({key for _, key in ledger.stages}) == len(ledger.stages) == 12


def test_the_ledger_notices_a_repeat(ledger: Ledger) -> None:
    images, ids = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([3, 3])
    batch = augury.Batch(images, None, ids)
    augury.pipeline("rotate").run(batch, Noise.of(0, ids))
    assert len({key for _, key in ledger.stages}) < len(ledger.stages)
