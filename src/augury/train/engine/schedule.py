"""Learning-rate schedules, per optimiser step."""

import math


def learning_rate(step: int, steps: int, *, base: float, sched: str, milestones: tuple[float, ...], rate: float) -> float:
    """The rate at a 0-based step of `steps`.

    cosine: half a cosine from base to 0 (Loshchilov and Hutter 2017, without restarts). step: multiplied by `rate` at every
    milestone, given as fractions of the training.
    """
    if sched == "cosine":
        return base * 0.5 * (1 + math.cos(math.pi * step / steps))
    return base * rate ** sum(step >= m * steps for m in milestones)
