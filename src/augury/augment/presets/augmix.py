"""AugMix."""

from typing import Annotated

from augury.augment.policies.fixed import Uniformly
from augury.augment.policies.ladders import ladder
from augury.augment.policies.randaugment import ENHANCE
from augury.augment.stages.augmix import AugMix
from augury.augment.stages.plan import PlanStage
from augury.core.options import Interval
from augury.core.plan import Space
from augury.core.registry import register

OPERATIONS = (
    "auto_contrast", "equalize", "posterize", "rotate", "solarize", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
LEVELS = 256


@register("preset", "augmix", source="Hendrycks et al. 2020 (AugMix, arXiv:1912.02781), algorithm 1 and released code")
def augmix(
    *,
    severity: Annotated[float, Interval(0.1, 10)] = 3,
    width: Annotated[int, Interval(1, 10)] = 3,
    depth: Annotated[int, Interval(1, 10)] | None = None,
    alpha: Annotated[float, Interval(0.01)] = 1.0,
    all_ops: bool = False,
) -> list[AugMix]:
    """`width` chains of 1 to 3 operations (or `depth`), averaged by Dirichlet weights, blended with the clean image.

    Every operation draws its own level between 0.1 and `severity` of 10 (on a fine grid). Brightness, color, contrast
    and sharpness are left out, since the paper's test corruptions hold them; all_ops takes them in. Without the
    paper's consistency loss, which is the strategy augmix_jsd.
    """
    magnitudes = ladder("augmix")
    names = (*OPERATIONS, *ENHANCE) if all_ops else OPERATIONS
    space = Space(tuple(magnitudes.choice(name) for name in names))
    strengths = tuple((0.1 + (severity - 0.1) * (k + 0.5) / LEVELS) / 10 for k in range(LEVELS))
    return [AugMix(PlanStage("chain", Uniformly(space, depth or 3, strengths)), width, depth, alpha)]
