"""The networks of a training: one, or several that a strategy trains together."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Spec, parse_list
from augury.train.data.dataset import Dataset
from augury.train.engine.settings import Settings
from augury.train.models.build import build
from augury.train.strategies.strategy import Strategy


def network_specs(settings: Settings, strategy: Strategy | None = None) -> list[Spec]:
    """The networks to train: those of `--model A,B`, or the one named as often as the strategy needs.

    Without a strategy, those that are named. Raises InputError if their number does not match the strategy's.
    """
    chains = parse_list(settings.model, "--model")
    if any(len(chain.stages) > 1 for chain in chains):
        raise InputError(f"--model: {settings.model!r} holds a chain; separate several networks by commas")
    named = [chain.stages[0] for chain in chains]
    wanted = len(named) if strategy is None else strategy.networks
    if len(named) == 1:
        return named * wanted
    if wanted == 1:
        raise InputError(f"--model: {len(named)} networks are named, but --strategy {settings.strategy} trains one; name one")
    if wanted != len(named):
        name = settings.strategy.split("(")[0]
        raise InputError(
            f"--model: {len(named)} networks are named, but --strategy {settings.strategy} trains {wanted}; "
            f"write {name}(networks={len(named)}), or name one network or {wanted}"
        )
    return named


def make_network(spec: Spec, dataset: Dataset) -> nn.Module:
    """A network for the data set's classes and channels."""
    return build(spec, classes=len(dataset.classes), channels=dataset.train.images.shape[1])


def make_model(settings: Settings, dataset: Dataset) -> nn.Module:
    """The first network named in the settings, for the data set's classes and channels."""
    return make_network(network_specs(settings)[0], dataset)


def make_networks(settings: Settings, dataset: Dataset, specs: Sequence[Spec]) -> nn.Module:
    """The networks of these specs with their initial weights: one network, or an `nn.ModuleList` of several.

    The first is initialised from the training's seed, as if alone; each further one from its own seed. PyTorch's generator is
    left as the first network's construction left it. Call this inside `torch.random.fork_rng`.
    """
    torch.random.manual_seed(settings.seed)
    made = [make_network(specs[0], dataset)]
    for number, spec in enumerate(specs[1:], start=2):
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(derived_seed(settings.seed, f"network {number}"))
            made.append(make_network(spec, dataset))
    return made[0] if len(made) == 1 else nn.ModuleList(made)


def derived_seed(seed: int, name: str, epoch: int = 0) -> int:
    """A seed for PyTorch's generators, from the seed, name and epoch as an address."""
    # On the CPU, also while networks are built on another default device.
    bits = Noise.of(seed, torch.zeros(1, dtype=torch.int64, device="cpu"), epoch=epoch).fold(name).bits(1)
    return int(bits) & (2**63 - 1)


def weights_file(number: int) -> str:
    """The weight file of a run's network, numbered from 0: model.safetensors, model_2.safetensors, ..."""
    return f"model{_suffix(number)}.safetensors"


def predictions_file(number: int) -> str:
    """The file of a network's test predictions: predictions.npz, predictions_2.npz, ..."""
    return f"predictions{_suffix(number)}.npz"


def predictions_table(number: int) -> str:
    """The same as a table for people: predictions.csv, predictions_2.csv, ..."""
    return f"predictions{_suffix(number)}.csv"


def _suffix(number: int) -> str:
    return f"_{number + 1}" if number else ""


def described(specs: list[Spec]) -> list[dict[str, Any]]:
    """The networks' entries in result.json, before evaluation."""
    return [{"model": str(spec), "weights": weights_file(number)} for number, spec in enumerate(specs)]
