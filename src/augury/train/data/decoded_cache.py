"""A disk cache of decoded images: the files of a data set are decoded and resized once, and memory-mapped from then on.

An entry is KEY.pixels, the bytes of uint8 [N,C,H,W], and KEY.json, everything else that decoding found; or KEY.json alone, which
refers to another entry or describes images that stay in their files. KEY is a hash of the files (path, size, times, inode) and of
the decoding options, so that an edited file makes a new entry. Each file is written under a temporary name and renamed, KEY.json
last: if two processes write the same entry at once, the later wins and nothing is mixed. Reading verifies the pixels' checksum.
"""

import json
import os
import shutil
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.fingerprint import digest_of
from augury.train.data.image import Source

VERSION = 1
OFF = "off"
VARIABLE = "AUGURY_CACHE"
DEFAULT = "~/.cache/augury/decoded"
# Total bytes of all entries, beyond which the oldest are removed; and the largest share of the free disk space to use.
LIMIT = 32 << 30
FREE_SHARE = 0.5


@dataclass(frozen=True)
class Entry:
    """A cached data set. images: uint8 [N,C,H,W], memory-mapped, or None if images stay in their files. about: plain values."""

    images: Tensor | None
    about: dict[str, Any]


@dataclass(frozen=True)
class DecodedCache:
    """The entries in a folder. limit: their total size in bytes."""

    folder: Path
    limit: int = LIMIT

    @staticmethod
    def of(text: str | None) -> "DecodedCache | None":
        """The cache that `--cache DIR|off` names; by default that of the variable AUGURY_CACHE, or a folder in the user's cache."""
        told = os.environ.get(VARIABLE, DEFAULT) if text is None else text
        if not told.strip():
            raise InputError("--cache: is empty; name a folder, or `off`")
        if told == OFF:
            return None
        folder = Path(told).expanduser()
        try:
            usable = folder.is_dir() or not folder.exists()
        except (OSError, ValueError) as error:  # not a valid file name
            raise InputError(f"--cache {told}: {getattr(error, 'strerror', None) or error}; name a folder, or `off`") from None
        if not usable:
            raise InputError(f"--cache {told}: is not a folder; name one, or `off`")
        return DecodedCache(folder)

    def find(self, key: str) -> tuple[Entry | None, str | None]:
        """The entry or None, and a note if there was a damaged one, which is removed."""
        about_file, pixels = self._files(key)
        try:
            about: dict[str, Any] = json.loads(about_file.read_text(encoding="utf-8"))
            if "same" in about:
                return self.find(str(about["same"]))
            images = None
            if about["shape"] is not None:
                shape = tuple(about["shape"])
                if pixels.stat().st_size != int(np.prod(shape)):
                    raise ValueError("wrong size")
                images = torch.from_file(str(pixels), shared=False, size=int(np.prod(shape)), dtype=torch.uint8).view(shape)
                if zlib.crc32(images.numpy().data) != about["checksum"]:
                    raise ValueError("wrong checksum")
            os.utime(about_file)  # the time of the last use decides which entries are removed first
        except FileNotFoundError:
            return None, None
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            self._remove(key)
            return None, f"cache: {about_file} was damaged ({error}); the images are decoded again"
        return Entry(images, about["about"]), None

    def store(self, key: str, images: Tensor | None, about: dict[str, Any]) -> str | None:
        """Stores an entry; returns a note if that is not possible."""
        size = 0 if images is None else images.nbytes
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            most = min(self.limit, int(FREE_SHARE * shutil.disk_usage(self.folder).free) + self._size())
            if size > most:
                return (
                    f"cache: not kept, since {size / 2**30:.1f} GiB exceed its {most / 2**30:.1f} GiB; every command decodes "
                    "these images again; --cache DIR names a place with more room"
                )
            self._make_room(most - size)
            about_file, pixels = self._files(key)
            shape, checksum = None, 0
            if images is not None:
                values = images.contiguous().numpy()
                shape, checksum = list(images.shape), zlib.crc32(values.data)
                _write(pixels, values.data)
            text = json.dumps({"version": VERSION, "shape": shape, "checksum": checksum, "about": about})
            _write(about_file, text.encode())
        except OSError as error:
            self._remove(key)
            return (
                f"cache: {self.folder} cannot be written ({error.strerror or error}); every command decodes these images again; "
                "--cache DIR names another place, --cache off needs none"
            )
        return None

    def link(self, key: str, to: str) -> str | None:
        """Adds another key for an entry; returns a note if that is not possible."""
        try:
            _write(self._files(key)[0], json.dumps({"same": to}).encode())
        except OSError as error:
            return f"cache: {self.folder} cannot be written ({error.strerror or error})"
        return None

    def _files(self, key: str) -> tuple[Path, Path]:
        return self.folder / f"{key}.json", self.folder / f"{key}.pixels"

    def _remove(self, key: str) -> None:
        for file in self._files(key):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def _size(self) -> int:
        return sum(_bytes(file) for file in self.folder.glob("*.pixels"))

    def _make_room(self, most: int) -> None:
        """Removes the least recently used entries until the others take at most `most` bytes."""
        entries = sorted(self.folder.glob("*.json"), key=lambda file: (_used(file), file.name))
        total = self._size()
        for file in entries:
            if total <= most:
                return
            total -= _bytes(file.with_suffix(".pixels"))
            self._remove(file.stem)


def key_of(sources: Sequence[Source], names: Sequence[str], asked: Any) -> str:
    """The key of an entry: a hash of these files in their present state, their names, and the options `asked`, plain values."""
    head = json.dumps([VERSION, PIL.__version__, asked], sort_keys=True)
    return digest_of("\n".join([head, *map(_mark, sources), *names]).encode("utf-8", "surrogateescape"))


def _mark(source: Source) -> str:
    """What identifies the state of a file without reading it; for bytes, their hash."""
    if isinstance(source, bytes):
        return digest_of(source)
    try:
        found = os.stat(source)
    except OSError as error:
        return f"{source} {error.errno}"
    return f"{os.path.abspath(source)} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _write(path: Path, data: Any) -> None:
    """Writes a file under a temporary name and renames it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            file.write(data)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _used(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
