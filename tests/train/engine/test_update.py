"""Optimisers, schedules, smoothing, clipping, accumulation and averaged weights, against plain computations."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from augury.core.errors import InputError
from augury.core.targets import Targets
from augury.train.data.dataset import Dataset, load
from augury.train.engine.feed import Share
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.schedule import learning_rate, rate_at
from augury.train.engine.settings import Settings
from augury.train.engine.step import compute
from augury.train.engine.update import ModelEma, make_optimizer

SHORT = Settings("digits", augment="crop", epochs=1, batch_size=50)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def test_warm_up_then_the_schedule() -> None:
    found = [learning_rate(s, 100, base=0.4, sched="cosine", warmup=10, warmup_from=0.1) for s in range(101)]
    assert found[:11] == pytest.approx([0.1 + 0.03 * s for s in range(11)])
    assert found[55] == pytest.approx(0.2) and found[100] == pytest.approx(0, abs=1e-9)
    assert max(found) == found[10] == 0.4
    step = [learning_rate(s, 9, base=1.0, sched="step", rate=0.1, every=3) for s in range(9)]
    assert step == pytest.approx([1] * 3 + [0.1] * 3 + [0.01] * 3)
    assert learning_rate(7, 9, base=0.3, sched="constant") == 0.3


def test_milestones_in_epochs_or_fractions() -> None:
    wide = Settings("x", epochs=400, sched="multistep", decay_milestones=(120, 240, 320), decay_rate=0.2)
    shares = replace(wide, decay_milestones=(0.3, 0.6, 0.8))
    for settings in (wide, shares):
        found = [rate_at(settings, epoch * 7, 7) for epoch in (0, 119, 120, 239, 240, 319, 320, 399)]
        assert found == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 8e-4, 8e-4])


def test_linear_scaling(digits: Dataset) -> None:
    settings = replace(SHORT, lr=0.1, lr_base_size=256, batch_size=64)
    assert settings.peak_lr == pytest.approx(0.025) and replace(settings, lr_base_size=None).peak_lr == 0.1
    training = prepare(settings, digits)
    Trainer(training).train_epoch()
    assert training.optimizer.param_groups[0]["lr"] < 0.025


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_optimisers_take_the_published_step(name: str) -> None:
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = make_optimizer(Settings("x", opt=name, lr=0.1, weight_decay=0.01, momentum=0.9), [weight])  # type: ignore[arg-type]
    weight.grad = torch.tensor([0.5])
    optimizer.step()
    decayed = 0.5 + 0.01 * 2
    expected = {
        "sgd": 2 - 0.1 * (decayed + 0.9 * decayed),  # Nesterov, first step
        "rmsprop": 2 - 0.1 * decayed / (math.sqrt(0.1 * decayed**2) + 1e-3),
        "adamw": 2 * (1 - 0.1 * 0.01) - 0.1 * 0.5 / (0.5 + 1e-8),
    }[name]
    assert weight.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("changes", [{"opt": "rmsprop", "lr": 1e-3}, {"opt": "adamw", "lr": 1e-3, "model_ema_decay": 0.99}])
def test_resuming_is_exact_with_every_optimiser(tmp_path, digits: Dataset, changes: dict) -> None:  # type: ignore[no-untyped-def]
    from augury.train.engine.rundir import RunDirectory

    settings = replace(SHORT, epochs=2, **changes)
    whole = prepare(settings, digits)
    Trainer(whole).run()
    directory = RunDirectory.open(tmp_path, settings.dict())
    first = prepare(settings, digits)
    Trainer(first).begin(directory)
    Trainer(first).record(Trainer(first).train_epoch())
    second = prepare(settings, digits)
    Trainer(second).run(directory)
    for name, value in whole.shown.state_dict().items():
        assert torch.equal(value, second.shown.state_dict()[name]), name


def test_smoothing_is_the_mean_with_the_uniform_distribution(digits: Dataset) -> None:
    logits, labels = torch.linspace(-2, 3, 40).reshape(4, 10), torch.tensor([1, 0, 9, 4])
    expected = functional.cross_entropy(logits, labels, label_smoothing=0.2, reduction="none")
    torch.testing.assert_close(Targets.of(labels, 10).smoothed(0.2).loss(logits), expected)
    general = prepare(replace(SHORT, smoothing=0.1), digits)
    own = prepare(replace(SHORT, strategy="erm(smoothing=0.1)"), digits)
    assert Trainer(general).train_epoch()["train_loss"] == pytest.approx(Trainer(own).train_epoch()["train_loss"], rel=1e-4)
    with pytest.raises(InputError, match="--smoothing"):
        prepare(replace(SHORT, smoothing=0.1, strategy="erm(smoothing=0.1)"), digits)


def test_clipping_bounds_the_gradient(digits: Dataset) -> None:
    training = prepare(replace(SHORT, clip_grad=1e-3, momentum=0.0, weight_decay=0.0, lr=1.0), digits)
    before = [p.detach().clone() for p in training.model.parameters()]
    after = [p.detach() for p in training.model.parameters()]
    tally = Trainer(training).open_epoch()
    next(Trainer(training).steps(tally))
    moved = math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(before, after, strict=True)))
    assert moved == pytest.approx(1e-3, rel=1e-2)


def test_accumulated_pieces_give_the_gradient_of_the_whole(digits: Dataset) -> None:
    """With a network whose images do not see each other."""
    gradients = []
    for pieces in (1, 3):
        training = prepare(replace(SHORT, grad_accum_steps=pieces), digits)
        for module in training.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        rows = torch.arange(50)
        share = Share(rows, rows * 0, 1.0, 50)
        assert [len(piece.rows) for piece in share.pieces(pieces)] == ([50] if pieces == 1 else [17, 17, 16])
        training.update.finish = lambda: None  # type: ignore[method-assign]
        loss, _ = compute(training, share, {}, training_clock(), None)
        gradients.append([p.grad.clone() for p in training.model.parameters()])  # type: ignore[union-attr]
        assert training.counts.images == 50 and training.counts.forward == pytest.approx(1)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)
    with pytest.raises(InputError, match="--grad-accum-steps"):
        prepare(replace(SHORT, grad_accum_steps=2, strategy="dml(updates=alternating)"), digits)


def training_clock():  # type: ignore[no-untyped-def]
    from augury.train.engine.refinement import clock_at

    return clock_at(SHORT, 0, 0)


def test_averaged_weights() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(model[0].weight, 1.0)
    average = ModelEma(model, decay=0.5)
    expected = 1.0
    for number, value in enumerate((3.0, 5.0, -1.0), start=1):
        nn.init.constant_(model[0].weight, value)
        model[1].running_mean.fill_(value)
        average.update(model)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * value
    assert average.model[0].weight.item() == pytest.approx(expected)  # type: ignore[index]
    assert average.model[1].running_mean.item() == -1.0  # type: ignore[index]


def test_the_average_is_what_is_evaluated_and_written(digits: Dataset) -> None:
    training = prepare(replace(SHORT, model_ema_decay=0.9), digits)
    row = Trainer(training).train_epoch()
    assert training.shown is not training.model
    from augury.train.engine.evaluate import evaluate

    found = evaluate(training.shown, digits.validation, training.method.normalize, 10)
    assert row["validation_loss"] == pytest.approx(found.loss)
    assert evaluate(training.model, digits.validation, training.method.normalize, 10).loss != pytest.approx(found.loss)


def test_udas_schedule_is_its_published_cosine() -> None:
    """Catches half a cosine, which would end at 0."""
    from augury.train.engine.schedule import learning_rate

    found = [learning_rate(step, 1000, base=0.03, sched="cosine_part") for step in (0, 500, 1000)]
    expected = [0.03 * math.cos(7 * math.pi * t / 16) for t in (0.0, 0.5, 1.0)]
    assert found == pytest.approx(expected) and found[-1] == pytest.approx(0.195 * 0.03, rel=1e-2)
