"""Many small networks trained at once, one per seed, with and without mixing images of the same class."""

from typing import Literal

import torch
from torch import Tensor

from augury.core.noise import Noise

Mix = Literal["none", "replace", "add"]


def ensemble(
    inputs: Tensor,
    labels: Tensor,
    classes: int,
    seeds: int,
    *,
    mix: Mix = "none",
    hidden: int = 64,
    epochs: int = 40,
    decay: float = 1e-3,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights and biases of `seeds` networks with one hidden layer, [S,D,H], [S,1,H], [S,H,C], [S,1,C], in float32.

    A seed sets the initial weights, the order and the mixes. SGD with momentum 0.9, rate 0.1 decaying to 0, batches of 50.
    mix: each image of a batch is mixed with an image of its class (from the whole part), with a weight uniform in [0, 1]; the
    mixes replace the images or are added to them.
    """
    inputs, sizes = inputs.float(), (inputs.shape[1], hidden, classes)
    made = [_first(sizes, seed) for seed in range(seeds)]
    weights = [torch.stack([each[k] for each in made]).requires_grad_() for k in range(4)]
    optimiser = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=decay)
    rows_of = [(labels == label).nonzero()[:, 0] for label in range(classes)]
    sizes_of, ids = torch.tensor([len(rows) for rows in rows_of]), torch.arange(len(labels))
    padded = torch.nn.utils.rnn.pad_sequence(rows_of, batch_first=True)
    for epoch in range(epochs):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * (1 - epoch / epochs)
        noises = [Noise.of(seed, ids, epoch=epoch) for seed in range(seeds)]
        order = torch.stack([noise.fold("order").bits(1)[:, 0].argsort() for noise in noises])
        keep = torch.stack([noise.fold("mix").uniform(2) for noise in noises])
        for columns in torch.arange(len(labels)).split(50):
            rows = order[:, columns]
            batch, target = inputs[rows], labels[rows]
            if mix != "none":
                draw = keep.gather(1, rows[..., None].expand(-1, -1, 2))
                place = (draw[..., 0] * sizes_of[target]).long().clamp(max=padded.shape[1] - 1)
                mixed = torch.lerp(inputs[padded[target, place]], batch, draw[..., 1:])
                batch = mixed if mix == "replace" else torch.cat([batch, mixed], 1)
                target = target if mix == "replace" else torch.cat([target, target], 1)
            optimiser.zero_grad()
            logits = _logits(weights, batch)
            # Summed over seeds, so that each network has the gradient of its own loss.
            (torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten()) * seeds).backward()
            optimiser.step()
    one, two, three, four = (weight.detach() for weight in weights)
    return one, two, three, four


def probabilities(weights: tuple[Tensor, Tensor, Tensor, Tensor], inputs: Tensor) -> Tensor:
    """Predicted probabilities, float32 [S,N,C]."""
    return _logits(list(weights), inputs.float().expand(len(weights[0]), -1, -1)).softmax(-1)


def instability(found: Tensor) -> float:
    """The variance over seeds of predicted probabilities [S,N,C], summed over classes and averaged over images."""
    return found.var(0).sum(-1).mean().item()


def _logits(weights: list[Tensor], inputs: Tensor) -> Tensor:
    hidden = torch.relu(torch.baddbmm(weights[1], inputs, weights[0]))
    return torch.baddbmm(weights[3], hidden, weights[2])


def _first(sizes: tuple[int, int, int], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs, hidden, classes = sizes
    first = torch.randn(inputs, hidden, generator=generator) * (2 / inputs) ** 0.5
    second = torch.randn(hidden, classes, generator=generator) * (1 / hidden) ** 0.5
    return [first, torch.zeros(1, hidden), second, torch.zeros(1, classes)]
