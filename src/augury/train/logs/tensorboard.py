"""Logs a training to TensorBoard: event files in its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from augury.core.errors import InputError
from augury.core.registry import register
from augury.train.logs.logger import About, Logger, Open


@register("logger", "tensorboard", source="www.tensorflow.org/tensorboard")
def tensorboard() -> Open:
    """Event files in the training's folder `tensorboard/`, for `tensorboard --logdir runs`."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("--log tensorboard: needs the package tensorboard; pip install 'augury[logging]'") from None

    def opened(about: About) -> Logger:
        # Drops the events of epochs that a resumed training repeats.
        purge = {"purge_step": about.epoch + 1} if about.epoch else {}
        return _Events(SummaryWriter(str(about.folder / "tensorboard"), **purge))

    return opened


@dataclass(frozen=True)
class _Events:
    writer: Any

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()

    def pictures(self, name: str, images: Tensor) -> None:
        self.writer.add_images(name, images, 0)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        lines = [columns, ["---"] * len(columns), *rows]
        self.writer.add_text(name, "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines), 0)

    def close(self, summary: Mapping[str, float]) -> None:
        for name, value in summary.items():
            self.writer.add_scalar(f"test/{name}", value, 0)
        self.writer.close()
