"""Decoded images on disk, so that a data set's files are decoded and brought to size once, and mapped into memory from then on.

An entry is two files: KEY.pixels, the bytes of uint8 [N,C,H,W], and KEY.json, whatever else decoding found out; or
KEY.json alone, which names another entry. They are named by a
hash of the files (path, size, times, inode) and of what was asked of them, so that an edited file makes another entry. Each is
written beside its place and renamed into it, KEY.json last: of two processes that write the same entry at a time, the later wins
and nothing is mixed. Reading checks the pixels' checksum.
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
# Bytes of all entries together, beyond which the oldest go; and no more than this share of what the disk has free.
LIMIT = 32 << 30
FREE_SHARE = 0.5


@dataclass(frozen=True)
class Entry:
    """What the cache holds of a data set. images uint8 [N,C,H,W], mapped from the file, or None where images stay in their files.
    about: plain values."""

    images: Tensor | None
    about: dict[str, Any]


@dataclass(frozen=True)
class DecodedCache:
    """The entries of a folder. limit: bytes of all together."""

    folder: Path
    limit: int = LIMIT

    @staticmethod
    def of(text: str | None) -> "DecodedCache | None":
        """What `--cache DIR|off` means; without it, what the variable AUGURY_CACHE says, or a folder of the user's cache."""
        told = os.environ.get(VARIABLE, DEFAULT) if text is None else text
        if not told.strip():
            raise InputError("--cache: is empty; name a folder, or `off`")
        if told == OFF:
            return None
        folder = Path(told).expanduser()
        try:
            usable = folder.is_dir() or not folder.exists()
        except (OSError, ValueError) as error:  # a name that no file can have
            raise InputError(f"--cache {told}: {getattr(error, 'strerror', None) or error}; name a folder, or `off`") from None
        if not usable:
            raise InputError(f"--cache {told}: is no folder; name one, or `off`")
        return DecodedCache(folder)

    def find(self, key: str) -> tuple[Entry | None, str | None]:
        """The entry, and a note where there is one that cannot be used: it is removed."""
        about_file, pixels = self._files(key)
        try:
            about: dict[str, Any] = json.loads(about_file.read_text(encoding="utf-8"))
            if "same" in about:
                return self.find(str(about["same"]))
            images = None
            if about["shape"] is not None:
                shape = tuple(about["shape"])
                if pixels.stat().st_size != int(np.prod(shape)):
                    raise ValueError("another size")
                images = torch.from_file(str(pixels), shared=False, size=int(np.prod(shape)), dtype=torch.uint8).view(shape)
                if zlib.crc32(images.numpy().data) != about["checksum"]:
                    raise ValueError("another checksum")
            os.utime(about_file)  # the oldest go first, by when they were last used
        except FileNotFoundError:
            return None, None
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            self._remove(key)
            return None, f"cache: {about_file} was damaged ({error}); the images are decoded anew"
        return Entry(images, about["about"]), None

    def store(self, key: str, images: Tensor | None, about: dict[str, Any]) -> str | None:
        """Keep an entry; a note where that was not possible."""
        size = 0 if images is None else images.nbytes
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            most = min(self.limit, int(FREE_SHARE * shutil.disk_usage(self.folder).free) + self._size())
            if size > most:
                return (
                    f"cache: not kept, {size / 2**30:.1f} GiB are more than its {most / 2**30:.1f} GiB; every command decodes "
                    "these images anew; --cache DIR names a place with more room"
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
                f"cache: {self.folder} cannot be written ({error.strerror or error}); every command decodes these images anew; "
                "--cache DIR names another place, --cache off needs none"
            )
        return None

    def link(self, key: str, to: str) -> str | None:
        """Another name of an entry; a note where that was not possible."""
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
        """Remove entries, those that were not used for longest first, until the others take at most `most` bytes."""
        entries = sorted(self.folder.glob("*.json"), key=lambda file: (_used(file), file.name))
        total = self._size()
        for file in entries:
            if total <= most:
                return
            total -= _bytes(file.with_suffix(".pixels"))
            self._remove(file.stem)


def key_of(sources: Sequence[Source], names: Sequence[str], asked: Any) -> str:
    """The name of an entry: of these files as they are now, called so, brought to what is `asked`, plain values."""
    head = json.dumps([VERSION, PIL.__version__, asked], sort_keys=True)
    return digest_of("\n".join([head, *map(_mark, sources), *names]).encode("utf-8", "surrogateescape"))


def _mark(source: Source) -> str:
    """What tells a file from another without reading it; bytes by their hash."""
    if isinstance(source, bytes):
        return digest_of(source)
    try:
        found = os.stat(source)
    except OSError as error:
        return f"{source} {error.errno}"
    return f"{os.path.abspath(source)} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _write(path: Path, data: Any) -> None:
    """Write a file beside its place and rename it into it."""
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
