"""AutoAugment's operations without its table, driven by a magnitude."""

from typing import Annotated

from augury.augment.policies.fixed import UniformPolicy
from augury.augment.policies.ladders import ENHANCE, ladder
from augury.augment.policies.randaugment import SHIFTS
from augury.core.options import Interval
from augury.core.plan import Policy, Space
from augury.core.registry import register

OPERATIONS = (*SHIFTS, "rotate", "auto_contrast", "invert", "equalize", "solarize", "posterize", *ENHANCE)


@register("policy", "autoaugment_space", source="Gong et al. 2021 (KeepAugment, arXiv:2011.11778), table 4")
def autoaugment_space(
    *,
    magnitude: Annotated[float, Interval(0, 30)] = 9,
    num_ops: Annotated[int, Interval(1, 16)] = 2,
    scale: str = "ildoonet",
) -> Policy:
    """`num_ops` of AutoAugment's 14 operations per image, drawn uniformly, all at one `magnitude`.

    `scale` names the ladder that maps the magnitude to values; the default counts to 30, like the code that KeepAugment's
    settings come from.
    """
    magnitudes = ladder(scale)
    space = Space(tuple(magnitudes.entry(name) for name in OPERATIONS))
    return UniformPolicy(space, num_ops, (magnitudes.strength(magnitude),))
