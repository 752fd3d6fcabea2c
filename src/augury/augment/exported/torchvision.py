"""Code for torchvision's transforms.v2: its own classes where they do the same, else its functions with drawn numbers."""

from augury.augment.exported.blocks import Block, Number, Piece, Step
from augury.augment.exported.code import call, chained, expression, functions, steps_of
from augury.augment.exported.pillow import check, fixed
from augury.core.errors import InputError

PIXELS = {
    "invert", "posterize", "solarize", "solarize_add", "auto_contrast", "equalize", "brightness", "contrast", "color", "sharpness",
    "grayscale", "hue", "gaussian_blur", "cutout",
}  # fmt: skip
GEOMETRIC = {"rotate", "shear_x", "shear_y", "translate_x", "translate_y", "zoom"}
OWN = {"identity", "flip", "flip_vertical", "crop", "resized_crop", "random_erasing", "elastic"}
NOTES = {
    "resized_crop": "resized_crop: torchvision draws a window that does not fit again, Augury shortens it",
    "random_erasing": "random_erasing: torchvision draws what does not fit again, draws the aspect evenly in its logarithm, and "
    "has normal noise, which is for normalised values",
    "elastic": "elastic: torchvision paints the border, Augury repeats it",
    "cutout": "cutout: works on tensors, so put v2.ToImage() before it",
}
BATCH = "one draw for a call: transform images one by one, in the data set, or a whole batch gets the same draw"


def code(pieces: list[Piece], side_pixels: int) -> tuple[str, list[str]]:
    """The code, and what is otherwise in it. Raises InputError for operations that torchvision cannot do."""
    parts: list[str] = []
    needed: set[str] = {"v2"}
    steps: list[Step] = []
    check(chained([piece.block for piece in pieces]), PIXELS | GEOMETRIC | OWN, "torchvision")
    for piece in pieces:
        if piece.own is not None:
            parts.append(piece.own)
            continue
        block: Block = chained([piece.block])
        steps += steps_of(block)
        parts.append(expression(block, lambda one: _step(one, side_pixels), _several, 1))
    for one in steps:
        needed |= {one.op, "Operation"} if one.op not in OWN else {"InterpolationMode"} if one.op == "resized_crop" else set()
    source = functions("torchvision", needed)
    whole = parts[0] if len(parts) == 1 else "v2.Compose([\n" + "".join(f"    {part},\n" for part in parts) + "])"
    notes = [NOTES[name] for name in NOTES if any(one.op == name for one in steps)]
    return f"{source.rstrip()}\n\n\ntransform = {whole}\n".replace("\n\n\n\n", "\n\n\n"), [BATCH, *notes]


def _several(kind: str) -> tuple[str, str]:
    return {"chain": ("v2.Compose([", "])"), "one_of": ("v2.RandomChoice([", "])"), "shuffled": ("v2.RandomOrder([", "])")}[kind]


def _step(one: Step, side_pixels: int) -> str:
    """`Operation(rotate, p=0.7, degrees=[-6, 6])`, or a class of torchvision's own."""
    if one.op in OWN:
        return _own(one, side_pixels)
    chance = {} if one.p == 1 else {"p": one.p}
    pixels = {"pixels": True} if one.op in PIXELS else {}
    taps = {"taps": one.options["taps"]} if one.op == "gaussian_blur" and "taps" in one.options else {}
    return call("Operation", one.op, **chance, **pixels, **one.numbers, **fixed(one), **taps)


def _own(one: Step, side_pixels: int) -> str:
    options = fixed(one)
    match one.op:
        case "identity":
            return "v2.Identity()"
        case "flip":
            return call("v2.RandomHorizontalFlip", p=one.p)
        case "flip_vertical":
            return call("v2.RandomVerticalFlip", p=one.p)
        case "crop":
            padding = options.get("padding", (side_pixels + 4) // 8)
            return _always(one, call("v2.RandomCrop", str(side_pixels), padding=padding, fill=options.get("fill", 0)))
        case "resized_crop":
            how = "BICUBIC" if options else "BILINEAR"
            ratio = one.numbers["aspect"]
            if not isinstance(ratio, tuple) or len(ratio) == 2:
                ratio = _range(one, "aspect") if not isinstance(ratio, tuple) else _refuse(one, "aspect")
            scale = _range(one, "area")
            text = call("v2.RandomResizedCrop", str(side_pixels), scale=scale, ratio=tuple(ratio[:2]))
            return _always(one, f"{text[:-1]}, interpolation=InterpolationMode.{how}, antialias=True)")
        case "random_erasing":
            value = "random" if options.get("noise", True) else options.get("fill", 0)
            ratio = _range(one, "aspect")
            return call("v2.RandomErasing", p=one.p, scale=_range(one, "area"), ratio=ratio, value=value)
        case _:
            alpha = one.numbers["alpha"]
            if not isinstance(alpha, float):
                raise InputError("elastic(alpha): torchvision takes one strength and no range; give a number")
            return _always(one, call("v2.ElasticTransform", alpha=2 * alpha, sigma=one.options.get("sigma", 4.0)))


def _range(one: Step, name: str) -> tuple[float, float]:
    """A number as a range from it to itself."""
    number: Number = one.numbers[name]
    if isinstance(number, list) or (isinstance(number, tuple) and len(number) == 3):
        return _refuse(one, name)
    return (number[0], number[1]) if isinstance(number, tuple) else (number, number)


def _refuse(one: Step, name: str) -> tuple[float, float]:
    raise InputError(f"{one.op}({name}): torchvision draws from another law; give a number or the default")


def _always(one: Step, text: str) -> str:
    return text if one.p == 1 else f"v2.RandomApply([{text}], p={one.p})"
