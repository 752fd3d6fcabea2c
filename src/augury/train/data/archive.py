"""Checks the declared sizes of an archive of arrays before unpacking it: a few megabytes can expand to all memory."""

import io
import math
import os
import zipfile
from collections.abc import Collection
from pathlib import Path

from numpy.lib import format as npy

from augury.core.errors import InputError

# Real images are never packed so tightly; what is small may be, since it does no harm.
HARMLESS_BYTES, TIGHTEST = 2**29, 200


def check_sizes(path: Path, archive: zipfile.ZipFile, names: Collection[str]) -> None:
    """InputError if the arrays of these names do not have the size that they declare, or would fill the memory."""
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
                f"{path}: {member.filename} would unpack {member.compress_size / 2**20:.1f} MB to {member.file_size / 2**30:.1f} "
                "GB; if that is meant, store it with numpy.savez, which does not pack"
            )
    if total > (room := _memory()):
        raise InputError(f"{path}: holds {total / 2**30:.1f} GB, this computer {room / 2**30:.1f} GB; use a folder of image files")


def _declared(start: io.BytesIO) -> int | None:
    """How many bytes an array's header says it has, with the header; None for pickled objects and for what is no array."""
    try:
        version = npy.read_magic(start)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(start)
    except (ValueError, EOFError):
        return None
    return None if dtype.hasobject else start.tell() + math.prod(shape) * dtype.itemsize


def _memory() -> int:
    """The computer's memory in bytes; without a bound where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 2**62
