"""timm: ids through its loaders, and mixes in place of its Mixup."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from augury.augment.pipeline import Pipeline
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.targets import Targets
from augury.train.data.with_ids import number_of


class WithIds(Dataset[Any]):
    """A data set for `timm.data.create_loader` whose labels are (label, id), int64 [2], with the prefetcher and without.

    Batches are then (images, targets [B,2]): `method(images, targets[:, 0], ids=targets[:, 1])`. `transform` is the data set's,
    which timm sets.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    @property
    def transform(self) -> Any:
        return self.dataset.transform

    @transform.setter
    def transform(self, value: Any) -> None:
        self.dataset.transform = value

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray]:
        image, label = self.dataset[index]
        # An array, since timm's own collating takes no pairs and PyTorch's would take them apart.
        return image, np.array([int(label), number_of(int(index))], dtype=np.int64)


class Mix:
    """In place of timm's `Mixup`: `images, targets = mix(images, targets)` on normalised images of a loader.

    pipeline: of stages that mix or erase, such as `mixup(alpha=0.8)` or `cutmix`; other stages draw pixels, which are values by
    then. Targets come back as class probabilities [B,classes], for `SoftTargetCrossEntropy`. label_smoothing: as in timm, the
    weight of the uniform distribution. Targets of two columns are (label, id), by which draws are addressed. timm's train loop
    switches `mixup_enabled` off for the last epochs.
    """

    def __init__(self, pipeline: Pipeline, num_classes: int, label_smoothing: float = 0.0) -> None:
        for stage in pipeline.stages:
            if stage.domain == "pixels":
                raise InputError(f"Mix: {stage.name} takes pixels, and timm's loaders give values; train by augury.method instead")
        self.pipeline, self.num_classes, self.label_smoothing = pipeline, num_classes, label_smoothing
        self.mixup_enabled = True
        self.calls = 0

    def __call__(self, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        labels, ids = (target[:, 0], target[:, 1]) if target.ndim == 2 and not target.is_floating_point() else (target, None)
        targets = Targets.of(labels, self.num_classes)
        if self.mixup_enabled:
            ids = torch.arange(len(images), device=images.device) if ids is None else ids
            noise = Noise.of(self.pipeline.seed, ids, epoch=self.calls)
            self.calls += 1
            batch, _ = self.pipeline.run(Batch(images, targets, ids, key=noise.key), noise)
            assert batch.targets is not None
            images, targets = batch.images, batch.targets
        return images, targets.smoothed(self.label_smoothing).dense()
