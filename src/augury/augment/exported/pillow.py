"""Code for Pillow alone: `augment(image)` of a PIL image."""

from augury.augment.exported.blocks import Block, Piece, Step
from augury.augment.exported.code import call, chained, expression, functions, steps_of
from augury.core.errors import InputError

OPERATIONS = {
    "identity", "flip", "flip_vertical", "rotate", "shear_x", "shear_y", "translate_x", "translate_y", "zoom", "crop",
    "resized_crop", "invert", "posterize", "solarize", "solarize_add", "auto_contrast", "equalize", "brightness", "contrast",
    "color", "sharpness", "grayscale", "hue", "gaussian_blur", "cutout", "random_erasing",
}  # fmt: skip
NOTES = {"gaussian_blur": "gaussian_blur: Pillow's, a few boxes one after another, which comes close to a Gaussian"}


def code(pieces: list[Piece], side_pixels: int) -> tuple[str, list[str]]:
    """The code, and what is otherwise in it. Raises InputError for operations that Pillow cannot do."""
    block: Block = chained([piece.block for piece in pieces])
    check(block, OPERATIONS, "Pillow")
    steps = steps_of(block)
    several = {"chain": "chain(", "one_of": "one_of(", "shuffled": "shuffled("}
    kinds = [kind for kind in several if f"{several[kind]}" in expression(block, step, lambda k: (several[k], ")"))]
    source = functions("pillow", ["step", *kinds, *{one.op for one in steps}])
    text = expression(block, step, lambda kind: (several[kind], ")"))
    return f"{source}\n\n\naugment = {text}\n", [NOTES[name] for name in NOTES if any(one.op == name for one in steps)]


def check(block: Block, known: set[str], library: str) -> None:
    """Refuses operations that a library cannot do, all in one line."""
    missing = sorted({one.op for one in steps_of(block)} - known)
    if missing:
        raise InputError(f"{library} has no {', '.join(missing)}; leave {'it' if len(missing) == 1 else 'them'} out")


def step(one: Step) -> str:
    """`step(rotate, p=0.7, degrees=[-6, 6], fill=128)`."""
    chance = {} if one.p == 1 else {"p": one.p}
    return call("step", one.op, **chance, **one.numbers, **fixed(one))


def fixed(one: Step) -> dict[str, object]:
    """The fixed options as the exported functions take them. Raises InputError for those that they have not."""
    made: dict[str, object] = {}
    for name, value in one.options.items():
        match name, value:
            case "interpolation", "nearest" | "bilinear" | "bicubic":
                plain = "bilinear" if one.op == "resized_crop" else "nearest"
                made |= {} if value == plain else {value: True}
            case "content", _:
                made |= {} if value == "noise" else {"noise": False}
            case "fill", None | 0:
                pass
            case "taps", _ if one.op == "gaussian_blur":
                pass
            case "fill" | "length" | "padding" | "reach", _:
                made |= {} if value is None else {name: int(value)}
            case _, "mean" if name == "mean":
                pass
            case _:
                raise InputError(f"{one.op}({name}={value}): cannot be said in exported code; leave it at its default")
    return made
