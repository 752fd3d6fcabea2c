"""The discriminator: a PatchGAN that judges every patch as real or translated."""

from torch import Tensor, nn
from torch.nn import functional

from augury.train.translation.generator import initialise, leaky, normalisation

_SMALLEST = 8


class Discriminator(nn.Module):
    """Logits [B,1,h,w] for patches of images [B,C,H,W] in [-1, 1]: 2x2 patches for 28x28 (Isola et al. 2017, section 6.1.2).

    4x4 convolutions with 64, 128 and 256 channels and stride 2, then 512 and 1 with stride 1: patches of 70 pixels. Images
    below 25 pixels have fewer levels of stride 2, so that at least 2x2 patches remain; sides below 8 are padded with 0.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        levels = strided_levels(min(height, width))
        widths = [64 * 2**level for level in range(levels)]
        inputs = [channels, *widths[:-1]]
        self.strided = nn.ModuleList(
            _strided(a, b, normalised=level > 0) for level, (a, b) in enumerate(zip(inputs, widths, strict=True))
        )
        self.dense = nn.Sequential(
            nn.Conv2d(widths[-1], 2 * widths[-1], 4, padding=1, bias=False), normalisation(2 * widths[-1]), leaky(),
            nn.Conv2d(2 * widths[-1], 1, 4, padding=1),
        )  # fmt: skip
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        maps = functional.pad(images, (0, max(0, _SMALLEST - width), 0, max(0, _SMALLEST - height)))
        for level in self.strided:
            # Odd sides get one more row or column at the end, so that they are rounded up as with "same" padding.
            odd = (maps.shape[-1] % 2, maps.shape[-2] % 2)
            maps = level(functional.pad(maps, (0, odd[0], 0, odd[1])))
        found: Tensor = self.dense(maps)
        return found


def strided_levels(side: int) -> int:
    """The number of levels of stride 2: three if they leave at least 4 pixels, fewer for small images, at least one."""
    levels = 3
    while levels > 1 and -(-side // 2**levels) < 4:
        levels -= 1
    return levels


def _strided(channels_in: int, channels_out: int, normalised: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)]
    return nn.Sequential(*layers, *([normalisation(channels_out)] if normalised else []), leaky())
