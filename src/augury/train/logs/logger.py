"""The interface of experiment trackers: scalars of every epoch, pictures of the first augmented batch, tables at the end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class About:
    """The training to log. folder: its output folder. epoch: how many epochs it has completed, more than 0 if it is resumed."""

    folder: Path
    settings: Mapping[str, Any]
    epoch: int = 0

    @property
    def name(self) -> str:
        """The training's name in trackers."""
        return self.folder.resolve().name


class Logger(Protocol):
    """One training in one tracker. It must not alter the training."""

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None: ...

    def pictures(self, name: str, images: Tensor) -> None:
        """uint8 [N,1,H,W] or [N,3,H,W]."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...

    def close(self, summary: Mapping[str, float]) -> None:
        """Closes the log; summary: the metrics of the finished training, empty if it was interrupted."""


# What a factory registered as `"logger"` returns.
Open = Callable[[About], Logger]


def hwc(images: Tensor) -> list[Any]:
    """uint8 [N,C,H,W] as NumPy arrays: [H,W,3], or [H,W] of the only channel."""
    return [image.permute(1, 2, 0).numpy() if len(image) == 3 else image[0].numpy() for image in images.cpu()]
