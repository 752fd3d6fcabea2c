"""Augmentation invariant training: two views of every image, with a penalty on predictions that differ."""

from typing import Literal

from torch import nn

from augury.core.registry import register
from augury.train.strategies.consistency import Weight, concat_views, with_consistency
from augury.train.strategies.outputs import Layer, outputs, require, view
from augury.train.strategies.similarity import Divergence, Similarity
from augury.train.strategies.simple import SimpleStrategy
from augury.train.strategies.strategy import Seen, Step, Strategy, Views

Mode = Literal["paper", "reference"]


@register("strategy", "ait", source="Chen et al. 2021, Augmentation Invariant Training (ICCV workshops), sections 3.1 and 3.2")
def ait(*, weight: Weight = 1.0, mode: Mode = "paper", similarity: Similarity = "kl", at: Layer = "logits") -> Strategy:
    """Augmentation invariant training: cross-entropy of two views plus `weight` times the distance between their predictions.

    Both views go through the network in one pass of twice the rows, so that batch normalisation sees their mixture. The
    second view comes from the training's second pipeline, if there is one. `paper` sums both views' cross-entropies and
    lets the gradient through both sides of the symmetric KL divergence. `reference` is the released code's loss: the mean
    cross-entropy, and divergences towards detached targets; relative to the text it doubles the weight. That code also
    pairs images with repetition, by the parity of a shuffled index; here every image is used once per epoch instead.
    `similarity` and `at` are the ablations of section 4.2.1; the KL divergence of features or maps is that of their
    softmax over channels.
    """
    apart = Divergence(similarity, detached=mode == "reference")

    def loss_of(model: nn.Module, views: Views) -> Step:
        images, targets = concat_views([view(views, number, number, "ait") for number in range(2)])
        logits, seen = outputs(model, images, at)
        losses = targets.loss(logits)
        classification = losses.mean() if mode == "reference" else 2 * losses.mean()
        return with_consistency(classification, weight, lambda: apart(*seen.chunk(2)).mean(), losses.unflatten(0, (2, -1)).mean(0))

    def check(model: nn.Module) -> None:
        if at != "logits":
            require(model, at)

    return SimpleStrategy(loss_of, pipelines=2, seen=(Seen("first view"), Seen("second view", 1, 1)), check=check)
