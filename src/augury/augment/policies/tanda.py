"""TANDA: sequences of the user's transformation functions, drawn by a generator trained to stay realistic.

The generator is trained by `augury.train.tanda`; this module holds the policy that draws from it, frozen or not.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from augury.augment.functions import Function, function_space
from augury.augment.policies.generators import GeneratorKind, SequenceGenerator
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Interval, Spec, parse_list
from augury.core.plan import Clock, Plan, Policy, Space
from augury.core.registry import register

FORMAT = "augury tanda generator 1"


def _both(template: str, values: Sequence[float]) -> list[str]:
    return [template.format(f"{sign * value:.6g}") for value in values for sign in (1, -1)]


def _warps(angles: Sequence[float], zooms: Sequence[float], shears: Sequence[float]) -> list[str]:
    slopes = [math.tan(radians) for radians in shears]
    return [
        *_both("rotate(degrees={}, interpolation=bilinear)", angles),
        *[f"zoom(factor={factor}, interpolation=bilinear)" for factor in zooms],
        *_both("shear_x(slope={}, interpolation=bilinear)", slopes),
    ]


# The released experiments' lists: one function per value. Shears are given there in radians.
PRESETS: dict[str, tuple[str, ...]] = {
    "cifar10": (
        *_warps((2.5, 5), (0.9, 1.1, 0.75, 1.25), (0.1, 0.25)),
        *_both("swirl(strength={})", (0.1, 0.25)),
        *_both("hue(shift={})", (0.1, 0.25)),
        *[f"{op}(factor={x})" for op in ("contrast", "brightness", "color") for x in (0.75, 1.25, 0.5, 1.5)],
        "flip",
    ),
    "mnist": (
        *_warps((2.5, 5, 10), (0.9, 1.1), (0.1, 0.2, 0.4)),
        *_both("swirl(strength={})", (0.1, 0.2, 0.4)),
        *[f"elastic(sigma=1, alpha={alpha})" for alpha in (1, 1.25, 1.5)],
        "erode(width=3, footprint=cross)",
        "dilate(width=3, footprint=cross)",
    ),
}


@dataclass(frozen=True)
class TransformChance:
    """The probability that an image is transformed at all: `first`, multiplied by `growth` per epoch, at most `highest`.

    It is 0 in the last `clean_epochs` of a training. By default every image is always transformed.
    """

    first: float = 1.0
    growth: float = 1.0
    highest: float = 1.0
    clean_epochs: int = 0

    def at(self, clock: Clock) -> float:
        """The probability in an epoch; InputError if the whole training would be clean."""
        # Outside a training, a pipeline's clock has one epoch, so there is no last epoch to keep clean.
        if self.clean_epochs and clock.epochs > 1:
            if self.clean_epochs >= clock.epochs:
                raise InputError(
                    f"tanda: clean_epochs={self.clean_epochs} of a training of {clock.epochs} epochs leaves none to transform"
                )
            if clock.epoch >= clock.epochs - self.clean_epochs:
                return 0.0
        return min(self.highest, self.first * self.growth**clock.epoch)


@dataclass
class Tanda:
    """Sequences of `slots` functions of `space`, from a generator; every slot fires on an image that is transformed.

    log_prob is that of the sequence only, since the generator does not decide whether an image is transformed.
    """

    space: Space
    slots: int
    generator: SequenceGenerator
    chance: TransformChance = TransformChance()

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        u = noise.uniform(self.slots)
        device = next(self.generator.parameters()).device
        actions = self.generator.sample(u.to(device)).to(u.device)
        strength = torch.ones_like(actions, dtype=torch.float32)
        chance = self.chance.at(clock)
        if chance >= 1:
            return Plan(actions, strength, torch.ones_like(actions, dtype=torch.bool), actions)
        transformed = noise.fold("transformed").uniform(1) < chance
        return Plan(actions, strength, transformed.expand(-1, self.slots), actions)

    def log_prob(self, plan: Plan) -> Tensor:
        return self.generator.log_prob(_actions(plan)).sum(1)


def _actions(plan: Plan) -> Tensor:
    return plan.op if plan.choice is None else plan.choice


def make(
    functions: Sequence[str | Spec | Function], *, length: int = 10, kind: GeneratorKind = "lstm", logit_range: float = 4.0,
    seed: int = 0,
) -> Tanda:  # fmt: skip
    """An untrained policy over operations (`rotate(degrees=5)`) and callables on image batches, near uniform."""
    space = function_space(functions)
    return Tanda(space, length, SequenceGenerator(len(space), kind=kind, logit_range=logit_range, seed=seed))


@register("policy", "tanda", source="Ratner et al. 2017 (TANDA, arXiv:1709.01643), section 4; Ratner et al. 2020 (Stanford AI Lab)")
def tanda(
    *,
    functions: tuple[Spec, ...] | None = None,
    length: Annotated[int, Interval(1, 100)] = 10,
    file: str | None = None,
    p: Annotated[float, Interval(0, 1)] = 1.0,
    p_first: Annotated[float, Interval(0, 1)] | None = None,
    p_growth: Annotated[float, Interval(1, 100)] = 1.05,
    clean_epochs: Annotated[int, Interval(0)] = 0,
) -> Policy:
    """`length` transformation functions per image, one after another, from a trained generator's `file`.

    Without a file, every function is equally likely at every step: the random baseline that a trained generator must beat.
    `functions`: operations with fixed values, or one of the published lists, `cifar10` (33) and `mnist` (25). A file
    contains its own functions and length. Geometric functions fill with black; the released code repeats the edge.

    An image is transformed with probability `p`. With `p_first`, the probability starts there and grows by the factor
    `p_growth` per epoch up to `p`; in the last `clean_epochs`, no image is transformed. The released CIFAR-10 training uses
    `clean_epochs=10`, the released default is `p=0.5, p_first=0.1`. Raises InputError if no epoch would transform images.
    """
    chance = TransformChance(p if p_first is None else min(p_first, p), 1.0 if p_first is None else p_growth, p, clean_epochs)
    if file is not None:
        if functions is not None:
            raise InputError("tanda: a file contains its own functions; give either file or functions")
        return replace(load(Path(file)), chance=chance)
    space = function_space(expanded(functions or (Spec("cifar10"),)), "tanda(functions)")
    return Tanda(space, length, SequenceGenerator(len(space), kind="mean_field"), chance=chance)


def expanded(functions: Sequence[Spec]) -> tuple[str | Spec, ...]:
    """The functions, with the names of published lists replaced by their functions."""
    return tuple(item for spec in functions for item in PRESETS.get(spec.name, (spec,)))


def save_generator(path: Path, policy: Tanda, functions: Sequence[str | Spec]) -> None:
    """Write a generator with its functions, which must be named operations (Python functions cannot be saved)."""
    generator = policy.generator
    header = {
        "format": FORMAT, "functions": ", ".join(map(str, functions)), "length": policy.slots, "kind": generator.kind,
        "logit_range": generator.logit_range,
    }  # fmt: skip
    tensors = {name: t.detach().cpu().contiguous() for name, t in generator.state_dict().items()}
    path.write_bytes(save(tensors, metadata={"augury": json.dumps(header)}))


def load(path: Path) -> Tanda:
    """A frozen generator's policy. Raises InputError if the file is missing or not a generator; executes no code from it."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("augury", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise InputError(f"tanda(file={path}): no such file") from None
    except (SafetensorError, ValueError, OSError):
        raise InputError(f"tanda(file={path}): not a generator file") from None
    if header.get("format") != FORMAT:
        raise InputError(f"tanda(file={path}): not a generator file of this version")
    specs = [chain.stages[0] for chain in parse_list(header["functions"], f"tanda(file={path})")]
    made = make(specs, length=header["length"], kind=header["kind"], logit_range=header["logit_range"])
    made.generator.load_state_dict(tensors)
    made.generator.requires_grad_(False)
    return made
