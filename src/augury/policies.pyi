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
    """One of a table's sub-policies per image, two operations each with its own chance and strength.

    Tables: the paper's three (25 sub-policies each), the 95 of the released TensorFlow code, EfficientNet's v0. Without
    one, `cifar10` on images under 64 pixels or where a ladder is given, and `imagenet` on larger ones. Levels mean what
    `ladder` says: by default what they mean in the code that the table was released with, whatever the image's size, so
    `tf` for the CIFAR and SVHN tables (translations by up to 10/32 of the side) and the repaired `tpu` for the others
    (translations by up to more than a whole image, which those tables leave out); `torchvision` gives torchvision's
    policies. `fill` paints what lies outside, 128 by default, 0 with torchvision's ladder. `spread` is timm's mstd, the
    deviation of a normal jitter of every level, which stays between 0 and the ladder's 10 (torchvision's 9).
    """

def autoaugment_space(*, magnitude: float = 9, num_ops: int = 2, scale: str = "ildoonet") -> Pipeline:
    """`num_ops` of AutoAugment's 14 operations per image, drawn uniformly, all at one `magnitude`.

    `scale` names the ladder that says what the magnitude means; the default counts to 30 as the code that KeepAugment's
    settings come from does.
    """

def color_jitter(*, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.1) -> Pipeline:
    """Brightness, contrast and saturation by factors from 1 - x to 1 + x, hue by up to `hue` turns, in a drawn order."""

def fast_autoaugment(*, file: str) -> Pipeline:
    """Sub-policies from a file in the format of the released code: [[("Rotate", probability, level), ...], ...].

    Levels lie in [0, 1]; geometric ranges are symmetric, so that 0.5 changes nothing, and the sign is drawn on top.
    """

def pba(*, file: str) -> Pipeline:
    """Replays a schedule found by population based augmentation, stretched over the training.

    file: the search's log (one JSON list per line, whose last member holds `hp_policy`), or a JSON list of
    [epochs, hp_policy]. hp_policy is 60 whole numbers: chance 0 to 10 and magnitude 0 to 9 of 15 operations, twice.
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
) -> Pipeline:
    """`num_ops` operations per image, drawn uniformly with replacement, all at one `magnitude`.

    The default is torchvision's (14 operations, 31 bins: magnitude 9 of 30 rotates by 9 degrees), which draws one set of
    operations for a whole batch; here every image draws its own. `version` takes the operations and the ladder of
    another code: the TPU and timm scales end at 10 and extrapolate above (magnitude 20 rotates by 60 degrees), `timm`
    fires each operation with p = 0.5, `uda` does so too and draws the level from 1 to 9. No operation leaves its own
    range. `spread` is timm's mstd, the deviation of a normal jitter of the magnitude; `max_magnitude` is its mmax, above
    which no magnitude goes. With level=uniform every operation draws its magnitude between 0 and `magnitude`.
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

    Without a file every function is equally likely at every step: the random policy that a trained one has to beat.
    `functions`: operations with fixed values, or one of the published lists, `cifar10` (33) and `mnist` (25). A file
    brings its own functions and length. Geometric functions fill with black, where the released code repeats the edge.

    An image is transformed with chance `p`. With `p_first` that chance starts there and grows by the factor `p_growth` after
    every epoch up to `p`; in the last `clean_epochs` no image is transformed. The released CIFAR-10 training is
    `clean_epochs=10`, the released default `p=0.5, p_first=0.1`. Raises InputError where no epoch would be left to transform.
    """

def trivialaugment(*, space: Literal["wide", "standard"] = "wide") -> Pipeline:
    """One operation per image, drawn uniformly, at one of 31 strengths drawn uniformly. Nothing to tune.

    `wide` is the published default and torchvision's (rotations up to 135 degrees, translations up to 32 pixels
    whatever the side); `standard` has RandAugment's ranges.
    """
