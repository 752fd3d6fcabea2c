"""Discriminators of real and transformed samples; each returns a logit per sample and features for measuring distances."""

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional


class Discriminator(Protocol):
    """A torch module: data [N, ...] to (logit float [N], features float [N, ...]). A higher logit means more real."""

    def __call__(self, data: Tensor) -> tuple[Tensor, Tensor]: ...


class Dcgan(nn.Module):
    """DCGAN's discriminator: four 5x5 convolutions of stride 2, batch normalisation in all but the first, leaky ReLU 0.2.

    `width` maps in the first layer (64 as published), and twice as many in each following one. Features: the third convolution's
    output before its normalisation. Source: Radford et al. 2016 (arXiv:1511.06434), as used in TANDA's released code.
    """

    def __init__(self, channels: int, height: int, width_pixels: int, *, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        maps = [channels, *(width * 2**k for k in range(4))]
        cells = math.prod(math.ceil(side / 16) for side in (height, width_pixels))
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(seed)
            self.convolutions = nn.ModuleList(
                nn.Conv2d(before, after, 5, stride=2, padding=2) for before, after in zip(maps, maps[1:], strict=False)
            )
            self.norms = nn.ModuleList(nn.BatchNorm2d(count, eps=1e-5, momentum=0.1) for count in maps[2:])
            self.head = nn.Linear(maps[-1] * cells, 1)
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    nn.init.normal_(module.weight, 0.0, 0.02)
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images: float [N,C,H,W], standardised."""
        x = functional.leaky_relu(self.convolutions[0](images), 0.2)
        features = x
        for number, (convolution, norm) in enumerate(zip(list(self.convolutions)[1:], self.norms, strict=True), 2):
            x = convolution(x)
            features = x if number == 3 else features
            x = functional.leaky_relu(norm(x), 0.2)
        return self.head(x.flatten(1))[:, 0], features
