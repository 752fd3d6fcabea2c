"""The building blocks of networks: a sequence of named stages, a neck and a linear head."""

from collections.abc import Mapping
from typing import Annotated, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.options import Interval

Classes = Annotated[int, Interval(1)]
Channels = Annotated[int, Interval(1)]
StemStride = Annotated[int, Interval(1, 4)]
Probability = Annotated[float, Interval(0, 1)]


class Classifier(Protocol):
    """The contract of every network; see the package's docstring."""

    taps: tuple[str, ...]

    @property
    def head(self) -> nn.Linear: ...
    def __call__(self, images: Tensor) -> Tensor: ...


class Network(nn.Module):
    """Named stages one after another, then `neck` (maps to features [B,D]) and `head` (features to logits)."""

    def __init__(self, stages: Mapping[str, nn.Module], neck: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.neck = neck
        self.head = head
        self.taps = tuple(stages)

    def forward(self, images: Tensor) -> Tensor:
        maps = images
        for name in self.taps:
            maps = getattr(self, name)(maps)
        logits: Tensor = self.head(self.neck(maps))
        return logits


class Subsample(nn.Module):
    """A shortcut without parameters, which subsamples positions and pads with zero channels.

    `pooling`: "pick" keeps every stride-th row and column, "average" averages stride x stride squares (also incomplete
    ones at the border, so that odd sizes match the convolution's). `padding`: zero channels come "after" the others, or
    half of them on "both" sides.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, pooling: str, padding: str = "after") -> None:
        super().__init__()
        extra = channels_out - channels_in
        before = extra // 2 if padding == "both" else 0
        self.channels = (before, extra - before)
        self.stride, self.pooling = stride, pooling

    def forward(self, maps: Tensor) -> Tensor:
        if self.stride > 1 and self.pooling == "average":
            maps = functional.avg_pool2d(maps, self.stride, ceil_mode=True)
        elif self.stride > 1:
            maps = maps[:, :, :: self.stride, :: self.stride]
        return functional.pad(maps, (0, 0, 0, 0, *self.channels)) if any(self.channels) else maps


def conv3x3(channels_in: int, channels_out: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, or divides it by the stride, rounded up."""
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=bias)


def conv1x1(channels_in: int, channels_out: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """A 1x1 convolution."""
    return nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=bias)


def pooled(*before: nn.Module) -> nn.Sequential:
    """The usual neck: `before`, then the average over all positions, flattened to [B,D]."""
    return nn.Sequential(*before, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def initialised(network: Network) -> Network:
    """The network with He initialisation (arXiv:1502.01852, section 2.2, by fan-out).

    Convolution weights are normal with variance 2 / (positions x output channels per group), as in the papers on residual
    networks; biases are 0; batch normalisation has weights 1 and biases 0; the head's weights are PyTorch's defaults.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            rows, columns = module.weight.shape[-2:]
            fan_out = rows * columns * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return network


def per_image(maps: Tensor) -> Tensor:
    """A uniform number in [0, 1) for each image, [B,1,1,1], from PyTorch's default generator of the device."""
    # In float32 whatever the dtype of the maps, so that the noise is the same at lower precision.
    return torch.rand(maps.shape[0], 1, 1, 1, device=maps.device)


def swap_gradient(forward: Tensor, backward: Tensor) -> Tensor:
    """`forward`'s values with `backward`'s derivatives, for both forward- and reverse-mode differentiation."""
    return backward + (forward - backward).detach()
