"""Deep mutual learning: several networks on the same images, each also learning from the others' predictions."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from augury.core.registry import register
from augury.train.strategies.consistency import Networks, Weight, with_consistency
from augury.train.strategies.outputs import view
from augury.train.strategies.similarity import kl, log_probabilities
from augury.train.strategies.simple import SimpleStrategy
from augury.train.strategies.strategy import Step, Strategy, Views, members

Updates = Literal["simultaneous", "alternating"]


@register("strategy", "dml", source="Zhang et al. 2018, Deep Mutual Learning, arXiv:1706.00384, sections 3.1 to 3.3")
def dml(*, weight: Weight = 1.0, networks: Networks = 2, updates: Updates = "simultaneous") -> Strategy:
    """Deep mutual learning: several networks see one view; each also learns from the others' predictions.

    Network k minimises its cross-entropy plus `weight` times the mean over the others j of KL(p_j || p_k), with p_j
    detached. `simultaneous` updates all networks from the same predictions; `alternating`, the paper's algorithm 1, updates
    one after the other and recomputes a network's predictions after its update. This second forward pass does not change
    the running statistics of batch normalisation, which already include the batch.
    """
    if updates == "simultaneous":
        return SimpleStrategy(lambda model, views: _together(members(model), views, weight), networks=networks)
    return SimpleStrategy(_InTurn(weight), networks=networks, turns=networks)


def _together(networks: list[nn.Module], views: Views, weight: float) -> Step:
    images, targets = view(views, 0, 0, "dml")
    logits = [network(images) for network in networks]
    losses = [targets.loss(each) for each in logits]
    logs = [log_probabilities(each) for each in logits]

    def distance() -> Tensor:
        return torch.stack([_from_others(logs, k).mean() for k in range(len(logs))]).sum()

    classification = torch.stack([each.mean() for each in losses]).sum()
    return with_consistency(classification, weight, distance, torch.stack(losses).mean(0))


def _from_others(logs: list[Tensor], k: int) -> Tensor:
    """The mean over the others j of KL(p_j || p_k), per row; only p_k has a gradient."""
    others = [kl(log.detach(), logs[k]) for j, log in enumerate(logs) if j != k]
    return torch.stack(others).mean(0)


class _InTurn:
    """Turn k updates network k. Predictions are kept between the turns of a step, with their graphs until they are used."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.images = torch.empty(0)
        self.losses: list[Tensor] = []
        self.logs: list[Tensor] = []

    def __call__(self, model: nn.Module, views: Views, turn: int) -> Step:
        networks = members(model)
        if turn == 0:
            self.images, targets = view(views, 0, 0, "dml")
            logits = [network(self.images) for network in networks]
            self.losses = [targets.loss(each) for each in logits]
            self.logs = [log_probabilities(each) for each in logits]
        else:
            with torch.no_grad(), _statistics_kept(networks[turn - 1]):
                self.logs[turn - 1] = log_probabilities(networks[turn - 1](self.images))
        losses = self.losses[turn]
        step = with_consistency(losses.mean(), self.weight, lambda: _from_others(self.logs, turn).mean(), losses)
        self.losses[turn], self.logs[turn] = losses.detach(), self.logs[turn].detach()
        return step


@contextlib.contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Keep batch normalisation's running statistics unchanged; it still normalises by the batch."""
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer, (_, counted) in zip(layers, before, strict=True):
        layer.momentum = 0.0
        layer.num_batches_tracked = None if counted is None else counted.clone()
    try:
        yield
    finally:
        for layer, (momentum, counted) in zip(layers, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, counted
