"""Builds pipelines and policies from registered names, for users and for trainings."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import torch

from augury.augment.annotations.options import Annotations
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
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.laws import Law, law_to_grammar
from augury.core.options import Chain, Spec, bind, chain_from, parse_chain
from augury.core.plan import Policy
from augury.core.stage import Stage

# What `pipeline` accepts: text, parsed YAML, built objects, or a list of those.
Augmentation = str | Pipeline | Stage | Chain | Spec | Mapping[str, Any] | Sequence[Any] | None
Statistics = tuple[tuple[float, ...], tuple[float, ...]]
VALUES = (torch.float32, torch.bfloat16, torch.float16)


@door
def pipeline(
    augmentation: Augmentation,
    /,
    *,
    seed: int = 0,
    normalize: tuple[Sequence[float], Sequence[float]] | None = None,
    dtype: torch.dtype | None = None,
    channels_last: bool = False,
    annotations: Annotations | None = None,
    **options: Any,
) -> Pipeline:
    """Build an augmentation from a name, `pipeline("randaugment", num_ops=2)`, a chain, `pipeline("crop+flip+cutout")`, or parts.

    augmentation: text, parsed YAML (`[crop, {cutout: {length: 8}}]`), a pipeline, a stage, or a list of those, as in
    `pipeline([augury.ops.rotate(degrees=(-15, 15)), "cutout(8)"])`. The same stages give the same pipeline in any of these forms.
    Every call on images draws new random numbers. They depend on `seed` only, not on `torch.manual_seed`: two pipelines with the
    same seed draw the same numbers, so keep one and call it again, and give views or runs that must differ different seeds.
    Pipelines that are combined must not have different seeds (other than 0), unless `seed` is given.

    normalize: (mean, std) per channel of pixels in [0, 1]. The pipeline then returns normalised values for the network, as in a
    training. It normalises where the chain says `normalize`, or else after the last stage that needs pixels, so that cutout and
    mixes work on values, where 0 is the mean colour. dtype: float32 (the default), bfloat16 or float16, for the values, which are
    computed in float32 and rounded once. channels_last: the result's memory layout, for any dtype. annotations: how masks, boxes
    and key points follow their images.

    Raises InputError for unknown names and options, and for invalid values.
    """
    made = _made(augmentation, seed, options)
    if normalize is not None and len(normalize) != 2:
        raise InputError(f"normalize: expected (mean, std), got {len(normalize)} values")
    statistics = None if normalize is None else checked_statistics(*normalize)
    if statistics is not None:
        stages, texts = _normalised(made.stages, made.all_texts, statistics, "pipeline")
        made = replace(made, stages=stages, texts=texts)
    elif Normalize((), ()) in made.stages:
        raise InputError("pipeline: the stage normalize needs numbers; pass normalize=(mean, std)")
    if dtype is not None and (dtype not in VALUES or not made.normalises):
        raise InputError("pipeline: dtype must be float32, bfloat16 or float16, and requires normalize=(mean, std)")
    made = made if annotations is None else replace(made, annotations=annotations)
    annotations = None if made.annotations == Annotations() else made.annotations
    if statistics is None and dtype is None and not channels_last and annotations is None:
        return made
    builder = functools.partial(
        pipeline, normalize=statistics, dtype=dtype, channels_last=channels_last, annotations=annotations
    )  # fmt: skip
    return replace(made, builder=builder, output=Output(dtype, channels_last))


def _made(augmentation: Augmentation, seed: int, options: Mapping[str, object]) -> Pipeline:
    if options:
        chain = chain_from(augmentation, "pipeline")
        if len(chain.stages) != 1:
            raise InputError("pipeline: write the options of a chain inside the text, as in crop+cutout(length=8)")
        (spec,) = chain.stages
        given = {key: _written(value, _hint(spec.name, key)) for key, value in options.items()}
        augmentation = Spec(spec.name, {**spec.options, **given}, spec.first)
    if not isinstance(augmentation, Pipeline | Stage | list | tuple):
        chain = chain_from(augmentation, "pipeline")
        parts = _parts(chain, "pipeline")
        return Pipeline(tuple(stage for _, stage in parts), seed, str(chain), pipeline, tuple(text for text, _ in parts))
    pieces = [_piece(each, seed) for each in _flat(augmentation)]
    seeds = {piece.seed for piece in pieces if piece.seed}
    if not seed and len(seeds) > 1:
        raise InputError(f"pipeline: its parts have different seeds ({', '.join(map(str, sorted(seeds)))}); pass seed=...")
    given_options = {piece.annotations for piece in pieces} - {Annotations()}
    if len(given_options) > 1:
        raise InputError("pipeline: its parts have different annotations=; make them alike")
    origins = [piece.origin for piece in pieces if piece.origin != "none" or len(piece)]
    return Pipeline(
        tuple(stage for piece in pieces for stage in piece.stages),
        seed or next(iter(seeds), 0),
        None if None in origins else "+".join(map(str, origins)) or "none",
        pipeline,
        tuple(text for piece in pieces for text in piece.texts or (None,) * len(piece)),
        annotations=next(iter(given_options), Annotations()),
    )


def _flat(value: object) -> list[Any]:
    return [part for each in value for part in _flat(each)] if isinstance(value, list | tuple) else [value]


def _piece(value: Any, seed: int) -> Pipeline:
    if isinstance(value, Pipeline):
        return value
    return Pipeline((value,), seed, texts=(None,)) if isinstance(value, Stage) else _made(value, seed, {})


def _hint(name: str, option: str) -> Any:
    """The declared type of an augmentation's option; None for an operation's parameter and for unknown names."""
    kind = next((kind for kind in registry.AUGMENTATIONS if registry.has(kind, name)), None)
    return None if kind is None else get_type_hints(registry.get(kind, name)).get(option)


def _written(value: object, hint: object) -> Any:
    """A Python value as the grammar represents it: laws, and ranges given as pairs, as Specs; pipelines as chains."""
    if isinstance(value, Pipeline):
        if value.origin is None:
            raise InputError("pipeline: an unregistered stage cannot be an option's value; register it under a name")
        return parse_chain(value.origin, "pipeline")
    if isinstance(value, Stage):
        return _written(_piece(value, 0), hint)
    if isinstance(value, Law):
        return law_to_grammar(value)
    takes_several = any(get_origin(part) in (tuple, list) for part in (hint, *get_args(hint)))
    if hint in (Chain, Spec) or {Chain, Spec} & set(get_args(hint)):
        return _written(pipeline(value), hint) if isinstance(value, list | tuple) else value
    if isinstance(value, tuple) and not takes_several:
        if len(value) != 2:
            raise InputError(f"pipeline: {value}: a tuple is a range, (low, high); use a list for numbers to choose from")
        return Spec("uniform", {}, value)
    return [_written(each, hint) for each in value] if isinstance(value, list) else value


def build(chain: Chain, statistics: Statistics, where: str = "--augment") -> Pipeline:
    """The pipeline of a training: the chain's stages with `normalize` after the last one that needs pixels.

    Cutout, random erasing and mixes at the end of a chain therefore work on normalised values, where 0 is the mean colour, as
    in their papers; followed by pixel operations, they work on pixels. A chain that names `normalize` normalises there.
    """
    return normalising(stages_of(chain, where), statistics, where)


def normalising(stages: list[Stage], statistics: Statistics, where: str = "--augment") -> Pipeline:
    """The pipeline of a training's stages, with `normalize` where they name it, or else after the last that needs pixels."""
    return Pipeline(_normalised(tuple(stages), (None,) * len(stages), statistics, where)[0])


