"""Resolves `--pretrained` for each network: a run's folder, a weight file, or the weights that a library publishes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from augury.core.errors import InputError
from augury.core.options import Spec, parse_list
from augury.train.data.dataset import Dataset
from augury.train.engine.identity import DATA, Identity
from augury.train.engine.networks import network_specs, weights_file
from augury.train.engine.pretrained_files import file_of, parts_of
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.models.build import innermost, on_innermost
from augury.train.models.pretrained import fit_weights
from augury.train.models.registries import Expected, expected_by, published
from augury.train.models.weights_file import read_weights
from augury.train.strategies.strategy import Strategy, members


@dataclass(frozen=True)
class Start:
    """The weights that one network starts from. text: as the user wrote it. file: None for published weights. run: the network of
    the run that the weights come from. classes: the class names of that run, in order, if known. expected: the images that the
    weights were trained on, if known."""

    text: str
    file: Path | None
    run: str | None = None
    classes: tuple[str, ...] | None = None
    expected: Expected | None = None

    @property
    def where(self) -> str:
        return f"--pretrained {self.text}"


def starts_of(settings: Settings, specs: Sequence[Spec]) -> list[Start | None]:
    """The weights that each network starts from; None for its own initial weights.

    Raises InputError for weights that are neither a file nor published, and if neither one nor one per network is named.
    """
    named = parts_of(settings.pretrained)
    if not named:
        return [None] * len(specs)
    if len(named) not in (1, len(specs)):
        raise InputError(
            f"--pretrained {settings.pretrained}: names {len(named)}, and the training has {len(specs)} "
            f"network{'' if len(specs) == 1 else 's'}; name one for all, or one for each"
        )
    each = named * len(specs) if len(named) == 1 else named
    return [None if text == "none" else _start(text, innermost(spec)) for text, spec in zip(each, specs, strict=True)]


def _start(text: str, spec: Spec) -> Start:
    file = file_of(text, f"--pretrained {text}")
    if file is None:
        chosen = published(spec, text, f"--pretrained {text}")
        return Start(text, None, expected=expected_by(chosen))
    if not (file.parent / "config.yaml").exists() or not (file.parent / DATA).exists():
        return Start(text, file, expected=expected_by(spec))
    identity = Identity.read(file.parent)
    assert identity is not None
    known = Expected(identity.mean, identity.std, identity.size)
    return Start(text, file, _network_of(file), identity.classes, known)


def _network_of(file: Path) -> str | None:
    """The network whose weights a run's file holds, as the run's settings name it."""
    config = RunDirectory(file.parent).config() or {}
    named = parse_list(str(config.get("model", "")), str(file.parent))
    if len(named) == 1:
        return str(named[0])
    numbers = [number for number in range(len(named)) if weights_file(number) == file.name]
    return str(named[numbers[0]]) if numbers else None


def with_published(settings: Settings, specs: list[Spec]) -> list[Spec]:
    """The networks' specs, requesting published weights from their libraries if `--pretrained` does."""
    starts = starts_of(settings, specs)
    return [
        spec if start is None or start.file is not None
        else on_innermost(spec, lambda inner, start=start: published(inner, start.text, start.where))  # type: ignore[misc]
        for spec, start in zip(specs, starts, strict=True)
    ]  # fmt: skip


def fit_networks(model: nn.Module, settings: Settings, strategy: Strategy, classes: tuple[str, ...]) -> list[str]:
    """Load weight files into newly built networks; returns notes on what was loaded. InputError for weights of another network."""
    specs, notes = network_specs(settings, strategy), []
    for network, spec, start in zip(members(model), specs, starts_of(settings, specs), strict=True):
        if start is None:
            continue
        if start.file is None:
            note = f"started from published weights of {innermost(spec)} ({start.text})"
        else:
            name = str(spec) if start.run in (None, str(spec)) else f"{spec} (weights of {start.run})"
            keep = start.classes in (None, classes)
            fitted = fit_weights(network, read_weights(start.file, start.where), start.where, name, keep_head=keep)
            note = f"started from {start.text}: {fitted.words()}"
        if note not in notes:
            notes.append(note)
    return notes


def size_of_weights(settings: Settings) -> tuple[int, int] | None:
    """The (rows, columns) of the images that the first network's weights were trained on, if known."""
    start = starts_of(settings, network_specs(settings))[0]
    return None if start is None or start.expected is None else start.expected.size


def expecting(dataset: Dataset, settings: Settings) -> Dataset:
    """The data set with the mean and deviation that the weights expect, and a note that says so; unchanged without weights.

    Raises InputError if the weights of several networks expect different ones.
    """
    if settings.pretrained is None or settings.normalization == "data":
        return dataset
    starts = [start for start in starts_of(settings, network_specs(settings)) if start is not None]
    known = {(start.expected.mean, start.expected.std) for start in starts if start.expected is not None}
    if len(known) > 1:
        raise InputError(
            f"--pretrained {settings.pretrained}: were trained with different means and deviations; add --normalization data"
        )
    if not starts:
        return dataset
    channels = int(dataset.train.images.shape[1])
    found = [_for_channels(values, channels) for values in next(iter(known), ())]
    if len(found) != 2 or None in found:
        why = "nothing says what the weights expect" if not known else f"the weights expect {len(next(iter(known))[0])} channels"
        return _noted(dataset, f"normalised by the data's own mean and deviation: {why}")
    mean, std = found
    assert mean is not None and std is not None
    shown = [", ".join(f"{value:.3g}" for value in values) for values in (mean, std)]
    note = f"normalised as the weights expect: mean {shown[0]}, deviation {shown[1]}; --normalization data for the data's own"
    return _noted(replace(dataset, mean=mean, std=std), note)


def _noted(dataset: Dataset, note: str) -> Dataset:
    return dataset if note in dataset.notes else replace(dataset, notes=(*dataset.notes, note))


def _for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...] | None:
    """`values` for another number of channels: their mean for one channel, a single value repeated; None if neither fits."""
    if len(values) == channels:
        return values
    if channels == 1:
        return (sum(values) / len(values),)
    return values * channels if len(values) == 1 else None
