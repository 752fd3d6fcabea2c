"""The reference back end: PyTorch, on every device; sub-batches on a CPU, the masked whole batch on a GPU."""

import torch
from torch import Tensor

from augury.augment.forms import patches
from augury.augment.forms.blend import Blend, blend
from augury.augment.forms.displace import displaced as displaced
from augury.augment.forms.displace import smooth_field as smooth_field
from augury.augment.forms.hue import hue as hue
from augury.augment.forms.lowered import Lowered
from augury.augment.forms.mix import mix
from augury.augment.forms.neighbourhood import extreme as extreme
from augury.augment.forms.region import Content, Region, region
from augury.augment.forms.separable import weighted as weighted
from augury.augment.forms.table import LookupTable, table
from augury.augment.forms.warp import Warp, warp


def pixels(images: Tensor, lowered: Lowered, size: Tensor) -> Tensor:
    """Warp, table and blend of every slot in turn, on uint8 [B,C,H,W]; returns new images."""
    for slot in range(lowered.form.shape[1]):
        if lowered.warp is not None:
            images = warp(images, Warp(*(part[:, slot] for part in lowered.warp)), size)
        if lowered.table is not None:
            images = table(images, LookupTable(*(part[:, slot] for part in lowered.table)), size)
        if lowered.blend is not None:
            images = blend(images, Blend(*(part[:, slot] for part in lowered.blend)), size)
    return images


def regions(images: Tensor, lowered: Lowered, box: Tensor, partner: Tensor, out: Tensor | None = None) -> Tensor:
    """The first slot's boxes (int64 [B,4]) filled, on uint8 or float images; partner: int64 [B], the rows read from."""
    assert lowered.region is not None
    record = Region(*(part[:, 0] for part in lowered.region))
    others = images[partner] if Content.PARTNER in lowered.contents else images
    found = region(images, record, box, others, lowered.contents)
    return found if out is None else out.copy_(found)


def mixed(images: Tensor, others: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    """images mixed with rows `partner` (int64 [B]) of `others`, the weight of the own one `weight` (float32 [B])."""
    return mix(images, others[partner], weight)


def cut(images: Tensor, rows: Tensor, box: Tensor, side: int) -> Tensor:
    """uint8 [n,C,side,side]: the boxes (int64 [n,4]) of the images in `rows` (int64 [n]), in the top left corner."""
    return patches.cut(images[rows], box, side)


def paste(images: Tensor, pieces: Tensor, corner: Tensor, size: Tensor, on: Tensor, order: Tensor) -> Tensor:
    """images with their pieces [B,k,C,P,P] over them: the first `size` rows and columns at `corner` (both int64 [B,k,2]),
    where `on` (bool [B,k]), one after another in `order` (int64 [B,k])."""
    every = torch.arange(len(images), device=images.device)
    for rank in range(order.shape[1]):
        at = every, order[:, rank]
        images = patches.paste(images, pieces[at], corner[at], size[at], on[at])
    return images
