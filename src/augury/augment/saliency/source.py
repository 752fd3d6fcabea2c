"""Saliency for pipelines, which call it just before the first stage that needs a map."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from augury.augment.forms.normalize import normalised
from augury.augment.saliency.early_head import EarlyHead, Headed
from augury.augment.saliency.gradient import evaluating
from augury.augment.saliency.maps import SaliencyKind, SaliencyWay, way_of
from augury.core.batch import Batch
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.target_kind import TargetKind


@dataclass(frozen=True)
class Saliency:
    """Takes a batch and gives it its saliency map from `network`, leaving the network and all generators as they were.

    normalise: converts uint8 images to what the network expects; float images are used unchanged.
    """

    network: nn.Module
    kind: SaliencyKind = "full"
    normalise: Callable[[Tensor], Tensor] | None = None
    head: EarlyHead | None = None

    def __call__(self, batch: Batch) -> Batch:
        targets, home = batch.targets, batch.images.device
        if targets is not None and targets.kind is TargetKind.SEVERAL:
            if self.way.labels:
                raise InputError(
                    f"saliency={self.kind}: explains one class per image, and these have several labels; use attention"
                )
            targets = None
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
            seen = self.network
            if self.way.early_head:
                assert self.head is not None
                seen = Headed(self.network, self.head)
            return self.way.make(seen, images, labels)

    @property
    def way(self) -> SaliencyWay:
        """How its maps are made."""
        return way_of(self.kind)

    def _floats(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8:
            return images
        if self.normalise is None:
            raise InputError("saliency: these images are uint8 pixels; give augury.saliency(model, mean=..., std=...)")
        return self.normalise(images)


@door
def saliency(
    model: nn.Module,
    kind: SaliencyKind = "full",
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    head: EarlyHead | None = None,
) -> Saliency:
    """For `pipeline.run(batch, noise, saliency=augury.saliency(model))` in a training loop of your own.

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
    way = way_of(kind)
    if way.early_head and head is None:
        raise InputError(f"saliency: {kind} needs head=early_head(model, classes), trained along with the model")
    resized = getattr(model, "image_size", None)
    if way.other_size and resized is not None:
        raise InputError(
            f"saliency={kind}: the network resizes every image to {resized}x{resized}, which saves nothing; "
            "use saliency=full or saliency=early_head"
        )
    if (mean is None) != (std is None):
        raise InputError("saliency: give both mean and std, or neither")
    normalise = None if mean is None or std is None else partial(normalised, mean=tuple(mean), std=tuple(std))
    return Saliency(model, kind, normalise, head)
