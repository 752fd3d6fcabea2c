"""Counts the cost of steps: augmented images, forward and backward passes, steps."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn


@dataclass
class Counts:
    """images: augmented images. forward, backward: passes, each over as many images as the step has source images, so that
    a doubled batch counts as two passes; those of all networks are added. steps: optimiser steps."""

    images: int = 0
    forward: float = 0
    backward: float = 0
    steps: int = 0

    def load(self, values: Mapping[str, int | float]) -> None:
        """Continue from the values of `dict`."""
        for name, value in values.items():
            setattr(self, name, value)

    def dict(self) -> dict[str, int | float]:
        """Plain numbers; whole ones as int."""
        return {name: int(value) if value == int(value) else round(value, 6) for name, value in asdict(self).items()}


@contextmanager
def counting(networks: list[nn.Module], counts: Counts, images: int) -> Iterator[None]:
    """Count the networks' passes within this context; `images`: the number of the step's source images.

    Every forward pass with gradients enabled is assumed to be followed by its backward pass.
    """

    def passed(network: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        share = len(given[0]) / images if given else 1.0
        counts.forward += share
        if torch.is_grad_enabled():
            counts.backward += share

    hooks = [network.register_forward_hook(passed) for network in networks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
