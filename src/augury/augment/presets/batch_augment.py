"""Batch augmentation: repeats every image in its batch, with a new draw for each copy."""

from typing import Annotated

from augury.augment.stages.repeat import Repeat
from augury.core.options import Interval
from augury.core.registry import register


@register("preset", "batch_augment", source="Hoffer et al. 2020 (arXiv:1901.09335), section 3")
def batch_augment(*, copies: Annotated[int, Interval(1, 64)] = 2) -> list[Repeat]:
    """Repeats every image `copies` times in its batch; later stages augment each copy differently: `batch_augment(4)+standard`.

    The learning rate is not changed. A training step costs `copies` times as much, so compare at equal cost.
    """
    return [Repeat(copies)]
