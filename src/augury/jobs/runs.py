"""Finished runs, opened again: settings, data and trained networks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from augury.core.errors import InputError
from augury.core.options import parse_spec
from augury.train.data.dataset import Dataset, load
from augury.train.engine.networks import make_network, network_specs, weights_file
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.setup import pick_device
from augury.train.engine.source import load_for
from augury.train.strategies.build import strategy as build_strategy


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, settings, result.json, own data, and its networks on `device`, in evaluation mode."""

    path: Path
    settings: Settings
    result: dict[str, Any]
    dataset: Dataset
    networks: list[nn.Module]
    models: list[str]
    device: torch.device

    @property
    def accuracy(self) -> float:
        """The first network's accuracy on the test part, in percent."""
        return float(self.result["accuracy"])


def open_run(path: Path, device: str = "auto", data: dict[Any, Dataset] | None = None) -> Run:
    """The run in a folder. data: data sets read so far, by the settings they came from; joined by this run's own.

    Raises InputError where there is no finished run, or where a network's file is damaged.
    """
    directory = RunDirectory(path)
    config = directory.config() if path.is_dir() else None
    result = directory.result() if config is not None else None
    if config is None or result is None or not (path / weights_file(0)).exists():
        raise InputError(f"{path}: no finished run here; give the --output folder of `augury train`")
    settings = Settings.of(config, str(path / "config.yaml"))
    s, target = settings, pick_device(device)
    data = {} if data is None else data
    key = (s.data, s.data_dir, s.validation, s.image_size, s.resize, s.fraction, s.label_noise)
    dataset = data[key] if key in data else data.setdefault(key, load_for(settings))
    specs = network_specs(settings, build_strategy(parse_spec(settings.strategy, f"{path / 'config.yaml'}: strategy")))
    networks = []
    for number, spec in enumerate(specs):
        with torch.random.fork_rng(devices=[]):
            network = make_network(spec, dataset)
        file = path / weights_file(number)
        try:
            network.load_state_dict(load_file(file))
        except (SafetensorError, RuntimeError, OSError):
            raise InputError(f"{file}: damaged, or of another network; train again with --overwrite") from None
        networks.append(network.to(target).to(memory_format=torch.channels_last).eval())
    return Run(path, settings, result, dataset, networks, [str(spec) for spec in specs], target)


def other_data(run: Run, data: str, data_dir: str | None = None) -> Dataset:
    """Other data for a run's networks; InputError where its classes or channels are not the run's."""
    own = run.dataset
    size = tuple(own.train.images.shape[-2:])
    dataset = load(data, data_dir=data_dir, validation=run.settings.validation, image_size=size, resize=run.settings.resize)
    if dataset.classes != own.classes:
        raise InputError(f"--data {data}: its classes {_few(dataset.classes)} are not the run's {_few(own.classes)}")
    if dataset.train.images.shape[1] != own.train.images.shape[1]:
        raise InputError(f"--data {data}: its images have another number of channels than the run's")
    return dataset


def _few(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
