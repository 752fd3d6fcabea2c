"""The gap between the empirical risk on augmented images, which training minimises, and on clean images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from augury.augment.stages.normalize import Normalize
from augury.core.options import Chain, Interval
from augury.core.registry import register
from augury.core.targets import Targets
from augury.explain.measurements.as_trained import AsTrained, as_trained
from augury.explain.measurements.measurement import Figure, Measured, Spread, Subject, Table, TableRow, groups_of, mean_of
from augury.explain.measurements.sets import some
from augury.explain.report.diagrams import dot_panel
from augury.train.data.dataset import Dataset
from augury.train.engine.setup import on_device

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
    """Training risk on un-augmented and augmented images, and the lower bound that mixed labels set.

    Mean cross-entropies, in nats, of networks in evaluation mode on `images` training images. `clean` uses the images as they
    are, with hard labels. `augmented` uses them as in stage one's last epoch, with the run's policies and mixing within the
    network (or under `augment`), `draws` times each, with the augmented labels. No network can bring it below the mean entropy of
    those labels, so the excess over that entropy is given too, unlike in the paper. `refined` has the intensive stages off, as
    after refinement: use it for a refined network. To compare runs before and after refinement, name both.
    """
    found: dict[str, list[dict[str, float]]] = {}
    count = 0
    for group, members in groups_of(subjects).items():
        for subject in members:
            risks, count = _risks(subject, as_trained(subject, dataset, augment), images, draws, seed)
            found.setdefault(group, []).append(risks)
    rows: list[TableRow] = [
        (group, float(len(seeds)), *(Spread(tuple(1000 * s[key] for s in seeds)).text(1) for key in _COLUMNS))
        for group, seeds in found.items()
    ]
    note = (
        f"Cross-entropy in thousandths of a nat on {count} training images, {draws} draw{'s' if draws > 1 else ''} each; "
        "for several seeds the mean, with the lowest and the highest in brackets."
    )
    shown = ["clean", "augmented", "excess", "refined"]
    panel = dot_panel(
        "Training risk, nats", [_COLUMNS[key] for key in shown],
        {group: [[s[key] for s in seeds] for key in shown] for group, seeds in found.items()}, log=True,
    )  # fmt: skip
    values = {
        "images": count, "draws": draws, "seed": seed, "augment": None if augment is None else str(augment),
        "rows": [{"trained": group, "n": len(seeds), "measured": seeds} for group, seeds in found.items()],
    }  # fmt: skip
    table = Table("Risks", ("trained with", "n", *_COLUMNS.values()), tuple(rows), note, digits=0)
    return Measured(_summary(found), values, (table,), (Figure("Risks", panel, f"{note} The figure is in nats."),))


@dataclass
class _Mean:
    loss: float = 0.0
    entropy: float = 0.0
    count: int = 0

    def add(self, logits: Tensor, targets: Targets) -> None:
        self.loss += targets.loss(logits).double().sum().item()
        self.entropy += targets.entropy().double().sum().item()
        self.count += len(logits)

    @property
    def mean_loss(self) -> float:
        return self.loss / max(1, self.count)

    @property
    def mean_entropy(self) -> float:
        return self.entropy / max(1, self.count)


@torch.no_grad()
def _risks(subject: Subject, seen: AsTrained, images: int | None, draws: int, seed: int) -> tuple[dict[str, float], int]:
    """The risks in nats, and the number of images they were measured on."""
    split = on_device(some(seen.train, images, seed), subject.device)
    normalize = Normalize(subject.mean, subject.std)
    clean, augmented, refined = _Mean(), _Mean(), _Mean()
    for number, rows in enumerate(torch.arange(len(split.ids), device=subject.device).split(seen.batch_size)):
        logits = subject.model(normalize.normalise(split.images[rows].to(subject.device))).float().cpu()
        clean.add(logits, Targets.of(split.labels[rows].cpu(), seen.classes))
        for draw in range(draws):
            augmented.add(*seen.examples(split, rows, seen.clock(number), draw))
            refined.add(*seen.examples(split, rows, seen.clock(number, refined=True), draw))
    return {
        "clean": clean.mean_loss, "augmented": augmented.mean_loss, "floor": augmented.mean_entropy,
        "excess": augmented.mean_loss - augmented.mean_entropy, "refined": refined.mean_loss,
    }, len(split.ids)  # fmt: skip


def _summary(found: dict[str, list[dict[str, float]]]) -> str:
    said = [
        f"{group}: {1000 * mean_of(seeds, 'clean'):.1f} on the images as they are, "
        f"{1000 * mean_of(seeds, 'augmented'):.1f} augmented, "
        f"of which {1000 * mean_of(seeds, 'floor'):.1f} is the labels' own entropy"
        for group, seeds in found.items()
    ]
    return f"Cross-entropy on training images, in thousandths of a nat. {'; '.join(said)}."
