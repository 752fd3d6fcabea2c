"""Parts: what every form of DATA is read into, before validation is cut and statistics are taken."""

from dataclasses import dataclass

from torch import Tensor

from augury.train.data.stream import picked


@dataclass(frozen=True)
class Part:
    """images uint8 [N,C,H,W], labels int64 [N], groups int64 [N] where the data have groups."""

    images: Tensor
    labels: Tensor
    groups: Tensor | None = None

    def __getitem__(self, rows: Tensor) -> "Part":
        return Part(picked(self.images, rows), self.labels[rows], None if self.groups is None else self.groups[rows])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Parts:
    """The parts as the data bring them; `validation` is None where it is to be cut from `train`.

    retrieval: queries and gallery of re-identification data, with identities as labels and cameras as groups.
    All parts have images of one size and one number of channels. `notes`: one line each, what was converted or left out.
    """

    classes: tuple[str, ...]
    train: Part
    test: Part
    validation: Part | None = None
    group_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    retrieval: tuple[Part, Part] | None = None
