"""Pre-activation residual networks for 32x32."""

from torch import Tensor, nn

from augury.core.registry import register
from augury.train.models.network import Channels, Classes, Network, StemStride, conv1x1, conv3x3, initialised, pooled
from augury.train.models.norm_relu import norm_relu


class Block(nn.Module):
    """Batch normalisation and ReLU before each of two 3x3 convolutions; nothing after the sum.

    If the shape changes, the shortcut is a 1x1 convolution of the activated maps.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = conv3x3(channels_in, channels_out, stride)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.conv2 = conv3x3(channels_out, channels_out)
        changes = stride != 1 or channels_in != channels_out
        self.projection = conv1x1(channels_in, channels_out, stride) if changes else None

    def forward(self, maps: Tensor) -> Tensor:
        active = norm_relu(self.norm1, maps)
        inner = self.conv2(norm_relu(self.norm2, self.conv1(active)))
        shortcut: Tensor = maps if self.projection is None else self.projection(active)
        return shortcut + inner


@register("model", "preact_resnet18", source="He et al. 2016, arXiv:1603.05027; variants: Zhang et al. 2018, arXiv:1710.09412")
def preact_resnet18(
    *,
    classes: Classes,
    channels: Channels = 3,
    stem_norm: bool = False,
    final_norm: bool = False,
    stem_stride: StemStride = 1,
) -> nn.Module:
    """PreActResNet-18 for 32x32: 11.2 million parameters; the network of Mixup, Manifold Mixup and refined augmentation.

    Three networks are published under this name. By default, the stem is a bare convolution and nothing precedes the
    pooling (Manifold Mixup's network). `stem_norm` adds batch normalisation and ReLU to the stem (Mixup's), `final_norm`
    adds both before the pooling (the textbook's).
    """
    widths = (64, 128, 256, 512)
    after_stem = [nn.BatchNorm2d(widths[0]), nn.ReLU()] if stem_norm else []
    stages: dict[str, nn.Module] = {"stem": nn.Sequential(conv3x3(channels, widths[0], stem_stride), *after_stem)}
    previous = widths[0]
    for number, width in enumerate(widths, start=1):
        first = Block(previous, width, 1 if number == 1 else 2)
        stages[f"stage{number}"] = nn.Sequential(first, Block(width, width, 1))
        previous = width
    before_pooling = [nn.BatchNorm2d(previous), nn.ReLU()] if final_norm else []
    return initialised(Network(stages, pooled(*before_pooling), nn.Linear(previous, classes)))
