"""Code for albumentations: its transforms, and Pillow's functions for what it has none for."""

import math

from augury.augment.exported.blocks import Block, Number, Piece, Step
from augury.augment.exported.code import call, chained, expression, functions, steps_of
from augury.augment.exported.pillow import check, fixed
from augury.core.errors import InputError

BY_PILLOW = {"sharpness", "equalize", "auto_contrast", "solarize_add"}
KNOWN = BY_PILLOW | {
    "identity", "flip", "flip_vertical", "rotate", "shear_x", "shear_y", "translate_x", "translate_y", "zoom", "crop",
    "resized_crop", "invert", "posterize", "solarize", "brightness", "contrast", "color", "hue", "grayscale",
    "gaussian_blur", "cutout", "random_erasing", "elastic",
}  # fmt: skip
NOTES = {
    "shear_x": "shear_x: albumentations shears about the centre, Augury about the top left corner",
    "shear_y": "shear_y: albumentations shears about the centre, Augury about the top left corner",
    "translate_x": "translate_x: albumentations moves by parts of pixels, Augury by whole ones",
    "translate_y": "translate_y: albumentations moves by parts of pixels, Augury by whole ones",
    "cutout": "cutout: albumentations keeps the square inside, Augury centres it on any pixel and cuts it at the border",
    "elastic": "elastic: albumentations paints the border, Augury repeats it",
    "resized_crop": "resized_crop: albumentations draws a window that does not fit again, Augury shortens it",
    "random_erasing": "random_erasing: albumentations draws the aspect evenly in its logarithm, Augury evenly",
}
_ARGUMENT = {
    "posterize": ("A.Posterize", "num_bits"),
    "solarize": ("A.Solarize", "threshold_range"),
    "gaussian_blur": ("A.GaussianBlur", "sigma_limit"),
}
_PLAIN = {
    "identity": "A.NoOp",
    "flip": "A.HorizontalFlip",
    "flip_vertical": "A.VerticalFlip",
    "invert": "A.InvertImg",
    "grayscale": "A.ToGray",
}
_JITTER = {"brightness": "brightness", "contrast": "contrast", "color": "saturation", "hue": "hue"}


def code(pieces: list[Piece], side_pixels: int) -> tuple[str, list[str]]:
    """The code, and what is otherwise in it. Raises InputError for operations that albumentations cannot do."""
    block: Block = chained([piece.block for piece in pieces])
    check(block, KNOWN, "albumentations")
    steps = steps_of(block)
    used = {one.op for one in steps}
    source = functions("albumentations", {"A", *(["constant", *(used & BY_PILLOW)] if used & BY_PILLOW else [])})
    text = expression(block, lambda one: _step(one, side_pixels), _several)
    whole = text if text.startswith("A.Compose") else f"A.Compose([{text}])"
    by_pillow = sorted(used & BY_PILLOW)
    notes = [f"{', '.join(by_pillow)}: by Pillow, as albumentations has none that is the same"] if by_pillow else []
    return f"{source.rstrip()}\n\n\ntransform = {whole}\n", notes + [NOTES[name] for name in NOTES if name in used]


def _several(kind: str) -> tuple[str, str]:
    if kind == "shuffled":
        raise InputError("albumentations: an order that is drawn anew is not exported; A.ColorJitter shuffles by itself")
    return {"chain": ("A.Compose([", "], p=1)"), "one_of": ("A.OneOf([", "], p=1)")}[kind]


def _step(one: Step, side_pixels: int) -> str:
    """A transform; a number that is one of a list is a choice among as many transforms."""
    name = next((name for name, number in one.numbers.items() if isinstance(number, list)), None)
    if name is None:
        text = _transform(one, side_pixels, "1" if one.p == 1 else repr(one.p))
        # Its own p would be its weight within a choice.
        return text if one.p == 1 else f"A.Compose([{text}], p=1)"
    number = one.numbers[name]
    assert isinstance(number, list)
    single = Step(one.op, 1.0, {**one.numbers, name: _VALUE}, one.options)
    text = _transform(single, side_pixels, "1").replace(repr(_VALUE), "v")
    made = f"A.OneOf([{text} for v in {_values(one.op, number)!r}], p={one.p:g})"
    return made if one.p == 1 else f"A.Compose([{made}], p=1)"


_VALUE = 0.123456789  # stands for a value of a list in a text


def _values(op: str, numbers: list[float]) -> list[float]:
    return [_converted(op, number) for number in numbers]


