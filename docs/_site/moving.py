"""Pictures of masks and boxes that follow their images, outlined."""

from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision import tv_tensors

import augury
from augury import InputError

_YELLOW, _WHITE = (255, 214, 10), (255, 255, 255)


def annotated(text: str, photographs: Tensor, draws: int) -> tuple[list[Tensor], str] | None:
    """The flower outlined, `draws` draws of a chain with its mask and box moved along, and words for them.

    None where no mask moves, and for what refuses masks. Boxes are left out where they are refused, as by mixes of two images.
    """
    masks = torch.stack([_building(photographs[0]), _flower(photographs[1])])
    given: dict[str, Any] = {
        "image": tv_tensors.Image(photographs),
        "masks": tv_tensors.Mask(masks.to(torch.uint8)),
        "boxes": [_box(mask) for mask in masks],
    }
    pipeline = augury.pipeline(text, seed=4)
    try:
        pipeline(given)
    except InputError:
        del given["boxes"]
    try:
        done = [pipeline(given) for _ in range(draws)]
    except InputError:
        return None
    if all(torch.equal(each["masks"].as_subclass(Tensor), given["masks"].as_subclass(Tensor)) for each in done):
        return None
    moving = "The mask (yellow) and the box (white) move" if "boxes" in given else "The mask (yellow) moves"
    return [_outlined(each) for each in (given, *done)], f"{moving} with the image."


def _flower(image: Tensor) -> Tensor:
    red, green, _ = image.int()
    return _largest(red - green > 30)


def _building(image: Tensor) -> Tensor:
    return _largest(image.int().sum(0) < 300)


def _largest(mask: Tensor) -> Tensor:
    from scipy.ndimage import binary_closing, binary_fill_holes, label

    closed = binary_fill_holes(binary_closing(mask.numpy(), iterations=2))
    parts, _ = label(closed)
    counts = torch.bincount(torch.as_tensor(parts).flatten())
    counts[0] = 0
    return torch.as_tensor(parts) == int(counts.argmax())


def _box(mask: Tensor) -> tv_tensors.BoundingBoxes:
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    corners = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
    return tv_tensors.BoundingBoxes([corners], format="XYXY", canvas_size=tuple(mask.shape))


def _outlined(sample: dict[str, Any]) -> Tensor:
    """The second image of the sample with the edge of its mask, two pixels wide, and its box."""
    image, mask = sample["image"][1].as_subclass(Tensor), sample["masks"][1].as_subclass(Tensor)
    around = torch.nn.functional.max_pool2d(mask.float()[None, None], 5, 1, 2)[0, 0].bool() & ~mask.bool()
    shown = torch.where(around, torch.tensor(_YELLOW, dtype=torch.uint8)[:, None, None], image)
    if "boxes" not in sample:
        return shown
    picture = Image.fromarray(shown.permute(1, 2, 0).contiguous().numpy())
    left, top, right, bottom = sample["boxes"][1][0].tolist()
    if right - left > 1 and bottom - top > 1:
        ImageDraw.Draw(picture).rectangle([left, top, right - 1, bottom - 1], outline=_WHITE)
    return torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(*image.shape[1:], 3).permute(2, 0, 1)
