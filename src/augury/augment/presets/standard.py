"""Standard: crop and flip, optionally with a policy after or before them."""

from augury.core.options import Chain, Spec
from augury.core.registry import register


@register("preset", "standard", source="He et al. 2016 (arXiv:1512.03385), section 4.2")
def standard(*, policy: Chain | None = None, policy_first: bool = False) -> Chain:
    """The usual augmentation of 32x32 images: pad by an eighth of the side, crop, flip with probability one half.

    `policy` is applied after them, as in the papers on Adversarial AutoAugment and refined augmentation; with `policy_first`,
    before them, as in the released code of AutoAugment and Fast AutoAugment.
    """
    base = (Spec("crop"), Spec("flip"))
    extra = policy.stages if policy is not None else ()
    return Chain((*extra, *base) if policy_first else (*base, *extra))
