"""Logs a training to Weights & Biases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from augury.core.errors import InputError
from augury.core.registry import register
from augury.train.data.fingerprint import digest_of
from augury.train.logs.logger import About, Logger, Open, hwc


@register("logger", "wandb", source="wandb.ai")
def wandb(
    *, project: str = "augury", entity: str | None = None, group: str | None = None, mode: Literal["online", "offline"] = "online"
) -> Open:  # fmt: skip
    """A Weights & Biases run; offline, it is stored in the training's folder `wandb/` for `wandb sync`."""
    try:
        import wandb as library
    except ImportError:
        raise InputError("--log wandb: needs the package wandb; pip install 'augury[logging]'") from None

    def opened(about: About) -> Logger:
        run = library.init(
            project=project, entity=entity, group=group, mode=mode, name=about.name, dir=str(about.folder),
            id=digest_of(str(about.folder.resolve()).encode())[:16], resume="allow", config=dict(about.settings),
            reinit="create_new", settings=library.Settings(silent=True, console="off"),
        )  # fmt: skip
        return _Run(library, run)

    return opened


@dataclass(frozen=True)
class _Run:
    library: Any
    run: Any

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        self.run.log({"epoch": epoch, **values})

    def pictures(self, name: str, images: Tensor) -> None:
        self.run.log({name: [self.library.Image(image) for image in hwc(images)]})

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self.run.log({name: self.library.Table(columns=list(columns), data=[list(row) for row in rows])})

    def close(self, summary: Mapping[str, float]) -> None:
        self.run.summary.update({f"test/{name}": value for name, value in summary.items()})
        self.run.finish(exit_code=0 if summary else 1)
