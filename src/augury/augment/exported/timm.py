"""Code for timm: its own strings where they do the same, else its AugmentOps, by the magnitudes that mean a value there."""

from augury.augment.exported import torchvision
from augury.augment.exported.blocks import Piece, Several, Step
from augury.core.errors import InputError
from augury.core.plan import Single

_FREE = {"auto_contrast": "AutoContrast", "equalize": "Equalize", "invert": "Invert"}
# Name there, and what a magnitude of 10 is worth, for numbers whose sign is drawn.
_SIGNED = {
    "rotate": ("Rotate", 30.0), "shear_x": ("ShearX", 0.3), "shear_y": ("ShearY", 0.3), "translate_x": ("TranslateXRel", 0.45),
    "translate_y": ("TranslateYRel", 0.45),
}  # fmt: skip
_ENHANCE = {"brightness": "Brightness", "color": "Color", "contrast": "Contrast", "sharpness": "Sharpness"}
_NOTE = "translations: timm moves by parts of pixels, Augury by whole ones"
_HEAD = """from PIL import Image
from timm.data.auto_augment import {names}
"""


def code(pieces: list[Piece], side_pixels: int) -> tuple[str, list[str]]:
    """The code, for PIL images, and what is otherwise in it. Raises InputError for what timm cannot do."""
    parts, notes, names, around, sources = [], [], set(), set(), []
    for piece in pieces:
        if piece.own is not None:
            names.add(piece.own.split("(")[0])
            parts.append(piece.own)
            continue
        if piece.policy is None or isinstance(piece.policy, Single):
            text, said = torchvision.code([piece], side_pixels)
            source, expression = text.rstrip().rsplit("\n\n\ntransform = ", 1)
            sources.append(source)
            parts.append(expression)
            notes += [note for note in said if note != torchvision.BATCH]
            around.add("v2")
            continue
        names |= {"AugmentOp", "AutoAugment"}
        parts += [_auto_augment(part) for part in _slots(piece)]
        if any("Translate" in part for part in parts):
            notes.append(_NOTE)
    fill = _fill(pieces)
    return _together(parts, names, fill, sources, "v2" in around), list(dict.fromkeys(notes))


def _together(parts: list[str], names: set[str], fill: int, sources: list[str], with_v2: bool) -> str:
    lines = [_merged(sources)] if any(sources) else []
    head = _HEAD.format(names=", ".join(sorted(names))) if names else ""
    if len(parts) > 1 and not with_v2:
        head += "from torchvision.transforms import v2\n"
    given = f'"img_mean": ({fill}, {fill}, {fill}), "interpolation": Image.Resampling.NEAREST'
    most = ', "magnitude_max": 100' if "AugmentOp" in names else ""
    hparams = f"\nHPARAMS = {{{given}{most}}}\n" if names else ""
    whole = parts[0] if len(parts) == 1 else "v2.Compose([\n" + "".join(f"    {part},\n" for part in parts) + "])"
    return head + "\n\n".join([*lines, ""]) + hparams + f"\ntransform = {whole}\n"


def _merged(sources: list[str]) -> str:
    """The definitions of several pieces of code, each once."""
    blocks = list(dict.fromkeys(block for source in sources for block in source.split("\n\n\n")))
    imports = list(dict.fromkeys(line for b in blocks if b.startswith(("import", "from")) for line in b.strip().splitlines()))
    merged = _union(imports)
    return "\n\n\n".join(["\n".join(merged), *[b for b in blocks if b and not b.startswith(("import", "from"))]])


def _union(lines: list[str]) -> list[str]:
    found: dict[str, list[str]] = {}
    for line in lines:
        head, _, names = line.partition(" import ") if line.startswith("from") else (line, "", "")
        found.setdefault(head, []).extend(name for name in names.split(", ") if name and name not in found.get(head, []))
    return [f"{head} import {', '.join(names)}" if names else head for head, names in found.items()]


def _slots(piece: Piece) -> list[Several]:
    """The slots of a policy: each is a choice of sub-policies."""
    block = piece.block
    if isinstance(block, Several) and block.kind == "chain":
        choices = [part for part in block.parts if isinstance(part, Several) and part.kind == "one_of"]
        if len(choices) == len(block.parts):
            return choices
    if isinstance(block, Several) and block.kind == "one_of":
        return [block]
    if isinstance(block, Several) and block.kind == "shuffled":
        raise InputError(f"{piece.name}: timm has no order that is drawn anew")
    return [Several("one_of", (block,))]


def _auto_augment(choice: Several) -> str:
    rows = []
    for part in choice.parts:
        steps = part.parts if isinstance(part, Several) else (part,)
        ops = [_op(one) for one in steps if isinstance(one, Step) and one.op != "identity"]
        rows.append(f"        [{', '.join(ops)}],\n")
    return "AutoAugment([\n" + "".join(rows) + "    ])"


def _op(one: Step) -> str:
    """`AugmentOp("Rotate", 0.7, 2, HPARAMS)`. Raises InputError for a number that no magnitude stands for."""
    name, magnitude = _magnitude(one)
    return f'AugmentOp("{name}", {one.p:g}, {magnitude:.9g}, HPARAMS)'


def _magnitude(one: Step) -> tuple[str, float]:
    if one.op in _FREE:
        return _FREE[one.op], 0.0
    if one.options.get("interpolation", "nearest") != "nearest" or one.options.get("reach"):
        raise InputError(f"{one.op}: timm has no such operation with {one.options}")
    number = next(iter(one.numbers.values()), None)
    if one.op in _SIGNED:
        name, unit = _SIGNED[one.op]
        value = _mirrored(one, number, 0.0)
        return name, value / unit * 10
    if one.op in _ENHANCE:
        if isinstance(number, list):
            value = _mirrored(one, number, 1.0)
            return f"{_ENHANCE[one.op]}Increasing", value / 0.9 * 10
        if isinstance(number, float | int) and number >= 0.1:
            return _ENHANCE[one.op], (number - 0.1) / 1.8 * 10
    if isinstance(number, float | int):
        if one.op == "posterize":
            return ("PosterizeOriginal", (number - 4) * 2.5) if number >= 4 else ("Posterize", number * 2.5)
        if one.op == "solarize":
            return "Solarize", 10.0 if number >= 256 else (int(number) + 0.5) / 25.6
        if one.op == "solarize_add" and number <= 128:
            return "SolarizeAdd", (int(number) + 0.5) / 11
    said = ", ".join(f"{key}={value}" for key, value in one.numbers.items())
    raise InputError(f"{one.op}({said}): timm has no magnitude that means it")


def _mirrored(one: Step, number: object, centre: float) -> float:
    """How far a number is from the centre whose side is drawn; 0 where it is the centre."""
    if number == centre:
        return 0.0
    if isinstance(number, list) and len(number) == 2:
        first, second = (value - centre for value in number)
        if abs(first + second) < 1e-5:
            return abs(first)
    raise InputError(f"{one.op} with {number}: timm draws the side of every such number, and one number for each")


def _fill(pieces: list[Piece]) -> int:
    entries = [entry for piece in pieces if piece.policy is not None for entry in piece.policy.space.entries]
    fills = {entry.options.get("fill", 0) for entry in entries if entry.op.name in _SIGNED}
    if len(fills) > 1:
        raise InputError("timm: one colour is painted by all operations, and these have several")
    return int(next(iter(fills), 0) or 0)
