"""Blocks: an augmentation as steps, choices and orders with plain numbers, which code of any library can be written from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from augury.augment.names import stages_of
from augury.augment.pipeline import Pipeline
from augury.augment.policies.color_jitter import RandomOrder
from augury.augment.policies.fixed import SubPolicies, UniformPolicy
from augury.augment.stages.by_side import BySideStage
from augury.augment.stages.normalize import Normalize
from augury.augment.stages.plan import PlanStage
from augury.core.errors import InputError
from augury.core.laws import Choice, Constant, Law, LogUniform, Uniform
from augury.core.options import parse_chain
from augury.core.plan import Policy, Single, SpaceEntry
from augury.core.stage import Stage

# A number; a list: one of it is drawn; a pair: the range that is drawn from, with "log" evenly in its logarithm.
Number = float | list[float] | tuple[float, float] | tuple[float, float, str]


# Parameters that only say where, uniformly: exported functions draw them themselves.
_PLACES = {"crop": ("top", "left"), "resized_crop": ("top", "left"), "random_erasing": ("pattern",), "elastic": ("pattern",)}


@dataclass(frozen=True)
class Step:
    """One operation with its numbers and fixed options; it fires with probability p."""

    op: str
    p: float = 1.0
    numbers: dict[str, Number] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Several:
    """kind: `chain` for all parts in turn, `one_of` for one of them, each as likely as the next, `shuffled` for a drawn order."""

    kind: str
    parts: tuple["Block", ...]


Block = Step | Several


@dataclass(frozen=True)
class Piece:
    """One stage: what it is called, its block, its policy where it has one, and the library's own expression for it."""

    name: str
    block: Block
    policy: Policy | None = None
    own: str | None = None


def stages_and_name(augmentation: str | Pipeline) -> tuple[Sequence[Stage], str]:
    """The stages of a chain's text, of a policy file, or of a pipeline, and what to call it."""
    if isinstance(augmentation, Pipeline):
        return augmentation.stages, augmentation.origin or "a pipeline"
    return stages_of(parse_chain(augmentation, "POLICY"), "POLICY"), augmentation


def at_side(stage: Stage, side_pixels: int) -> Stage:
    """The stage for images of a side, where a policy has one for small and one for large images."""
    if isinstance(stage, BySideStage):
        return stage.small if side_pixels < stage.limit_pixels else stage.large
    return stage


def piece_of(stage: Stage) -> Piece:
    """A stage as blocks. Raises InputError saying what code of another library cannot do."""
    if isinstance(stage, Normalize):
        raise InputError("normalize: its numbers stay yours; export what stands before it")
    if not isinstance(stage, PlanStage):
        raise InputError(f"{stage.name}: no library has it, and steps one after another cannot say it")
    policy = stage.policy
    if isinstance(policy, Single):
        return Piece(stage.name, _single(policy), policy)
    if isinstance(policy, UniformPolicy):
        _no_spread(stage.name, policy.spread)
        slot = Several("one_of", tuple(_entry(entry, policy.p, policy.strengths) for entry in policy.space.entries))
        return Piece(stage.name, slot if policy.slots == 1 else Several("chain", (slot,) * policy.slots), policy)
    if isinstance(policy, SubPolicies):
        _no_spread(stage.name, policy.spread)
        rows = [[_entry(policy.space[s.op], s.p, (s.strength,)) for s in row] for row in policy.table]
        made = tuple(row[0] if len(row) == 1 else Several("chain", tuple(row)) for row in rows)
        return Piece(stage.name, made[0] if len(made) == 1 else Several("one_of", made), policy)
    if isinstance(policy, RandomOrder):
        return Piece(stage.name, Several("shuffled", tuple(_entry(entry, 1.0, (1.0,)) for entry in policy.space.entries)), policy)
    raise InputError(f"{stage.name}: its draws change while a training goes on, which steps one after another cannot say")


def _no_spread(name: str, spread: float) -> None:
    if spread:
        raise InputError(f"{name}: the jitter of its magnitude (spread) cannot be said by numbers to choose from")


def _single(policy: Single) -> Step:
    return _entry(policy.entry, policy.p, (1.0,))


def _entry(entry: SpaceEntry, p: float, strengths: Sequence[float]) -> Step:
    if "partner" in entry.op.needs:
        raise InputError(f"{entry.op.name}: reads another image of the batch, which a transform of one image cannot")
    free = _PLACES.get(entry.op.name, ())
    numbers = {name: _number(entry, name, strengths) for name in entry.op.parameters if name not in free}
    for name in free:
        if entry.law(name) != entry.op.parameters[name].law:
            raise InputError(f"{entry.op.name}({name}): a place of your own cannot be exported, only one that is drawn freely")
    if sum(isinstance(number, list) and len(strengths) > 1 for number in numbers.values()) > 1:
        raise InputError(f"{entry.op.name}: several numbers that depend on one strength cannot be drawn one by one")
    return Step(entry.op.name, p, numbers, dict(entry.options))


def _number(entry: SpaceEntry, name: str, strengths: Sequence[float]) -> Number:
    law = entry.law(name)
    match law:
        case Constant(number):
            return _short(number)
        case Uniform(low, high):
            return (_short(low), _short(high))
        case Choice(values):
            return [_short(value) for value in values]
        case LogUniform(low, high):
            return (_short(low), _short(high), "log")
    return _of_strengths(law, entry, name, strengths)


def _of_strengths(law: Law, entry: SpaceEntry, name: str, strengths: Sequence[float]) -> Number:
    """The values of a law at all strengths, on both sides of a drawn sign."""
    if type(law).__name__ == "Beta":
        raise InputError(f"{entry.op.name}({name}): drawn from {law}, which is no number, list or range")
    at = torch.tensor([*strengths], dtype=torch.float32, device="cpu")
    sides = [law.value(torch.full_like(at, u), at).tolist() for u in (0.0, 0.9)]
    values = [_short(value) for side in (sides if sides[0] != sides[1] else sides[:1]) for value in side]
    return values[0] if len({*values}) == 1 else values


def _short(value: float) -> float:
    """The shortest decimal that is the same float32, which operations are given; + 0.0 makes -0 of none."""
    exact = float(torch.tensor(value, dtype=torch.float32, device="cpu"))
    shortened = (float(f"{exact:.{digits}g}") for digits in range(1, 18))
    return next((n for n in shortened if float(torch.tensor(n, dtype=torch.float32, device="cpu")) == exact), exact) + 0.0
