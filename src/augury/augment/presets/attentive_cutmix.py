"""Attentive CutMix: pastes the cells of another image that a network attends to most."""

from typing import Annotated

from augury.augment.stages.attentive_cutmix import AttentiveCutMix
from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.registry import register


@register("preset", "attentive_cutmix", source="Walawalkar et al. 2020 (Attentive CutMix, arXiv:2003.13048), section 3")
def attentive_cutmix(
    *,
    cells: Annotated[int, Interval(1)] = 6,
    grid: Annotated[int, Interval(1, 64)] = 7,
    network: str | None = None,
    p: Annotated[float, Interval(0, 1)] = 1.0,
) -> tuple[AttentiveCutMix, ...]:
    """Pastes the cells of another image that a network attends to most; labels are weighted by the exact area.

    Attention is the mean over the channels of the network's last maps. network: a finished run's folder, or a network by
    name, such as torchvision:resnet50(pretrained=true, image_size=224), the paper's; by default the network in training.
    """
    if cells > grid**2:
        raise InputError(f"attentive_cutmix(cells={cells}): a grid of {grid}x{grid} has {grid**2} cells; take fewer, or grid=")
    return (AttentiveCutMix(cells, grid, p, network),)
