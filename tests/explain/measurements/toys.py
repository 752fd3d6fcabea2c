"""Networks and data whose measurements are known."""

from pathlib import Path

import torch
from torch import Tensor, nn

from augury.core.options import parse_chain
from augury.explain.measurements.measurement import Subject
from augury.train.data.dataset import Dataset, Split
from augury.train.engine.settings import Settings


class Brightest(nn.Module):
    """The class is the channel with the highest mean; features are the means, `scale` times, logits `sharp` times these."""

    def __init__(self, scale: float = 1.0, sharp: float = 5.0) -> None:
        super().__init__()
        self.scale, self.stage, self.taps = scale, nn.Identity(), ("stage",)
        self.head = nn.Linear(3, 3, bias=False)
        self.head.weight.data = torch.eye(3) * sharp

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.scale * self.stage(images).mean((2, 3)))
        return logits


def subject(
    group: str = "a", seed: int = 0, scale: float = 1.0, sharp: float = 5.0, augment: str = "none", folder: Path = Path()
) -> Subject:
    statistics = (0.0,) * 3, (1.0,) * 3
    settings = Settings("toy", augment=augment, seed=seed, device="cpu", batch_size=30)
    return Subject(group, seed, Brightest(scale, sharp).eval(), *statistics, settings, torch.device("cpu"), folder)


def toy() -> Dataset:
    """30 images, each brightest in its class's channel by its own amount, the more so to the right."""
    labels = torch.arange(30) % 3
    images = torch.full((30, 3, 8, 8), 60, dtype=torch.uint8)
    bright = (90 + 5 * torch.arange(30)[:, None, None] + torch.arange(8) * 2).expand(30, 8, 8)
    images[torch.arange(30), labels] = bright.to(torch.uint8)
    part = Split(images, labels, torch.arange(100, 130))
    return Dataset("toy", ("r", "g", "b"), part, part, part, (0.5,) * 3, (0.25,) * 3)


def chains(*texts: str) -> tuple:
    return tuple(parse_chain(text, "test") for text in texts)


def probabilities(images: Tensor, sharp: float = 5.0) -> Tensor:
    """float64 [N,3]: what `Brightest` says of uint8 images."""
    return (sharp * images.double().mean((2, 3)) / 255).softmax(1)
