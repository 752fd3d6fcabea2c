"""Verifies checksums in files that Pillow does not verify."""

import struct
import zlib

_PNG = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">I4s")


def check_png(data: bytes) -> None:
    """Raises ValueError if a chunk of a PNG is cut short or does not match its checksum; other formats have no checksums.

    Pillow skips the checksums of chunks with pixels, so that a damaged file could become a different image.
    """
    if not data.startswith(_PNG):
        return
    view, place = memoryview(data), len(_PNG)
    while place < len(data):
        if place + 12 > len(data):
            raise ValueError("the file is cut short")
        length, kind = _HEAD.unpack_from(view, place)
        end = place + 8 + length
        if end + 4 > len(data):
            raise ValueError("the file is cut short")
        if zlib.crc32(view[place + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise ValueError(f"the checksum of its {kind.decode('latin-1')!r} part is wrong: the file is damaged")
        if kind == b"IEND":
            return
        place = end + 4
    raise ValueError("the file is cut short")
