"""Residual networks for 32x32: the 6n+2 family, and ResNet-18 with a 3x3 stem."""

from typing import Literal

from torch import Tensor, nn

from augury.core.registry import register
from augury.train.models.network import (
    Channels,
    Classes,
    Network,
    StemStride,
    Subsample,
    conv1x1,
    conv3x3,
    initialised,
    pooled,
)
from augury.train.models.norm_relu import norm_relu

Shortcut = Literal["projection", "zero_pad"]


class Block(nn.Module):
    """Two 3x3 convolutions, each with batch normalisation, around a shortcut; ReLU after the sum.

    If the shape changes, the shortcut is a 1x1 convolution with batch normalisation ("projection", option B) or
    subsampling with zero channels ("zero_pad", option A).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels_in, channels_out, stride)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = conv3x3(channels_out, channels_out)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            projection = nn.Sequential(conv1x1(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out))
            picked = Subsample(channels_in, channels_out, stride, "pick")
            self.shortcut = projection if shortcut == "projection" else picked

    def forward(self, maps: Tensor) -> Tensor:
        inner = norm_relu(self.norm1, self.conv1(maps))
        return norm_relu(self.norm2, self.conv2(inner), self.shortcut(maps))


def residual(blocks: int, widths: tuple[int, ...], classes: int, channels: int, shortcut: Shortcut, stem_stride: int) -> Network:
    """A 3x3 stem and a stage of `blocks` blocks per width; every stage but the first halves the size."""
    stem = nn.Sequential(conv3x3(channels, widths[0], stem_stride), nn.BatchNorm2d(widths[0]), nn.ReLU())
    stages: dict[str, nn.Module] = {"stem": stem}
    previous = widths[0]
    for number, width in enumerate(widths, start=1):
        first = Block(previous, width, 1 if number == 1 else 2, shortcut)
        stages[f"stage{number}"] = nn.Sequential(first, *(Block(width, width, 1, shortcut) for _ in range(blocks - 1)))
        previous = width
    return initialised(Network(stages, pooled(), nn.Linear(previous, classes)))


@register("model", "resnet20", source="He et al. 2016, arXiv:1512.03385, section 4.2")
def resnet20(
    *, classes: Classes, channels: Channels = 3, shortcut: Shortcut = "projection", stem_stride: StemStride = 1
) -> nn.Module:
    """ResNet-20 for 32x32: 0.27 million parameters.

    shortcut="zero_pad" is the paper's own (option A); "projection" (option B) is what later papers report.
    """
    return residual(3, (16, 32, 64), classes, channels, shortcut, stem_stride)


@register("model", "resnet32", source="He et al. 2016, arXiv:1512.03385, section 4.2")
def resnet32(
    *, classes: Classes, channels: Channels = 3, shortcut: Shortcut = "projection", stem_stride: StemStride = 1
) -> nn.Module:
    """ResNet-32 for 32x32: 0.47 million parameters.

    shortcut="zero_pad" is the paper's own (option A); "projection" (option B) is what later papers report.
    """
    return residual(5, (16, 32, 64), classes, channels, shortcut, stem_stride)


@register("model", "resnet110", source="He et al. 2016, arXiv:1512.03385, section 4.2")
def resnet110(
    *, classes: Classes, channels: Channels = 3, shortcut: Shortcut = "projection", stem_stride: StemStride = 1
) -> nn.Module:
    """ResNet-110 for 32x32: 1.7 million parameters.

    shortcut="zero_pad" is the paper's own (option A); "projection" (option B) is what later papers report.
    """
    return residual(18, (16, 32, 64), classes, channels, shortcut, stem_stride)


@register("model", "resnet18", source="DeVries and Taylor 2017, arXiv:1708.04552, section 4.1; He et al. 2016, arXiv:1512.03385")
def resnet18(*, classes: Classes, channels: Channels = 3, stem_stride: StemStride = 1) -> nn.Module:
    """ResNet-18 with a 3x3 stem for 32x32: 11.2 million parameters; Cutout's and KeepAugment's network."""
    return residual(2, (64, 128, 256, 512), classes, channels, "projection", stem_stride)
