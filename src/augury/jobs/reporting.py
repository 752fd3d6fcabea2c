"""Shared by the reports of several commands."""

from pathlib import Path

from torch import Tensor

from augury.augment.pipeline import SaliencySource
from augury.core.options import Chain
from augury.explain.report.sheet import Block, Sheet, sheets
from augury.jobs.sheets import Draws, draw, sample_rows
from augury.jobs.shown import history_of, rows_of, shown_of
from augury.train.data.dataset import Dataset
from augury.train.engine.settings import Settings

IMAGES, DRAWS = 8, 6
_REFINED = {
    "standard": "", "nothing": ", without any augmentation", "gradual": ", fading out by strength",
    "gradual_chance": ", fading out by chance", "statistics": ", only the statistics of batch normalisation",
}  # fmt: skip
_OPTIMISERS = {"sgd": "SGD", "rmsprop": "RMSProp", "adam": "Adam", "adamw": "AdamW"}


def sheet_of(dataset: Dataset, augment: Chain, seed: int, saliency: SaliencySource | None = None) -> Sheet:
    """A report's sheet for one augmentation: a few training images and several draws of each. saliency: what stages that look
    at the network's saliency are shown; the trained network's."""
    rows = sample_rows(dataset, IMAGES)
    drawn = draw(dataset, augment, rows, DRAWS, seed=seed, saliency=saliency)
    return Sheet(str(augment), _caption(drawn, seed, saliency), sheets([_block(drawn, dataset, rows)]))


def training_sheet(
    settings: Settings,
    dataset: Dataset,
    *,
    run: Path | None = None,
    saliency: SaliencySource | None = None,
    title: str | None = None,
) -> Sheet:
    """What a training showed its network of a few images: one view an epoch in the first epochs; of a strategy with several
    views, or policies of its own, all views of the last epochs. run: the training's folder."""
    shown, rows = shown_of(settings, dataset, run), rows_of(settings, dataset, IMAGES)
    history = history_of(settings, dataset, shown)
    draws = min(shown.draws(DRAWS), settings.epochs)
    first = 0 if shown.plain else settings.epochs - draws
    drawn = draw(dataset, shown, rows, draws, seed=settings.seed, epoch=first, saliency=saliency, history=history)
    name = settings.augment if shown.plain else f"{settings.augment}, {settings.strategy}"
    return Sheet(name if title is None else title, _caption(drawn, settings.seed, saliency), sheets([_block(drawn, dataset, rows)]))


def _block(drawn: Draws, dataset: Dataset, rows: Tensor) -> Block:
    names = [dataset.called(number) for number in dataset.train.ids[rows].tolist()]
    return Block("", drawn.before, drawn.after, names=names, headings=drawn.headings)


def _caption(drawn: Draws, seed: int, saliency: SaliencySource | None) -> str:
    return (
        "The first column is the original; the others are what the network sees of it in the epoch that stands above, "
        f"in the training with seed {seed}{'' if saliency is None else ', with the saliency of the trained network'}."
    )


def settings_shown(settings: Settings, environment: dict[str, str]) -> dict[str, str]:
    """The settings line of a report."""
    s = settings
    harder = {
        "second augmentation": s.augment2,
        "training images": None if s.fraction == 1 else f"{s.fraction:.0%} of them",
        "label noise": None if s.label_noise == 0 else f"{s.label_noise:.0%} of the training labels",
    }
    return {
        "data": s.data,
        **{name: text for name, text in harder.items() if text is not None},
        "model": s.model,
        "epochs": str(s.epochs),
        "optimiser": f"{_OPTIMISERS[s.opt]}, {momentum_of(s)}batch {_batch(s)}, lr {s.peak_lr:g} ({s.sched}), "
        f"weight decay {s.weight_decay:g}",
        **{name: text for name, text in _refinement(s).items() if text is not None},
        "hardware": environment["device"],
        "versions": ", ".join(f"{name} {environment[name]}" for name in ("augury", "torch", "python")),
    }


def _batch(s: Settings) -> str:
    return "depending on the number of images" if s.batch_size is None else str(s.batch_size)


def momentum_of(s: Settings) -> str:
    """SGD's momentum in words; empty for other optimisers."""
    return f"{'Nesterov' if s.nesterov else 'plain'} momentum {s.momentum:g}, " if s.opt == "sgd" and s.momentum else ""


def _refinement(s: Settings) -> dict[str, str | None]:
    how = _REFINED[s.refine_mode]
    rate = "" if s.refine_lr is None else f", lr {s.refine_lr:g}"
    rate += "" if s.refine_sched == "constant" else f" ({s.refine_sched})"
    return {
        "refinement": f"epochs {s.stage_one + 1} to {s.total_epochs}{how}{rate}" if s.refined else None,
        "label smoothing": f"{s.smoothing:g}" if s.smoothing else None,
        "averaged weights": None if s.model_ema_decay is None else f"decay {s.model_ema_decay:g}",
    }
