"""Compares published policies and ladders, entry by entry, with the libraries they come from, if those are installed.

Compares each operation's arguments: its probability and its native values for both signs, as float32, the precision in which
both libraries compute pixels. torchvision's shifts are compared in whole pixels, for several image sides.
"""

import importlib.util
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augury.augment.names import stages_of
from augury.augment.ops.build import op as operation_of
from augury.augment.policies.convert import TORCHVISION, from_timm
from augury.augment.policies.fixed import SubPolicies, UniformPolicy
from augury.augment.stages.augmix import AugMix
from augury.augment.stages.plan import PlanStage
from augury.core.options import parse_chain
from augury.core.plan import Policy, SpaceEntry

LIBRARIES = ("torchvision", "timm")
SIDES = (32, 48, 64, 96, 224, 299, 331, 512)
Said = tuple[str, float, tuple[float, ...]]
Rows = list[tuple[Said, ...]]


@dataclass(frozen=True)
class Comparison:
    """One policy or ladder of a library. name: the library's name for it. text: the chain that it is imported as, if any.

    entries: number of operations compared, each at one level. different: how many of them are not equal bit for bit. first: a
    description of the first one that differs. reason: why the library's own values could not be read.
    """

    library: str
    name: str
    text: str
    entries: int
    different: int
    first: str = ""
    reason: str = ""


def comparisons() -> tuple[list[Comparison], dict[str, str], list[str]]:
    """All comparisons possible here, the versions of the libraries, and the names of those that are not installed."""
    here = [name for name in LIBRARIES if importlib.util.find_spec(name) is not None]
    cases: dict[str, Callable[[], Iterator[Comparison]]] = {"torchvision": _torchvision, "timm": _timm}
    found = [comparison for name in here for comparison in _read(name, cases[name])]
    return found, {name: version(name) for name in here}, [name for name in LIBRARIES if name not in here]


def _read(library: str, cases: Callable[[], Iterator[Comparison]]) -> list[Comparison]:
    try:
        return list(cases())
    except (AttributeError, KeyError, ImportError, TypeError) as error:
        # Their tables are not a public interface: another release may move them.
        words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return [Comparison(library, "its tables", "", 0, 0, reason=f"cannot be read ({words})")]


def compared(library: str, name: str, text: str, ours: Rows, theirs: Rows) -> Comparison:
    """Compares row by row; operations that only one of the two has count as different."""
    both = [*zip(ours, theirs, strict=False)]
    pairs = [(a, b) for row, other in both for a, b in zip(row, other, strict=False)]
    missing = abs(sum(map(len, ours)) - sum(map(len, theirs)))
    wrong = [(a, b) for a, b in pairs if _bits(a) != _bits(b)]
    first = (
        f"{_words(wrong[0][1])} there, {_words(wrong[0][0])} here" if wrong else "another number of operations" if missing else ""
    )
    return Comparison(library, name, text, len(pairs) + missing, len(wrong) + missing, first)


def _bits(said: Said) -> object:
    op, chance, values = said
    return op, round(chance, 9), tuple(sorted(float(np.float32(value)) for value in values))


def _words(said: Said) -> str:
    op, chance, values = said
    return f"{op} {chance:g} ({' or '.join(f'{value:.9g}' for value in dict.fromkeys(values))})"


def said(choice: SpaceEntry, strength: float, chance: float, in_pixels: bool) -> Said:
    """An entry of a space at a strength, with its values for both signs."""
    found: list[float] = []
    for name in choice.op.parameters:
        law, at = choice.law(name), torch.tensor([strength], dtype=torch.float32)
        sides = [law.value(torch.tensor([u]), at) for u in (0.0, 0.9)]
        if in_pixels and choice.op.name.startswith("translate"):
            found += [pixels for side in sides for pixels in _shifts(choice, name, side)]
        else:
            found += [float(side) for side in sides]
    return choice.op.name, chance, tuple(found)


