"""torchvision: a `collate_fn` that augments whole batches, where its CutMix and MixUp stand."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import default_collate

from augury.adapters.addressed import AddressedPipeline
from augury.adapters.batches import arguments
from augury.augment.pipeline import Pipeline
from augury.core.errors import InputError


class Collate:
    """Collates items and augments the batch, in the loader's workers: `DataLoader(data, 64, collate_fn=Collate(pipeline, 10))`.

    Items are (image, label), or (image, label, id) of `augury.with_ids`, by which images then draw, with images uint8 [C,H,W], or
    floats in [0, 1]. Batches are (images, labels). Where the pipeline mixes images, the labels are `Targets`, or with `dense`
    class probabilities [B,classes], as torchvision's transforms give. `start_epoch` before every epoch makes draws follow it;
    without ids and without it, every batch draws anew.
    """

    def __init__(self, pipeline: Pipeline, num_classes: int, *, dense: bool = False) -> None:
        self.pipeline, self.num_classes, self.dense = pipeline, num_classes, dense
        self._addressed = AddressedPipeline(pipeline, num_classes, image_range=(0, 1))

    def start_epoch(self, epoch: int) -> None:
        """Draw for this epoch (0-based) from here on, in workers too."""
        self._addressed.start_epoch(epoch)

    def __call__(self, items: Sequence[Any]) -> tuple[Tensor, Any]:
        given = arguments(default_collate(list(items)))
        if "labels" not in given:
            raise InputError("Collate: expected items (image, label) or (image, label, id)")
        if "ids" in given:
            batch = self._addressed(given["images"], given["labels"], ids=given["ids"])
            images, labels = batch.images, self._addressed.labels(batch, given["labels"])
        else:
            images, labels = self.pipeline(given["images"], given["labels"], classes=self.num_classes)
        return images, labels.dense() if self.dense and self.pipeline.mixes else labels
