"""Fast AutoAugment: a list of sub-policies found by a search."""

import ast
from pathlib import Path

from augury.augment.policies.autoaugment import from_levels
from augury.augment.policies.ladders import ladder
from augury.core.errors import InputError
from augury.core.plan import Policy
from augury.core.registry import register, unknown

NAMES = {
    "ShearX": "shear_x", "ShearY": "shear_y", "TranslateX": "translate_x", "TranslateY": "translate_y", "Rotate": "rotate",
    "AutoContrast": "auto_contrast", "Invert": "invert", "Equalize": "equalize", "Solarize": "solarize",
    "Posterize": "posterize", "Contrast": "contrast", "Color": "color", "Brightness": "brightness", "Sharpness": "sharpness",
    "Cutout": "cutout", "SamplePairing": "sample_pairing",
}  # fmt: skip
LARGEST_BYTES = 10_000_000


@register("policy", "fast_autoaugment", source="Lim et al. 2019 (Fast AutoAugment, arXiv:1905.00397) and released code")
def fast_autoaugment(*, file: str) -> Policy:
    """Sub-policies from a file in the format of the released code: [[("Rotate", probability, level), ...], ...].

    Levels are in [0, 1]; geometric ranges are symmetric, so that 0.5 changes nothing, and the sign is drawn in addition.
    """
    return from_levels(read_list(file), ladder("fast_autoaugment"))


def read_list(file: str) -> list[list[tuple[str, float, float]]]:
    """The file's sub-policies under Augury's names, parsed as plain literals; InputError says what is wrong."""
    where = f"fast_autoaugment(file={file})"
    try:
        data = Path(file).read_bytes()
        if len(data) > LARGEST_BYTES:
            raise InputError(f"{where}: {len(data)} bytes is too large for a policy file")
        content = ast.literal_eval(data.decode("utf-8").strip())
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({type(error).__name__}); give a policy file") from None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise InputError(f"{where}: not a list of sub-policies in plain literals") from None
    if not isinstance(content, list) or not content:
        raise InputError(f"{where}: expected a list of sub-policies")
    return [_row(row, f"{where} sub-policy {number}") for number, row in enumerate(content, 1)]


def _row(row: object, where: str) -> list[tuple[str, float, float]]:
    if not isinstance(row, list | tuple) or not row:
        raise InputError(f"{where}: expected a list of (name, probability, level)")
    return [_entry(item, where) for item in row]


def _entry(item: object, where: str) -> tuple[str, float, float]:
    if not isinstance(item, list | tuple) or len(item) != 3:
        raise InputError(f"{where}: {item!r} is not (name, probability, level)")
    name, probability, level = item
    if name not in NAMES:
        raise InputError(f"{where}: {unknown('operation', str(name), list(NAMES))}")
    for what, value in (("probability", probability), ("level", level)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{where}: {what} {value!r} of {name} must be a number from 0 to 1")
    return NAMES[name], float(probability), float(level)
