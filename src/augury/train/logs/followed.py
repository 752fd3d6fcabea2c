"""Sends metrics to all trackers of a training; one that fails is dropped, and the training continues."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from augury.core import registry
from augury.core.errors import InputError
from augury.core.options import bind, parse_list
from augury.train.logs.logger import About, Logger, Open


def openers(text: str | None) -> dict[str, Open]:
    """The trackers that `--log` names, such as `tensorboard` or `wandb(project=photographs,mode=offline)`; InputError for an
    unknown name or option, or if a package is not installed."""
    found: dict[str, Open] = {}
    for chain in [] if text is None else parse_list(text, "--log"):
        if len(chain.stages) > 1:
            raise InputError(f"--log: {chain}: separate several by commas")
        spec = chain.stages[0]
        if not registry.has("logger", spec.name):
            raise InputError(f"--log: {registry.unknown('logger', spec.name, registry.names('logger'))}")
        make = registry.get("logger", spec.name)
        found[spec.name] = make(**bind(make, spec, "--log"))
    return found


@dataclass
class Followed:
    """The open trackers by name. notes: which of them failed, and why."""

    loggers: dict[str, Logger] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def open(text: str | None, about: About) -> "Followed":
        """Opens the trackers that `text` names; InputError if one cannot start."""
        made = Followed()
        for name, opened in openers(text).items():
            try:
                made.loggers[name] = opened(about)
            except Exception as error:  # any error of a network, a login or a database
                made.close({})
                hint = "; wandb(mode=offline) needs no connection" if name == "wandb" else ""
                raise InputError(f"--log {name}: cannot start ({_words(error)}){hint}, or leave it out") from None
        return made

    def scalars(self, row: Mapping[str, Any]) -> None:
        """Logs the numbers in a line of metrics.jsonl, nested ones included."""
        values = flat({key: value for key, value in row.items() if key not in ("epoch", "counts")})
        self._each(lambda logger: logger.scalars(int(row["epoch"]), values))

    def pictures(self, name: str, images: Tensor) -> None:
        self._each(lambda logger: logger.pictures(name, images))

    def end(self, result: Mapping[str, Any]) -> None:
        """Logs the table of classes, the confusion matrix and the metrics on the test part, and closes."""
        classes = result.get("classes") or []
        if classes:
            columns = list(classes[0])
            self._each(lambda logger: logger.table("classes", columns, [[row[key] for key in columns] for row in classes]))
        names = [row["class"] for row in classes]
        if "confusion" in result:
            rows = [[name, *counts] for name, counts in zip(names, result["confusion"], strict=True)]
            self._each(lambda logger: logger.table("confusion", ["class", *names], rows))
        self.close(flat(result.get("test_metrics", {})) | {"loss": float(result["loss"])})

    def close(self, summary: Mapping[str, float]) -> None:
        """Closes all trackers; without a summary, as for an interrupted training."""
        self._each(lambda logger: logger.close(summary))
        self.loggers.clear()

    def _each(self, tell: Callable[[Logger], None]) -> None:
        for name, logger in list(self.loggers.items()):
            try:
                tell(logger)
            except Exception as error:  # any error of a network or a disk; the training continues
                del self.loggers[name]
                self.notes.append(f"--log {name}: failed ({_words(error)}); the training continued without it")


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The finite numbers in nested mappings and lists, by their path."""
    found: dict[str, float] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}/")
        elif isinstance(value, list):
            found |= flat({str(number): each for number, each in enumerate(value, start=1)}, f"{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[name] = float(value)
    return found


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
