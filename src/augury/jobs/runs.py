"""Opens finished runs: settings, data and trained networks."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.core.files import open_regular
from augury.core.options import Spec, parse_spec
from augury.train.data.dataset import Dataset, load
from augury.train.engine.identity import Identity
from augury.train.engine.networks import network_specs, weights_file
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.setup import pick_device
from augury.train.engine.source import data_key, load_for
from augury.train.models.build import build, without_weights
from augury.train.models.run_folders import no_run
from augury.train.strategies.build import strategy as build_strategy


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, settings, result.json, what it recorded about its data, and its networks on `device`, in
    evaluation mode. shared: data sets read so far, shared by runs on the same data.
    """

    path: Path
    settings: Settings
    result: dict[str, Any]
    identity: Identity
    networks: list[nn.Module]
    models: list[str]
    device: torch.device
    shared: dict[Any, Dataset]

    @property
    def accuracy(self) -> float:
        """The first network's accuracy on the test part, in percent."""
        return float(self.result["accuracy"])

    @property
    def normalize(self) -> Normalize:
        """Normalises images for its networks, by the training part's mean and standard deviation at the time."""
        return Normalize(self.identity.mean, self.identity.std)

    @property
    def dataset(self) -> Dataset:
        """Its own data, read when first asked for, with the run's mean and standard deviation, and notes on changes."""
        return self.identity.fitted(_read(self.settings, self.identity, self.shared), f"DATA {self.settings.data}")

    @property
    def changed(self) -> dict[str, str]:
        """How the parts of its data have changed since the training, in words."""
        return self.identity.changed(self.dataset)


def open_run(path: Path, device: str = "auto", data: dict[Any, Dataset] | None = None) -> Run:
    """The run in a folder. data: data sets read so far, keyed by their settings; this run's data are added.

    Its data are read when they are first asked for. Raises InputError if there is no finished run, or if a network's
    file is damaged.
    """
    directory = RunDirectory(path)
    config = directory.config() if path.is_dir() else None
    result = directory.result() if config is not None else None
    if config is None or result is None or not (path / weights_file(0)).exists():
        raise no_run(path, str(path))
    settings = Settings.of(config, str(path / "config.yaml"))
    target, shared = pick_device(device), {} if data is None else data
    identity = Identity.read(path)
    if identity is None:  # a run of an older version, which recorded nothing about its data
        identity = Identity.of(_read(settings, None, shared), settings)
    specs = network_specs(settings, build_strategy(parse_spec(settings.strategy, f"{path / 'config.yaml'}: strategy")))
    networks = [_network(spec, path / weights_file(number), identity) for number, spec in enumerate(specs)]
    networks = [network.to(target).to(memory_format=torch.channels_last).eval() for network in networks]
    return Run(path, settings, result, identity, networks, [str(spec) for spec in specs], target, shared)


def other_data(run: Run, data: str, data_dir: str | None = None) -> Dataset:
    """Other data, prepared as a run's networks expect; InputError if the classes or channels are not the run's."""
    known = run.identity
    dataset = load(
        data, data_dir=data_dir, validation=run.settings.validation, image_size=known.size, resize=known.resize,
        like=known.preparation, cache=run.settings.cache,
    )  # fmt: skip
    if dataset.classes != known.classes:
        raise InputError(f"--data {data}: its classes {_few(dataset.classes)} are not the run's {_few(known.classes)}")
    known.refuse_kind(dataset, f"--data {data}")
    if dataset.train.images.shape[1] != known.channels:
        raise InputError(
            f"--data {data}: its images have {dataset.train.images.shape[1]} channels, the run's have {known.channels}"
        )
    return replace(dataset, mean=known.mean, std=known.std)


def _read(settings: Settings, identity: Identity | None, shared: dict[Any, Dataset]) -> Dataset:
    """A run's own data, in their present state."""
    placed = settings if identity is None else identity.settings(settings)
    # Data named like `digits` do not depend on the folder a run was started in; a relative folder name does.
    key = data_key(settings) if identity is None or identity.place is None else (*data_key(placed), identity.preparation)
    if key not in shared:
        shared[key] = load_for(placed, None if identity is None else identity.preparation)
    return shared[key]


def _network(spec: Spec, file: Path, identity: Identity) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        network = build(without_weights(spec), classes=len(identity.classes), channels=identity.channels)
    try:
        open_regular(file).close()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); make it readable") from None
    try:
        network.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError, OSError):
        raise InputError(
            f"{file}: damaged, or from another network; restore it from a copy, or train again in another folder"
        ) from None
    return network


def _few(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
