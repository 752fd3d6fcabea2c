"""The small network of model patching's MNIST experiments."""

from torch import nn

from augury.core.registry import register
from augury.train.models.network import Channels, Classes, Network, StemStride


@register("model", "patch_cnn", source="Goel et al. 2021, arXiv:2008.06775, MNIST-Correlation")
def patch_cnn(*, classes: Classes, channels: Channels = 3, stem_stride: StemStride = 1) -> nn.Module:
    """Four convolutions and a hidden layer with dropout: model patching's network for MNIST-Correlation.

    The second convolution of each pair has no padding, so that 28x28 is reduced to 5x5; other sizes (at least 10x10) are
    pooled to 5x5. 167,586 parameters for 2 classes of grey images. Glorot's uniform initialisation and biases of 0, as in
    Keras, with which the experiments were run.
    """
    stages = {"stem": _pair(channels, 32, stem_stride), "stage1": _pair(32, 64)}
    hidden = [nn.AdaptiveAvgPool2d(5), nn.Flatten(), nn.Linear(5 * 5 * 64, 64), nn.ReLU(), nn.Dropout(0.5)]
    network = Network(stages, nn.Sequential(*hidden), nn.Linear(64, classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return network


def _pair(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    first = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)
    second = nn.Conv2d(channels_out, channels_out, 3)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25))
