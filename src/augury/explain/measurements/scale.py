"""Robustness to scale: accuracy if the object fills less of the image."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional

from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Spread, Subject, Table, TableRow, groups_of
from augury.explain.measurements.photographs import Photographs, photographs
from augury.explain.measurements.sets import BATCH, some
from augury.explain.report.diagrams import Point, line_panel, side_by_side
from augury.train.data.dataset import Dataset, Split

Border = Literal["symmetric", "zero", "tiled"]
_NAMES = {"symmetric": "Mirrored and blurred", "zero": "Black", "tiled": "Tiled"}


@register("measurement", "scale", source="Arar, Shamir and Bermano 2021 (InAugment, arXiv:2104.03843), section 4.3, figure 4")
def scale(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    padding: tuple[Annotated[float, Interval(0, 8)], ...] = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0),
    pixels: tuple[Annotated[int, Interval(0, 4096)], ...] = (),
    borders: tuple[Border, ...] = ("symmetric", "zero", "tiled"),
    images: Annotated[int, Interval(1)] | None = 2000,
    seed: Annotated[int, Interval(0)] = 0,
) -> Measured:
    """Top-1 and top-5 accuracy on images padded on all sides and resized to their original size, relative to unpadded ones.

    `padding` is D as a share of the side: padding by D shrinks the object to 1 / (1 + 2 D) of its size. `pixels`, which replaces
    it, is D in pixels of the photograph in its file, as in the paper (64 to 512), so that a larger photograph shrinks less; it is
    padded before its short side is resized and the centre cropped. `symmetric` mirrors the image as often as D requires and
    blurs the padding by a Gaussian of standard deviation D / 8 (the paper says "strongly"); `zero` is black; `tiled` repeats
    the image.
    """
    steps: tuple[float, ...] = tuple(sorted({0.0, *map(float, pixels or padding)}))
    if len(steps) < 2:
        raise InputError("--what: scale(padding): name at least one padding above 0, for example padding=[0.5, 1]")
    split = some(dataset.test, images, seed)
    whole = photographs(dataset, subjects[0].settings, split) if pixels else None
    tops = (1, 5) if len(dataset.classes) > 5 else (1,)
    found: dict[str, list[dict[str, list[list[float]]]]] = {}
    for group, members in groups_of(subjects).items():
        for subject in members:
            measured: dict[str, list[list[float]]] = {
                b: [_accuracies(subject, split, share, b, tops, whole) for share in steps] for b in borders
            }
            found.setdefault(group, []).append(measured)
    unit = "in pixels of the photograph" if pixels else "as a share of the side"
    note = f"{len(split.ids)} test images; D is the padding on every side {unit}."
    tables, figures = [], []
    for border in borders:
        rows: list[TableRow] = [
            (group, float(len(seeds)), *(Spread(tuple(s[border][k][0] for s in seeds)).text() for k in range(len(steps))))
            for group, seeds in found.items()
        ]
        heads = tuple(f"D = {share:g}" for share in steps)
        tables.append(Table(f"{_NAMES[border]} borders: accuracy, %", ("trained with", "n", *heads), tuple(rows), note, digits=0))
        panels = [
            line_panel(
                f"Top-{top} accuracy relative to D = 0",
                {g: _ratios(seeds, border, place, steps, in_pixels=bool(pixels)) for g, seeds in found.items()},
                ("padding, pixels" if pixels else "size of the object, %", "ratio, %"),
            )
            for place, top in enumerate(tops)
        ]  # fmt: skip
        caption = f"{_NAMES[border]} borders. Mean over the seeds; the band spans the lowest to the highest. {note}"
        figures.append(Figure(f"{_NAMES[border]} borders", side_by_side(panels, list(found)), caption))
    values = {
        "images": len(split.ids), "padding": list(steps), "unit": "pixels" if pixels else "share of the side", "top": list(tops),
        "rows": [{"trained": group, "n": len(seeds), "accuracies": seeds} for group, seeds in found.items()],
    }  # fmt: skip
    return Measured(_summary(found, borders[0], steps, in_pixels=bool(pixels)), values, tuple(tables), tuple(figures))


def padded(images: Tensor, pixels: int, border: Border) -> Tensor:
    """uint8 [B,C,H+2D,W+2D] from uint8 [B,C,H,W], with the unchanged image in the middle."""
    height, width = images.shape[-2:]
    if pixels == 0:
        return images
    if border == "zero":
        return functional.pad(images, (pixels,) * 4)
    rows, columns = (_index(side, pixels, border, images.device) for side in (height, width))
    whole = images[..., rows, :][..., columns]
    if border == "symmetric":
        whole = _blurred(whole, pixels / 8)
        whole[..., pixels : pixels + height, pixels : pixels + width] = images
    return whole


def _index(side: int, pixels: int, border: Border, device: torch.device) -> Tensor:
    """For each row (or column) of the padded image, the row of the image that it copies."""
    place = torch.arange(-pixels, side + pixels, device=device)
    if border == "tiled":
        return place % side
    folded = place % (2 * side)
    return torch.minimum(folded, 2 * side - 1 - folded)


def _blurred(images: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of uint8 images, truncated at three standard deviations; border pixels are repeated."""
    reach = max(1, round(3 * deviation))
    place = torch.arange(-reach, reach + 1, dtype=torch.float32, device=images.device)
    kernel = torch.exp(-0.5 * (place / max(deviation, 1e-3)) ** 2)
    kernel = kernel / kernel.sum()
    flat = images.float().flatten(0, 1)[:, None]
    flat = functional.conv2d(functional.pad(flat, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None, :])
    flat = functional.conv2d(functional.pad(flat, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None])
    return flat[:, 0].reshape(images.shape).round().clamp(0, 255).to(torch.uint8)


