"""Augmentation as a Markov chain (Dao et al. 2019, arXiv:1803.06084, section 3): its distribution in closed form, and a sampler."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.noise import Noise

_LONGEST = 10_000


def absorbing(table: Tensor, weights: Tensor, stop: float) -> Tensor:
    """float64 [S,S]: entry (i, z) is the probability that a chain started in state i ends in state z.

    At every step the chain stops with probability `stop` in (0, 1]; otherwise it applies transformation k, drawn with `weights`
    [K] (which sum to 1), and moves from state s to `table[k, s]` (int64 [K,S]). With P the transition matrix of one step, the
    number of steps is geometric, hence stop * sum_k (1 - stop)^k P^k = stop * (I - (1 - stop) P)^-1. Raises ValueError for
    probabilities outside their range.
    """
    if not 0 < stop <= 1 or bool((weights < 0).any()) or abs(weights.sum().item() - 1) > 1e-9:
        raise ValueError("stop must lie in (0, 1], and weights must be probabilities that sum to 1")
    size = table.shape[1]
    matrix = torch.eye(size, dtype=torch.float64) - (1 - stop) * transition(table, weights)
    return stop * torch.linalg.inv(matrix)


def transition(table: Tensor, weights: Tensor) -> Tensor:
    """float64 [S,S]: the transition matrix of one transformation drawn with `weights`; rows sum to 1."""
    found = torch.zeros(table.shape[1], table.shape[1], dtype=torch.float64)
    for to, weight in zip(table, weights.double(), strict=True):
        found[torch.arange(len(to)), to] += weight
    return found


def sample(start: Tensor, table: Tensor, weights: Tensor, stop: float, noise: Noise) -> Tensor:
    """int64 [N]: the final states of chains started in the states `start` [N]; `noise` has a row per chain."""
    state, running = start.clone(), torch.ones(len(start), dtype=torch.bool)
    edges = weights.double().cumsum(0)
    for step in range(_LONGEST):
        draw = noise.fold(step).uniform(2).double()
        running &= draw[:, 0] >= stop
        if not running.any():
            return state
        chosen = torch.bucketize(draw[:, 1].contiguous(), edges, right=True).clamp(max=len(weights) - 1)
        state = torch.where(running, table[chosen, state], state)
    raise ValueError(f"a chain ran for {_LONGEST} steps; stop with a higher probability")


def close(images: Tensor, functions: Sequence[Callable[[Tensor], Tensor]], most: int = 5000) -> tuple[Tensor, Tensor]:
    """All images that the functions can produce from the given ones, and the table of each function's moves between them.

    images: uint8 [N,C,H,W], all different. Returns the states [S,C,H,W], the given images first, and the table, int64 [K,S].
    Raises InputError if images are repeated or there are more than `most` states.
    """
    rows = {image.numpy().tobytes(): k for k, image in enumerate(images)}
    if len(rows) < len(images):
        raise InputError("DATA: two of the images are the same; the states of a chain must differ")
    states, moves, fresh = [images], [torch.empty(len(functions), 0, dtype=torch.int64)], images
    while len(fresh):
        made, new = [function(fresh) for function in functions], []
        for image in torch.cat(made):
            key = image.numpy().tobytes()
            if key not in rows:
                rows[key] = len(rows)
                new.append(image)
        if len(rows) > most:
            raise InputError(f"DATA: the transformations make more than {most} states; take fewer images")
        moves.append(torch.tensor([[rows[image.numpy().tobytes()] for image in row] for row in made]))
        fresh = torch.stack(new) if new else images[:0]
        states.append(fresh)
    return torch.cat(states), torch.cat(moves, 1)


def neighbour_votes(distance: Tensor, mass: Tensor, share: float) -> Tensor:
    """float64 [Q,C]: the vote of the nearest neighbours that hold `share` of the total mass; rows sum to 1.

    distance: [Q,S] from queries to states. mass: float64 [S,C], the number of draws (or their probability) of each class in
    each state. The state in which the share is reached counts in part, with all its draws weighted equally. With counts this is
    k-nearest-neighbour voting; with probabilities it is the limit of that, a kernel classifier: sum_i y_i K(x, x_i) with
    K(x, x_i) = E[w_x(z)] over the final states z of a chain from x_i, where w_x is 1 near x.
    """
    total = mass.sum(1)
    order = distance.argsort(dim=1, stable=True)
    sorted_mass = total[order]
    before = sorted_mass.cumsum(1) - sorted_mass
    left = (share * total.sum() - before).clamp(min=0)
    taken = torch.where(sorted_mass > 0, (left / sorted_mass.clamp(min=1e-300)).clamp(max=1), 0.0)
    votes = torch.zeros(len(distance), mass.shape[1], dtype=torch.float64)
    for label in range(mass.shape[1]):
        votes[:, label] = (taken * mass[:, label][order]).sum(1)
    return votes / votes.sum(1, keepdim=True)
