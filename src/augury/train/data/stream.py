"""Images that stay in their files: decoded while a training runs, by workers that decode and cut to size and do no more."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from augury.train.data.decode import Source, open_image, to_plain
from augury.train.data.pool import each
from augury.train.data.resize import fit, planes

# Batches that are decoded ahead, per worker.
AHEAD = 2


@dataclass(frozen=True)
class FileImages:
    """uint8 [N,C,H,W] that is read from `sources` when it is asked for; stands where a data set's tensor does.

    Indexing decodes at once, on threads; `batches` decodes ahead, in worker processes.
    """

    sources: Sequence[Source]
    channels: int
    size: tuple[int, int]

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.sources), self.channels, *self.size))

    @property
    def ndim(self) -> int:
        return 4

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, rows: Any) -> Any:
        """Pixels for row numbers or a mask (a tensor) and for one number; another FileImages for a slice."""
        if isinstance(rows, slice):
            return FileImages(self.sources[rows], self.channels, self.size)
        if isinstance(rows, int):
            return self[torch.tensor([rows])][0]
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        numbers = rows.cpu().tolist()
        out = torch.empty(len(numbers), self.channels, *self.size, dtype=torch.uint8)
        target = out.numpy()

        def one(place: int) -> None:
            target[place] = self.read(numbers[place])

        each(one, len(numbers))
        return out.to(rows.device)

    def read(self, row: int) -> np.ndarray:
        """uint8 [C,H,W] of one image: decoded, turned upright, brought to size. Nothing is drawn here."""
        with open_image(self.sources[row]) as image:
            plain, _ = to_plain(image, self.channels)
        return planes(fit(plain, self.size))

    def to(self, device: Any) -> "FileImages":
        """Itself: its batches are moved as they come."""
        return self

    def chosen(self, rows: Tensor) -> "FileImages":
        """The images of some rows, still in their files."""
        return FileImages([self.sources[row] for row in rows.tolist()], self.channels, self.size)

    def split(self, size: int, part: slice = slice(None)) -> Iterator[Tensor]:
        """Batches of the rows in `part`, in their order, decoded ahead."""
        return self.batches(list(torch.arange(len(self))[part].split(size)))

    def batches(self, rows: list[Tensor], *, workers: int | None = None, pinned: bool = False) -> Iterator[Tensor]:
        """uint8 [b,C,H,W] for each tensor of row numbers, in order. workers: processes; 0 decodes here; None one per core."""
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        count = count if workers is None else workers
        count = min(count, len(rows))
        more: dict[str, Any] = {"prefetch_factor": AHEAD} if count else {}
        numbers = [each_rows.tolist() for each_rows in rows]
        collate: Callable[[Any], Tensor] = _as_it_is
        # A generator of its own: the loader would draw its workers' seeds from the global one.
        yield from DataLoader(
            _Decoder(self), batch_sampler=numbers, num_workers=count, collate_fn=collate, pin_memory=pinned,
            generator=torch.Generator(), **more,
        )  # fmt: skip


@dataclass(frozen=True)
class _Decoder(torch.utils.data.Dataset[Tensor]):
    """What a worker does: whole batches of files to pixels."""

    images: FileImages

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, rows: list[int]) -> Tensor:
        out = torch.empty(len(rows), self.images.channels, *self.images.size, dtype=torch.uint8)
        target = out.numpy()
        for place, row in enumerate(rows):
            target[place] = self.images.read(row)
        return out


def _as_it_is(batch: Any) -> Tensor:
    return batch