def _shifts(choice: SpaceEntry, parameter: str, value: Tensor) -> list[float]:
    """The shift in pixels for each image side in SIDES, by the operation's own lowering."""
    size = torch.tensor([[side, side] for side in SIDES])
    matrix = choice.op.lower({parameter: value.expand(len(SIDES))}, size)[0]
    shifts: list[float] = matrix[2 if choice.op.name.endswith("x") else 5].tolist()
    return shifts


def rows_of(text: str, in_pixels: bool) -> Rows:
    """All that an augmentation's chain can draw: the rows of its table, or every operation at every strength."""
    policy = _policy_of(text)
    if isinstance(policy, SubPolicies):
        return [tuple(said(policy.space[s.op], s.strength, s.p, in_pixels) for s in row) for row in policy.table]
    assert isinstance(policy, UniformPolicy)
    return [(said(entry, s, policy.p, in_pixels),) for entry in policy.space.entries for s in policy.strengths]


def _policy_of(text: str) -> Policy:
    """The policy of a chain with a single stage, which may be AugMix."""
    (stage,) = stages_of(parse_chain(text, "POLICY"), "POLICY")
    chain = stage.stage if isinstance(stage, AugMix) else stage
    assert isinstance(chain, PlanStage), text
    return chain.policy


_TORCHVISION_NAMES = {
    "ShearX": "shear_x", "ShearY": "shear_y", "TranslateX": "translate_x", "TranslateY": "translate_y", "Rotate": "rotate",
    "Brightness": "brightness", "Color": "color", "Contrast": "contrast", "Sharpness": "sharpness", "Posterize": "posterize",
    "Solarize": "solarize", "AutoContrast": "auto_contrast", "Equalize": "equalize", "Invert": "invert", "Identity": "identity",
}  # fmt: skip


def _torchvision() -> Iterator[Comparison]:
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugmentWide, autoaugment

    def values(name: str, spaces: list[dict[str, Any]], level: int) -> tuple[float, ...]:
        """Magnitudes as read by `forward`, converted as in `_apply_op`; spaces: one per image side."""

        def at(space: dict[str, Any]) -> float:
            levels, _ = space[name]
            return float(levels[level].item()) if levels.ndim > 0 else 0.0

        signed = spaces[0][name][1]
        magnitude = at(spaces[0])
        if name.startswith("Translate"):
            return tuple(float(sign * int(at(space))) for sign in (1, -1) for space in spaces)
        if name in ("Brightness", "Color", "Contrast", "Sharpness"):
            return 1.0 + magnitude, 1.0 - magnitude
        if name == "Posterize":
            return (float(int(magnitude)),) * 2
        if name in ("AutoContrast", "Equalize", "Invert", "Identity"):
            return ()
        return (magnitude, -magnitude) if signed else (magnitude, magnitude)

    def rows(make: Callable[[int], dict[str, Any]], levels: list[int], order: list[str]) -> Rows:
        spaces = [make(side) for side in SIDES]
        assert set(spaces[0]) == set(order), "operations"
        return [((_TORCHVISION_NAMES[name], 1.0, values(name, spaces, k)),) for name in order for k in levels]

    def order_of(text: str) -> list[str]:
        theirs = {ours: name for name, ours in _TORCHVISION_NAMES.items()}
        return list(dict.fromkeys(theirs[row[0][0]] for row in rows_of(text, True)))

    for policy in AutoAugmentPolicy:
        table = AutoAugment(policy)
        spaces = [table._augmentation_space(10, (side, side)) for side in SIDES]
        theirs = [
            tuple((_TORCHVISION_NAMES[name], float(p), values(name, spaces, level or 0)) for name, p, level in row)
            for row in table.policies
        ]
        name = f"AutoAugmentPolicy.{policy.name}"
        yield compared("torchvision", name, TORCHVISION[name], rows_of(TORCHVISION[name], True), theirs)
    order, ours, theirs = order_of("randaugment"), [], []
    for magnitude in range(31):
        ours += rows_of(f"randaugment(magnitude={magnitude})", True)
        theirs += rows(lambda side: RandAugment()._augmentation_space(31, (side, side)), [magnitude], order)
    yield compared("torchvision", "RandAugment, magnitudes 0 to 30", TORCHVISION["RandAugment"], ours, theirs)
    wide = rows(lambda side: TrivialAugmentWide()._augmentation_space(31), list(range(31)), order)
    yield compared("torchvision", "TrivialAugmentWide", TORCHVISION["TrivialAugmentWide"], rows_of("trivialaugment", True), wide)
    text = TORCHVISION["AugMix"].replace(")", ", severity=10)")
    mixed = rows(lambda side: autoaugment.AugMix()._augmentation_space(10, (side, side)), list(range(10)), order_of(text))
    yield compared("torchvision", "AugMix, severity 10", text, rows_of(text, True), mixed)


