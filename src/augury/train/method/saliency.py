"""The host's side of saliency: which map the pipelines need, from which network, and at what cost."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from augury.augment.pipeline import Pipeline
from augury.augment.saliency.early_head import EarlyHead
from augury.augment.saliency.maps import SaliencyKind, way_of
from augury.augment.saliency.source import Saliency, saliency
from augury.augment.stages.normalize import Normalize
from augury.core import yaml_text
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.options import Spec, parse_list
from augury.core.plan import Clock
from augury.train.method.counts import Counts
from augury.train.models.build import build
from augury.train.models.run_folders import no_run
from augury.train.strategies.early_head import WithEarlyHead
from augury.train.strategies.strategy import Strategy, members


@dataclass(frozen=True)
class Wanted:
    """The saliency that pipelines need: a kind of map, computed once in `every` steps, from the training's network or `network`."""

    kind: SaliencyKind
    every: int
    network: str | None = None

    def __str__(self) -> str:
        of = "" if self.network is None else f", network={self.network}"
        return f"saliency={self.kind}, every={self.every}{of}"


def wanted(pipelines: tuple[Pipeline, ...]) -> Wanted | None:
    """What the stages need, None if none needs a map; InputError if they need different ones, since a step computes one kind."""
    stages = [stage for pipeline in pipelines for stage in pipeline.stages if "saliency" in stage.needs]
    found = {
        Wanted(getattr(stage, "saliency", "full"), getattr(stage, "every", 1), getattr(stage, "network", None)) for stage in stages
    }
    if len(found) > 1:
        words = " and ".join(sorted(map(str, found)))
        raise InputError(f"--augment: one training makes one kind of saliency map, not {words}; give all stages the same options")
    return next(iter(found), None)


def with_early_head(strategy: Strategy, pipelines: tuple[Pipeline, ...], classes: int) -> Strategy:
    """The strategy, wrapped so that it trains an early head if a pipeline's saliency needs one."""
    asked = wanted(pipelines)
    return WithEarlyHead(strategy, classes) if asked is not None and way_of(asked.kind).early_head else strategy


@dataclass
class StepSaliency:
    """The saliency of a training's steps: computes maps once in `every` steps and counts its passes."""

    source: Saliency
    every: int
    counts: Counts
    clock: Clock
    images: int = 1

    @staticmethod
    def of(
        pipelines: tuple[Pipeline, ...], model: nn.Module, extra: nn.ModuleDict, normalize: Normalize, counts: Counts,
        of_name: Callable[[str], nn.Module],
    ) -> "StepSaliency | None":  # fmt: skip
        """For the first network, or the one that a stage names; None if no stage needs a map.

        Raises InputError for a network for which it cannot be computed.
        """
        asked = wanted(pipelines)
        if asked is None:
            return None
        head: Any = extra["early_head"] if way_of(asked.kind).early_head else None
        network = members(model)[0] if asked.network is None else of_name(asked.network)
        return StepSaliency(saliency_of(network, asked.kind, normalize, head), asked.every, counts, Clock())

    def at(self, clock: Clock, images: int) -> "StepSaliency":
        """For a step of `images` source images."""
        return replace(self, clock=clock, images=images)

    def __call__(self, batch: Batch) -> Batch:
        if self.clock.step % self.every:
            unknown = torch.full_like(batch.images[:, 0], torch.nan, dtype=torch.float32)
            return batch.replace(saliency=unknown)
        forward, backward = self.counts.forward, self.counts.backward
        done = self.source(batch)
        # Replaces what hooks on the network counted: one pass each way, for attention only forward.
        share = len(batch) / max(1, self.images)
        self.counts.forward, self.counts.backward = forward + share, backward + share * self.source.way.backward
        return done

    def check(self, batch: Batch) -> None:
        """Compute one map and discard it, so that an unsuitable network fails before the training starts."""
        with torch.random.fork_rng(devices=[batch.images.device] if batch.images.is_cuda else []):
            self.source(batch)


def given_network(name: str, *, classes: int, channels: int, device: torch.device) -> nn.Module:
    """The network of a finished run's folder, or one by name, frozen and in evaluation mode.

    Raises InputError for a folder without a finished run, a damaged one, or an unknown name.
    """
    folder = Path(name).expanduser()
    config, weights = folder / "config.yaml", folder / "model.safetensors"
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.random.manual_seed(0)
        made: nn.Module | None
        if not folder.is_dir():
            made = build(name, classes=classes, channels=channels)
        elif not (config.is_file() and weights.is_file()):
            raise no_run(folder, f"--augment: network={name}")
        else:
            chain = parse_list(_model_of(config), f"{config}: model")[0]
            made = _loaded(chain.stages[0], weights, channels)
            if made is None:
                raise InputError(f"--augment: network={name}: damaged, or for another number of channels")
    return made.to(device).eval().requires_grad_(False)


def _model_of(config: Path) -> str:
    """The network that a run's config.yaml names."""
    try:
        values = yaml_text.load(yaml_text.read_text(config, str(config)), str(config))
    except OSError as error:
        raise InputError(f"{config}: cannot be read ({error.strerror}); make it readable") from None
    except UnicodeDecodeError:
        values = None
    if not isinstance(values, dict):
        raise InputError(f"{config}: damaged; give the --output folder of another run")
    return str(values.get("model", "small_cnn"))


def _loaded(spec: Spec, weights: Path, channels: int) -> nn.Module | None:
    """The network with a run's weights, None if they do not fit; the sizes of linear layers are tried as the number of classes."""
    try:
        state = load_file(weights)
    except SafetensorError:
        return None
    except OSError as error:
        raise InputError(f"{weights}: cannot be read ({error.strerror or error}); make it readable") from None
    for classes in sorted({len(value) for value in state.values() if value.ndim == 2}):
        made = build(spec, classes=classes, channels=channels)
        with suppress(RuntimeError):
            made.load_state_dict(state)
            return made
    return None


def saliency_of(network: nn.Module, kind: SaliencyKind, normalize: Normalize, head: EarlyHead | None = None) -> Saliency:
    """The saliency of a network trained on the output of `normalize`."""
    return saliency(network, kind, mean=normalize.mean, std=normalize.std, head=head)
