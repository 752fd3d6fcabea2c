"""The losses of a CycleGAN; Zhu et al. 2017, arXiv:1703.10593, section 3, with the constants of Goel et al.'s released code."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Map = Callable[[Tensor], Tensor]
GuidedMap = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Weights:
    """cycle, identity: weights of the two distances. one_way: the cycle loss trains only the generator of the way back, so that
    the other gains nothing by hiding in its image what is needed to undo it."""

    cycle: float = 10.0
    identity: float = 0.5
    one_way: bool = False


PUBLISHED = Weights()
MASKED = Weights(identity=5.0, one_way=True)


@dataclass(frozen=True)
class GeneratorLosses:
    """Scalars: adversarial (both directions), cycle and identity, weighted; and the translated images."""

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
    """The cross-entropy of translations as real, and weighted L1 distances after a round trip and within the own subgroup.

    a, b: images [B,C,H,W] of the two subgroups in [-1, 1]; judges return logits.
    """
    fake_b, fake_a = to_b(a), to_a(b)
    adversarial = real_loss(judge_b(fake_b)) + real_loss(judge_a(fake_a))
    there, back = (fake_b.detach(), fake_a.detach()) if weights.one_way else (fake_b, fake_a)
    cycle = functional.l1_loss(to_a(there), a) + functional.l1_loss(to_b(back), b)
    identity = functional.l1_loss(to_a(a), a) + functional.l1_loss(to_b(b), b)
    return GeneratorLosses(adversarial, weights.cycle * cycle, weights.identity * identity, fake_a.detach(), fake_b.detach())


def guided_losses(
    to_b: GuidedMap, to_a: GuidedMap, judge_a: Map, judge_b: Map, a: Tensor, b: Tensor, weights: Weights = MASKED
) -> GeneratorLosses:
    """`generator_losses` for generators that read a guide: what an image of b loses on its way to a guides an image of a to b.

    The guide holds what cannot be known from the image alone. With an image's own guide, the round trip must reproduce the image,
    which teaches a generator to add what the guide shows where the guide shows it. With another image's guide, the discriminators
    judge the result, as they judge translations without a guide. fake_a, fake_b: guided in the first half of the batch only.
    """
    bare_b, bare_a = to_b(a, None), to_a(b, None)
    lost_by_a, lost_by_b = (a - bare_b).detach(), (b - bare_a).detach()
    guided_b, guided_a = to_b(a, lost_by_b), to_a(b, lost_by_a)
    judged = real_loss(judge_b(guided_b)) + real_loss(judge_b(bare_b)) + real_loss(judge_a(guided_a)) + real_loss(judge_a(bare_a))
    cycle = functional.l1_loss(to_b(bare_a.detach(), lost_by_b), b) + functional.l1_loss(to_a(bare_b.detach(), lost_by_a), a)
    identity = functional.l1_loss(to_a(a, None), a) + functional.l1_loss(to_b(b, None), b)
    half = len(a) // 2
    fake_a, fake_b = (torch.cat([one[:half], other[half:]]).detach() for one, other in ((guided_a, bare_a), (guided_b, bare_b)))
    return GeneratorLosses(0.5 * judged, weights.cycle * cycle, weights.identity * identity, fake_a, fake_b)


def discriminator_loss(judge: Map, real: Tensor, replayed: Tensor) -> Tensor:
    """Half the sum of the cross-entropies of real images as real and of replayed ones as translated."""
    made = judge(replayed)
    return 0.5 * (real_loss(judge(real)) + functional.binary_cross_entropy_with_logits(made, torch.zeros_like(made)))


def real_loss(logits: Tensor) -> Tensor:
    """Binary cross-entropy with logits against "real" (the published runs do not use the original paper's squared distance)."""
    return functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
