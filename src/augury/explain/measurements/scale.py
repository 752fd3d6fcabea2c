"""Robustness to scale: accuracy when the object fills less of the image."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional

from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Row, Spread, Subject, Table, groups_of
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
    borders: tuple[Border, ...] = ("symmetric", "zero", "tiled"),
    images: Annotated[int, Interval(1)] | None = 2000,
    seed: Annotated[int, Interval(0)] = 0,
) -> Measured:
    """Top-1 and top-5 accuracy of images padded on all sides and brought back to their size, relative to unpadded ones.

    `padding` is D as a share of the side (the paper: 64 to 512 pixels before the usual preprocessing of photographs). At D
    the object is 1 / (1 + 2 D) of its size. `symmetric` mirrors the image, as often as D needs, and blurs what was padded by a
    Gaussian of standard deviation D / 8 pixels (the paper says "strongly"); `zero` is black; `tiled` repeats the image.
    """
    if 0 not in padding:
        padding = (0.0, *padding)
    padding = tuple(sorted(set(padding)))
    if len(padding) < 2:
        raise InputError("--what: scale(padding): name at least one padding above 0, for example padding=[0.5, 1]")
    split = some(dataset.test, images, seed)
    tops = (1, 5) if len(dataset.classes) > 5 else (1,)
    found: dict[str, list[dict[str, list[list[float]]]]] = {}
    for group, members in groups_of(subjects).items():
        for subject in members:
            measured: dict[str, list[list[float]]] = {
                b: [_accuracies(subject, split, share, b, tops) for share in padding] for b in borders
            }
            found.setdefault(group, []).append(measured)
    note = f"{len(split.ids)} test images; D is the padding on every side as a share of the side."
    tables, figures = [], []
    for border in borders:
        rows: list[Row] = [
            (group, float(len(seeds)), *(Spread(tuple(s[border][k][0] for s in seeds)).text() for k in range(len(padding))))
            for group, seeds in found.items()
        ]
        heads = tuple(f"D = {share:g}" for share in padding)
        tables.append(Table(f"{_NAMES[border]} borders: accuracy, %", ("trained with", "n", *heads), tuple(rows), note, digits=0))
        panels = [
            line_panel(
                f"Top-{top} accuracy relative to D = 0",
                {g: _ratios(seeds, border, place, padding) for g, seeds in found.items()},
                ("size of the object, %", "ratio, %"),
            )
            for place, top in enumerate(tops)
        ]  # fmt: skip
        caption = f"{_NAMES[border]} borders. Mean over the seeds, band from lowest to highest. {note}"
        figures.append(Figure(f"{_NAMES[border]} borders", side_by_side(panels, list(found)), caption))
    values = {
        "images": len(split.ids), "padding": list(padding), "top": list(tops),
        "rows": [{"trained": group, "n": len(seeds), "accuracies": seeds} for group, seeds in found.items()],
    }  # fmt: skip
    return Measured(_summary(found, borders[0], padding), values, tuple(tables), tuple(figures))


def padded(images: Tensor, pixels: int, border: Border) -> Tensor:
    """uint8 [B,C,H+2D,W+2D] of uint8 [B,C,H,W]; the image itself stands unchanged in the middle."""
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
    """Which row of the image stands in each row of the padded one."""
    place = torch.arange(-pixels, side + pixels, device=device)
    if border == "tiled":
        return place % side
    folded = place % (2 * side)
    return torch.minimum(folded, 2 * side - 1 - folded)


def _blurred(images: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of uint8 images, cut off at three deviations; the border pixel is repeated."""
    reach = max(1, round(3 * deviation))
    place = torch.arange(-reach, reach + 1, dtype=torch.float32, device=images.device)
    kernel = torch.exp(-0.5 * (place / max(deviation, 1e-3)) ** 2)
    kernel = kernel / kernel.sum()
    flat = images.float().flatten(0, 1)[:, None]
    flat = functional.conv2d(functional.pad(flat, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None, :])
    flat = functional.conv2d(functional.pad(flat, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None])
    return flat[:, 0].reshape(images.shape).round().clamp(0, 255).to(torch.uint8)


def _shrunk(images: Tensor, pixels: int, border: Border) -> Tensor:
    """The padded images at the side of the unpadded ones."""
    if pixels == 0:
        return images
    whole = functional.interpolate(padded(images, pixels, border).float(), images.shape[-2:], mode="bilinear", antialias=True)
    return whole.round().clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def _accuracies(subject: Subject, split: Split, share: float, border: Border, tops: tuple[int, ...]) -> list[float]:
    """Top-k accuracies, percent."""
    normalize = Normalize(subject.mean, subject.std)
    pixels = round(share * max(split.images.shape[-2:]))
    few = max(1, int(BATCH / (1 + 2 * share) ** 2))  # as many padded pixels as a batch has: they are what takes memory
    right = torch.zeros(len(tops), dtype=torch.float64)
    for rows in torch.arange(len(split.ids)).split(BATCH):
        whole = torch.cat([_shrunk(images, pixels, border) for images in split.images[rows].split(few)])
        logits = subject.model(normalize.normalise(whole.to(subject.device))).float().cpu()
        best = logits.topk(max(tops), 1).indices == split.labels[rows][:, None]
        right += torch.stack([best[:, :top].any(1).double().sum() for top in tops])
    return (100 * right / len(split.ids)).tolist()


def _ratios(seeds: list[dict[str, list[list[float]]]], border: str, place: int, padding: Sequence[float]) -> list[Point]:
    found = []
    for k, share in enumerate(padding):
        values = [100 * s[border][k][place] / max(s[border][0][place], 1e-9) for s in seeds]
        found.append((100 / (1 + 2 * share), sum(values) / len(values), min(values), max(values)))
    return found


def _summary(found: dict[str, list[dict[str, list[list[float]]]]], border: str, padding: Sequence[float]) -> str:
    place = len(padding) - 1

    def kept(seeds: list[dict[str, list[list[float]]]]) -> float:
        return sum(100 * s[border][place][0] / max(s[border][0][0], 1e-9) for s in seeds) / len(seeds)

    said = "; ".join(f"{group}: {kept(seeds):.0f} %" for group, seeds in found.items())
    return f"Of its top-1 accuracy a network keeps, with objects of {100 / (1 + 2 * padding[-1]):.0f} % of their size: {said}."