def _converted(op: str, number: float) -> float:
    """A number in albumentations' unit."""
    if number == _VALUE:
        return number
    if op == "solarize":
        return min(1.0, number / 255)
    if op.startswith("shear"):
        return math.degrees(math.atan(number))
    return -number if op.startswith("translate") else int(number) if op == "posterize" else number


def _range(one: Step, name: str) -> tuple[float, float]:
    number: Number = one.numbers[name]
    if isinstance(number, list):
        raise InputError(f"{one.op}({name}): several lists of numbers cannot be exported")
    if isinstance(number, tuple) and len(number) == 3 and one.op not in ("resized_crop", "random_erasing"):
        raise InputError(f"{one.op}({name}): albumentations draws from another law; give a number or a range")
    low, high = (number[0], number[1]) if isinstance(number, tuple) else (number, number)
    ends = sorted((_converted(one.op, low), _converted(one.op, high)))
    return ends[0], ends[1]


def _transform(one: Step, side_pixels: int, p: str) -> str:
    options = fixed(one)
    how = f"interpolation={1 if options.pop('bilinear', False) else 0}"
    warp = f"{how}, border_mode=0, fill={options.get('fill', 0)}, p={p}"
    if one.op in _PLAIN:
        return f"{_PLAIN[one.op]}(p={p})"
    if one.op in BY_PILLOW:
        numbers = {name: _one_number(one, name) for name in one.numbers}
        text = call("constant", one.op, **numbers)
        return text if p == "1" else f"A.Compose([{text}], p={p})"
    if one.op in _JITTER:
        given = {**dict.fromkeys(("brightness", "contrast", "saturation"), (1, 1)), "hue": (0, 0)}
        return call("A.ColorJitter", **{**given, _JITTER[one.op]: _range(one, next(iter(one.numbers)))})[:-1] + f", p={p})"
    if one.op in _ARGUMENT:
        name, argument = _ARGUMENT[one.op]
        blur = f"blur_limit={one.options.get('taps', 13)}, " if one.op == "gaussian_blur" else ""
        return f"{name}({blur}{argument}={_range(one, next(iter(one.numbers)))!r}, p={p})"
    match one.op:
        case "rotate":
            return f"A.Rotate({_range(one, 'degrees')!r}, {warp})"
        case "shear_x" | "shear_y":
            own, other = one.op[-1], "y" if one.op == "shear_x" else "x"
            return f"A.Affine(shear={{'{own}': {_range(one, 'slope')!r}, '{other}': (0, 0)}}, {warp})"
        case "translate_x" | "translate_y":
            own, other = one.op[-1], "y" if one.op == "translate_x" else "x"
            if "reach" in options:
                raise InputError(f"{one.op}: a reach in pixels, whatever the side, is not exported to albumentations")
            return f"A.Affine(translate_percent={{'{own}': {_range(one, 'fraction')!r}, '{other}': (0, 0)}}, {warp})"
        case "zoom":
            return f"A.Affine(scale={_range(one, 'factor')!r}, {warp})"
        case "crop":
            pad = options.get("padding", (side_pixels + 4) // 8)
            moved = f"A.Pad({pad}, fill={options.get('fill', 0)}), A.RandomCrop({side_pixels}, {side_pixels})"
            return f"A.Compose([{moved}], p={p})"
        case "resized_crop":
            filtered = 2 if options else 1
            window = f"scale={_range(one, 'area')!r}, ratio={_range(one, 'aspect')!r}, interpolation={filtered}"
            return f"A.RandomResizedCrop(({side_pixels}, {side_pixels}), {window}, p={p})"
        case "cutout":
            length = options["length"] / side_pixels if "length" in options else _one_number(one, "fraction")  # type: ignore[operator]
            holes = f"num_holes_range=(1, 1), hole_height_range=({length}, {length}), hole_width_range=({length}, {length})"
            return f"A.CoarseDropout({holes}, fill={options.get('fill', 0)}, p={p})"
        case "random_erasing":
            fill = '"random"' if options.get("noise", True) else options.get("fill", 0)
            return f"A.Erasing(scale={_range(one, 'area')!r}, ratio={_range(one, 'aspect')!r}, fill={fill}, p={p})"
        case _:
            alpha, sigma = _one_number(one, "alpha"), one.options.get("sigma", 4.0)
            return f'A.ElasticTransform(alpha={alpha}, sigma={sigma}, noise_distribution="uniform", p={p})'


def _one_number(one: Step, name: str) -> float:
    number = one.numbers[name]
    if not isinstance(number, float | int):
        raise InputError(f"{one.op}({name}): albumentations takes one number here; give a number or a list")
    return number
