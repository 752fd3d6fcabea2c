"""Loads the rows of a step that belong to this process, with pixels from memory or from files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from augury.train.data.dataset import Split
from augury.train.data.stream import FileImages
from augury.train.engine.settings import Settings


@dataclass(frozen=True)
class Share:
    """This process's rows of a step. rows: int64 [b], of the training part. visits: how often each was seen earlier in the epoch.
    weight: the factor of their mean loss. count: source images of the whole step, over all processes. images: uint8 [b,C,H,W] if
    streamed."""

    rows: Tensor
    visits: Tensor
    weight: float
    count: int
    images: Tensor | None = None

    def pieces(self, count: int) -> list["Share"]:
        """The share split into nearly equal pieces of at least two images, for gradient accumulation."""
        count = max(1, min(count, len(self.rows) // 2))
        if count == 1:
            return [self]
        cuts = torch.tensor_split(torch.arange(len(self.rows), device=self.rows.device), count)
        return [
            replace(self, rows=self.rows[cut], visits=self.visits[cut], weight=self.weight * len(cut) / len(self.rows),
                    images=None if self.images is None else self.images[cut])
            for cut in cuts
        ]  # fmt: skip


def load_batches(split: Split, shares: Iterator[Share], settings: Settings, device: torch.device) -> Iterator[Share]:
    """The shares with their pixels: unchanged if the images are in memory, else decoded ahead by workers."""
    images = split.images
    if not isinstance(images, FileImages):
        return shares
    return _streamed(images, list(shares), settings, device)


def _streamed(files: FileImages, shares: list[Share], settings: Settings, device: torch.device) -> Iterator[Share]:
    pinned = device.type == "cuda"
    batches = files.batches([share.rows.cpu() for share in shares], workers=settings.decode_workers, pinned=pinned)
    for share, images in zip(shares, batches, strict=True):
        yield replace(share, images=images.to(device, non_blocking=pinned))
