"""The spectrum of penultimate features: how many directions the classes, and the images within each class, occupy."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.options import Interval, parse_chain
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Spread, Subject, Table, TableRow, groups_of, mean_of
from augury.explain.measurements.sets import check_features, some, views
from augury.explain.report.diagrams import Point, line_panel, side_by_side
from augury.train.data.dataset import Dataset, Split
from augury.train.strategies.outputs import outputs

_KINDS = {"within": "Within classes", "total": "Total"}


@register("measurement", "spectrum", source="He et al. 2019, Data Augmentation Revisited, arXiv:1909.09148, section 4.1, figure 3")
def spectrum(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    part: Literal["train", "test"] = "train",
    images: Annotated[int, Interval(2)] | None = 10000,
    seed: Annotated[int, Interval(0)] = 0,
) -> Measured:
    """Singular values of the within-class and total covariances of the head's input features.

    The features are those of un-augmented images, by the network in evaluation mode; covariances are summed in float64 batch by
    batch. `within` is the mean of the classes' covariances. With C classes the covariance between them has rank C - 1, so
    the total spectrum of a network that separates them falls steeply there. `images`: number of images of the part, with the
    classes in turn; null for all, as in the paper.
    """
    split = some(getattr(dataset, part), images, seed)
    classes = len(dataset.classes)
    found: dict[str, list[dict[str, Tensor]]] = {}
    for group, members in groups_of(subjects).items():
        for subject in members:
            within, total = covariances(_features(subject, split), split.labels, classes)
            found.setdefault(group, []).append({"within": torch.linalg.svdvals(within), "total": torch.linalg.svdvals(total)})
    note = f"{len(split.ids)} {'training' if part == 'train' else 'test'} images without augmentation; {classes} classes."
    shown = {"within": "within, sum", "total": "total, sum", "ratio": "within / total", "rank": "effective rank, total",
             "beyond": "total beyond C - 1, %"}  # fmt: skip
    figures = {group: [_figures(s, classes) for s in seeds] for group, seeds in found.items()}
    rows: list[TableRow] = [
        (group, float(len(seeds)), *(Spread(tuple(s[key] for s in seeds)).text(3) for key in shown))
        for group, seeds in figures.items()
    ]
    panels = []
    for kind, title in _KINDS.items():
        mark = (float(classes - 1), f"C - 1 = {classes - 1}") if kind == "total" else None
        lines = {group: _line([s[kind] for s in seeds]) for group, seeds in found.items()}
        panels.append(line_panel(f"{title} covariance", lines, ("number", "singular value"), log="y", mark=mark, points=False))
    caption = f"Singular values in descending order, relative to the largest; mean and range over the seeds. {note}"
    values = {
        "part": part, "images": len(split.ids), "classes": classes,
        "rows": [
            {"trained": group, "n": len(seeds), "measured": figures[group],
             **{kind: [[float(f"{v:.6g}") for v in s[kind].tolist()] for s in seeds] for kind in _KINDS}}
            for group, seeds in found.items()
        ],
    }  # fmt: skip
    table = Table("Features", ("trained with", "n", *shown.values()), tuple(rows), f"{note} The effective rank is the exponential "
                  "of the entropy of the singular values' shares (Roy and Vetterli 2007).", digits=0)  # fmt: skip
    return Measured(_summary(figures), values, (table,), (Figure("Spectra", side_by_side(panels, list(found)), caption),))


def covariances(features: Iterator[Tensor], labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """float64 [D,D]: the mean of the classes' covariances, and the total covariance, from features batch by batch.

    Moments are taken about the first batch's mean, since a large common offset would cost precision. Classes without images
    do not count. Raises InputError if there are no features.
    """
    counts = torch.bincount(labels, minlength=classes).double()
    weight = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0) / (counts > 0).sum()
    offset = sums = inner = outer = torch.empty(0)
    start = 0
    for part in features:
        rows, own = part.double(), labels[start : start + len(part)]
        if start == 0:
            offset = rows.mean(0)
            sums = torch.zeros(classes, rows.shape[1], dtype=torch.float64)
            inner = outer = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
        rows = rows - offset
        sums.index_add_(0, own, rows)
        inner = inner + rows.T @ (rows * weight[own, None])
        outer = outer + rows.T @ rows
        start += len(part)
    if start == 0:
        raise InputError("--what: spectrum: there are no images")
    means = sums / counts.clamp(min=1)[:, None]
    seen = (counts > 0).double()[:, None] / (counts > 0).sum()
    mean = sums.sum(0) / start
    return inner - means.T @ (means * seen), outer / start - torch.outer(mean, mean)


@torch.no_grad()
def _features(subject: Subject, split: Split) -> Iterator[Tensor]:
    check_features(subject)
    for images in views(subject, split.images, split.labels, split.ids, parse_chain("none", "spectrum"), 0):
        yield outputs(subject.model, images.to(subject.device), "features")[1].flatten(1).cpu()


def _figures(spectra: dict[str, Tensor], classes: int) -> dict[str, float]:
    within, total = spectra["within"], spectra["total"]
    trace = max(total.sum().item(), 1e-300)
    return {
        "within": within.sum().item(),
        "total": total.sum().item(),
        "ratio": within.sum().item() / trace,
        "rank": torch.special.entr(total / trace).sum().exp().item(),
        "beyond": 100 * total[classes - 1 :].sum().item() / trace,
    }


def _line(seeds: list[Tensor]) -> list[Point]:
    table = torch.stack([s / s[0].clamp(min=1e-300) for s in seeds])
    table = torch.where(table > 1e-9, table, 1e-9)
    low, high = table.min(0).values, table.max(0).values
    return [(float(k + 1), table[:, k].mean().item(), low[k].item(), high[k].item()) for k in range(table.shape[1])]


def _summary(figures: dict[str, list[dict[str, float]]]) -> str:
    said = [f"{g}: {100 * mean_of(s, 'ratio'):.0f} %, effective rank {mean_of(s, 'rank'):.1f}" for g, s in figures.items()]
    return f"Share of the features' variance within the classes, and the effective rank of the total. {'; '.join(said)}."
