"""Where networks look: saliency maps of chosen images and of those with the highest loss, one column per network."""

import importlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from augury.augment.saliency.grad_cam import grad_cam
from augury.augment.saliency.source import saliency as filled
from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.core.options import Interval, parse_chain
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Subject, groups_of
from augury.explain.measurements.sets import logits_under, some
from augury.explain.report.maps import MapRow, Seen, map_table
from augury.train.data.dataset import Dataset, Split

Method = Literal["gradient", "grad_cam", "integrated_gradients"]
_TITLES = {"gradient": "gradient", "grad_cam": "Grad-CAM", "integrated_gradients": "integrated gradients"}
_MOST_NETWORKS = 6


@register(
    "measurement", "saliency", 
    source="Arar, Shamir and Bermano 2021 (InAugment, arXiv:2104.03843), section 4.3, figure 2; Grad-CAM: Selvaraju et al. 2017, "
    "arXiv:1610.02391",
)  # fmt: skip
def saliency(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    methods: tuple[Method, ...] = ("gradient", "grad_cam"),
    ids: tuple[Annotated[int, Interval(0)], ...] | None = None,
    images: Annotated[int, Interval(0, 50)] = 4,
    worst: Annotated[int, Interval(0, 50)] = 4,
    seed: Annotated[int, Interval(0)] = 0,
) -> Measured:
    """Gradient and Grad-CAM maps of some test images, with each network's five most probable classes below them.

    Shows the images of `ids`, or `images` of them drawn by `seed` with classes in turn, and the `worst` images, whose
    cross-entropy averaged over all networks is highest. Shows the first network of each group; maps are those of the
    image's true class. `integrated_gradients` needs captum.
    """
    chosen = _chosen(dataset.test, ids, images, seed)
    losses, probabilities = _losses(subjects, dataset.test)
    hardest = [k for k in losses.argsort(descending=True).tolist() if k not in chosen][:worst]
    shown = [*chosen, *hardest]
    if not shown:
        raise InputError("--what: saliency: images=0 and worst=0 leave nothing to show")
    part = dataset.test[torch.tensor(shown)]
    firsts = {group: members[0] for group, members in list(groups_of(subjects).items())[:_MOST_NETWORKS]}
    maps = {group: {m: _maps(subject, part, m) for m in methods} for group, subject in firsts.items()}
    places = {id(subject): n for n, subject in enumerate(subjects)}
    rows = []
    for k, row in enumerate(shown):
        seen = {
            group: Seen({_TITLES[m]: maps[group][m][k].numpy() for m in methods},
                        _best(probabilities[places[id(subject)]][row], dataset.classes))
            for group, subject in firsts.items()
        }  # fmt: skip
        label = dataset.classes[int(part.labels[k])]
        rows.append(
            MapRow(
                part.images[k].numpy(),
                f"{dataset.called(int(part.ids[k]))}{', among the worst' if row in hardest else ''}",
                label,
                seen,
            )
        )
    caption = (
        "Maps of the image's true class, each scaled to its 99th percentile, over the image in grey; below them the network's "
        "most probable classes with their probabilities, the true one marked. The first seed of each group."
    )
    values = {
        "methods": list(methods), "ids": part.ids.tolist(), "worst": [int(dataset.test.ids[k]) for k in hardest],
        "rows": [
            {"id": int(part.ids[k]), "name": dataset.name_of(int(part.ids[k])), "label": rows[k].label, "loss": losses[row].item(),
             "networks": {group: {"best": [[n, p] for n, p in rows[k].seen[group].best],
                                  "inner_half": {m: _inner(maps[group][m][k]) for m in methods}} for group in firsts}}
            for k, row in enumerate(shown)
        ],
    }  # fmt: skip
    return Measured(_summary(maps, len(shown)), values, (), (Figure("Where the networks look", map_table(rows), caption),))


def _chosen(split: Split, ids: tuple[int, ...] | None, images: int, seed: int) -> list[int]:
    """Row numbers of the requested images."""
    row = {number: k for k, number in enumerate(split.ids.tolist())}
    if ids is None:
        return [row[number] for number in some(split, images, seed).ids.tolist()] if images else []
    for number in ids:
        if number not in row:
            raise InputError(f"--what: saliency(ids): no test image has the number {number}; they are {min(row)} to {max(row)}")
    return [row[number] for number in dict.fromkeys(ids)]


def _losses(subjects: Sequence[Subject], split: Split) -> tuple[Tensor, list[Tensor]]:
    """Each image's cross-entropy averaged over the networks, and every network's probabilities [N, classes]."""
    logs = [logits_under(s, split, parse_chain("none", "saliency"), 0).log_softmax(1) for s in subjects]
    own = [-log.gather(1, split.labels[:, None])[:, 0] for log in logs]
    return torch.stack(own).mean(0), [log.exp() for log in logs]


def _maps(subject: Subject, part: Split, method: Method) -> Tensor:
    """float32 [N,H,W] on the CPU."""
    images = Normalize(subject.mean, subject.std).normalise(part.images.to(subject.device))
    labels = part.labels.to(subject.device)
    if method == "gradient":
        return filled(subject.model).map(images, labels).cpu()
    if method == "grad_cam":
        return grad_cam(subject.model, images, labels).cpu()
    attribute: Callable[..., Any] = _captum().IntegratedGradients(subject.model).attribute
    found: Tensor = attribute(images, target=labels)
    return found.detach().abs().amax(1).float().cpu()


def _captum() -> Any:
    try:
        return importlib.import_module("captum.attr")
    except ModuleNotFoundError:
        raise InputError("--what: saliency: integrated_gradients needs captum (pip install captum); leave it out") from None


def _best(probability: Tensor, classes: Sequence[str]) -> list[tuple[str, float]]:
    values, places = probability.topk(min(5, len(classes)))
    return [(classes[place], value) for place, value in zip(places.tolist(), values.tolist(), strict=True)]


def _inner(found: Tensor) -> float | None:
    """The share of a map within the middle half of both sides, which holds a quarter of the pixels; None for an empty map."""
    height, width = found.shape
    inner = found[height // 4 : height - height // 4, width // 4 : width - width // 4]
    total = found.sum().item()
    return inner.sum().item() / total if total > 0 else None


def _summary(maps: dict[str, dict[Method, Tensor]], count: int) -> str:
    def mean(found: Tensor) -> str:
        seen = [value for value in map(_inner, found) if value is not None]
        return f"{100 * float(np.mean(seen)):.0f} %" if seen else "none"

    said = [f"{group}: " + ", ".join(f"{_TITLES[m]} {mean(found)}" for m, found in by.items()) for group, by in maps.items()]
    return (
        f"{count} test images. Mean share of each map within the middle quarter of the image (25 % for a uniform map): "
        f"{'; '.join(said)}."
    )
