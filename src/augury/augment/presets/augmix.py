"""AugMix."""

from typing import Annotated, Literal

from augury.augment.policies.fixed import UniformPolicy
from augury.augment.policies.ladders import ladder
from augury.augment.policies.randaugment import ENHANCE
from augury.augment.stages.augmix import AugMix
from augury.augment.stages.plan import PlanStage
from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.plan import Space
from augury.core.registry import register

OPERATIONS = (
    "auto_contrast", "equalize", "posterize", "rotate", "solarize", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
LEVELS = 256
# Version: ladder, and whether the operations that the paper leaves out are in.
VERSIONS = {"paper": ("augmix", False), "torchvision": ("torchvision_augmix", True), "timm": ("timm_increasing", True)}


@register("preset", "augmix", source="Hendrycks et al. 2020 (AugMix, arXiv:1912.02781), algorithm 1 and released code")
def augmix(
    *,
    severity: Annotated[float, Interval(0.1, 10)] = 3,
    width: Annotated[int, Interval(1, 10)] = 3,
    depth: Annotated[int, Interval(1, 10)] | None = None,
    alpha: Annotated[float, Interval(0.01)] = 1.0,
    all_ops: bool | None = None,
    version: Literal["paper", "torchvision", "timm"] = "paper",
    spread: Annotated[float, Interval(0, 100)] | None = None,
) -> list[AugMix]:
    """`width` chains of 1 to 3 operations (or `depth`), averaged by Dirichlet weights, blended with the clean image.

    Every operation draws its own level between 0.1 and `severity` of 10 (on a fine grid). Brightness, color, contrast and
    sharpness are left out, since they overlap with the paper's test corruptions; all_ops includes them. The paper's
    consistency loss is a separate strategy, augmix_jsd.

    `version` selects the ladder of another code, with all_ops: torchvision draws one of the first `severity` of ten bins, so
    that severity 3 changes colours by factors from 0.8 to 1.2; timm draws between 0 and `severity`, or, with `spread`
    (its mstd), around `severity`. Raises InputError for a severity that torchvision has no bins for.
    """
    name, everything = VERSIONS[version]
    magnitudes = ladder(name)
    names = (*OPERATIONS, *ENHANCE) if (everything if all_ops is None else all_ops) else OPERATIONS
    space = Space(tuple(magnitudes.entry(name) for name in names))
    if spread is not None and version != "timm":
        raise InputError(f"augmix(spread={spread:g}): only version=timm jitters a magnitude")
    if version == "torchvision" and not float(severity).is_integer():
        raise InputError(f"augmix(severity={severity:g}): torchvision draws one of so many bins; give a whole number")
    low = 0.1 if version == "paper" else 0.0
    if version == "torchvision":
        strengths = tuple(k / 9 for k in range(int(severity)))
    elif spread is not None:
        strengths = (severity / 10,)
    else:
        strengths = tuple((low + (severity - low) * (k + 0.5) / LEVELS) / 10 for k in range(LEVELS))
    chain = UniformPolicy(space, depth or 3, strengths, spread=(spread or 0.0) / 10)
    return [AugMix(PlanStage("chain", chain), width, depth, alpha)]
