"""The gap between the risk that is trained on and the risk of the images as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch

from augury.augment.names import build
from augury.augment.pipeline import Pipeline
from augury.augment.stages.normalize import Normalize
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.options import Chain, Interval, parse_chain
from augury.core.plan import Clock
from augury.core.registry import register
from augury.core.targets import Targets
from augury.explain.measurements.measurement import Figure, Measured, Row, Spread, Subject, Table, groups_of, mean_of
from augury.explain.measurements.sets import BATCH, some
from augury.explain.report.diagrams import dot_panel
from augury.train.data.dataset import Dataset, Split
from augury.train.method.saliency import fill_of, wanted

_COLUMNS = {
    "clean": "un-augmented (R)",
    "augmented": "augmented (R_aug)",
    "floor": "labels' entropy",
    "excess": "augmented, above the labels' entropy",
    "refined": "augmented as in refinement",
}


@register("measurement", "risk_gap", source="He et al. 2019, Data Augmentation Revisited, arXiv:1909.09148, section 3.3, table 2")
def risk_gap(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    images: Annotated[int, Interval(2)] | None = 10000,
    draws: Annotated[int, Interval(1, 1000)] = 1,
    augment: Chain | None = None,
    seed: Annotated[int, Interval(0)] = 0,
) -> Measured:
    """Training risk of un-augmented and of augmented images, with the floor that mixed labels put under it.

    Mean cross-entropies, in nats, of networks in evaluation mode on `images` images of the training part: with hard labels
    as they are; under the network's own training augmentation (or `augment`), `draws` times each, against the labels as
    augmented. No network can bring the latter below the mean entropy of those labels, so what lies above it is given too,
    which the paper does not. `refined` has the intensive stages off, as after refinement: a refined network is to be
    read there. Runs before and after refinement are compared by naming both.
    """
    split = some(dataset.train, images, seed)
    found: dict[str, list[dict[str, float]]] = {}
    for group, members in groups_of(subjects).items():
        for subject in members:
            found.setdefault(group, []).append(_risks(subject, split, len(dataset.classes), augment, draws, seed))
    rows: list[Row] = [
        (group, float(len(seeds)), *(Spread(tuple(1000 * s[key] for s in seeds)).text(1) for key in _COLUMNS))
        for group, seeds in found.items()
    ]
    note = (
        f"Cross-entropy in thousandths of a nat on {len(split.ids)} training images, {draws} draw{'s' if draws > 1 else ''} each; "
        "over several seeds the mean, and in brackets the lowest and the highest."
    )
    shown = ["clean", "augmented", "excess", "refined"]
    panel = dot_panel(
        "Training risk, nats", [_COLUMNS[key] for key in shown],
        {group: [[s[key] for s in seeds] for key in shown] for group, seeds in found.items()}, log=True,
    )  # fmt: skip
    values = {
        "images": len(split.ids), "draws": draws, "seed": seed, "augment": None if augment is None else str(augment),
        "rows": [{"trained": group, "n": len(seeds), "measured": seeds} for group, seeds in found.items()],
    }  # fmt: skip
    table = Table("Risks", ("trained with", "n", *_COLUMNS.values()), tuple(rows), note, digits=0)
    return Measured(_summary(found), values, (table,), (Figure("Risks", panel, f"{note} The figure is in nats."),))


@dataclass
class _Mean:
    loss: float = 0.0
    entropy: float = 0.0
    count: int = 0


def _risks(subject: Subject, split: Split, classes: int, augment: Chain | None, draws: int, seed: int) -> dict[str, float]:
    chain = augment or parse_chain(subject.settings.augment, f"{subject.folder}: augment")
    statistics = (subject.mean, subject.std)
    pipeline, plain = build(chain, statistics, "--what: risk_gap(augment)"), build(parse_chain("none", "none"), statistics)
    clean = _risk(subject, split, classes, plain, 1, seed, False)
    augmented = _risk(subject, split, classes, pipeline, draws, seed, False)
    refined = _risk(subject, split, classes, pipeline, draws, seed, True)
    return {
        "clean": clean.loss, "augmented": augmented.loss, "floor": augmented.entropy,
        "excess": augmented.loss - augmented.entropy, "refined": refined.loss,
    }  # fmt: skip


@torch.no_grad()
def _risk(subject: Subject, split: Split, classes: int, pipeline: Pipeline, draws: int, seed: int, refined: bool) -> _Mean:
    found, fill = _Mean(), None
    asked = wanted((pipeline,))
    if asked is not None and not refined:
        # An early head is not among a run's networks; the full map stands in for its.
        kind = "full" if asked.kind == "early_head" else asked.kind
        fill = fill_of(subject.model, kind, Normalize(subject.mean, subject.std))
    # Counters of a training's last epoch, so that what grows over a training is grown.
    clock = Clock(max(0, subject.settings.epochs - 1), subject.settings.epochs)
    for draw in range(draws):
        for rows in torch.arange(len(split.ids)).split(BATCH):
            noise = Noise.of(seed, split.ids[rows], epoch=draw).fold("risk")
            batch = Batch(split.images[rows], Targets.of(split.labels[rows], classes), split.ids[rows])
            done, _ = pipeline.run(batch, noise, fill=fill, refined=refined, clock=clock)
            assert done.targets is not None
            logits = subject.model(done.images.to(subject.device)).float().cpu()
            found.loss += done.targets.loss(logits).double().sum().item()
            found.entropy += done.targets.entropy().double().sum().item()
            found.count += len(done)
    return _Mean(found.loss / max(1, found.count), found.entropy / max(1, found.count), found.count)


def _summary(found: dict[str, list[dict[str, float]]]) -> str:
    said = [
        f"{group}: {1000 * mean_of(seeds, 'clean'):.1f} on the images as they are, "
        f"{1000 * mean_of(seeds, 'augmented'):.1f} augmented, "
        f"of which {1000 * mean_of(seeds, 'floor'):.1f} is the labels' own entropy"
        for group, seeds in found.items()
    ]
    return f"Cross-entropy on training images, in thousandths of a nat. {'; '.join(said)}."
