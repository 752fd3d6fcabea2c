"""The front doors to augmentation by registered names: pipelines, for users and for trainings, and policies."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from augury.augment.ops.build import single
from augury.augment.pipeline import Pipeline
from augury.augment.policies.by_side import BySide
from augury.augment.policies.file import PolicyFile, policy_of
from augury.augment.policies.file_reader import read_policy
from augury.augment.stages.by_side import BySideStage
from augury.augment.stages.normalize import Layout, Normalize
from augury.augment.stages.plan import PlanStage
from augury.core import registry
from augury.core.errors import InputError
from augury.core.options import Chain, Spec, bind, chain_from, parse_chain
from augury.core.plan import Policy
from augury.core.stage import Stage

Statistics = tuple[tuple[float, ...], tuple[float, ...]]


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

    normalize: (mean, std) per channel of images in [0, 1]. The stage stands where a chain names it, `crop+normalize+cutout`, and
    else after the last stage that needs pixels, as in a training: the very pipeline that a training runs. dtype, channels_last:
    of what a normalising pipeline returns (float32).

    Called on images it draws anew each time. `seed` alone chooses the draws, whatever `torch.manual_seed` says: two pipelines of
    one seed draw alike, so keep one and call it again, and give views or runs that are to differ seeds of their own.
    Raises InputError for unknown names and options.
    """
    chain = chain_from(name, "pipeline")
    if options:
        if len(chain.stages) != 1:
            raise InputError("pipeline: options belong inside the brackets of a chain's names")
        spec = chain.stages[0]
        chain = Chain((Spec(spec.name, {**spec.options, **options}, spec.first),))
    if normalize is not None:
        statistics = _statistics(*normalize)
        stages, builder = build(chain, statistics, "pipeline").stages, partial(pipeline, normalize=statistics)
    else:
        stages, builder = tuple(stages_of(chain, "pipeline")), partial(pipeline)
    if dtype is not None or channels_last:
        if not any(isinstance(stage, Normalize) for stage in stages):
            raise InputError("pipeline: dtype and channels_last say how normalised images come out; give normalize=(mean, std)")
        if dtype is not None and not dtype.is_floating_point:
            raise InputError(f"pipeline: dtype={dtype}: normalised images are floats")
        stages = (*stages, Layout(dtype or torch.float32, channels_last))
        builder = partial(builder, dtype=dtype, channels_last=channels_last)
    return Pipeline(stages, seed, origin=str(chain), builder=builder)


def _statistics(mean: Sequence[float], std: Sequence[float]) -> Statistics:
    found = (tuple(map(float, mean)), tuple(map(float, std)))
    if len(found[0]) != len(found[1]) or len(found[0]) not in (1, 3) or min(found[1]) <= 0:
        raise InputError(f"normalize: mean={list(found[0])}, std={list(found[1])}: one of each per channel (1 or 3), std above 0")
    return found


def build(chain: Chain, statistics: Statistics, where: str = "--augment") -> Pipeline:
    """The pipeline of a training: the chain's stages with `normalize` where it is named, or after the last that needs pixels.

    Cutout, random erasing and the mixes at the end of a chain therefore see normalised values, where 0 is the mean
    colour, as their papers have it; a chain that goes on with pixel operations keeps them on pixels.
    """
    stages = stages_of(chain, where, statistics)
    if any(isinstance(stage, Normalize) for stage in stages):
        return Pipeline(tuple(stages))
    last = max((i for i, stage in enumerate(stages) if stage.domain == "pixels"), default=-1)
    return Pipeline((*stages[: last + 1], Normalize(*statistics), *stages[last + 1 :]))


def stages_of(chain: Chain, where: str, statistics: Statistics | None = None) -> list[Stage]:
    """The stages that a chain of names stands for: presets, then policies, then single operations are looked up.

    statistics: what a `normalize` without numbers takes.
    """
    return [stage for spec in chain.stages for stage in _stages(spec, where, statistics)]


def _normalize(spec: Spec, where: str, statistics: Statistics | None) -> Normalize:
    """`normalize(mean=[...], std=[...])`, or `normalize` with the data's own numbers."""

    def given(*, mean: tuple[float, ...] = (), std: tuple[float, ...] = ()) -> Statistics:
        return _statistics(mean, std) if mean or std else statistics or ((), ())

    found = given(**bind(given, spec, where))
    if not found[0]:
        raise InputError(f"{where}: normalize: give mean=[...] and std=[...] per channel, of images in [0, 1]")
    return Normalize(*found)


def _stages(spec: Spec, where: str, statistics: Statistics | None) -> list[Stage]:
    if spec.name == "normalize":
        return [_normalize(spec, where, statistics)]
    if is_policy_file(spec.name):
        return _from_file(spec, where)
    if registry.has("preset", spec.name):
        made = registry.get("preset", spec.name)
        result = made(**bind(made, spec, where))
        return stages_of(result, where, statistics) if isinstance(result, Chain) else list(result)
    if registry.has("policy", spec.name):
        found = _policy(spec, where)
        return [_policy_stage(spec.name, found)]
    if registry.has("op", spec.name):
        return [op_stage(spec, where)]
    known = sorted({*registry.names("preset"), *registry.names("policy"), *registry.names("op"), "normalize"})
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
