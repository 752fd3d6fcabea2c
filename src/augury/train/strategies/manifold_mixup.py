"""Manifold Mixup: images are mixed at the input or at the output of an early layer."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.laws import Beta
from augury.core.noise import Noise
from augury.core.options import Interval
from augury.core.plan import Clock
from augury.core.registry import register
from augury.core.targets import Targets
from augury.train.strategies.strategy import Step, Strategy, Views, members

NAME = "manifold_mixup"
# A step's program: the layer's index in `paths`, the probability of mixing, the parameter of the Beta distribution.
Program = tuple[int, float, float] | None


@dataclass
class ManifoldMixup(Strategy):
    """See `manifold_mixup`. paths: the modules whose output is mixed; None is the input. Filled by `modules`."""

    alpha: float
    layers: tuple[int | str, ...] | None
    batch_wide: bool = False
    paths: tuple[str | None, ...] = ()
    intensive: bool = True
    several_labels: bool = True

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        self.paths = _paths(members(model)[0], self.layers)
        return {}

    def program(self, clock: Clock) -> Program:
        """The layer for the step, drawn from seed and step number; None once the training is refined."""
        if clock.intensity == 0:
            return None
        noise = Noise.of(clock.seed, torch.zeros(1, dtype=torch.int64), epoch=clock.step).fold(NAME)
        layer = int(noise.integers(1, max(1, len(self.paths))))
        if clock.fading == "strength":
            return layer, 1.0, self.alpha * clock.intensity
        return layer, clock.intensity, self.alpha

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        logits, targets = self.examples(model, views(), program)
        losses = targets.loss(logits)
        return Step(losses.mean(), per_sample=losses.detach())

    def examples(self, model: nn.Module, batch: Batch, program: Hashable) -> tuple[Tensor, Targets]:
        """Logits of the batch mixed at the program's layer, and the labels mixed in the same way."""
        if batch.targets is None:
            raise InputError("strategy: manifold_mixup needs labels")
        if program is None:
            return model(batch.images), batch.targets
        if batch.key is None:
            raise InputError("strategy: manifold_mixup draws weights and partners; give Batch(..., key=noise.key)")
        assert isinstance(program, tuple)
        number, chance, alpha = program
        noise = Noise(batch.key).fold(NAME)
        partner, u = noise.fold("partner").partners(), noise.uniform(2)
        if self.batch_wide and len(batch):
            # The row with the smallest key, which does not depend on the order of the batch.
            u = u.index_select(0, noise.key.argmin()[None]).expand_as(u)
        weight = Beta(alpha, alpha).value(u[:, 0], torch.ones_like(u[:, 0]))
        weight = torch.where(u[:, 1] < chance, weight, 1.0)
        partner, weight = partner.to(batch.images.device), weight.to(batch.images.device)
        targets = batch.targets.mix(partner, weight)
        path = self.paths[number]
        if path is None:
            return model(_mixed(batch.images, partner, weight)), targets
        with _mixing(model.get_submodule(path), partner, weight):
            return model(batch.images), targets


def _mixed(maps: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    own = weight.to(maps.dtype).reshape(-1, *[1] * (maps.ndim - 1))
    return maps * own + maps[partner] * (1 - own)


@contextmanager
def _mixing(layer: nn.Module, partner: Tensor, weight: Tensor) -> Iterator[None]:
    """Mix the layer's output within this context."""

    def mix(module: nn.Module, given: object, made: Tensor) -> Tensor:
        if not isinstance(made, Tensor) or len(made) != len(partner):
            raise InputError("--strategy: manifold_mixup(layers=...): the layer's output must be a tensor with one row per image")
        return _mixed(made, partner, weight)

    hook = layer.register_forward_hook(mix)
    try:
        yield
    finally:
        hook.remove()


def _paths(network: nn.Module, layers: tuple[int | str, ...] | None) -> tuple[str | None, ...]:
    """The modules to mix at; InputError if the network lacks one of them."""
    taps: tuple[str, ...] = tuple(getattr(network, "taps", ()))
    places: tuple[str | None, ...] = (None, *taps)
    if layers is None:
        # The input and the first two stages after the stem, as in the released code for PreActResNet-18.
        return (None, *[tap for tap in taps if tap != "stem"][:2])
    found: list[str | None] = []
    for layer in layers:
        if isinstance(layer, int):
            if not 0 <= layer < len(places):
                named = ", ".join(f"{n} {place or 'input'}" for n, place in enumerate(places))
                raise InputError(f"--strategy: manifold_mixup(layers={layer}): the network's layers are {named}")
            found.append(places[layer])
            continue
        try:
            network.get_submodule(layer)
        except AttributeError:
            known = ", ".join(taps or [name for name, _ in network.named_children()])
            raise InputError(f"--strategy: manifold_mixup(layers={layer}): no such module; there are {known}") from None
        found.append(layer)
    if not found:
        raise InputError("--strategy: manifold_mixup(layers=[]): name at least one layer; 0 is the input")
    return tuple(found)


@register("strategy", "manifold_mixup", source="Verma et al. 2019, Manifold Mixup (arXiv:1806.05236), section 2 and released code")
def manifold_mixup(
    *, alpha: Annotated[float, Interval(1e-3)] = 2.0, layers: tuple[int | str, ...] | None = None, batch_wide: bool = False
) -> Strategy:
    """Mixes pairs of images at a layer drawn for every step: the input, or the output of an early stage.

    layers: numbers (0 is the input, followed by the network's stages in order, the stem first) or names of modules; by default
    the input and the first two stages after the stem. Every image draws its own weight from Beta(alpha, alpha) and its own
    partner in the batch; with `batch_wide` the whole batch has one weight, as in the released code. Refinement switches mixing
    off; gradual refinement reduces alpha to 0.
    """
    return ManifoldMixup(alpha, layers, batch_wide)
