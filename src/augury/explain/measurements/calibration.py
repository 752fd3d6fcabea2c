"""Calibration: whether a network's confidence matches its accuracy."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from augury.core.options import Interval, parse_chain
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Spread, Subject, Table, TableRow, groups_of, mean_of
from augury.explain.measurements.sets import logits_under
from augury.explain.report.diagrams import line_panel, side_by_side
from augury.train.data.dataset import Dataset

_COLUMNS = {
    "accuracy": "accuracy, %", "confidence": "mean confidence, %", "cross_entropy": "cross-entropy, nats",
    "calibration_error": "calibration error, %", "brier": "Brier score",
}  # fmt: skip


@register(
    "measurement", "calibration", source="Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599, section 2"
)
def calibration(subjects: Sequence[Subject], dataset: Dataset, *, bins: Annotated[int, Interval(2, 100)] = 15) -> Measured:
    """Cross-entropy, expected calibration error and reliability on the test part.

    The expected calibration error is the mean distance between confidence and accuracy over `bins` equal intervals of
    confidence, weighted by the number of images in each. It depends on `bins` and is biased upwards for few images.
    """
    found: dict[str, list[dict[str, float]]] = {}
    curves: dict[str, list[Tensor]] = {}
    for group, members in groups_of(subjects).items():
        for subject in members:
            logits = logits_under(subject, dataset.test, parse_chain("none", "calibration"), 0)
            probability = logits.double().softmax(1)
            found.setdefault(group, []).append(_figures(probability, dataset.test.labels, bins))
            curves.setdefault(group, []).append(reliability(probability, dataset.test.labels, bins))
    rows: list[TableRow] = [
        (group, float(len(seeds)), *(Spread(tuple(s[key] for s in seeds)).text(3 if key in ("cross_entropy", "brier") else 2)
                                     for key in _COLUMNS))
        for group, seeds in found.items()
    ]  # fmt: skip
    images = len(dataset.test.ids)
    note = f"{images} test images; for several seeds the mean, with the lowest and the highest in brackets; {bins} bins."
    drawn = {group: [(c, a, a, a) for c, a, n in torch.stack(all_).nanmean(0).tolist() if n > 0] for group, all_ in curves.items()}
    panel = line_panel("Reliability", drawn, ("confidence, %", "accuracy, %"), diagonal=True)
    caption = (
        f"Accuracy of the images in each of {bins} bins of confidence, averaged over the seeds. On the dashed line confidence "
        "equals accuracy; below it, a network is overconfident. Empty bins are left out."
    )
    values = {
        "images": images, "bins": bins,
        "rows": [{"trained": group, "n": len(seeds), "measured": seeds, "reliability": [c.tolist() for c in _plain(curves[group])]}
                 for group, seeds in found.items()],
    }  # fmt: skip
    table = Table("Confidence and accuracy", ("trained with", "n", *_COLUMNS.values()), tuple(rows), note, digits=0)
    return Measured(
        _summary(found), values, (table,),
        (Figure("Reliability", side_by_side([panel], list(drawn)), caption),),
    )  # fmt: skip


def reliability(probability: Tensor, labels: Tensor, bins: int) -> Tensor:
    """[bins,3]: per bin of confidence, mean confidence and accuracy in percent (NaN if it is empty), and its number of images."""
    confidence, prediction = probability.max(1)
    right = (prediction == labels).double()
    # Guo et al. use intervals open below: ((m-1)/M, m/M].
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    count = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, torch.ones_like(confidence))
    sums = torch.zeros(bins, 2, dtype=torch.float64).index_add_(0, place, torch.stack([confidence, right], 1))
    return torch.cat([100 * sums / count[:, None], count[:, None]], 1)


def _figures(probability: Tensor, labels: Tensor, bins: int) -> dict[str, float]:
    confidence, prediction = probability.max(1)
    table = reliability(probability, labels, bins)
    gap = ((table[:, 0] - table[:, 1]).abs() * table[:, 2]).nansum() / len(labels)
    own = probability.gather(1, labels[:, None])[:, 0]
    # Sum over the classes of (p - 1[label])^2.
    brier = (probability.square().sum(1) - 2 * own + 1).mean()
    return {
        "accuracy": 100 * (prediction == labels).double().mean().item(),
        "confidence": 100 * confidence.mean().item(),
        "cross_entropy": -own.clamp(min=1e-300).log().mean().item(),
        "calibration_error": gap.item(),
        "brier": brier.item(),
    }


def _plain(curves: list[Tensor]) -> list[Tensor]:
    """Replaces NaN, which JSON lacks: empty bins hold zeros."""
    return [curve.nan_to_num() for curve in curves]


def _summary(found: dict[str, list[dict[str, float]]]) -> str:
    said = [
        f"{group}: {mean_of(seeds, 'calibration_error'):.2f} % with {mean_of(seeds, 'confidence'):.1f} % confidence at "
        f"{mean_of(seeds, 'accuracy'):.1f} % accuracy"
        for group, seeds in found.items()
    ]
    return f"Expected calibration error: {'; '.join(said)}."
