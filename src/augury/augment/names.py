"""The front doors to augmentation by registered names: pipelines, for users and for trainings, and policies."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from augury.augment.flow import Output
from augury.augment.ops.build import single
from augury.augment.pipeline import Pipeline
from augury.augment.policies.by_side import BySide
from augury.augment.policies.file import PolicyFile, policy_of
from augury.augment.policies.file_reader import read_policy
from augury.augment.stages.by_side import BySideStage
from augury.augment.stages.normalize import Normalize, checked_statistics
from augury.augment.stages.plan import PlanStage
from augury.core import registry
from augury.core.errors import InputError
from augury.core.options import Chain, Spec, bind, chain_from, parse_chain
from augury.core.plan import Policy
from augury.core.stage import Stage

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
VALUES = (torch.float32, torch.bfloat16, torch.float16)


def pipeline(
    name: str | Chain | Spec | list[Any] | dict[str, Any],
    /,
    *,
    seed: int = 0,
    normalize: tuple[Sequence[float], Sequence[float]] | None = None,
    dtype: torch.dtype | None = None,
    channels_last: bool = False,
    **options: Any,
) -> Pipeline:
    """An augmentation by name, `pipeline("randaugment", num_ops=2)`, or as a chain, `pipeline("crop+flip+cutout")`.

    Called on images it draws anew each time. `seed` alone chooses the draws, whatever `torch.manual_seed` says: two pipelines of
    one seed draw alike, so keep one and call it again, and give views or runs that are to differ seeds of their own.

    normalize: (mean, std) per channel of pixels in [0, 1]; the pipeline then gives what the network reads, as in a training: pixels
    become values where the chain says `normalize`, or else after the last stage that needs pixels, so that cutout and mixes see
    values, where 0 is the mean colour. dtype: of the values, float32 unless bfloat16 or float16 is asked for; all is computed in
    float32 and rounded once. channels_last: the result's memory layout, whatever its type.

    Raises InputError for unknown names and options, and for values that do not fit.
    """
    chain = chain_from(name, "pipeline")
    if options:
        if len(chain.stages) != 1:
            raise InputError("pipeline: options belong inside the brackets of a chain's names")
        spec = chain.stages[0]
        chain = Chain((Spec(spec.name, {**spec.options, **options}, spec.first),))
    statistics = None if normalize is None else checked_statistics(*normalize)
    if statistics is None:
        stages = stages_of(chain, "pipeline")
        if Normalize((), ()) in stages:
            raise InputError("pipeline: normalize needs numbers; give normalize=(mean, std)")
    else:
        stages = list(_normalised(chain, statistics, "pipeline"))
    if dtype is not None and (dtype not in VALUES or not any(isinstance(stage, Normalize) for stage in stages)):
        raise InputError("pipeline: dtype is float32, bfloat16 or float16, and of values; give normalize=(mean, std) too")
    builder = functools.partial(pipeline, normalize=statistics, dtype=dtype, channels_last=channels_last)
    return Pipeline(tuple(stages), seed, str(chain), builder, Output(dtype, channels_last))


def build(chain: Chain, statistics: Statistics, where: str = "--augment") -> Pipeline:
    """The pipeline of a training: the chain's stages with `normalize` after the last one that needs pixels.

    Cutout, random erasing and the mixes at the end of a chain therefore see normalised values, where 0 is the mean
    colour, as their papers have it; a chain that goes on with pixel operations keeps them on pixels. A chain that names
    `normalize` has it there.
    """
    return Pipeline(_normalised(chain, statistics, where))


def _normalised(chain: Chain, statistics: Statistics, where: str) -> tuple[Stage, ...]:
    """The chain's stages with one that normalises: where the chain names it, or after the last that needs pixels."""
    stages = stages_of(chain, where)
    named = [i for i, stage in enumerate(stages) if isinstance(stage, Normalize)]
    last = max((i for i, stage in enumerate(stages) if stage.domain == "pixels" and i not in named), default=-1)
    if not named:
        return (*stages[: last + 1], Normalize(*statistics), *stages[last + 1 :])
    if len(named) > 1 or stages[named[0]] not in (Normalize((), ()), Normalize(*statistics)):
        raise InputError(f"{where}: normalize stands in a chain once and without numbers, which are the data's or the argument's")
    if last > named[0]:
        raise InputError(f"{where}: {stages[last].name} takes pixels; put it before normalize")
    return (*stages[: named[0]], Normalize(*statistics), *stages[named[0] + 1 :])


def stages_of(chain: Chain, where: str) -> list[Stage]:
    """The stages that a chain of names stands for: presets, then policies, then single operations are looked up."""
    return [stage for spec in chain.stages for stage in _stages(spec, where)]


def _stages(spec: Spec, where: str) -> list[Stage]:
    if is_policy_file(spec.name):
        return _from_file(spec, where)
    if registry.has("preset", spec.name):
        made = registry.get("preset", spec.name)
        result = made(**bind(made, spec, where))
        return stages_of(result, where) if isinstance(result, Chain) else list(result)
    if registry.has("policy", spec.name):
        found = _policy(spec, where)
        return [_policy_stage(spec.name, found)]
    if registry.has("op", spec.name):
        return [op_stage(spec, where)]
    known = sorted({*registry.names("preset"), *registry.names("policy"), *registry.names("op")})
    raise InputError(f"{where}: {registry.unknown('augmentation', spec.name, known)}")


def _policy_stage(name: str, policy: Policy) -> Stage:
    if isinstance(policy, BySide):
        return BySideStage(PlanStage(name, policy.small), PlanStage(name, policy.large), policy.limit_pixels)
    return PlanStage(name, policy)


def op_stage(spec: Spec, where: str) -> PlanStage:
    """A single operation as a stage, from its text."""
    policy = single(spec, where)
    return PlanStage(spec.name, policy, policy.choice.op.intensive)


def is_policy_file(name: str) -> bool:
    """Whether an augmentation's name is a policy file's path."""
    return Path(name).suffix.lower() in (".yaml", ".yml")


def _from_file(spec: Spec, where: str) -> list[Stage]:
    if spec.options or spec.first:
        raise InputError(f"{where}: a policy file takes no options: {spec}")
    content = read_policy_file(spec.name)
    if content.augment:
        return stages_of(parse_chain(content.augment, spec.name), where)
    return [PlanStage(Path(spec.name).stem, policy_of(content))]


def read_policy_file(path: Path | str) -> PolicyFile:
    """A policy file, checked, its `augment:` among it. Raises InputError naming the file, the line and the remedy."""
    return read_policy(path, check_augment)


def check_augment(chain: Chain) -> None:
    """Refuses a chain whose names or options are unknown."""
    stages_of(chain, "augment")


def policy(name: str, /, **options: Any) -> Policy:
    """A policy by its registered name: `policy("randaugment", num_ops=2, magnitude=9)`."""
    return _policy(Spec(name, options), "policy")


def _policy(spec: Spec, where: str) -> Policy:
    made = registry.get("policy", spec.name)
    return made(**bind(made, spec, where))
