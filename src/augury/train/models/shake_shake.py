"""Shake-Shake networks: two residual branches, summed with random weights."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.registry import register
from augury.train.models.network import (
    Channels,
    Classes,
    Network,
    StemStride,
    conv1x1,
    conv3x3,
    initialised,
    per_image,
    pooled,
    swap_gradient,
)

Variant = Literal["fast_autoaugment", "trimmed", "dauphin"]
ShakeLaw = Literal["uniform", "ratio"]


def shake(first: Tensor, second: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """alpha first + (1 - alpha) second, whose gradient is that of beta first + (1 - beta) second.

    first, second: [B,C,H,W]; alpha, beta: [B,1,1,1]. Gastaldi 2017, arXiv:1705.07485, section 1.1.
    """
    alpha, beta = alpha.to(first.dtype), beta.to(first.dtype)
    return swap_gradient(torch.lerp(second, first, alpha), torch.lerp(second, first, beta))


class ShakeSum(nn.Module):
    """`shake` with alpha and beta drawn anew for every image; the plain mean in evaluation mode."""

    def __init__(self, law: ShakeLaw) -> None:
        super().__init__()
        self.law = law

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        if not self.training:
            return (first + second) / 2
        return shake(first, second, self.draw(first), self.draw(first))

    def draw(self, maps: Tensor) -> Tensor:
        if self.law == "uniform":
            return per_image(maps)
        one, other = 1 - per_image(maps), 1 - per_image(maps)  # in (0, 1], so the sum is never 0
        return one / (one + other)


class Shortcut(nn.Module):
    """ReLU, two 1x1 convolutions that each output half of the channels, and batch normalisation.

    The second reads the maps one pixel further down and to the right (padded with zeros, so that the size stays, for odd
    sizes too), so that a stride of 2 skips fewer positions. As in the released code, it does so with stride 1 too.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.straight = conv1x1(channels_in, channels_out // 2, stride)
        self.shifted = conv1x1(channels_in, channels_out // 2, stride)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, maps: Tensor) -> Tensor:
        active = functional.relu(maps)
        shifted = functional.pad(active, (0, 1, 0, 1))[:, :, 1:, 1:]
        result: Tensor = self.norm(torch.cat((self.straight(active), self.shifted(shifted)), dim=1))
        return result


class Block(nn.Module):
    """Two branches (ReLU, 3x3, ReLU, 3x3, with batch normalisation), summed by `ShakeSum`, and a shortcut.

    `idle`: if the shape stays the same, the block also holds a frozen `Shortcut` that is never used.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, law: ShakeLaw, idle: bool) -> None:
        super().__init__()
        self.first = _branch(channels_in, channels_out, stride)
        self.second = _branch(channels_in, channels_out, stride)
        self.sum = ShakeSum(law)
        changes = stride != 1 or channels_in != channels_out
        self.shortcut = Shortcut(channels_in, channels_out, stride) if changes else nn.Identity()
        if idle and not changes:
            self.idle = Shortcut(channels_in, channels_out, stride).requires_grad_(False)

    def forward(self, maps: Tensor) -> Tensor:
        shortcut: Tensor = self.shortcut(maps)
        return shortcut + self.sum(self.first(maps), self.second(maps))


def _branch(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    first = [nn.ReLU(), conv3x3(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out)]
    return nn.Sequential(*first, nn.ReLU(), conv3x3(channels_out, channels_out), nn.BatchNorm2d(channels_out))


def shake_shake(depth: int, width: int, classes: int, channels: int, variant: Variant, law: ShakeLaw, stem_stride: int) -> Network:
    """Shake-Shake-`depth` 2x`width`d; depth is 6n + 2."""
    stages: dict[str, nn.Module] = {"stem": conv3x3(channels, 16, stem_stride, bias=True)}
    previous = 16
    if variant == "dauphin":
        stages["stem"] = nn.Sequential(conv3x3(channels, width, stem_stride), nn.BatchNorm2d(width), nn.ReLU())
        previous = width
    idle = variant == "fast_autoaugment"
    for number, wide in enumerate((width, 2 * width, 4 * width), start=1):
        blocks = [Block(previous, wide, 1 if number == 1 else 2, law, idle)]
        blocks += [Block(wide, wide, 1, law, idle) for _ in range((depth - 2) // 6 - 1)]
        stages[f"stage{number}"] = nn.Sequential(*blocks)
        previous = wide
    return initialised(Network(stages, pooled(nn.ReLU()), nn.Linear(previous, classes)))


@register("model", "shake_shake_26_2x32d", source="Gastaldi 2017, arXiv:1705.07485")
def shake_shake_26_2x32d(
    *,
    classes: Classes,
    channels: Channels = 3,
    variant: Variant = "fast_autoaugment",
    law: ShakeLaw = "uniform",
    stem_stride: StemStride = 1,
) -> nn.Module:
    """Shake-Shake-26 2x32d: 3 million parameters.

    Three networks are published under this name. variant="fast_autoaugment" (the default): a stem of 16 channels with
    bias and without normalisation, and a shortcut with parameters in the first block. Its published parameter count
    includes an unused shortcut in every block that keeps the shape; these are present but frozen, and "trimmed" computes
    the same without them. "dauphin": a stem as wide as the first stage, with batch normalisation and ReLU. law="ratio":
    the weights are u / (u + v) of two uniform numbers (TensorFlow's AutoAugment), which are near one half more often than
    the paper's uniform weights.
    """
    return shake_shake(26, 32, classes, channels, variant, law, stem_stride)


@register("model", "shake_shake_26_2x96d", source="Gastaldi 2017, arXiv:1705.07485")
def shake_shake_26_2x96d(
    *,
    classes: Classes,
    channels: Channels = 3,
    variant: Variant = "fast_autoaugment",
    law: ShakeLaw = "uniform",
    stem_stride: StemStride = 1,
) -> nn.Module:
    """Shake-Shake-26 2x96d: 27 million parameters. The options are shake_shake_26_2x32d's."""
    return shake_shake(26, 96, classes, channels, variant, law, stem_stride)


@register("model", "shake_shake_26_2x112d", source="Gastaldi 2017, arXiv:1705.07485; Cubuk et al. 2019, arXiv:1805.09501")
def shake_shake_26_2x112d(
    *,
    classes: Classes,
    channels: Channels = 3,
    variant: Variant = "fast_autoaugment",
    law: ShakeLaw = "uniform",
    stem_stride: StemStride = 1,
) -> nn.Module:
    """Shake-Shake-26 2x112d: 36 million parameters. The options are shake_shake_26_2x32d's."""
    return shake_shake(26, 112, classes, channels, variant, law, stem_stride)
