"""The generator: a U-Net that maps images in [-1, 1] of one subgroup to another."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_SLOPE = 0.3
_CLOSED = -1.0


def padded_side(height: int, width: int) -> int:
    """The power of two, at least 8, that images are padded to: 32 for 28, 256 for 224."""
    side = 8
    while side < max(height, width):
        side *= 2
    return side


def down_levels(side: int, *, masked: bool = False) -> list[tuple[int, int]]:
    """(channels, stride) of the levels that reduce a power-of-two side to 1x1, or sides of 8 and 16 to 2x2.

    As published: 32, 64, ... 512 for MNIST (28, padded to 32), 64, ... 512, 512, ... for photographs (64 and more). Sides
    of 8 and 16 start with a level of stride 1, since a skip at half of so few pixels would lose the image.
    """
    base, widest = _base(side), widest_of(side, masked=masked)
    halvings = side.bit_length() - 1
    strides = [1] + [2] * (halvings - 1) if side <= 16 else [2] * halvings
    return [(min(base * 2**level, widest), stride) for level, stride in enumerate(strides)]


def widest_of(side: int, *, masked: bool = False) -> int:
    """The largest number of channels of a level: 512 as published; four times the first level's for masked generators, which need
    not reproduce what they do not change and then take two thirds of the time."""
    return 4 * _base(side) if masked else 512


def _base(side: int) -> int:
    return 32 if side <= 32 else 64


class TranslationGenerator(nn.Module):
    """U-Net of 4x4 convolutions of stride 2 (Isola et al. 2017, arXiv:1611.07004, section 6.1.1) for images of one size.

    Images [B,C,H,W] in [-1, 1] are padded with 0 to a power of two, reduced to 1x1, upsampled with skip connections,
    cropped to their size and passed through tanh. Batch normalisation always uses the batch's own statistics, also for
    translating, as in Goel et al.'s released code, so a batch needs two images. In training mode, which is also the mode for
    translating, the first three of the widest upsampling layers drop half of their activations. Weights are normal with
    standard deviation 0.02.

    masked: the last layer outputs colours and a mask in [0, 1], and the result is image + mask * (colours - image), as in
    Pumarola et al. 2018 (GANimation, arXiv:1807.09251, section 4.1): outside the mask the image is unchanged and need not
    be learned. The mask starts at about a quarter.

    guided: in addition to the image it reads a guide of the same shape, by default zeros: what another image of the target
    subgroup loses when translated out of it (`losses.guided_losses`). As in Zhou et al. 2017 (GeneGAN, arXiv:1705.04932),
    what varies within a subgroup is taken from an example and need not be guessed.
    """

    def __init__(self, channels: int, height: int, width: int, *, masked: bool = False, guided: bool = False) -> None:
        super().__init__()
        self.channels, self.masked, self.guided = channels, masked, guided
        self.size = (height, width)
        self.side = padded_side(height, width)
        levels = down_levels(self.side, masked=masked)
        widths = [width for width, _ in levels]
        self.down = nn.ModuleList(
            _down(a, b, stride, normalised=level > 0)
            for level, (a, (b, stride)) in enumerate(zip([channels * (1 + guided), *widths[:-1]], levels, strict=True))
        )
        outputs = widths[-2::-1]
        entering = [widths[-1], *(2 * n for n in outputs[:-1])]
        wide = sum(n == widest_of(self.side, masked=masked) for n in outputs)
        self.up = nn.ModuleList(
            _up(a, b, dropout=level < min(3, wide)) for level, (a, b) in enumerate(zip(entering, outputs, strict=True))
        )
        first_stride = levels[0][1]
        made = 2 * channels if masked else channels
        self.last = nn.ConvTranspose2d(2 * outputs[-1], made, first_stride + 2, stride=first_stride, padding=1)
        initialise(self)
        if masked and self.last.bias is not None:
            nn.init.constant_(self.last.bias[channels:], _CLOSED)

    def forward(self, images: Tensor, guide: Tensor | None = None) -> Tensor:
        height, width = self.size
        top, left = (self.side - height) // 2, (self.side - width) // 2
        read = torch.cat([images, torch.zeros_like(images) if guide is None else guide], 1) if self.guided else images
        maps = functional.pad(read, (left, self.side - width - left, top, self.side - height - top))
        skips = []
        for level in self.down:
            maps = level(maps)
            skips.append(maps)
        for level, skip in zip(self.up, skips[-2::-1], strict=True):
            maps = torch.cat([level(maps), skip], 1)
        found: Tensor = self.last(maps)[:, :, top : top + height, left : left + width]
        colours = torch.tanh(found[:, : self.channels])
        if not self.masked:
            return colours
        return images + torch.sigmoid(found[:, self.channels :]) * (colours - images)


def normalisation(channels: int) -> nn.Module:
    """Batch normalisation without running statistics, with Keras's epsilon."""
    return nn.BatchNorm2d(channels, eps=1e-3, track_running_stats=False)


def leaky() -> nn.Module:
    return nn.LeakyReLU(_SLOPE)


def initialise(module: nn.Module) -> None:
    """Normal weights with standard deviation 0.02, from PyTorch's default generator; biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def _down(channels_in: int, channels_out: int, stride: int, normalised: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(channels_in, channels_out, stride + 2, stride=stride, padding=1, bias=False)]
    return nn.Sequential(*layers, *([normalisation(channels_out)] if normalised else []), leaky())


def _up(channels_in: int, channels_out: int, dropout: bool) -> nn.Sequential:
    layers = [nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False), normalisation(channels_out)]
    return nn.Sequential(*layers, *([nn.Dropout(0.5)] if dropout else []), nn.ReLU())
