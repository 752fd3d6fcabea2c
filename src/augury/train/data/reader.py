"""Reader: a form that data may have, registered as `"reader"`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from augury.train.data.parts import Parts
from augury.train.data.preparation import ReadOptions


def never(path: Path) -> bool:
    """For readers that are asked for by name alone."""
    return False


@dataclass(frozen=True)
class Reader:
    """Made by a factory without options; users write `NAME:PLACE`, or PLACE alone where `recognises` says yes.

    read(place, options): the parts of what lies at `place`, the text behind `NAME:`, as a rule a path.
    recognises(path): whether a file or folder is of this form; asked where DATA is a path. It must look, not read.
    """

    read: Callable[[str, ReadOptions], Parts]
    recognises: Callable[[Path], bool] = never


def of_path(read: Callable[[Path, ReadOptions], Parts]) -> Callable[[str, ReadOptions], Parts]:
    """`read` for a place that is a path; `~` is the user's folder."""
    return lambda place, options: read(Path(place).expanduser(), options)
