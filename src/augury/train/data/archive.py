"""Checks the declared sizes of an archive of arrays before unpacking it, since a few megabytes can expand to fill the memory."""

import io
import math
import os
import zipfile
from collections.abc import Collection
from pathlib import Path

from numpy.lib import format as npy

from augury.core.errors import InputError

# Real images never compress more than TIGHTEST times; small arrays may, since they do no harm.
HARMLESS_BYTES, TIGHTEST = 2**29, 200


def check_sizes(path: Path, archive: zipfile.ZipFile, names: Collection[str]) -> None:
    """InputError if an array of these names does not have the size that it declares, or if the arrays do not fit into memory."""
    total = 0
    for member in archive.infolist():
        if member.filename.removesuffix(".npy") not in names:
            continue
        with archive.open(member) as stream:
            declared = _declared(io.BytesIO(stream.read(min(member.file_size, 1 << 16))))
        if declared is not None and declared != member.file_size:
            raise InputError(
                f"{path}: {member.filename} declares {declared} bytes and holds {member.file_size}; write it again with numpy.savez"
            )
        total += member.file_size
        if member.file_size > HARMLESS_BYTES and member.file_size > TIGHTEST * member.compress_size:
            raise InputError(
                f"{path}: {member.filename} would expand from {member.compress_size / 2**20:.1f} MB to "
                f"{member.file_size / 2**30:.1f} GB; if that is intended, store it with numpy.savez, which does not compress"
            )
    if total > (room := _memory()):
        raise InputError(
            f"{path}: holds {total / 2**30:.1f} GB, but this computer has {room / 2**30:.1f} GB; use a folder of image files"
        )


def _declared(start: io.BytesIO) -> int | None:
    """The size in bytes that an array's header declares, header included; None for pickled objects and non-arrays."""
    try:
        version = npy.read_magic(start)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(start)
    except (ValueError, EOFError):
        return None
    return None if dtype.hasobject else start.tell() + math.prod(shape) * dtype.itemsize


def _memory() -> int:
    """The computer's memory in bytes; 2**62 if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 2**62
