"""Parts: the common form of all DATA, before the validation part is split off and statistics are computed."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from augury.train.data.fingerprint import FileMark
from augury.train.data.preparation import Preparation
from augury.train.data.stream import picked


@dataclass(frozen=True)
class Part:
    """images uint8 [N,C,H,W], labels int64 [N] or, of several per image, bool [N, classes], groups int64 [N] where there are any.

    names: what every image is called within the data, such as its file's path; empty where images have no names.
    marks: the files the part was read from; empty where it came as arrays.
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
    """The parts as the data bring them; `validation` is None if it is to be cut from `train`.

    retrieval: queries and gallery of re-identification data, with identities as labels and cameras as groups.
    All parts have images of one size and one number of channels. `notes`: one line each, what was converted or left out.
    place: the folder or file that was read. preparation: what images were brought to, where they came from files.
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
