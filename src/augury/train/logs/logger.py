"""What a tracker of experiments is told: scalars of every epoch, pictures of the first augmented batch, tables at the end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class About:
    """The training that is to be followed. folder: its own. epoch: how many it has behind it, more than 0 where it is resumed."""

    folder: Path
    settings: Mapping[str, Any]
    epoch: int = 0

    @property
    def name(self) -> str:
        """What trackers call it."""
        return self.folder.resolve().name


class Logger(Protocol):
    """One training in one tracker. Nothing that it does may alter the training."""

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None: ...

    def pictures(self, name: str, images: Tensor) -> None:
        """uint8 [N,C,H,W]."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...

    def close(self, summary: Mapping[str, float]) -> None:
        """The end; summary: the figures of the finished training, none where it broke off."""


# What a factory registered as `"logger"` returns.
Open = Callable[[About], Logger]


def hwc(images: Tensor) -> list[Any]:
    """uint8 [N,C,H,W] as NumPy arrays [H,W,3] or, of other than three channels, [H,W] of the first."""
    return [image.permute(1, 2, 0).numpy() if len(image) == 3 else image[0].numpy() for image in images.cpu()]
