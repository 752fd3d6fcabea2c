"""Evaluation on un-augmented images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from augury.augment.stages.normalize import Normalize
from augury.core.target_kind import TargetKind
from augury.core.targets import Targets
from augury.train.data.dataset import Split
from augury.train.engine.world import World


@dataclass(frozen=True)
class Evaluation:
    """accuracy, accuracy_top5: in percent. loss: the mean cross-entropy, in nats. prediction: int64 [N]. confidence: float32 [N],
    the probability of the prediction. label_probability: float32 [N], that of the true class. probability: float32 [N, classes].

    If an image may have several labels: prediction is bool [N, classes], accuracy is that of images with all labels right,
    accuracy_top5 is None, and confidence and label_probability are products over the classes.
    """

    accuracy: float
    accuracy_top5: float | None
    loss: float
    prediction: Tensor
    confidence: Tensor
    label_probability: Tensor
    probability: Tensor


@torch.no_grad()
def evaluate(
    model: nn.Module, split: Split, normalize: Normalize, classes: int, *, batch_size: int = 512, world: World | None = None
) -> Evaluation:
    """Evaluate the model, in evaluation mode, on every image of a split; its mode is restored afterwards.

    Several processes share the images, and each returns the result over all of them.
    """
    training, world = model.training, world or World()
    model.eval()
    part = world.part(len(split.ids))
    parts = split.images[part].split(batch_size) if isinstance(split.images, Tensor) else split.images.split(batch_size, part)
    device = split.labels.device
    logits = torch.cat([model(normalize.normalise(images.to(device))).float() for images in parts])
    model.train(training)
    if world.size > 1:
        every = torch.zeros(len(split.ids), logits.shape[1], device=logits.device)
        every[part] = logits
        logits = world.sum(every)
    kind, labels = split.kind, split.labels
    probability = kind.probability(logits)
    prediction, confidence = kind.answer(probability)
    top5 = None
    if kind is TargetKind.ONE:
        best = logits.topk(min(5, classes), 1).indices
        top5 = 100 * (best == labels[:, None]).any(1).double().mean().item()
    return Evaluation(
        accuracy=100 * kind.right(prediction, labels).double().mean().item(),
        accuracy_top5=top5,
        loss=Targets.of(labels, classes).loss(logits).double().mean().item(),
        prediction=prediction,
        confidence=confidence,
        label_probability=kind.probability_of(labels, probability),
        probability=probability,
    )
