# Written by tools/stubs.py; do not edit.
from collections.abc import Sequence
from typing import Literal

from augury.augment.pipeline import Pipeline

def autoaugment(
    *,
    table: Literal["cifar10", "imagenet", "svhn", "cifar10_95", "efficientnet_v0"] | None = None,
    ladder: str | None = None,
    fill: int | None = None,
    spread: float = 0.0,
) -> Pipeline:
    """One of a table's sub-policies per image: two operations, each with its own probability and strength.

    Tables: the paper's three (25 sub-policies each), the 95 of the released TensorFlow code, EfficientNet's v0. The default is
    `cifar10` for images below 64 pixels or if a ladder is given, and `imagenet` for larger ones. `ladder` maps levels to
    values; by default it is that of the code the table was released with, for any image size: `tf` for the CIFAR and SVHN
    tables (translations by up to 10/32 of the side) and the repaired `tpu` for the others (translations by up to more than a
    whole image, which those tables do not use); `torchvision` gives torchvision's policies. `fill` is the grey level outside
    the image, 128 by default and 0 with torchvision's ladder. `spread` is timm's mstd, the standard deviation of a normal
    jitter of every level, which stays between 0 and the ladder's 10 (torchvision's 9).
    """

def autoaugment_space(*, magnitude: float = 9, num_ops: int = 2, scale: str = "ildoonet") -> Pipeline:
    """`num_ops` of AutoAugment's 14 operations per image, drawn uniformly, all at one `magnitude`.

    `scale` names the ladder that maps the magnitude to values; the default counts to 30, like the code that KeepAugment's
    settings come from.
    """

def color_jitter(*, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.1) -> Pipeline:
    """Brightness, contrast and saturation by factors from 1 - x to 1 + x, hue by up to `hue` turns, in a drawn order."""

def fast_autoaugment(*, file: str) -> Pipeline:
    """Sub-policies from a file in the format of the released code: [[("Rotate", probability, level), ...], ...].

    Levels are in [0, 1]; geometric ranges are symmetric, so that 0.5 changes nothing, and the sign is drawn in addition.
    """

def pba(*, file: str) -> Pipeline:
    """Replays a schedule found by population based augmentation, stretched over the training.

    file: the search's log (one JSON list per line, whose last member holds `hp_policy`), or a JSON list of
    [epochs, hp_policy]. hp_policy is 60 whole numbers: probability 0 to 10 and magnitude 0 to 9 of 15 operations, twice.
    """

def randaugment(
    *,
    num_ops: int = 2,
    magnitude: float | None = None,
    version: Literal["torchvision", "tpu", "tpu_published", "timm", "timm_increasing", "ildoonet", "uda"] = "torchvision",
    p: float | None = None,
    spread: float = 0.0,
    max_magnitude: float | None = None,
    level: Literal["fixed", "uniform"] = "fixed",
    channels: Literal["rgb", "any"] = "rgb",
) -> Pipeline:
    """`num_ops` operations per image, drawn uniformly with replacement, all at one `magnitude`.

    The default is torchvision's (14 operations, 31 bins: magnitude 9 of 30 rotates by 9 degrees), which draws one set of
    operations for a whole batch; here every image draws its own. `version` selects the operations and the ladder of another
    code: the TPU and timm scales end at 10 and extrapolate above (magnitude 20 rotates by 60 degrees), `timm` fires each
    operation with p = 0.5, and `uda` does so too and draws the level from 1 to 9. Values are clipped to each operation's
    range. `spread` is timm's mstd, the standard deviation of a normal jitter of the magnitude; `max_magnitude` is its mmax,
    the largest magnitude. With level=uniform, every operation draws its magnitude between 0 and `magnitude`. With channels=any,
    operations on red, green and blue (color, contrast) are left out, so that images may have up to 16 channels.
    """

def tanda(
    *,
    functions: Sequence[str] | None = None,
    length: int = 10,
    file: str | None = None,
    p: float = 1.0,
    p_first: float | None = None,
    p_growth: float = 1.05,
    clean_epochs: int = 0,
) -> Pipeline:
    """`length` transformation functions per image, one after another, from a trained generator's `file`.

    Without a file, every function is equally likely at every step: the random baseline that a trained generator must beat.
    `functions`: operations with fixed values, or one of the published lists, `cifar10` (33) and `mnist` (25). A file
    contains its own functions and length. Geometric functions fill with black; the released code repeats the edge.

    An image is transformed with probability `p`. With `p_first`, the probability starts there and grows by the factor
    `p_growth` per epoch up to `p`; in the last `clean_epochs`, no image is transformed. The released CIFAR-10 training uses
    `clean_epochs=10`, the released default is `p=0.5, p_first=0.1`. Raises InputError if no epoch would transform images.
    """

def trivialaugment(*, space: Literal["wide", "standard"] = "wide", channels: Literal["rgb", "any"] = "rgb") -> Pipeline:
    """One operation per image, drawn uniformly, at one of 31 strengths drawn uniformly. Nothing to tune.

    `wide` is the published default and torchvision's (rotations up to 135 degrees, translations up to 32 pixels
    whatever the side); `standard` has RandAugment's ranges. With channels=any, operations on red, green and blue (color,
    contrast) are left out, so that images may have up to 16 channels.
    """
