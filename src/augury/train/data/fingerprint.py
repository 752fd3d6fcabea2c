"""The identity of a data set: name, class, size and hash of every file, by which later commands recognise it."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.words import count, few

_COLUMNS = ("part", "name", "label", "bytes", "blake2b")
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class FileMark:
    """One file: its name within the data set, the class of its image ("" for files with many), its size in bytes, and its hash."""

    name: str
    label: str
    size: int
    digest: str


@dataclass(frozen=True)
class Fingerprint:
    """The files of every part ("train", "validation" and "test") as read, before a validation part is split off."""

    parts: Mapping[str, tuple[FileMark, ...]]

    def digest(self, part: str | None = None) -> str:
        """One hash of a part, or of all parts; the order of the files does not matter."""
        names = sorted(self.parts) if part is None else [part]
        lines = [f"{name}\0{m.name}\0{m.label}\0{m.size}\0{m.digest}" for name in names for m in self.parts.get(name, ())]
        return digest_of("\n".join(sorted(lines)).encode())

    def differences(self, now: "Fingerprint") -> dict[str, str]:
        """The changes up to `now`, by part: `12 files changed ('a.png', ...), 3 files new (...)`; empty if there are none."""
        found = {name: _difference(self.parts.get(name, ()), now.parts.get(name, ())) for name in {**self.parts, **now.parts}}
        return {name: text for name, text in found.items() if text}

    def repeated(self) -> list[tuple[str, str]]:
        """Pairs of names in different parts whose files hold the same bytes, such as links and copies."""
        first: dict[tuple[int, str], tuple[str, str]] = {}
        pairs = []
        for part, marks in self.parts.items():
            for mark in marks:
                if not (mark.size and mark.label):  # unreadable, or a file of many images
                    continue
                before = first.setdefault((mark.size, mark.digest), (part, mark.name))
                if before[0] != part:
                    pairs.append((before[1], mark.name))
        return pairs

    def csv(self) -> str:
        """The files as CSV, one line per file."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for part, marks in self.parts.items():
            writer.writerows((part, m.name, m.label, m.size, m.digest) for m in marks)
        return out.getvalue()

    @staticmethod
    def from_csv(text: str, where: str) -> "Fingerprint":
        """Parses the output of `csv`; InputError naming `where` for anything else."""
        rows = list(csv.reader(io.StringIO(text)))
        if not rows or tuple(rows[0]) != _COLUMNS or any(len(row) != len(_COLUMNS) or not row[3].isdecimal() for row in rows[1:]):
            raise InputError(f"{where}: is damaged: not a list of a data set's files")
        parts: dict[str, list[FileMark]] = {}
        for part, name, label, size, digest in rows[1:]:
            parts.setdefault(part, []).append(FileMark(name, label, int(size), digest))
        return Fingerprint({part: tuple(marks) for part, marks in parts.items()})


def digest_of(data: bytes | memoryview) -> str:
    """The hash of some bytes: BLAKE2b of 128 bits, hexadecimal."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def mark_arrays(name: str, arrays: Iterable[Tensor | None]) -> FileMark:
    """The mark of data that came as arrays instead of files: a hash of types, shapes and values."""
    digest, size = hashlib.blake2b(digest_size=_DIGEST_BYTES), 0
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        values = array.detach().cpu().contiguous().numpy()
        digest.update(f"{values.dtype} {values.shape}".encode())
        digest.update(values.data if values.size else b"")
        size += values.nbytes
    return FileMark(name, "", size, digest.hexdigest())


def repetition_note(fingerprint: Fingerprint) -> list[str]:
    """A note if images of one part are in another part too."""
    pairs = fingerprint.repeated()
    if not pairs:
        return []
    shown = [f"{one} = {other}" for one, other in pairs]
    copies = count(len(pairs), "file")
    return [f"the same image in two parts: {copies} with the same bytes: {few(shown)}; remove them from one part"]


def _difference(before: Sequence[FileMark], now: Sequence[FileMark]) -> str:
    old, new = {m.name: m for m in before}, {m.name: m for m in now}
    both = [name for name in old if name in new]
    groups = {
        "changed": [n for n in both if old[n].digest != new[n].digest],
        "of another class": [n for n in both if old[n].digest == new[n].digest and old[n].label != new[n].label],
        "new": [n for n in new if n not in old],
        "missing": [n for n in old if n not in new],
    }
    said = [f"{count(len(names), 'file')} {what} ({few(sorted(names), 2)})" for what, names in groups.items() if names]
    return ", ".join(said)