_TIMM_NAMES = {
    "AutoContrast": "auto_contrast", "Equalize": "equalize", "Invert": "invert", "Rotate": "rotate", "Posterize": "posterize",
    "Solarize": "solarize", "SolarizeAdd": "solarize_add", "Color": "color", "Contrast": "contrast", "Brightness": "brightness",
    "Sharpness": "sharpness", "ShearX": "shear_x", "ShearY": "shear_y", "TranslateX": "translate_x", "TranslateY": "translate_y",
}  # fmt: skip


def _timm() -> Iterator[Comparison]:
    from timm.data import auto_augment as theirs

    def entry(op: Any, level: float | None = None) -> Said:
        """An AugmentOp at its level without jitter, with values clipped to the operation's range (9 bits become 8)."""
        if level is None:
            level = max(0.0, min(op.magnitude, op.magnitude_max or 10.0))
        found = set() if op.level_fn is None else {value[0] for value in _every(lambda: tuple(op.level_fn(level, op.hparams)))}
        name = _TIMM_NAMES[op.name.removesuffix("Rel").removesuffix("Increasing").removesuffix("Original")]
        ranges = [parameter.range for parameter in operation_of(name).parameters.values()]
        values = sorted(min(max(float(value), ranges[0].low), ranges[0].high) for value in found)
        return name, float(op.prob), tuple(values if len(values) != 1 else values * 2)

    def by_name(rows: Rows) -> Rows:
        return sorted(rows, key=lambda row: row[0])

    for name in ("original", "originalr", "v0", "v0r"):
        text = from_timm(name).text
        table = theirs.auto_augment_transform(name, {}).policy
        yield compared("timm", name, text, rows_of(text, False), [tuple(map(entry, row)) for row in table])
    for suffix in ("", "-inc1"):
        ours, others = [], []
        for magnitude in range(31):
            name = f"rand-m{magnitude}{'-mmax30' if magnitude > 10 else ''}{suffix}"
            ours += by_name(rows_of(from_timm(name).text, False))
            others += by_name([(entry(op),) for op in theirs.rand_augment_transform(name, {}).ops])
        yield compared("timm", f"rand-m0{suffix} to m30-mmax30{suffix}", from_timm(f"rand-m9{suffix}").text, ours, others)
    text = from_timm("rand-m15-inc1").text
    ops = theirs.rand_augment_transform("rand-m15-inc1", {}).ops
    yield compared("timm", "rand-m15-inc1", text, by_name(rows_of(text, False)), by_name([(entry(op),) for op in ops]))
    # timm's AugMix draws a magnitude between 0 and the severity, so compare the ladder at whole levels.
    text, ours, others = from_timm("augmix-m3-w3").text, [], []
    space, ops = _policy_of(text).space, theirs.augment_and_mix_transform("augmix-m3-w3", {}).ops
    for level in range(11):
        ours += by_name([(said(choice, level / 10, 1.0, False),) for choice in space.entries])
        others += by_name([(entry(op, level),) for op in ops])
    yield compared("timm", "augmix, levels 0 to 10", text, ours, others)


def _every(draw: Callable[[], object]) -> set[Any]:
    """The values that a function of Python's random generator returns in 24 calls; the generator's state is restored."""
    before = random.getstate()
    try:
        random.seed(0)
        return {draw() for _ in range(24)}
    finally:
        random.setstate(before)
