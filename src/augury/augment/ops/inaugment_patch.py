"""Pastes a patch of the image elsewhere on it: InAugment as one operation, for search spaces and policies."""

import torch
from torch import Tensor

from augury.augment.forms.backends import backend
from augury.augment.forms.region import clipped
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "inaugment_patch", source="Arar, Shamir and Bermano 2021 (InAugment, arXiv:2104.03843), section 3")
def inaugment_patch() -> Op:
    """Copies a square window of the image, trimmed at the border, and pastes it over another place of the same image.

    The patch is taken after the policy's earlier operations, so that it looks like the rest of the image. `source` is the
    window's side as a fraction of the shorter side; both centres are uniform over the pixels. `inaugment` is the full method,
    with the policy on image and patch, sizes and presets.
    """
    place = Uniform(0, 1)
    parameters = {
        "source": Parameter(Uniform(0.1, 1), Interval(0, 1), "of the shorter side"),
        "from_row": Parameter(place, Interval(0, 1), "of the height"),
        "from_column": Parameter(place, Interval(0, 1), "of the width"),
        "to_row": Parameter(place, Interval(0, 1), "of the height"),
        "to_column": Parameter(place, Interval(0, 1), "of the width"),
    }
    return Op("inaugment_patch", "map", _run, parameters, identity={"source": 0.0})


def _run(images: Tensor, values: Values, size: Tensor) -> Tensor:
    if images.numel() == 0:
        return images.clone()
    run, count = backend(images.device), len(images)
    side = (values["source"].double() * size.amin(1)).round().to(torch.int64)
    start, goal = (torch.stack([values[f"{way}_row"], values[f"{way}_column"]], 1) for way in ("from", "to"))
    centre, target = (torch.minimum((u.double() * size).to(torch.int64), size - 1) for u in (start, goal))
    box = clipped(centre - (side // 2)[:, None], side[:, None].expand(-1, 2), size)
    window = box[:, 2:] - box[:, :2]
    rows = torch.arange(count, device=images.device)
    pieces = run.cut(images, rows, box, max(images.shape[-2:]))[:, None]
    corner = (target - window // 2)[:, None]
    order = torch.zeros(count, 1, dtype=torch.int64, device=images.device)
    pasted: Tensor = run.paste(images, pieces, corner, window[:, None], (window.amin(1) > 0)[:, None], order)
    y = torch.arange(images.shape[2], device=images.device)[:, None]
    x = torch.arange(images.shape[3], device=images.device)
    valid = (y < size[:, 0, None, None]) & (x < size[:, 1, None, None])
    return torch.where(valid[:, None], pasted, images)