def _normalised(
    stages: tuple[Stage, ...], texts: tuple[str | None, ...], statistics: Statistics, where: str
) -> tuple[tuple[Stage, ...], tuple[str | None, ...]]:
    """The stages and their texts with the statistics in place of `normalize`, or else after the last that needs pixels."""
    named = [i for i, stage in enumerate(stages) if isinstance(stage, Normalize)]
    last = max((i for i, stage in enumerate(stages) if stage.domain == "pixels" and i not in named), default=-1)
    if len(named) > 1 or (named and stages[named[0]] not in (Normalize((), ()), Normalize(*statistics))):
        raise InputError(f"{where}: write normalize once and without numbers; they come from the data set or normalize=(mean, std)")
    if named and last > named[0]:
        raise InputError(f"{where}: {stages[last].name} needs pixels; put it before normalize")
    place, after = (named[0], named[0] + 1) if named else (last + 1, last + 1)
    return (*stages[:place], Normalize(*statistics), *stages[after:]), (*texts[:place], "normalize", *texts[after:])


def stages_of(chain: Chain, where: str) -> list[Stage]:
    """The stages of a chain; each name is looked up among presets, then policies, then operations."""
    return [stage for _, stage in _parts(chain, where)]


Part = tuple[str | None, Stage]  # a stage and its text; None if it cannot be written by itself


