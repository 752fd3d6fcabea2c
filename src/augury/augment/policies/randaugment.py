"""RandAugment: a few operations drawn uniformly, all at one strength."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal

from augury.augment.policies.fixed import UniformPolicy
from augury.augment.policies.ladders import ENHANCE, LARGEST_MAGNITUDE, ladder
from augury.core.options import Interval
from augury.core.plan import Policy, Space, SpaceEntry
from augury.core.registry import register

SHIFTS = ("shear_x", "shear_y", "translate_x", "translate_y")
TORCHVISION = ("identity", *SHIFTS, "rotate", *ENHANCE, "posterize", "solarize", "auto_contrast", "equalize")
TPU = ("invert", "rotate", "posterize", "solarize", *ENHANCE, *SHIFTS, "auto_contrast", "equalize", "cutout", "solarize_add")
TIMM = tuple(name for name in TPU if name != "cutout")
UDA = tuple(name for name in TPU if name != "solarize_add")
STEPS = 256  # of a magnitude that is drawn
# Name: ladder, operations, level at strength 1 of the published scale.
VERSIONS = {
    "torchvision": ("torchvision_31", TORCHVISION, 30.0),
    "tpu": ("tpu", TPU, 10.0),
    "tpu_published": ("tpu_published", TPU, 10.0),
    "timm": ("timm", TIMM, 10.0),
    "timm_increasing": ("timm_increasing", TIMM, 10.0),
    "ildoonet": ("ildoonet", TPU, 30.0),
    "uda": ("tf", UDA, 10.0),
}
Channels = Literal["rgb", "any"]
Version = Literal["torchvision", "tpu", "tpu_published", "timm", "timm_increasing", "ildoonet", "uda"]


def space_for(channels: Channels, entries: Iterable[SpaceEntry]) -> Space:
    """The operations of a policy for grey and RGB images, or those that images of any number of channels have."""
    return Space(tuple(entry for entry in entries if channels == "rgb" or not entry.op.rgb))


@register("policy", "randaugment", source="Cubuk et al. 2020 (arXiv:1909.13719), section 3; torchvision RandAugment")
def randaugment(
    *,
    num_ops: Annotated[int, Interval(1, 16)] = 2,
    magnitude: Annotated[float, Interval(0, 30)] | None = None,
    version: Version = "torchvision",
    p: Annotated[float, Interval(0, 1)] | None = None,
    spread: Annotated[float, Interval(0, 100)] = 0.0,
    max_magnitude: Annotated[float, Interval(0, 30)] | None = None,
    level: Literal["fixed", "uniform"] = "fixed",
    channels: Channels = "rgb",
) -> Policy:
    """`num_ops` operations per image, drawn uniformly with replacement, all at one `magnitude`.

    The default is torchvision's (14 operations, 31 bins: magnitude 9 of 30 rotates by 9 degrees), which draws one set of
    operations for a whole batch; here every image draws its own. `version` selects the operations and the ladder of another
    code: the TPU and timm scales end at 10 and extrapolate above (magnitude 20 rotates by 60 degrees), `timm` fires each
    operation with p = 0.5, and `uda` does so too and draws the level from 1 to 9. Values are clipped to each operation's
    range. `spread` is timm's mstd, the standard deviation of a normal jitter of the magnitude; `max_magnitude` is its mmax,
    the largest magnitude. With level=uniform, every operation draws its magnitude between 0 and `magnitude`. With channels=any,
    operations on red, green and blue (color, contrast) are left out, so that images may have up to 16 channels.
    """
    name, operations, top = VERSIONS[version]
    magnitudes = ladder(name)
    space = space_for(channels, (magnitudes.entry(operation) for operation in operations))
    highest = min(9.0 if magnitude is None else magnitude, math.inf if max_magnitude is None else max_magnitude)
    if level == "uniform":
        strengths = tuple((k + 0.5) / STEPS * highest / top for k in range(STEPS))
    elif version == "uda" and magnitude is None:
        strengths = tuple(each / top for each in range(1, 10))
    else:
        strengths = (highest / top,)
    chance = p if p is not None else 0.5 if version in ("timm", "timm_increasing", "uda") else 1.0
    # Jitter stays on the published scale, or within its extrapolation if the magnitude itself is beyond it.
    most = max_magnitude if max_magnitude is not None else top if highest <= top else LARGEST_MAGNITUDE
    return UniformPolicy(space, num_ops, strengths, chance, spread / top, most / top)
