"""The three-layer network of the demo."""

from typing import Annotated

from torch import nn

from augury.core.options import Interval
from augury.core.registry import register
from augury.train.models.network import Channels, Classes, Network, StemStride, conv3x3, initialised, pooled


@register("model", "small_cnn", source="Augury's own")
def small_cnn(
    *, classes: Classes, channels: Channels = 3, width: Annotated[int, Interval(1)] = 16, stem_stride: StemStride = 1
) -> nn.Module:
    """Three convolutions with batch normalisation, for small images; trains in seconds on a CPU.

    The maps have `width`, 3 `width` and 6 `width` channels; the first two layers halve the size. 50,106 parameters for 10
    classes of colour images.
    """
    stages = {
        "stem": nn.Sequential(*_layer(channels, width, stem_stride), nn.MaxPool2d(2, ceil_mode=True)),
        "stage1": nn.Sequential(*_layer(width, 3 * width), nn.MaxPool2d(2, ceil_mode=True)),
        "stage2": nn.Sequential(*_layer(3 * width, 6 * width)),
    }
    return initialised(Network(stages, pooled(), nn.Linear(6 * width, classes)))


def _layer(channels_in: int, channels_out: int, stride: int = 1) -> list[nn.Module]:
    return [conv3x3(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out), nn.ReLU()]
