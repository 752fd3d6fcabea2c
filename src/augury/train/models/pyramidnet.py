"""PyramidNet with ShakeDrop."""

from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from augury.core.options import Interval
from augury.core.registry import register
from augury.train.models.network import (
    Channels,
    Classes,
    Network,
    Probability,
    StemStride,
    Subsample,
    conv1x1,
    conv3x3,
    initialised,
    per_image,
    pooled,
    swap_gradient,
)
from augury.train.models.norm_relu import norm_relu

Gate = Literal["image", "batch"]
EXPANSION = 4


class ShakeDrop(nn.Module):
    """Keeps a residual branch with probability 1 - drop, otherwise multiplies it by alpha and its gradient by beta.

    alpha is uniform on [-1, 1) and beta on [0, 1), both drawn for every image; the decision to keep is drawn per image or per
    batch (`gate`). In evaluation mode it multiplies by the mean, 1 - drop. Yamada et al. 2018, arXiv:1802.02375, sections 3.2
    and 4.
    """

    def __init__(self, drop: float, gate: Gate) -> None:
        super().__init__()
        self.drop, self.gate = drop, gate

    def forward(self, maps: Tensor) -> Tensor:
        if not self.training:
            return maps * (1 - self.drop)
        chance = per_image(maps) if self.gate == "image" else per_image(maps[:1])
        keep = chance >= self.drop
        alpha = torch.where(keep, 1.0, 2 * per_image(maps) - 1).to(maps.dtype)
        beta = torch.where(keep, 1.0, per_image(maps)).to(maps.dtype)
        return swap_gradient(alpha * maps, beta * maps)


class Block(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, batch normalisation before each and at the end, no ReLU before the first; then ShakeDrop."""

    def __init__(self, channels_in: int, width: int, stride: int, drop: float, gate: Gate) -> None:
        super().__init__()
        channels_out = EXPANSION * width
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = conv1x1(channels_in, width)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.norm3 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, channels_out)
        self.norm4 = nn.BatchNorm2d(channels_out)
        self.shake = ShakeDrop(drop, gate)
        self.shortcut = Subsample(channels_in, channels_out, stride, "average")

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.conv1(self.norm1(maps))
        inner = self.conv2(norm_relu(self.norm2, inner))
        inner = self.conv3(norm_relu(self.norm3, inner))
        shortcut: Tensor = self.shortcut(maps)
        return shortcut + self.shake(self.norm4(inner))


def pyramid_widths(alpha: int, blocks: int) -> list[int]:
    """16 + alpha i / blocks for block i = 1, 2, ..., with halves rounded up, in exact integer arithmetic."""
    return [(2 * (16 * blocks + alpha * i) + blocks) // (2 * blocks) for i in range(1, blocks + 1)]


def pyramidnet(depth: int, alpha: int, drop: float, gate: Gate, classes: int, channels: int, stem_stride: int) -> Network:
    """PyramidNet of bottleneck blocks; depth is 9n + 2. Block i of N is dropped with probability drop x i / N."""
    per_stage = (depth - 2) // 9
    stages: dict[str, nn.Module] = {"stem": nn.Sequential(conv3x3(channels, 16, stem_stride), nn.BatchNorm2d(16))}
    blocks: list[nn.Module] = []
    previous = 16
    for number, width in enumerate(pyramid_widths(alpha, 3 * per_stage)):
        stride = 2 if number in (per_stage, 2 * per_stage) else 1
        blocks.append(Block(previous, width, stride, drop * (number + 1) / (3 * per_stage), gate))
        previous = EXPANSION * width
    for number in range(3):
        stages[f"stage{number + 1}"] = nn.Sequential(*blocks[number * per_stage : (number + 1) * per_stage])
    neck = pooled(nn.BatchNorm2d(previous), nn.ReLU())
    return initialised(Network(stages, neck, nn.Linear(previous, classes)))


@register("model", "pyramidnet_272", source="Han et al. 2017, arXiv:1610.02915; Yamada et al. 2018, arXiv:1802.02375")
def pyramidnet_272(
    *,
    classes: Classes,
    channels: Channels = 3,
    alpha: Annotated[int, Interval(1)] = 200,
    drop: Probability = 0.5,
    gate: Gate = "image",
    stem_stride: StemStride = 1,
) -> nn.Module:
    """PyramidNet-272 with ShakeDrop: 26 million parameters.

    `alpha`: the channels added over all blocks together, before the factor of 4. `drop`: ShakeDrop's probability in the
    last block, to which it rises linearly; 0 disables it. gate="batch": one decision for all images (Fast AutoAugment)
    instead of one for each (TensorFlow's AutoAugment).
    """
    return pyramidnet(272, alpha, drop, gate, classes, channels, stem_stride)
