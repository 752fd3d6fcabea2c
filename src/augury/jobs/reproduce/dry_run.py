"""Finds the rows of a recipe that would be refused, without data or training: each is built on stand-in data."""

import re
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn

from augury.core.errors import InputError, RunError
from augury.jobs.patch.rows import patch_rows
from augury.recipes.needs import where_of
from augury.recipes.recipe import Recipe, RecipeRow, with_policies
from augury.recipes.scales import Scale, settings_at
from augury.recipes.stand_in import stand_in
from augury.train.data.dataset import Dataset
from augury.train.engine.networks import make_networks, network_specs
from augury.train.engine.prepare import check
from augury.train.engine.settings import Settings
from augury.train.strategies.clamp import STREAM
from augury.train.strategies.strategy import Strategy, members


class DryRun:
    """Builds the trainings of rows; what several rows share is checked once."""

    def __init__(self) -> None:
        self.known: dict[str, str | None] = {}
        self.networks: dict[tuple[Any, ...], str | None] = {}
        self.made: dict[tuple[Any, ...], nn.Module] = {}
        self.taken: set[tuple[str, tuple[int, ...]]] = set()

    def refused(
        self, recipe: Recipe, rows: Sequence[RecipeRow], scale: Scale, overrides: dict[str, Any] | None = None
    ) -> dict[str, str]:
        """The ids of the rows that would be refused, with the reasons; rows known not to run are left out.

        Problems with the pixels, the machine or downloaded weights appear only in the run itself.
        """
        found = {}
        for row in rows:
            if row.unavailable is None:
                reason = self._reason(recipe, row, settings_at(recipe, row, scale, overrides))
                if reason is not None:
                    found[row.id] = reason
        return found

    def _reason(self, recipe: Recipe, row: RecipeRow, values: dict[str, Any]) -> str | None:
        key = repr(sorted((name, value) for name, value in values.items() if name != "seed"))
        if key not in self.known:
            try:
                self._look(recipe, values, f"row {row.id!r}")
                self.known[key] = None
            except (InputError, RunError) as error:
                self.known[key] = str(error)
        return self.known[key]

    def _look(self, recipe: Recipe, values: dict[str, Any], where: str) -> None:
        dataset = stand_in(values)
        values = with_policies(values)
        model = re.sub(r"pretrained=true", "pretrained=false", values.get("model", "small_cnn"))
        settings = Settings.of({**values, "model": model, "data": where_of(values["data"], None), "device": "cpu"}, where)
        if recipe.job == "train":
            self._check(settings, dataset)
            return
        for patched in patch_rows(settings.strategy):
            for choice in range(len(patched.grid)):
                self._check(patched.settings(settings, choice), dataset, {STREAM} if patched.reads_translations else ())

    def _check(self, settings: Settings, dataset: Dataset, streams: Collection[str] = ()) -> None:
        found = check(settings, dataset, streams)
        shape = tuple(dataset.train.images.shape[1:])
        key = (settings.model, settings.strategy, len(dataset.classes), shape)
        if key not in self.networks:
            self.networks[key] = self._network_refusal(found.settings, dataset, found.strategy)
        reason = self.networks[key]
        if reason is not None:
            raise InputError(reason)

    def _network_refusal(self, settings: Settings, dataset: Dataset, strategy: Strategy) -> str | None:
        """Why the networks cannot be built or do not accept the images; they are built without weights."""
        shape = tuple(dataset.train.images.shape[1:])
        key = (settings.model, strategy.networks, len(dataset.classes), shape[0])
        try:
            with torch.random.fork_rng(devices=[]), torch.device("meta"):
                if key not in self.made:
                    self.made[key] = make_networks(settings, dataset, network_specs(settings, strategy))
                model = self.made[key]
                strategy.modules(model)
                for spec, network in zip(network_specs(settings, strategy), members(model), strict=True):
                    if (str(spec), shape) not in self.taken:
                        _pass(network, shape)
                        self.taken.add((str(spec), shape))
        except (InputError, RunError) as error:
            return str(error)
        except RuntimeError as error:
            return f"--model {settings.model}: does not accept these images ({str(error).splitlines()[0]})"
        return None


def _pass(network: nn.Module, shape: tuple[int, ...]) -> None:
    """Pass two images through the network, only to check their sizes."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            # It keeps sizes as they are, and on the meta device it would take longer than everything else.
            module.forward = _same  # type: ignore[method-assign, assignment]
    network(torch.zeros(2, *shape))


def _same(images: torch.Tensor) -> torch.Tensor:
    return images
