"""Test images at their files' resolution, padded and then resized to the network's input size."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, Split, load
from augury.train.data.pool import each
from augury.train.data.resize import fit_tensor, stacked
from augury.train.data.stream import FileImages
from augury.train.engine.settings import Settings


@dataclass(frozen=True)
class Photographs:
    """Images of a test part at the resolution of their files. files: their source, or None to use the split's arrays."""

    split: Split
    files: FileImages | None

    def of(self, row: int) -> Tensor:
        """uint8 [C,h,w]."""
        if self.files is None:
            image: Tensor = self.split.images[row]
            return image
        return torch.from_numpy(stacked(self.files.whole(row)).copy())

    def padded(self, rows: Tensor, pixels: int, border: object, pad: object) -> Tensor:
        """uint8 [B,C,H,W]: padded by `pixels` of the photograph on every side, short side resized, then centre-cropped.

        pad: `scale.padded`. The photograph is resized before it is padded, with the padding scaled likewise: up to rounding the
        same as padding first, and as fast for large paddings as for small ones.
        """
        size = (self.split.images.shape[-2], self.split.images.shape[-1])
        out = torch.empty(len(rows), *self.split.images.shape[1:], dtype=torch.uint8)
        numbers = rows.tolist()

        def one(place: int) -> None:
            out[place] = padded_photograph(self.of(numbers[place]), pixels, border, size, pad)

        each(one, len(numbers))
        return out


def padded_photograph(photograph: Tensor, pixels: int, border: Any, size: tuple[int, int], pad: Any) -> Tensor:
    """uint8 [C,*size] from uint8 [C,h,w]; see `Photographs.padded`."""
    height, width = photograph.shape[-2:]
    factor = max(size[0] / (height + 2 * pixels), size[1] / (width + 2 * pixels))
    inner = max(1, round(height * factor)), max(1, round(width * factor))
    small = fit_tensor(photograph[None], inner, "stretch")
    # Pad only as far as the centre crop extends beyond the photograph; the crop would cut off the rest.
    beside = max(0, -(-(size[0] - inner[0]) // 2), -(-(size[1] - inner[1]) // 2))
    whole = pad(small, beside, border)[0]
    top, left = (whole.shape[-2] - size[0]) // 2, (whole.shape[-1] - size[1]) // 2
    return whole[:, top : top + size[0], left : left + size[1]]


def photographs(dataset: Dataset, settings: Settings, split: Split) -> Photographs:
    """The photographs of a part of the data set's test images; InputError if the files read again are other test images."""
    images: Any = dataset.test.images
    place = {int(number): row for row, number in enumerate(dataset.test.ids)}
    rows = torch.tensor([place[int(number)] for number in split.ids])
    if not isinstance(images, FileImages):
        try:
            again = load(
                dataset.name, data_dir=settings.data_dir, image_size=(images.shape[-2], images.shape[-1]),
                validation=settings.validation, resize=settings.resize, stream="yes",
            )  # fmt: skip
        except InputError:  # made in memory
            return Photographs(split, None)
        if not isinstance(again.test.images, FileImages):
            return Photographs(split, None)
        if not torch.equal(again.test.ids, dataset.test.ids):
            raise InputError(f"DATA {dataset.name}: its test images are not those that were read before")
        images = again.test.images
    return Photographs(split, images.chosen(rows))