def _shrunk(images: Tensor, pixels: int, border: Border) -> Tensor:
    """Pads images and resizes them to their original size."""
    if pixels == 0:
        return images
    whole = functional.interpolate(padded(images, pixels, border).float(), images.shape[-2:], mode="bilinear", antialias=True)
    return whole.round().clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def _accuracies(
    subject: Subject, split: Split, share: float, border: Border, tops: tuple[int, ...], whole: Photographs | None
) -> list[float]:
    """Top-k accuracies, percent."""
    normalize = Normalize(subject.mean, subject.std)
    pixels = 0 if whole is not None else round(share * max(split.images.shape[-2:]))
    # Bounds memory: no more padded pixels at a time than an unpadded batch has.
    few = BATCH if whole is not None else max(1, int(BATCH / (1 + 2 * share) ** 2))
    right = torch.zeros(len(tops), dtype=torch.float64)
    for rows in torch.arange(len(split.ids)).split(BATCH):
        if whole is not None and share:
            images = whole.padded(rows, int(share), border, padded)
        else:
            images = torch.cat([_shrunk(part, pixels, border) for part in split.images[rows].split(few)])
        logits = subject.model(normalize.normalise(images.to(subject.device))).float().cpu()
        best = logits.topk(max(tops), 1).indices == split.labels[rows][:, None]
        right += torch.stack([best[:, :top].any(1).double().sum() for top in tops])
    return (100 * right / len(split.ids)).tolist()


def _ratios(
    seeds: list[dict[str, list[list[float]]]], border: str, place: int, padding: Sequence[float], *, in_pixels: bool
) -> list[Point]:
    found = []
    for k, share in enumerate(padding):
        values = [100 * s[border][k][place] / max(s[border][0][place], 1e-9) for s in seeds]
        at = share if in_pixels else 100 / (1 + 2 * share)
        found.append((at, sum(values) / len(values), min(values), max(values)))
    return found


def _summary(
    found: dict[str, list[dict[str, list[list[float]]]]], border: str, padding: Sequence[float], *, in_pixels: bool
) -> str:
    place = len(padding) - 1

    def kept(seeds: list[dict[str, list[list[float]]]]) -> float:
        return sum(100 * s[border][place][0] / max(s[border][0][0], 1e-9) for s in seeds) / len(seeds)

    said = "; ".join(f"{group}: {kept(seeds):.0f} %" for group, seeds in found.items())
    at = (
        f"photographs padded by {padding[-1]:.0f} pixels"
        if in_pixels
        else f"objects of {100 / (1 + 2 * padding[-1]):.0f} % of their size"
    )
    return f"Share of its top-1 accuracy that a network keeps with {at}: {said}."
