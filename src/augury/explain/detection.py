"""Average precision of a detector's boxes, as defined by Pascal VOC and COCO."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

Boxes = Mapping[str, Tensor]
COCO = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))


def mean_average_precision(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], *,
    thresholds: Sequence[float] = COCO, interpolation: Literal["coco", "voc"] = "coco", most: int = 100,
) -> float:  # fmt: skip
    """Average precision in percent, averaged over classes and thresholds.

    predictions, per image: boxes float [n,4] (left, top, right, bottom), scores float [n], labels int64 [n], as returned by
    torchvision's detectors; truths: boxes and labels. A prediction is correct if its intersection over union with a box of its
    class, not yet matched by a higher-scoring prediction, reaches the threshold. interpolation: `coco` averages the precision at
    101 recalls (Lin et al. 2014); `voc` is the area under the monotone precision (Everingham et al. 2010, since VOC2010).
    Only the `most` highest-scoring predictions of an image count. Classes are those of the truths; nan without any.
    VOC's own metric is thresholds=(0.5,), interpolation="voc".
    """
    classes = sorted({int(label) for truth in truths for label in truth["labels"]})
    found = [
        average_precision(_of_class(predictions, label, most), _of_class(truths, label), threshold, interpolation)
        for label in classes
        for threshold in thresholds
    ]
    return 100 * sum(found) / len(found) if found else float("nan")


def average_precision(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], threshold: float, interpolation: Literal["coco", "voc"] = "coco"
) -> float:
    """Average precision in [0, 1] of one class at one threshold; boxes as in `mean_average_precision`."""
    total = sum(len(truth["boxes"]) for truth in truths)
    order = sorted(
        ((float(score), image, row) for image, given in enumerate(predictions) for row, score in enumerate(given["scores"])),
        key=lambda item: -item[0],
    )
    overlaps = [intersection_over_union(given["boxes"], truth["boxes"]) for given, truth in zip(predictions, truths, strict=True)]
    free = [torch.ones(len(truth["boxes"]), dtype=torch.bool) for truth in truths]
    right = torch.zeros(len(order), dtype=torch.float64)
    for place, (_, image, row) in enumerate(order):
        candidates = torch.where(free[image], overlaps[image][row], -1.0)
        if len(candidates) and float(candidates.max()) >= threshold:
            free[image][candidates.argmax()] = False
            right[place] = 1
    if not total or not len(order):
        return 0.0
    hits = right.cumsum(0)
    precision = (hits / torch.arange(1, len(order) + 1)).flip(0).cummax(0).values.flip(0)
    recall = hits / total
    if interpolation == "voc":
        steps = torch.diff(recall, prepend=recall.new_zeros(1))
        return float((steps * precision).sum())
    reached = torch.searchsorted(recall, torch.arange(101, dtype=torch.float64) / 100 - 1e-12)
    padded = torch.cat([precision, precision.new_zeros(1)])
    return float(padded[reached].mean())


def intersection_over_union(first: Tensor, second: Tensor) -> Tensor:
    """float [n,m] for boxes [n,4] and [m,4] (left, top, right, bottom)."""
    low = torch.maximum(first[:, None, :2], second[:, :2])
    high = torch.minimum(first[:, None, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    area = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1) for boxes in (first, second)]
    union = area[0][:, None] + area[1] - shared
    return torch.where(union > 0, shared / union.clamp(min=1e-12), 0.0)


def _of_class(given: Sequence[Boxes], label: int, most: int | None = None) -> list[Boxes]:
    chosen: list[Boxes] = []
    for boxes in given:
        rows = torch.arange(len(boxes["labels"]))
        if most is not None:
            rows = boxes["scores"].argsort(descending=True, stable=True)[:most]
        rows = rows[boxes["labels"][rows] == label]
        chosen.append({key: value[rows] for key, value in boxes.items()})
    return chosen
