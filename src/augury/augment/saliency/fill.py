"""The front door to saliency: what a pipeline calls just before the first stage that needs it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from augury.augment.forms.normalize import normalised
from augury.augment.saliency.attention import attention_map
from augury.augment.saliency.early_head import EarlyHead, early_maps
from augury.augment.saliency.gradient import evaluating, gradient_map, low_resolution_map
from augury.augment.saliency.maps import AnySaliencyKind
from augury.core.batch import Batch
from augury.core.doors import door
from augury.core.errors import InputError


@dataclass(frozen=True)
class Saliency:
    """A `fill`: takes a batch, gives it its saliency map from `network`, leaving the network and all generators as they were.

    normalise: uint8 images to what the network expects; images that are floats already are taken as they are.
    """

    network: nn.Module
    kind: AnySaliencyKind = "full"
    normalise: Callable[[Tensor], Tensor] | None = None
    head: EarlyHead | None = None

    def __call__(self, batch: Batch) -> Batch:
        targets, home = batch.targets, batch.images.device
        labels = None if targets is None else targets.index[:, 0] if targets.index.shape[1] == 1 else targets.top()
        parameter = next(self.network.parameters(), None)
        device = home if parameter is None else parameter.device
        found = self.map(self._floats(batch.images.to(device)), None if labels is None else labels.to(device))
        return batch.replace(saliency=found.to(home))

    def map(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """float32 [B,H,W] of normalised images float [B,C,H,W]; without labels int64 [B], of each image's largest logit."""
        if not len(images):
            return images.new_zeros(0, *images.shape[-2:])
        images = images.contiguous(memory_format=torch.channels_last)
        with evaluating(self.network, *([] if self.head is None else [self.head])):
            if self.kind == "attention":
                return attention_map(self.network, images)
            if self.kind == "low_resolution":
                return low_resolution_map(self.network, images, labels)
            return gradient_map(self._early if self.kind == "early_head" else self.network, images, labels)

    def _early(self, images: Tensor) -> Tensor:
        assert self.head is not None
        logits: Tensor = self.head(early_maps(self.network, images))
        return logits

    def _floats(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8:
            return images
        if self.normalise is None:
            raise InputError("saliency: these images are uint8 pixels; give augury.saliency(model, mean=..., std=...)")
        return self.normalise(images)


@door
def saliency(
    model: nn.Module,
    kind: AnySaliencyKind = "full",
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    head: EarlyHead | None = None,
) -> Saliency:
    """A `fill` for `pipeline.run(batch, noise, fill=augury.saliency(model))` in a training loop of your own.

    kind: `full`; `low_resolution`, from images of half the size (a quarter of the cost); `early_head`, from `head` on the
    network's first unit, which `augury.augment.saliency.early_head` makes and you train along; `attention`, the
    last maps of any network, for attentive_cutmix. mean, std: per channel in
    [0,1], where the map is asked for uint8 pixels. The map is that of the label's logit, or of the largest where there is no label.
    Raises InputError for an unknown kind, and for low_resolution with a network that resizes every image.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    >>> saliency(model).map(torch.zeros(1, 3, 2, 2)).shape
    torch.Size([1, 2, 2])
    """
    if kind not in get_args(AnySaliencyKind):
        raise InputError(f"saliency: {kind!r} must be one of {', '.join(get_args(AnySaliencyKind))}")
    if kind == "early_head" and head is None:
        raise InputError("saliency: early_head needs head=early_head(model, classes), trained along with the model")
    resized = getattr(model, "image_size", None)
    if kind == "low_resolution" and resized is not None:
        raise InputError(
            f"saliency=low_resolution: the network resizes every image to {resized}x{resized}, which saves nothing; "
            "use saliency=full or saliency=early_head"
        )
    if (mean is None) != (std is None):
        raise InputError("saliency: give both mean and std, or neither")
    normalise = None if mean is None or std is None else partial(normalised, mean=tuple(mean), std=tuple(std))
    return Saliency(model, kind, normalise, head)
