"""The losses of a CycleGAN; Zhu et al. 2017, arXiv:1703.10593, section 3, with the constants of Goel et al.'s released code."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Weights:
    """cycle, identity: factors of the two distances. one_way: the way back learns from the way there, and not the other way
    round, so that a generator gains nothing by hiding in its image what the other one needs to undo it."""

    cycle: float = 10.0
    identity: float = 0.5
    one_way: bool = False


PUBLISHED = Weights()
MASKED = Weights(identity=5.0, one_way=True)


@dataclass(frozen=True)
class GeneratorLosses:
    """Scalars: adversarial (both directions), cycle and identity, weighted; and the images made on the way."""

    adversarial: Tensor
    cycle: Tensor
    identity: Tensor
    fake_a: Tensor
    fake_b: Tensor

    @property
    def total(self) -> Tensor:
        return self.adversarial + self.cycle + self.identity


def generator_losses(
    to_b: Map, to_a: Map, judge_a: Map, judge_b: Map, a: Tensor, b: Tensor, weights: Weights = PUBLISHED
) -> GeneratorLosses:
    """Cross-entropy of being taken for real, weighted L1 distances after a round trip and of staying at home.

    a, b: images [B,C,H,W] of the two subgroups in [-1, 1]; judges return logits.
    """
    fake_b, fake_a = to_b(a), to_a(b)
    adversarial = real_loss(judge_b(fake_b)) + real_loss(judge_a(fake_a))
    there, back = (fake_b.detach(), fake_a.detach()) if weights.one_way else (fake_b, fake_a)
    cycle = functional.l1_loss(to_a(there), a) + functional.l1_loss(to_b(back), b)
    identity = functional.l1_loss(to_a(a), a) + functional.l1_loss(to_b(b), b)
    return GeneratorLosses(adversarial, weights.cycle * cycle, weights.identity * identity, fake_a.detach(), fake_b.detach())


def discriminator_loss(judge: Map, real: Tensor, replayed: Tensor) -> Tensor:
    """Half of the cross-entropies of real images as real and replayed ones as made."""
    made = judge(replayed)
    return 0.5 * (real_loss(judge(real)) + functional.binary_cross_entropy_with_logits(made, torch.zeros_like(made)))


def real_loss(logits: Tensor) -> Tensor:
    """Binary cross-entropy with logits against "real" (the original paper's squared distance is not what was run)."""
    return functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
