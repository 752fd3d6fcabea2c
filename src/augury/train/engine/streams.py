"""Which rows a step reads: of the labelled images, again and again where they are few, and of the unlabelled ones."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from augury.core.noise import Noise
from augury.train.data.dataset import Split


@dataclass(frozen=True)
class Drawn:
    """Some rows of a split with how often each was read before in the epoch; `labelled`: whether its labels may be seen."""

    split: Split
    rows: Tensor
    visits: Tensor
    labelled: bool = True

    def share(self, number: int, count: int) -> "Drawn":
        """Every count-th of the rows, from `number` on."""
        return self if count == 1 else replace(self, rows=self.rows[number::count], visits=self.visits[number::count])


def repeated_order(ids: Tensor, seed: int, epoch: int, count: int, name: str = "order") -> tuple[Tensor, Tensor]:
    """`count` row numbers int64 and how often each came before: all rows in a hashed order, then all in another, ...

    The first time through is the order of `augury.train.engine.views.epoch_order`.
    """
    parts, visits = [], []
    for visit in range(-(-count // max(1, len(ids)))):
        noise = Noise.of(seed, ids, epoch=epoch, visits=torch.full_like(ids, visit))
        parts.append(torch.argsort(noise.fold(name).bits(1)[:, 0], stable=True))
        visits.append(torch.full_like(ids, visit))
    if not parts:
        return ids[:0], ids[:0]
    return torch.cat(parts)[:count], torch.cat(visits)[:count]


@dataclass
class Unlabelled:
    """All training images without their labels, `ratio` times as many a step as labelled ones."""

    split: Split
    ratio: int
    seed: int

    def epoch(self, epoch: int, steps: int, batch_size: int) -> "UnlabelledEpoch":
        rows, visits = repeated_order(self.split.ids, self.seed, epoch, steps * batch_size * self.ratio, "unlabelled")
        return UnlabelledEpoch(self, rows, visits, batch_size * self.ratio)


@dataclass(frozen=True)
class UnlabelledEpoch:
    """The order of one epoch, cut into steps."""

    source: Unlabelled
    rows: Tensor
    visits: Tensor
    size: int

    def step(self, number: int) -> Drawn:
        cut = slice(number * self.size, (number + 1) * self.size)
        return Drawn(self.source.split, self.rows[cut], self.visits[cut], labelled=False)
