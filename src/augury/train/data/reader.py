"""Reader: reads one format of data; registered as `"reader"`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from augury.train.data.parts import Parts
from augury.train.data.preparation import ReadOptions


def never(path: Path) -> bool:
    """For readers that are only selected by name."""
    return False


@dataclass(frozen=True)
class Reader:
    """Made by a factory without options; users write `NAME:PLACE`, or only PLACE if `recognises` returns True.

    read(place, options): the parts of the data at `place`, the text after `NAME:`, usually a path. recognises(path): whether a file
    or folder has this format; called if DATA is a path. It must not read the contents of files.
    """

    read: Callable[[str, ReadOptions], Parts]
    recognises: Callable[[Path], bool] = never


def of_path(read: Callable[[Path, ReadOptions], Parts]) -> Callable[[str, ReadOptions], Parts]:
    """`read` for a place that is a path; expands `~`."""
    return lambda place, options: read(Path(place).expanduser(), options)
