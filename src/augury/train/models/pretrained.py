"""Loads another training's weights into a network: its head stays new if the classes differ, its first layer is adapted to the
channels, and all other tensors must fit."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from augury.core.errors import InputError
from augury.train.data.words import count
from augury.train.models.backbone import unwrapped
from augury.train.models.external import AUXILIARY, for_channels

_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Fitted:
    """tensors: how many were loaded. head: whether the head's are among them. head_classes: classes of the weights' own head, None
    if they have none. channels: channels of the weights' first layer if it was adapted, else None."""

    tensors: int
    head: bool
    head_classes: int | None
    channels: int | None

    def words(self) -> str:
        """What was loaded, for a note."""
        own = "" if self.head_classes is None else f" in place of one for {count(self.head_classes, 'class', 'classes')}"
        head = "the head too" if self.head else f"the head is new{own}"
        more = "" if self.channels is None else f", the first layer is adapted from {count(self.channels, 'channel')}"
        return f"{self.tensors} tensors, {head}{more}"


@torch.no_grad()
def fit_weights(network: nn.Module, weights: Mapping[str, Tensor], where: str, name: str, *, keep_head: bool = True) -> Fitted:
    """Copy weights into a network up to its head, and into the head if `keep_head` and it has as many classes.

    weights: by their names in the plain network, after any common prefix (`module.`, `model.`, `network.`, ...); timm's networks
    also accept the older names that timm translates. where: the flag with its value; name: the network's name; both for messages.
    Raises InputError for weights of another network, naming the number of tensors that fit and the first that does not.
    """
    inner, _, head = unwrapped(network)
    own = inner.state_dict()
    expected = {key: value for key, value in own.items() if not _under(key, head) and not key.endswith(_COUNTER)}
    first = next((key for key, module in inner.named_modules() if isinstance(module, nn.Conv2d)), None)
    convolution = None if first is None else f"{first}.weight"
    found = _stripped(weights, expected, convolution)
    if _misfits(found, expected, convolution):
        found = _translated(found, inner, expected, convolution)
    _refuse_another(found, expected, convolution, head, where, name)
    taken = {key: found[key] for key in expected}
    counters = {key: found[key] for key in own if key.endswith(_COUNTER) and key in found}
    channels = None
    if convolution in taken and taken[convolution].shape != expected[convolution].shape:
        channels = taken[convolution].shape[1]
        taken[convolution] = for_channels(taken[convolution], expected[convolution].shape[1])
    heads = {key: found[key] for key in found if _under(key, head)}
    same = bool(heads) and all(key in own and own[key].shape == value.shape for key, value in heads.items())
    inner.load_state_dict({**own, **taken, **counters, **(heads if same and keep_head else {})})
    classes = next((len(value) for value in heads.values()), None)
    kept = same and keep_head
    return Fitted(len(taken) + (len(heads) if kept else 0), kept, classes, channels)


def _under(key: str, path: str) -> bool:
    return key.startswith(f"{path}.")


def _ignored(key: str, head: str) -> bool:
    """Whether weights may hold this tensor although the network lacks it: heads and batch normalisation's counts of batches."""
    return _under(key, head) or key.endswith(_COUNTER) or key.split(".")[0] in AUXILIARY


def _fits(key: str, value: Tensor | None, expected: Mapping[str, Tensor], convolution: str | None) -> bool:
    """Whether a tensor fits: its shape must be the same, except for the channels of the first layer."""
    if value is None:
        return False
    wanted = expected[key].shape
    if value.shape == wanted:
        return True
    return key == convolution and value.ndim == 4 and (value.shape[0], *value.shape[2:]) == (wanted[0], *wanted[2:])


def _misfits(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], convolution: str | None) -> list[str]:
    return [key for key in expected if not _fits(key, found.get(key), expected, convolution)]


def _stripped(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], convolution: str | None) -> dict[str, Tensor]:
    """The weights under the prefix with which most of them fit; the prefix is removed."""
    first = next(iter(expected), "")
    prefixes = {key.removesuffix(first) for key in weights if key.endswith(f".{first}")} | {""}

    def under(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}

    def lacking(found: dict[str, Tensor]) -> tuple[int, int]:
        return len(_misfits(found, expected, convolution)), sum(key not in found for key in expected)

    return min(map(under, sorted(prefixes)), key=lacking)


def _translated(
    found: dict[str, Tensor], inner: nn.Module, expected: Mapping[str, Tensor], convolution: str | None
) -> dict[str, Tensor]:
    """The weights renamed and reshaped by timm's own loading code for this network; unchanged if that does not help."""
    translate = vars(sys.modules[type(inner).__module__]).get("checkpoint_filter_fn")
    if translate is None or not type(inner).__module__.startswith("timm."):
        return found
    try:
        made = dict(translate(dict(found), inner))
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError):  # weights that timm does not know
        return found
    return made if len(_misfits(made, expected, convolution)) < len(_misfits(found, expected, convolution)) else found


def _refuse_another(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], convolution: str | None, head: str, where: str, name: str
) -> None:
    """InputError if weights lack tensors of the network, or have tensors that it lacks."""
    misfits = _misfits(found, expected, convolution)
    more = [key for key in found if key not in expected and not _ignored(key, head)]
    if not misfits and not more:
        return
    fit = f"{len(expected) - len(misfits)} of its {len(expected)} tensors fit"
    if misfits:
        key = misfits[0]
        has = f"{_size(found[key])} there" if key in found else "not there"
        said = f"the first that does not is {key} ({_size(expected[key])}, {has})"
    else:
        said = f"but they hold {count(len(more), 'tensor')} that it lacks, the first {more[0]}"
    raise InputError(f"{where}: not weights of {name}: {fit}, {said}; give their network with --model, or other weights")


def _size(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"
