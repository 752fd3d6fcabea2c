"""Evaluation on un-augmented images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from augury.augment.stage import Normalize
from augury.core.targets import Targets
from augury.train.data.dataset import Split


@dataclass(frozen=True)
class Evaluation:
    """accuracy and accuracy_top5 in percent, loss the mean cross-entropy in nats; prediction int64 [N], confidence float32
    [N] the probability of the prediction, label_probability float32 [N] that of the true class."""

    accuracy: float
    accuracy_top5: float
    loss: float
    prediction: Tensor
    confidence: Tensor
    label_probability: Tensor


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, normalize: Normalize, classes: int, *, batch_size: int = 512) -> Evaluation:
    """The model in evaluation mode on every image of a split; its mode is put back afterwards."""
    training = model.training
    model.eval()
    logits = torch.cat([model(normalize.normalise(part)).float() for part in split.images.split(batch_size)])
    model.train(training)
    probability = logits.softmax(1)
    confidence, prediction = probability.max(1)
    best = logits.topk(min(5, classes), 1).indices
    labels = split.labels
    return Evaluation(
        accuracy=100 * (prediction == labels).double().mean().item(),
        accuracy_top5=100 * (best == labels[:, None]).any(1).double().mean().item(),
        loss=Targets.of(labels, classes).loss(logits).double().mean().item(),
        prediction=prediction,
        confidence=confidence,
        label_probability=probability.gather(1, labels[:, None])[:, 0],
    )
