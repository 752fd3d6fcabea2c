"""The settings of a translation's training."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TranslationSettings:
    """Adam with beta1 0.5 at constant rates. steps: of both generators and both discriminators. generator: `published` is Goel et
    al.'s CycleGAN, `masked` changes an image only where a mask says so and learns from few images (`TranslationGenerator`,
    `losses.MASKED`).

    Published for MNIST-Correlation: lr 1e-3, lr_discriminator 5e-5, batch 25, up to 1.6 million steps; for photographs 2e-4,
    2e-4, batch 4 (Waterbirds) or 16 (CelebA), 4,000 epochs of the smaller subgroup.
    """

    steps: int = 2000
    batch_size: int = 16
    lr: float = 1e-3
    lr_discriminator: float = 2e-4
    seed: int = 0
    generator: Literal["masked", "published"] = "masked"
