"""A run's record of its data: everything that its network needs, and a fingerprint for recognising the data later.

`data.json` holds classes, mean and deviation, sizes and paths; `data_files.csv` holds the name, class, size and hash of every file.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from augury.core.errors import InputError
from augury.core.files import read_bytes, read_text
from augury.core.target_kind import TargetKind
from augury.train.data.dataset import Dataset, identified
from augury.train.data.fingerprint import Fingerprint
from augury.train.data.intensity import Range
from augury.train.data.preparation import Preparation
from augury.train.data.resize import Resize
from augury.train.data.words import few
from augury.train.engine.checkpoint import write_atomically, write_json
from augury.train.engine.settings import Settings

DATA, DATA_FILES = "data.json", "data_files.csv"
VERSION = 1


@dataclass(frozen=True)
class Identity:
    """A run's data. classes in the network's order; mean and std per channel, in [0, 1]; size (rows, columns) and channels of
    its images; intensity: the range of values of images of more than 8 bits, None if there were none; resize: how images of
    another shape were resized. kind: whether images have one label or several.

    place: absolute path of the folder or file, None for named data; data_dir: absolute path, None if not given.
    """

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int]
    channels: int
    intensity: Range | None
    resize: Resize
    place: str | None
    data_dir: str | None
    fingerprint: Fingerprint
    kind: TargetKind = TargetKind.ONE

    @staticmethod
    def of(dataset: Dataset, settings: Settings) -> "Identity":
        """The identity of a training's data."""
        origin = identified(dataset).origin
        assert origin is not None
        made = origin.preparation
        shape = dataset.train.images.shape
        return Identity(
            dataset.classes, dataset.mean, dataset.std, (int(shape[-2]), int(shape[-1])), int(shape[1]),
            None if made is None else made.intensity, settings.resize if made is None else made.resize, origin.place,
            None if settings.data_dir is None else os.path.abspath(Path(settings.data_dir).expanduser()), origin.fingerprint,
            dataset.kind,
        )  # fmt: skip

    @property
    def preparation(self) -> Preparation:
        """The size and channels that the network needs."""
        return Preparation(self.size, self.channels, self.intensity, self.resize)

    def settings(self, settings: Settings) -> Settings:
        """The run's settings with the absolute path of its data. Raises InputError if the data are no longer there."""
        if self.place is None:
            return replace(settings, data_dir=self.data_dir)
        if not os.path.exists(self.place):
            raise InputError(f"DATA {self.place}: the run's data are no longer there; put them back, or name data by --data")
        return replace(settings, data=self.place)

    def changed(self, dataset: Dataset) -> dict[str, str]:
        """How the parts differ from the run's data, in words; empty if they do not."""
        origin = identified(dataset).origin
        assert origin is not None
        return self.fingerprint.differences(origin.fingerprint)

    def fitted(self, dataset: Dataset, where: str) -> Dataset:
        """A data set read again, with the run's mean and deviation, and a note for each part that has changed since.

        Raises InputError if its classes, its kind of labels or the size of its images are not those of the network.
        """
        _refuse_classes(self.classes, dataset.classes, where)
        self.refuse_kind(dataset, where)
        shape = dataset.train.images.shape
        if (int(shape[1]), (int(shape[-2]), int(shape[-1]))) != (self.channels, self.size):
            raise InputError(
                f"{where}: images are now {shape[-2]}x{shape[-1]} with {shape[1]} channel(s), and the network takes "
                f"{self.size[0]}x{self.size[1]} with {self.channels}; put the data back, or name data by --data"
            )
        notes = [f"changed since the training: {part} part: {said}" for part, said in self.changed(dataset).items()]
        return replace(dataset, mean=self.mean, std=self.std, notes=(*dataset.notes, *notes))

    def refuse_kind(self, dataset: Dataset, where: str) -> None:
        """InputError if the data set has one label per image and the training had several, or the reverse."""
        if dataset.kind is not self.kind:
            raise InputError(f"{where}: has {dataset.kind.words}, but the network was trained on {self.kind.words}; give such data")

    def write(self, folder: Path) -> None:
        """Write both files, data.json last, so that both exist if it does."""
        write_atomically(folder / DATA_FILES, self.fingerprint.csv().encode("utf-8", "surrogateescape"))
        write_json(folder / DATA, self.plain())

    def plain(self) -> dict[str, Any]:
        """The content of data.json, as plain values."""
        parts = {name: {"files": len(m), "hash": self.fingerprint.digest(name)} for name, m in self.fingerprint.parts.items()}
        return {
            "version": VERSION, "place": self.place, "data_dir": self.data_dir, "classes": list(self.classes),
            "labels": self.kind.value,
            "mean": list(self.mean), "std": list(self.std), **self.preparation.plain(), "parts": parts,
            "hash": self.fingerprint.digest(),
        }  # fmt: skip

    @staticmethod
    def read(folder: Path) -> "Identity | None":
        """Read a run's record; None for a run of an older version, which kept none. InputError if it is damaged."""
        file = folder / DATA
        if not file.exists():
            return None
        try:
            found = json.loads(read_text(file))
            version = found["version"]
            if version > VERSION:
                raise InputError(f"{file}: written by a newer version of Augury (format {version}); update Augury to read it")
            preparation = Preparation.of(found)
            text = read_bytes(folder / DATA_FILES).decode("utf-8", "surrogateescape")
            fingerprint = Fingerprint.from_csv(text, str(folder / DATA_FILES))
            if fingerprint.digest() != found["hash"]:
                raise InputError(f"{folder / DATA_FILES}: differs from what the run wrote; restore both files from a copy")
            return Identity(
                tuple(found["classes"]), tuple(found["mean"]), tuple(found["std"]), preparation.size, preparation.channels,
                preparation.intensity, preparation.resize, found["place"], found["data_dir"], fingerprint,
                TargetKind(found.get("labels", "one")),
            )  # fmt: skip
        except PermissionError as error:
            raise InputError(f"{error.filename or file}: cannot be read ({error.strerror}); make it readable") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{file}: damaged; restore it from a copy to use the run's network with --data") from None


def keep_identity(folder: Path, dataset: Dataset, settings: Settings) -> None:
    """Write the identity of a training's data; if the folder has one, InputError naming the files that have changed since."""
    now, before = Identity.of(dataset, settings), Identity.read(folder)
    if before is None:
        now.write(folder)
        return
    changed = before.fingerprint.differences(now.fingerprint)
    if changed:
        said = "; ".join(f"{part} part: {text}" for part, text in changed.items())
        raise InputError(f"--resume: the data of {folder} are not those it was started with: {said}; put them back")
    if (now.place, now.data_dir) != (before.place, before.data_dir):
        now.write(folder)


def _refuse_classes(known: tuple[str, ...], found: tuple[str, ...], where: str) -> None:
    if known == found:
        return
    missing, new = [c for c in known if c not in found], [c for c in found if c not in known]
    said = [f"{few(names)} {what}" for names, what in ((missing, "missing"), (new, "new")) if names] or ["another order"]
    raise InputError(
        f"{where}: the classes are not those the network was trained on ({', '.join(said)}); put the data back as they were, "
        "or name others by --data"
    )
