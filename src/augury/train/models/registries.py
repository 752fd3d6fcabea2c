"""Weights that libraries of networks publish by name, and the images these weights expect."""

import importlib
from dataclasses import dataclass
from typing import Any

from augury.core.errors import InputError
from augury.core.grammar import Spec
from augury.core.registry import unknown
from augury.train.models import external

DEFAULT = "yes"


@dataclass(frozen=True)
class Expected:
    """The images that weights expect: mean and std per channel, in [0, 1], and (rows, columns)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int]


def expected_by(spec: Spec) -> Expected | None:
    """What the library's weights for this network expect; None for one of Augury's networks or without published weights."""
    library, _, name = spec.name.partition(":")
    if library == "timm":
        timm = external.timm_module(name)
        found = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
        return None if found is None else Expected(tuple(found.mean), tuple(found.std), tuple(found.input_size[1:]))
    if library == "torchvision" and external.torchvision_has(name):
        transform: Any = importlib.import_module("torchvision.models").get_model_weights(name).DEFAULT.transforms()
        side = transform.crop_size[0]
        return Expected(tuple(transform.mean), tuple(transform.std), (side, side))
    return None


def published(spec: Spec, tag: str, where: str) -> Spec:
    """The network's spec with the library's weights of this tag; `yes` is for the default ones.

    where: the flag with its value. Raises InputError for a network without published weights and for an unknown tag.
    """
    library, _, name = spec.name.partition(":")
    if library == "timm":
        return Spec(_timm_name(name, tag, where), {**spec.options, "pretrained": True}, spec.first)
    if library == "torchvision" and external.torchvision_has(name):
        known = [*importlib.import_module("torchvision.models").get_model_weights(name).__members__]
        if tag != DEFAULT and tag not in known:
            raise InputError(f"{where}: {unknown(f'weights of {spec.name}', tag, known)}, and no such file exists")
        return Spec(spec.name, {**spec.options, "pretrained": True if tag == DEFAULT else tag}, spec.first)
    raise InputError(
        f"{where}: no such file or folder, and no library has weights of {spec.name}; give a file of weights or a run's folder"
    )


def _timm_name(name: str, tag: str, where: str) -> str:
    timm = external.timm_module(name)
    plain = name.partition(".")[0]
    known = [found.partition(".")[2] for found in timm.list_pretrained(f"{plain}.*")]
    if not timm.is_model(name) or (tag == DEFAULT and (known or "." in name)):
        return f"timm:{name}"  # an unknown network fails when it is built
    if tag in known:
        return f"timm:{plain}.{tag}"
    if known:
        raise InputError(f"{where}: {unknown(f'weights of timm:{plain}', tag, known)}, and no such file exists")
    raise InputError(f"{where}: no such file or folder, and timm has no weights of {plain}; give a file or a run's folder")
