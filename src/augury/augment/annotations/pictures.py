"""The images of a call, by samples and by size, with what belongs to each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from augury.augment.annotations.boxes import TO_CORNERS
from augury.augment.annotations.structure import WRAP, Leaf, Parsed, sides
from augury.augment.inputs import as_pixels
from augury.augment.pil import from_pil, to_pil
from augury.core.errors import InputError


@dataclass(frozen=True)
class Picture:
    """Images of the samples of a group, one each (or one video each). leaves: one for all, or one for each sample.

    pixels: uint8 [n * frames,C,H,W]. restore: back to the values that were passed.
    """

    leaves: list[Leaf]
    pixels: Tensor
    frames: int
    restore: Callable[[Tensor], Tensor]

    @staticmethod
    def of(leaves: list[Leaf]) -> "Picture":
        tensors = [
            from_pil(leaf.value) if isinstance(leaf.value, Image.Image) else leaf.value.as_subclass(Tensor) for leaf in leaves
        ]
        frames = 1
        whole = tensors[0] if leaves[0].row is None else tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)
        if leaves[0].frames:
            frames, whole = whole.shape[1], whole.flatten(0, 1)
        pixels, restore = as_pixels(whole)
        return Picture(leaves, pixels, frames, restore)

    @staticmethod
    def blank(group: "Group") -> "Picture":
        """In the place of images where there are none."""
        device = group.leaves[0].value.device
        pixels = torch.zeros(len(group.rows), 3, group.height, group.width, dtype=torch.uint8, device=device)
        return Picture([], pixels, 1, lambda images: images)

    def put(self, images: Tensor, results: dict[int, Any], normalised: bool) -> None:
        """The finished images in the places and types of those that were passed."""
        from torchvision import tv_tensors

        done = images if normalised else self.restore(images)
        if self.leaves[0].frames:
            done = done.unflatten(0, (-1, self.frames))
        each = [done] if self.leaves[0].row is None else done.unbind(0)
        for leaf, one in zip(self.leaves, each, strict=True):
            if isinstance(leaf.value, Image.Image):
                results[id(leaf)] = one if normalised else to_pil(one)
            else:
                results[id(leaf)] = one if type(leaf.value) is Tensor else tv_tensors.wrap(one, like=leaf.value)


@dataclass(frozen=True)
class Group:
    """Samples whose images have one size. rows: their numbers. leaves: what belongs to them."""

    rows: list[int]
    height: int
    width: int
    pictures: list[Picture]
    leaves: list[Leaf]

    def place(self, leaf: Leaf) -> int:
        """Which of the group's samples a leaf belongs to."""
        assert leaf.row is not None
        return self.rows.index(leaf.row)


def groups(parsed: Parsed) -> list[Group]:
    """The samples by the size and kind of their images. Raises InputError for what does not belong together."""
    images: dict[int, list[Leaf]] = {}
    for leaf in parsed.leaves:
        if leaf.kind == "image":
            _check_image(leaf, parsed.count)
            for row in range(parsed.count or 1) if leaf.row is None else [leaf.row]:
                images.setdefault(row, []).append(leaf)
    if not images and not any(leaf.kind != "other" for leaf in parsed.leaves):
        raise InputError(f"images: nothing in what was passed is an image; pass a tensor [C,H,W] or a PIL image, and {WRAP}")
    if images and len(images) < (parsed.count or 1):
        missing = next(row for row in range(parsed.count or 1) if row not in images)
        raise InputError(f"images: sample {missing} of the batch has no image")
    kinds: dict[Any, list[int]] = {}
    if images:
        for row, own in images.items():
            kinds.setdefault(tuple(map(_look, own)), []).append(row)
    else:
        kinds[_canvas_alone(parsed)] = list(range(parsed.count or 1))
    made = []
    for look, rows in kinds.items():
        height, width = look[0][:2]
        members = {*rows}
        leaves = [leaf for leaf in parsed.leaves if leaf.kind != "other" and (leaf.row is None or leaf.row in members)]
        pictures = []
        for rank in range(len(images[rows[0]]) if images else 0):
            own = [images[row][rank] for row in rows]
            pictures.append(Picture.of(own[:1] if own[0].row is None else own))
        group = Group(rows, height, width, pictures, leaves)
        for leaf in leaves:
            _check(leaf, group, parsed.count)
        made.append(group)
    if len(made) > 1 and len({kind[0][2] for kind in kinds}) > 1:
        raise InputError(f"images: the images of a batch have {_channels(kinds)} channels; make them alike, and {WRAP}")
    return made


def _channels(kinds: dict[Any, list[int]]) -> str:
    return " and ".join(str(number) for number in sorted({kind[0][2] for kind in kinds}))


def _look(leaf: Leaf) -> tuple[Any, ...]:
    """What images must agree in to be taken together."""
    height, width = sides(leaf.value)
    if isinstance(leaf.value, Image.Image):
        return height, width, 1 if leaf.value.mode == "L" else 3, torch.uint8, 1
    frames = leaf.value.shape[-4] if leaf.frames else 1
    return height, width, leaf.value.shape[-3], leaf.value.dtype, frames


def _check_image(leaf: Leaf, count: int | None) -> None:
    if isinstance(leaf.value, Image.Image):
        return
    wanted = (4 if leaf.frames else 3) + (leaf.row is None)
    if leaf.value.ndim != wanted:
        what = "a video, [T,C,H,W]," if leaf.frames else "an image, [C,H,W],"
        raise InputError(f"images: expected {what} for each sample, got {list(leaf.value.shape)}")
    if leaf.row is None and len(leaf.value) != count:
        raise InputError(f"images: {len(leaf.value)} images beside a batch of {count}")


def _check(leaf: Leaf, group: Group, count: int | None) -> None:
    """Refuses annotations of another canvas, and ones that cannot be told apart by sample."""
    shape, value = (group.height, group.width), leaf.value
    if leaf.kind == "image":
        if sides(value) != shape:
            raise InputError(
                f"images: a sample has images of {sides(value)} and {shape}, which one draw cannot be for; resize them"
            )
    elif leaf.kind == "mask":
        if value.ndim < 2 or tuple(value.shape[-2:]) != shape:
            raise InputError(f"masks: are {list(value.shape)} and their image is {list(shape)}; both need one size")
        if leaf.row is None and (value.ndim < 3 or len(value) != count):
            raise InputError(f"masks: are {list(value.shape)} beside a batch of {count} images; give [{count},...,H,W] or a list")
    else:
        if tuple(value.canvas_size) != shape:
            raise InputError(f"{leaf.kind}: their canvas_size is {tuple(value.canvas_size)} and their image is {shape}")
        if leaf.kind == "boxes":
            if leaf.row is None:
                raise InputError(f"boxes: a batch of {count} images needs a list with the BoundingBoxes of each")
            if value.format.value not in TO_CORNERS:
                raise InputError(f"boxes: of format {value.format.value} are rotated, which is not supported; convert them to XYXY")
        elif leaf.row is None and (value.ndim < 3 or len(value) != count):
            raise InputError(f"points: are {list(value.shape)} beside a batch of {count} images; give [{count},N,2] or a list")


def _canvas_alone(parsed: Parsed) -> tuple[Any, ...]:
    """The size of the images that annotations without an image belong to."""
    leaf = next(leaf for leaf in parsed.leaves if leaf.kind != "other")
    height, width = leaf.value.shape[-2:] if leaf.kind == "mask" else leaf.value.canvas_size
    return ((int(height), int(width), 3),)
