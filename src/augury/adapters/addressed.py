"""A pipeline within a loop of other libraries: what an image draws follows from seed, epoch and id."""

from typing import Any

import torch
from torch import Tensor

from augury.augment.pipeline import Pipeline
from augury.core.batch import Batch
from augury.core.devices import as_tensor
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.train.method.inputs import Inputs
from augury.train.strategies.strategy import Strategy


class AddressedPipeline:
    """A pipeline with the epoch that it draws for. Where images come without ids, see `Inputs`.

    The epoch lies in shared memory, so that a DataLoader's workers learn of it, those too that outlive an epoch.
    """

    def __init__(self, pipeline: Pipeline, classes: int, image_range: tuple[float, float] | None = None) -> None:
        if any("saliency" in stage.needs for stage in pipeline.stages):
            raise InputError(f"{pipeline!r}: needs maps of a network; train by augury.method(model, augment=...), which makes them")
        self.pipeline = pipeline
        self.inputs = Inputs("the pipeline", Strategy(), classes, image_range)
        self._epoch = torch.zeros((), dtype=torch.int64, device="cpu").share_memory_()
        self._last = 0

    def start_epoch(self, epoch: int) -> None:
        """Draw for this epoch (0-based) from here on."""
        self._epoch.fill_(epoch)

    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, ids: Tensor | None = None, visits: Tensor | None = None
    ) -> Batch:
        """The augmented batch."""
        epoch = int(self._epoch)
        if epoch != self._last:
            self.inputs.start_epoch()
            self._last = epoch
        batch = self.inputs.sources(images, labels, ids, visits, None, {})["train"]()
        noise = Noise.of(self.pipeline.seed, batch.ids, epoch=epoch, visits=batch.visits)
        return self.pipeline.run(batch.replace(key=noise.key), noise)[0]

    def labels(self, batch: Batch, given: Any) -> Any:
        """The labels of an augmented batch: as they were given, unless images were mixed, then `Targets`."""
        if self.pipeline.mixes:
            return batch.targets
        if len(batch) != len(given):
            given = as_tensor(given).repeat(len(batch) // len(given))
        return given
