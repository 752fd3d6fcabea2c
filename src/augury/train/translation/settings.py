"""The settings for training a translation."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["guided", "masked", "published"]


@dataclass(frozen=True)
class TranslationSettings:
    """The optimiser is Adam with beta1 0.5. steps: of both generators and both discriminators. generator: `published` is Goel et
    al.'s CycleGAN; `masked` changes an image only within a learned mask and learns from few images (`losses.MASKED`); `guided`
    does so too, and also reads what an example of the target subgroup has and others lack (`losses.guided_losses`). Rates are
    constant, but for `guided` they fall linearly to 0 over the second half of the steps (Zhu et al. 2017, section 4).

    Published for MNIST-Correlation: lr 1e-3, lr_discriminator 5e-5, batch 25, up to 1.6 million steps; for photographs 2e-4,
    2e-4, batch 4 (Waterbirds) or 16 (CelebA), 4,000 epochs of the smaller subgroup.
    """

    steps: int = 2000
    batch_size: int = 16
    lr: float = 1e-3
    lr_discriminator: float = 2e-4
    seed: int = 0
    generator: Kind = "masked"

    def share(self, step: int) -> float:
        """The factor of the learning rates in step `step`, counted from 0."""
        return min(1.0, 2 * (1 - step / self.steps)) if self.generator == "guided" else 1.0