def _parts(chain: Chain, where: str) -> list[Part]:
    return [part for spec in chain.stages for part in _parts_of(spec, where)]


def _parts_of(spec: Spec, where: str) -> list[Part]:
    if is_policy_file(spec.name):
        return _from_file(spec, where)
    if registry.has("preset", spec.name):
        made = registry.get("preset", spec.name)
        result = made(**bind(made, spec, where))
        if isinstance(result, Chain):
            return _parts(result, where)
        return [(str(spec) if len(result) == 1 else None, stage) for stage in result]
    if registry.has("policy", spec.name):
        return [(str(spec), _policy_stage(spec.name, _policy(spec, where)))]
    if registry.has("op", spec.name):
        return [(str(spec), op_stage(spec, where))]
    known = sorted({*registry.names("preset"), *registry.names("policy"), *registry.names("op")})
    raise InputError(f"{where}: {registry.unknown('augmentation', spec.name, known)}")


def _policy_stage(name: str, policy: Policy) -> Stage:
    if isinstance(policy, BySide):
        return BySideStage(PlanStage(name, policy.small), PlanStage(name, policy.large), policy.limit_pixels)
    return PlanStage(name, policy)


def op_stage(spec: Spec, where: str) -> PlanStage:
    """The stage of a single operation."""
    policy = single(spec, where)
    return PlanStage(spec.name, policy, policy.entry.op.intensive)


def is_policy_file(name: str) -> bool:
    """Whether an augmentation's name is the path of a policy file."""
    return Path(name).suffix.lower() in (".yaml", ".yml")


def _from_file(spec: Spec, where: str) -> list[Part]:
    if spec.options or spec.first:
        raise InputError(f"{where}: a policy file takes no options: {spec}")
    content = read_policy_file(spec.name)
    if content.augment:
        return _parts(parse_chain(content.augment, spec.name), where)
    return [(str(spec), policy_stage(Path(spec.name).stem, content))]


def policy_stage(name: str, content: PolicyFile) -> PlanStage:
    """The stage of a policy file's sub-policies."""
    return PlanStage(name, policy_of(content))


def read_policy_file(path: Path | str) -> PolicyFile:
    """A policy file, checked together with its `augment:`. Raises InputError naming the file, the line and the remedy."""
    return read_policy(path, check_augment)


def check_augment(chain: Chain) -> None:
    """Raises InputError if the chain has unknown names or options."""
    stages_of(chain, "augment")


@door
def policy(name: str, /, **options: Any) -> Policy:
    """A policy by its registered name: `policy("randaugment", num_ops=2, magnitude=9)`."""
    return _policy(Spec(name, options), "policy")


def _policy(spec: Spec, where: str) -> Policy:
    made = registry.get("policy", spec.name)
    return made(**bind(made, spec, where))
