"""AugMix's consistency loss: one plainly augmented view and two strongly augmented ones that must agree."""

from torch import nn

from augury.core.registry import register
from augury.train.strategies.consistency import Weight, concat_views, with_consistency
from augury.train.strategies.outputs import view
from augury.train.strategies.similarity import jensen_shannon, log_probabilities
from augury.train.strategies.simple import SimpleStrategy
from augury.train.strategies.strategy import Seen, Step, Strategy, Views


@register("strategy", "augmix_jsd", source="Hendrycks et al. 2020, AugMix, arXiv:1912.02781, section 3")
def augmix_jsd(*, weight: Weight = 12.0) -> Strategy:
    """AugMix's loss: cross-entropy of one view plus `weight` times the Jensen-Shannon divergence of three views.

    The first view comes from the training's pipeline, the others from its second, if there is one
    (`--augment standard --augment2 standard+augmix`). The cross-entropy is of the first alone. All three go through the
    network in one pass, as published. Each view has its own crop and flip; in the authors' code the three share one.
    """

    def loss_of(model: nn.Module, views: Views) -> Step:
        parts = [view(views, number, min(number, 1), "augmix_jsd") for number in range(3)]
        images, _ = concat_views(parts)
        logits = model(images).chunk(3)
        losses = parts[0][1].loss(logits[0])
        return with_consistency(
            losses.mean(), weight, lambda: jensen_shannon([log_probabilities(each) for each in logits]).mean(), losses
        )

    names = ("classified", "first copy", "second copy")
    seen = tuple(Seen(name, number, min(number, 1)) for number, name in enumerate(names))
    return SimpleStrategy(loss_of, pipelines=2, seen=seen)
