"""TrivialAugment: one operation, drawn uniformly, at a strength drawn uniformly."""

from typing import Literal

from augury.augment.policies.fixed import UniformPolicy
from augury.augment.policies.ladders import ladder
from augury.augment.policies.randaugment import TORCHVISION, Channels, space_for
from augury.core.plan import Policy
from augury.core.registry import register


@register("policy", "trivialaugment", source="Müller and Hutter 2021 (arXiv:2103.10158), section 3; torchvision TrivialAugmentWide")
def trivialaugment(*, space: Literal["wide", "standard"] = "wide", channels: Channels = "rgb") -> Policy:
    """One operation per image, drawn uniformly, at one of 31 strengths drawn uniformly. Nothing to tune.

    `wide` is the published default and torchvision's (rotations up to 135 degrees, translations up to 32 pixels
    whatever the side); `standard` has RandAugment's ranges. With channels=any, operations on red, green and blue (color,
    contrast) are left out, so that images may have up to 16 channels.
    """
    magnitudes = ladder("wide" if space == "wide" else "torchvision_31")
    choices = space_for(channels, (magnitudes.entry(name) for name in TORCHVISION))
    return UniformPolicy(choices, 1, tuple(level / 30 for level in range(31)))
