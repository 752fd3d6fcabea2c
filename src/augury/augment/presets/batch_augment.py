"""Batch augmentation: repeats every image in its batch, with a new draw for each copy."""

from typing import Annotated

from augury.augment.stages.repeat import Repeat
from augury.core.options import Interval
from augury.core.registry import register


@register("preset", "batch_augment", source="Hoffer et al. 2020 (arXiv:1901.09335), section 3")
def batch_augment(*, copies: Annotated[int, Interval(1, 64)] = 2) -> list[Repeat]:
    """Every image `copies` times in its batch, each copy augmented anew by what follows: `batch_augment(4)+standard`.

    The learning rate stays. A training step costs `copies` times as much; compare at equal cost.
    """
    return [Repeat(copies)]
