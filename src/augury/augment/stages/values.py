"""Native values of a whole plan: linear laws by coefficients, published levels by tables, the others one law at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.core.devices import constant
from augury.core.laws import Constant, Law, Linear, Uniform
from augury.core.levels import Levels, between, picked
from augury.core.plan import Space

TOGETHER = (Constant, Uniform, Linear, Levels)  # a tuple: PyTorch 2.9 does not compile a union of types


@dataclass(frozen=True)
class Numbers:
    """What a space's laws are, as tuples that become tensors. coefficients [E,P,5]: low, span, signed, twice the centre,
    driven by strength rather than by the uniform.

    table: the levels of every law that has some, one after the other, both sides of the sign; start [E,P,2]: where those of
    an entry's parameter begin; top, last [E,P]: the level at strength 1 and the last one; -1 where there are none.
    """

    coefficients: tuple[tuple[tuple[float, ...], ...], ...]
    table: tuple[float, ...]
    start: tuple[tuple[tuple[int, int], ...], ...]
    top: tuple[tuple[float, ...], ...]
    last: tuple[tuple[float, ...], ...]

    @staticmethod
    def of(space: Space) -> "Numbers":
        laws = [[entry.law(name) for name in entry.op.parameters] for entry in space.entries]
        padded = [[*row, *[Constant(0.0)] * (space.parameters - len(row))] for row in laws]
        table: list[float] = []
        starts: dict[tuple[tuple[float, ...], ...], tuple[int, int]] = {}

        def start(law: Law) -> tuple[int, int]:
            if not isinstance(law, Levels):
                return 0, 0
            if law.sides not in starts:
                starts[law.sides] = len(table), len(table) + len(law.numbers)
                table.extend(number for side in law.sides for number in side)
            return starts[law.sides]

        places = tuple(tuple(map(start, row)) for row in padded)
        levels = [[law if isinstance(law, Levels) else None for law in row] for row in padded]
        return Numbers(
            tuple(tuple(map(_coefficients, row)) for row in padded),
            tuple(table),
            places,
            tuple(tuple(0.0 if law is None else float(law.top) for law in row) for row in levels),
            tuple(tuple(-1.0 if law is None else len(law.numbers) - 1.0 for law in row) for row in levels),
        )


def values_of(space: Space, numbers: Numbers, op: Tensor, strength: Tensor, u: Tensor) -> Tensor:
    """Native values float32 [B,S,P] of operations int64 [B,S] at strengths [B,S], from uniforms [B,S,U]."""
    count = space.parameters
    if len(space) == 1 and count:
        laws = [space[0].law(name) for name in space[0].op.parameters]
        return torch.stack([law.value(u[..., k], strength) for k, law in enumerate(laws)], -1)
    coefficients = picked(constant(numbers.coefficients, torch.float32, op.device).reshape(len(space), count, 5), op)
    low, span, signed, twice_centre, by_strength = coefficients.unbind(-1)
    drawn = u[..., :count]
    driver = torch.where(by_strength > 0, strength[..., None].expand_as(drawn), drawn)
    value = driver * span + low
    value = torch.where((signed > 0) & (drawn >= 0.5), twice_centre - value, value)
    if numbers.table:
        value = _with_levels(value, numbers, op, strength, drawn)
    for index, entry in enumerate(space.entries):
        for k, name in enumerate(entry.op.parameters):
            law = entry.law(name)
            if not isinstance(law, TOGETHER):
                value[..., k] = torch.where(op == index, law.value(drawn[..., k], strength), value[..., k])
    return value


def _with_levels(value: Tensor, numbers: Numbers, op: Tensor, strength: Tensor, drawn: Tensor) -> Tensor:
    start = picked(constant(numbers.start, torch.int64, op.device), op)
    top, last = (picked(constant(part, torch.float32, op.device), op) for part in (numbers.top, numbers.last))
    first = torch.where(drawn >= 0.5, start[..., 1], start[..., 0])
    levels = between(constant(numbers.table, torch.float32, op.device), first, strength[..., None] * top, last)
    return torch.where(last >= 0, levels, value)


def _coefficients(law: Law) -> tuple[float, ...]:
    match law:
        case Constant(number):
            return number, 0.0, 0.0, 0.0, 0.0
        case Uniform(low, high):
            return low, high - low, 0.0, 0.0, 0.0
        case Linear(low, high, signed, centre):
            return low, high - low, float(signed), 2 * centre, 1.0
    return (0.0,) * 5
