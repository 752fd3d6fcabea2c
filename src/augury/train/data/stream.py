"""Images that stay in their files and are decoded during training, by workers that only decode and resize."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from augury.core.errors import RunError
from augury.core.processes import cores
from augury.train.data.image import Source, read_plain
from augury.train.data.intensity import Range
from augury.train.data.pool import each
from augury.train.data.resize import Plain, Resize, pixels_at

Stream = Literal["auto", "yes", "no"]
# Batches that are decoded ahead, per worker.
AHEAD = 2


@dataclass(frozen=True)
class FileImages:
    """uint8 [N,C,H,W] that is decoded from `sources` on demand; takes the place of a data set's tensor.

    Indexing decodes immediately, in threads; `batches` decodes ahead, in worker processes. intensity: the range of values of images
    of more than 8 bits. sums int64 [N,C,2]: every image's sum and sum of squares, computed when it was first decoded.
    """

    sources: Sequence[Source]
    channels: int
    size: tuple[int, int]
    intensity: Range | None = None
    sums: Tensor | None = None
    how: Resize = "cover"

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
        """The pixels of some rows (a tensor of indices or a mask) or of one; another FileImages for a slice."""
        if isinstance(rows, slice):
            return replace(self, sources=self.sources[rows], sums=None if self.sums is None else self.sums[rows])
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
        """uint8 [C,H,W] of one image: decoded, turned upright and resized. Nothing here is random.

        Raises RunError if the file can no longer be read.
        """
        return pixels_at(self.whole(row), self.size, self.how)

    def whole(self, row: int) -> Plain:
        """One image at its original size, upright, with as many channels as the others; RunError as in `read`."""
        try:
            return read_plain(self.sources[row], self.channels, self.intensity)[0]
        except Exception as error:  # decoders raise any kind of exception on damaged files
            source = self.sources[row]
            name = "an image" if isinstance(source, bytes) else str(source)
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise RunError(f"{name}: cannot be read any more ({reason}); put it back as it was, then --resume") from None

    def to(self, device: object) -> "FileImages":
        """Returns itself, since batches are moved one by one."""
        return self

    def chosen(self, rows: Tensor) -> "FileImages":
        """The images of some rows (indices or a mask), still in their files."""
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        sums = None if self.sums is None else self.sums[rows.cpu()]
        return replace(self, sources=[self.sources[row] for row in rows.tolist()], sums=sums)

    def split(self, size: int, part: slice = slice(None)) -> Iterator[Tensor]:
        """Batches of the rows in `part`, in order, decoded ahead."""
        return self.batches(list(torch.arange(len(self))[part].split(size)))

    def batches(self, rows: list[Tensor], *, workers: int | None = None, pinned: bool = False) -> Iterator[Tensor]:
        """Yields uint8 [b,C,H,W] for each tensor of row indices, in order. workers: processes (0: this one, None: one per core)."""
        count = min(cores() if workers is None else workers, len(rows))
        more: dict[str, Any] = {"prefetch_factor": AHEAD} if count else {}
        numbers = [each_rows.tolist() for each_rows in rows]
        # Its own generator, since the loader would otherwise draw its workers' seeds from the global one.
        loader = DataLoader(
            _Decoder(self), batch_sampler=numbers, num_workers=count, collate_fn=_as_it_is, pin_memory=pinned,
            generator=torch.Generator(), **more,
        )  # fmt: skip
        for found in loader:
            if isinstance(found, str):
                raise RunError(found)
            yield found


@dataclass(frozen=True)
class _Decoder(torch.utils.data.Dataset[Any]):
    """The data set of a worker: returns the pixels of a whole batch of files, or the error of one of them."""

    images: FileImages

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, rows: list[int]) -> Tensor | str:
        out = torch.empty(len(rows), self.images.channels, *self.images.size, dtype=torch.uint8)
        target = out.numpy()
        try:
            for place, row in enumerate(rows):
                target[place] = self.images.read(row)
        except RunError as error:
            return str(error)
        return out


def _as_it_is(batch: object) -> Any:
    return batch


def picked(images: Any, rows: Any) -> Any:
    """The given rows of a data set's images; images in files are not decoded."""
    return images.chosen(torch.as_tensor(rows)) if isinstance(images, FileImages) else images[rows]
