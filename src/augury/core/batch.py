"""Batch: images together with their labels, ids and other metadata."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from augury.core import devices
from augury.core.devices import constant
from augury.core.targets import Targets


@dataclass(frozen=True)
class Batch:
    """A batch on its way through a pipeline.

    images: uint8 [B,C,H,W] before `normalize`, float after it. ids: int64 [B], the sample's index in its data set.
    visits: int64 [B], how often the id was seen before in this epoch. groups: int64 [B]. saliency: float32 [B,H,W].
    size: int64 [B,2], valid rows and columns from the top left where images are smaller than H x W (None: the full size).
    key: int64 [B], the key of each row's noise (`Noise(batch.key)`), for strategies that draw random numbers themselves; on the
    images' device, or on the CPU where that device draws nothing.
    """

    images: Tensor
    targets: Targets | None
    ids: Tensor
    visits: Tensor | None = None
    groups: Tensor | None = None
    saliency: Tensor | None = None
    size: Tensor | None = None
    key: Tensor | None = None

    def replace(self, **changes: Any) -> "Batch":
        """The batch with other values for some of its fields."""
        return replace(self, **changes)

    def to(self, device: torch.device) -> "Batch":
        """On another device; itself where it is there already."""
        if self.images.device == device:
            return self
        parts: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        moved: dict[str, Any] = {name: None if part is None else part.to(device) for name, part in parts.items()}
        return Batch(**moved | ({} if devices.augments(device) else {"key": self.key}))

    def sizes(self) -> Tensor:
        """int64 [B,2]: valid rows and columns of every image."""
        if self.size is not None:
            return self.size
        height, width = self.images.shape[-2:]
        if devices.is_host(self.images.device):
            return constant((height, width), torch.int64, self.images.device).expand(len(self), 2)
        size = torch.full((2,), width, device=self.images.device)
        size[:1].fill_(height)  # passed as a kernel argument; a tensor made on the host would have to be copied
        return size.expand(len(self), 2)

    def __len__(self) -> int:
        return self.images.shape[0]

    def __getitem__(self, rows: Tensor) -> "Batch":
        """The given rows, in the given order."""
        parts: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        chosen: dict[str, Any] = {name: None if part is None else part[rows] for name, part in parts.items()}
        return Batch(**chosen)
