"""The first stage of `augury patch`: the subgroup that a model fails on, and saliency maps of the same images before and after."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from augury.augment.saliency.grad_cam import grad_cam
from augury.augment.saliency.gradient import evaluating, gradient_map
from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.explain.report.sheet import Block
from augury.jobs.runs import open_run
from augury.jobs.saliency import heat
from augury.train.data.dataset import Dataset
from augury.train.data.groups import Groups, group_accuracy
from augury.train.engine.evaluate import evaluate
from augury.train.engine.setup import on_device

_EACH = 2


@dataclass(frozen=True)
class Model:
    """A trained network, the normalisation of its images, and its name in reports."""

    network: nn.Module
    normalize: Normalize
    device: torch.device
    name: str


def model_of(folder: Path, dataset: Dataset, name: str, device: str) -> Model:
    """The first network of a finished run; InputError if its classes or channels differ from the data's."""
    run = open_run(folder, device, {})
    own = run.identity
    if own.classes != dataset.classes or own.channels != dataset.train.images.shape[1]:
        raise InputError(f"--from-run {folder}: was trained on {run.settings.data}, whose classes or channels are not these data's")
    return Model(run.networks[0], run.normalize, run.device, name)


def found_groups(model: Model, dataset: Dataset, groups: Groups) -> dict[str, Any]:
    """The content of find.json: accuracy in percent per group of the validation part, the worst group, the gap of each class."""
    part = on_device(dataset.validation, model.device)
    seen = evaluate(model.network, part, model.normalize, len(dataset.classes))
    found = group_accuracy(seen.prediction, part, groups)
    known = [(accuracy, name) for accuracy, name in zip(found.groups, groups.names, strict=True) if accuracy is not None]
    return {
        "version": 1, "model": model.name, "part": "validation", "accuracy": found.accuracy,
        "worst_group": found.worst, "worst_group_name": min(known)[1] if known else None, "gaps": found.gaps(groups),
        "groups": [
            {"name": name, "training_images": trained, "images": count, "accuracy": accuracy}
            for name, trained, count, accuracy in zip(
                groups.names, groups.counts.tolist(), found.counts, found.groups, strict=True
            )
        ],
    }  # fmt: skip


def before_and_after(before: Model, after: Model, dataset: Dataset, groups: Groups) -> Block:
    """Saliency maps of both networks on the same test images; from each group, images that `before` gets wrong come first.

    Two maps per image, as in the paper's figures: the absolute gradient of the true class's logit, maximal over the channels,
    and Grad-CAM; each is clipped at its 99th percentile.
    """
    cells = groups.of_split(dataset.test)
    seen = evaluate(before.network, on_device(dataset.test, before.device), before.normalize, len(dataset.classes))
    right = (seen.prediction.cpu() == dataset.test.labels.cpu()).long()
    rows = []
    for cell in range(len(groups)):
        own = (cells == cell).nonzero()[:, 0]
        rows.append(own[torch.argsort(right[own], stable=True)[:_EACH]])
    chosen = torch.cat(rows)
    images, labels = dataset.test.images[chosen], dataset.test.labels[chosen]
    after_maps, captions = [], []
    for model in (before, after):
        maps, words = _maps(model, images, labels, dataset.classes)
        for kind, each in maps.items():
            after_maps.append(each)
            captions.append([f"{model.name}, {kind}: {word}" for word in words])
    names = [groups.names[cell] for cell in cells[chosen].tolist()]
    return Block("", images, after_maps, captions, names, ("saliency before and after",))


def _maps(model: Model, images: Tensor, labels: Tensor, classes: tuple[str, ...]) -> tuple[dict[str, Tensor], list[str]]:
    """Saliency as uint8 [R,3,H,W] by kind, and each image's prediction in words."""
    shown = model.normalize.normalise(images.to(model.device))
    with evaluating(model.network):
        maps = {
            "gradient": gradient_map(model.network, shown, labels.to(model.device)),
            "Grad-CAM": grad_cam(model.network, shown, labels.to(model.device)),
        }
        with torch.no_grad():
            confidence, predicted = model.network(shown).float().softmax(1).max(1)
    pairs = zip(confidence.tolist(), predicted.tolist(), labels.tolist(), strict=True)
    words = [f"{classes[p]}{'' if p == y else ' (wrong)'}, {100 * c:.0f} %" for c, p, y in pairs]
    return {kind: heat(each.cpu()) for kind, each in maps.items()}, words
