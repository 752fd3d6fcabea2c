"""MobileNetV2 for 32x32."""

from typing import Literal

from torch import Tensor, nn

from augury.core.registry import register
from augury.train.models.network import Channels, Classes, Network, StemStride, conv1x1, conv3x3, initialised, pooled

Activation = Literal["relu", "relu6"]
# Expansion, channels, blocks and stride of the seven stages; the stem's and the second stage's strides are 1, not 2.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class Block(nn.Module):
    """Inverted residual: 1x1 convolution to `expansion` times the channels, depthwise 3x3, 1x1 without activation.

    With stride 1 it has a shortcut: the identity, or a 1x1 convolution with batch normalisation if the channels change.
    """

    def __init__(self, channels_in: int, channels_out: int, expansion: int, stride: int, activation: type[nn.Module]) -> None:
        super().__init__()
        inner = expansion * channels_in
        depthwise = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, groups=inner, bias=False)
        self.body = nn.Sequential(
            *(conv1x1(channels_in, inner), nn.BatchNorm2d(inner), activation()),
            *(depthwise, nn.BatchNorm2d(inner), activation()),
            *(conv1x1(inner, channels_out), nn.BatchNorm2d(channels_out)),
        )
        self.shortcut: nn.Module | None = None
        if stride == 1:
            projection = nn.Sequential(conv1x1(channels_in, channels_out), nn.BatchNorm2d(channels_out))
            self.shortcut = nn.Identity() if channels_in == channels_out else projection

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.body(maps)
        return result if self.shortcut is None else result + self.shortcut(maps)


@register("model", "mobilenet_v2_cifar", source="Sandler et al. 2018, arXiv:1801.04381; AIT's variant for 32x32")
def mobilenet_v2_cifar(
    *, classes: Classes, channels: Channels = 3, activation: Activation = "relu", stem_stride: StemStride = 1
) -> nn.Module:
    """MobileNetV2 for 32x32: 2.3 million parameters.

    Differs from the paper's network as in the CIFAR experiments: stride 1 in the stem and the second stage, shortcuts with
    a 1x1 convolution if only the channels change, and ReLU (activation="relu6" is the paper's).
    """
    active = nn.ReLU if activation == "relu" else nn.ReLU6
    stages: dict[str, nn.Module] = {
        "stem": nn.Sequential(conv3x3(channels, 32, stem_stride), nn.BatchNorm2d(32), active()),
    }
    previous = 32
    for number, (expansion, width, count, stride) in enumerate(STAGES, start=1):
        blocks = []
        for place in range(count):
            blocks.append(Block(previous, width, expansion, stride if place == 0 else 1, active))
            previous = width
        stages[f"stage{number}"] = nn.Sequential(*blocks)
    stages["last"] = nn.Sequential(conv1x1(previous, 1280), nn.BatchNorm2d(1280), active())
    return initialised(Network(stages, pooled(), nn.Linear(1280, classes)))
