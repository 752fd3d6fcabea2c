"""Wide residual networks."""

from typing import Annotated, Literal

from torch import Tensor, nn

from augury.core.errors import InputError
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
    pooled,
)
from augury.train.models.norm_relu import norm_relu

Shortcut = Literal["projection", "zero_pad"]


class Block(nn.Module):
    """Batch normalisation and ReLU before each of two 3x3 convolutions, dropout before the second.

    `share`: the shortcut also reads the activated maps.
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, *, dropout: float, bias: bool, shortcut: Shortcut, share: bool
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = conv3x3(channels_in, channels_out, stride, bias)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = conv3x3(channels_out, channels_out, 1, bias)
        self.share = share
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            padded = Subsample(channels_in, channels_out, stride, "average", "both")
            projection = conv1x1(channels_in, channels_out, stride, bias)
            self.shortcut = projection if shortcut == "projection" else padded

    def forward(self, maps: Tensor) -> Tensor:
        active = norm_relu(self.norm1, maps)
        inner = self.dropout(norm_relu(self.norm2, self.conv1(active)))
        shortcut: Tensor = self.shortcut(active if self.share else maps)
        return shortcut + self.conv2(inner)


class Skipped(nn.Module):
    """`inner` with an additional shortcut around it, which has no parameters."""

    def __init__(self, inner: nn.Module, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.inner = inner
        self.skip = Subsample(channels_in, channels_out, stride, "average", "both")

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.inner(maps) + self.skip(maps)
        return result


@register("model", "wide_resnet", source="Zagoruyko and Komodakis 2016, arXiv:1605.07146")
def wide_resnet(
    *,
    classes: Classes,
    channels: Channels = 3,
    depth: Annotated[int, Interval(10)] = 16,
    widen: Annotated[int, Interval(1)] = 4,
    dropout: Probability = 0.0,
    bias: bool = False,
    shortcut: Shortcut = "projection",
    extra_skips: bool = False,
    stem_stride: StemStride = 1,
) -> nn.Module:
    """Any wide residual network, WRN-depth-widen; depth is 6n + 4.

    `bias`: convolutions have biases (Fast AutoAugment, Dauphin). The TensorFlow networks of AutoAugment and UDA are
    shortcut="zero_pad" with `extra_skips`: average pooling and zero channels instead of 1x1 convolutions, and shortcuts
    around each stage and around all of them (their strided convolutions pad one side only; here both sides).
    With `extra_skips` the taps are "stem" and "body", because a shortcut bypasses the individual stages.
    Raises InputError if depth is not 6n + 4.
    """
    if depth % 6 != 4:
        raise InputError(f"wide_resnet(depth={depth}) must be 6n + 4, such as 10, 16, 22, 28, 34 or 40")
    widths = (16, 16 * widen, 32 * widen, 64 * widen)
    stages: dict[str, nn.Module] = {}
    for number in (1, 2, 3):
        before, width, stride = widths[number - 1], widths[number], 1 if number == 1 else 2
        blocks = [
            Block(
                before if place == 0 else width,
                width,
                stride if place == 0 else 1,
                dropout=dropout,
                bias=bias,
                shortcut=shortcut,
                share=place == 0 and before != width and (number == 1 or shortcut == "projection"),
            )
            for place in range((depth - 4) // 6)
        ]
        stage = nn.Sequential(*blocks)
        stages[f"stage{number}"] = Skipped(stage, before, width, stride) if extra_skips else stage
    if extra_skips:
        stages = {"body": Skipped(nn.Sequential(*stages.values()), widths[0], widths[3], 4)}
    stem = conv3x3(channels, widths[0], stem_stride, bias)
    neck = pooled(nn.BatchNorm2d(widths[3]), nn.ReLU())
    return initialised(Network({"stem": stem, **stages}, neck, nn.Linear(widths[3], classes)))


@register("model", "wrn_28_10", source="Zagoruyko and Komodakis 2016, arXiv:1605.07146")
def wrn_28_10(
    *,
    classes: Classes,
    channels: Channels = 3,
    dropout: Probability = 0.0,
    bias: bool = False,
    shortcut: Shortcut = "projection",
    extra_skips: bool = False,
    stem_stride: StemStride = 1,
) -> nn.Module:
    """WRN-28-10: 36.5 million parameters; the network most augmentation papers report.

    Cutout, and refined augmentation in its AutoAugment rows, use dropout=0.3. The variants are wide_resnet's.
    """
    return wide_resnet(
        classes=classes,
        channels=channels,
        depth=28,
        widen=10,
        dropout=dropout,
        bias=bias,
        shortcut=shortcut,
        extra_skips=extra_skips,
        stem_stride=stem_stride,
    )


@register("model", "wrn_28_2", source="Zagoruyko and Komodakis 2016, arXiv:1605.07146; Oliver et al. 2018, arXiv:1804.09170")
def wrn_28_2(
    *,
    classes: Classes,
    channels: Channels = 3,
    dropout: Probability = 0.0,
    bias: bool = False,
    shortcut: Shortcut = "projection",
    extra_skips: bool = False,
    stem_stride: StemStride = 1,
) -> nn.Module:
    """WRN-28-2: 1.5 million parameters; the network of semi-supervised learning and of policy search.

    The variants are wide_resnet's; shortcut="zero_pad" with extra_skips is UDA's.
    """
    return wide_resnet(
        classes=classes,
        channels=channels,
        depth=28,
        widen=2,
        dropout=dropout,
        bias=bias,
        shortcut=shortcut,
        extra_skips=extra_skips,
        stem_stride=stem_stride,
    )


@register("model", "wrn_40_2", source="Zagoruyko and Komodakis 2016, arXiv:1605.07146")
def wrn_40_2(
    *,
    classes: Classes,
    channels: Channels = 3,
    dropout: Probability = 0.0,
    bias: bool = False,
    shortcut: Shortcut = "projection",
    extra_skips: bool = False,
    stem_stride: StemStride = 1,
) -> nn.Module:
    """WRN-40-2: 2.2 million parameters; the network of policy search and of AugMix. The variants are wide_resnet's."""
    return wide_resnet(
        classes=classes,
        channels=channels,
        depth=40,
        widen=2,
        dropout=dropout,
        bias=bias,
        shortcut=shortcut,
        extra_skips=extra_skips,
        stem_stride=stem_stride,
    )
