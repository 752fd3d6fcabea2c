"""Augmentation invariant training of several networks, each with its own view."""

import itertools

import torch
from torch import Tensor, nn

from augury.core.errors import InputError
from augury.core.registry import register
from augury.train.strategies.ait import Mode
from augury.train.strategies.consistency import Networks, Weight, with_consistency
from augury.train.strategies.outputs import Layer, outputs, require, view
from augury.train.strategies.similarity import Divergence, Similarity
from augury.train.strategies.simple import SimpleStrategy
from augury.train.strategies.strategy import Seen, Step, Strategy, Views, members


@register("strategy", "multi_ait", source="Chen et al. 2021, Augmentation Invariant Training (ICCV workshops), section 3.2.2")
def multi_ait(
    *, weight: Weight = 3.0, networks: Networks = 2, mode: Mode = "paper", similarity: Similarity = "kl", at: Layer = "logits"
) -> Strategy:
    """Several networks trained together, each on its own view, with a penalty on predictions that differ between them.

    The loss is the sum of all cross-entropies plus `weight` times the sum of the distances of all pairs, divided by
    `networks` - 1 as in the released code, so that the weight does not depend on their number. `paper` lets the gradient
    through both sides of every divergence, `reference` detaches the targets. All networks are updated together. Every
    network but the first takes its view from the training's second pipeline, if there is one.
    """
    apart = Divergence(similarity, detached=mode == "reference")

    def loss_of(model: nn.Module, views: Views) -> Step:
        losses, seen = [], []
        for number, network in enumerate(members(model)):
            images, targets = view(views, number, number, "multi_ait")
            logits, layer = outputs(network, images, at)
            losses.append(targets.loss(logits))
            seen.append(layer)
        if len({layer.shape for layer in seen}) > 1:
            raise InputError(f"--strategy: at={at} needs networks with equal sizes there; use at=logits for different networks")

        def distance() -> Tensor:
            pairs = [apart(*pair).mean() for pair in itertools.combinations(seen, 2)]
            return torch.stack(pairs).sum() / (len(seen) - 1)

        classification = torch.stack([each.mean() for each in losses]).sum()
        return with_consistency(classification, weight, distance, torch.stack(losses).mean(0))

    def check(model: nn.Module) -> None:
        for network in members(model) if at != "logits" else ():
            require(network, at)

    seen = tuple(Seen(f"network {number + 1}", number, number) for number in range(networks))
    return SimpleStrategy(loss_of, networks=networks, pipelines=2, seen=seen, check=check)
