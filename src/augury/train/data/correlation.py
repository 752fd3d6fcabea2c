"""Digits whose parity is correlated with a zigzag in training but not in the test part: a spurious correlation by construction."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, Split
from augury.train.data.zigzag import zigzag

CLASSES = ("even", "odd")
SUBGROUPS = ("clean", "zigzag")


@dataclass(frozen=True)
class Counterparts:
    """Maps the ids of training images to each image without and with its zigzag. pool: clean images uint8 [N,1,H,W], indexed by
    id."""

    pool: Tensor

    def __call__(self, ids: Tensor) -> Tensor:
        """uint8 [N,2,1,H,W], the subgroups in the order of `SUBGROUPS`."""
        clean = self.pool[ids]
        return torch.stack([clean, zigzag(clean, ids)], 1)


def correlated(
    name: str, pool: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], majority: int, minority: int, notes: tuple[str, ...] = ()
) -> Dataset:
    """A data set of parity in which most training images are even digits without a zigzag or odd digits with one.

    pool, test: images uint8 [N,1,H,W] and their digits int64 [N]. Of each parity, the first images of the pool stay clean and the
    last get a zigzag: `majority` clean and `minority` zigzag ones of the even digits, and the reverse of the odd ones (Goel et al.
    2021, MNIST-Correlation). The images in between form the validation part; it and the test part have every digit in both
    versions.
    """
    images, digits = pool
    chosen: list[tuple[Tensor, int, int]] = []
    held = []
    for parity in (0, 1):
        rows = (digits % 2 == parity).nonzero()[:, 0]
        clean, marked = (majority, minority) if parity == 0 else (minority, majority)
        if len(rows) < clean + marked + 1:
            raise InputError(f"DATA {name}: has {len(rows)} {CLASSES[parity]} digits and needs at least {clean + marked + 1}")
        chosen += [(rows[:clean], parity, 0), (rows[len(rows) - marked :], parity, 1)]
        held.append(rows[clean : len(rows) - marked])
    train = _join([_split(images[rows], digits[rows], rows, z, 0) for rows, _, z in chosen])
    between = torch.cat(held).sort().values
    validation = _both(images[between], digits[between], between, len(digits))
    numbers = torch.arange(len(test[1])) + 2 * len(digits)
    tested = _both(test[0], test[1], numbers, len(test[1]))
    pixels = train.images.double() / 255
    return Dataset(
        name, CLASSES, train, validation, tested, (pixels.mean().item(),), (pixels.std(correction=0).item(),), SUBGROUPS, notes,
        counterparts=Counterparts(images),
    )  # fmt: skip


def _both(images: Tensor, digits: Tensor, ids: Tensor, shift: int) -> Split:
    """Every image twice, clean and with a zigzag; the ids of the zigzag copies are raised by `shift`."""
    return _join([_split(images, digits, ids, 0, 0), _split(images, digits, ids, 1, shift)])


def _split(images: Tensor, digits: Tensor, ids: Tensor, subgroup: int, shift: int) -> Split:
    pixels = zigzag(images, ids + shift) if subgroup else images
    return Split(pixels, digits % 2, ids + shift, torch.full_like(digits, subgroup))


def _join(parts: list[Split]) -> Split:
    groups = torch.cat([part.groups for part in parts if part.groups is not None])
    return Split(
        torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts]), torch.cat([p.ids for p in parts]), groups
    )
