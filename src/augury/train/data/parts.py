"""Parts: the common format of all data before the validation part is split off and statistics are computed."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from augury.train.data.fingerprint import FileMark
from augury.train.data.preparation import Preparation
from augury.train.data.stream import picked


@dataclass(frozen=True)
class Part:
    """images uint8 [N,C,H,W], labels int64 [N] (bool [N, classes] if an image may have several), groups int64 [N] if there are any.

    names: of the images within the data, such as their files' paths; empty if images have no names. marks: the files that the part
    was read from; empty if it came as arrays.
    """

    images: Tensor
    labels: Tensor
    groups: Tensor | None = None
    names: tuple[str, ...] = ()
    marks: tuple[FileMark, ...] = ()

    def __getitem__(self, rows: Tensor) -> "Part":
        groups = None if self.groups is None else self.groups[rows]
        names = tuple(self.names[row] for row in rows.tolist()) if self.names else ()
        return Part(picked(self.images, rows), self.labels[rows], groups, names, self.marks)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Parts:
    """The parts as read; `validation` is None if it is to be split off `train`.

    retrieval: queries and gallery of re-identification data, with identities as labels and cameras as groups. All parts have images
    of one size and one number of channels. `notes`: one line each about what was converted or left out. place: the folder or file
    that was read. preparation: how images were converted, if they came from files.
    """

    classes: tuple[str, ...]
    train: Part
    test: Part
    validation: Part | None = None
    group_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    retrieval: tuple[Part, Part] | None = None
    place: Path | None = None
    preparation: Preparation | None = None
