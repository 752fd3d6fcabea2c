"""Empirical risk on clean and on augmented training images (He et al. 2019, section 4.1, table 2)."""

import torch
from torch import Tensor, nn

from augury.core.targets import Targets
from augury.train.engine.feed import Share
from augury.train.engine.refinement import clock_at
from augury.train.engine.settings import Settings
from augury.train.engine.step import views
from augury.train.engine.training import Training
from augury.train.method.counts import Counts
from augury.train.strategies.strategy import members


def wants_risk(settings: Settings, epoch: int) -> bool:
    """Whether to measure the risks after an epoch (1-based): those named, and every N-th with both stages' last."""
    s = settings
    regular = s.risk_every is not None and (epoch % s.risk_every == 0 or epoch in (s.stage_one, s.total_epochs))
    return regular or epoch in s.risk_epochs


@torch.no_grad()
def risk_gap(training: Training) -> dict[str, float]:
    """Mean cross-entropies of the first network over the training part, in nats, in evaluation mode.

    clean: un-augmented images with their labels. augmented: images augmented as in the epoch just trained, with their mixed
    labels. label_entropy: the entropy of mixed labels, a lower bound of `augmented`. excess: augmented - label_entropy, the
    mean Kullback-Leibler divergence to the labels, which is comparable between methods.
    The paper does not say which mode batch normalisation was in; evaluation mode is our reading.
    """
    t = training
    network = members(t.shown)[0]
    was = network.training
    network.eval()
    sums = torch.zeros(4, dtype=torch.float64, device=t.device)
    epoch, first = t.epoch - 1, (t.epoch - 1) * t.steps_per_epoch
    size = t.batch_size
    order = torch.arange(len(t.data.train.ids), device=t.device)
    for number, rows in enumerate(order.split(size)):
        rows, weight = t.world.share(rows)
        if weight:
            sums += _sums(t, network, rows, epoch, first + number)
    network.train(was)
    clean, augmented, entropy, count = t.world.total(sums.tolist())
    found = {"clean": clean, "augmented": augmented, "label_entropy": entropy, "excess": augmented - entropy}
    return {name: value / count for name, value in found.items()}


def _sums(t: Training, network: nn.Module, rows: Tensor, epoch: int, step: int) -> Tensor:
    clock = clock_at(t.settings, epoch, step)
    share = Share(rows, torch.zeros_like(rows), 1.0, len(rows))
    seen = views(t, share, clock, {})
    seen.counts = Counts()
    if t.method.saliency is not None:
        # Compute a map for every batch, whatever `every` is, and count none: this is a measurement, not training.
        seen.saliency = t.method.saliency.source
    seen.smoothing = 0.0
    batch = seen()
    assert batch.targets is not None
    with torch.autocast(t.device.type, torch.bfloat16, enabled=t.bfloat16):
        logits, targets = t.strategy.examples(network, batch, t.strategy.program(clock))
        plain = network(t.method.normalize.normalise(t.data.train.images[rows].to(t.device)))
    labels = Targets.of(t.data.train.labels[rows], len(t.dataset.classes))
    parts = [labels.loss(plain), targets.loss(logits), targets.entropy()]
    # Stages may repeat images, so each mean is over its own rows.
    means = [part.double().mean() * len(rows) for part in parts]
    return torch.stack([*means, torch.tensor(float(len(rows)), dtype=torch.float64, device=t.device)])
