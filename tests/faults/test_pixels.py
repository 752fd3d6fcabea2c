"""Pixels are what the file says: orientation, damage, ranges of values, sizes, and the same streamed as in memory."""

import io
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import image_folder, picture, save
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from samples import steady

from augury.core.errors import InputError, RunError
from augury.train.data.dataset import load
from augury.train.data.decode import decode
from augury.train.data.image import read_plain
from augury.train.data.intensity import Range, measured, to_levels
from augury.train.data.preparation import ReadOptions
from augury.train.data.resize import fit

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF", "GIF", "BMP", "PPM", "JPEG2000")
WITH_ORIENTATION = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def scene(side: tuple[int, int] = (24, 40)) -> Image.Image:
    """Smooth, so that what a damaged byte changes is seen, and different in every direction."""
    y, x = np.mgrid[: side[0], : side[1]]
    return Image.fromarray(np.stack([x * 6, y * 10, (x * y) % 256], -1).astype(np.uint8))


@pytest.mark.parametrize("kind", WITH_ORIENTATION)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_tag_turns_an_image_once(kind: str, orientation: int, tmp_path: Path) -> None:
    # Catches TIFFs that Pillow has turned already being turned again, and sizes taken before turning.
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(scene(), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    found, kinds = read_plain(data, 3)
    assert np.array_equal(np.asarray(found), expected) and ("rotated" in kinds) == (orientation > 1)
    whole = decode([data], ["a"], "DATA x")
    assert tuple(whole.images.shape[-2:]) == expected.shape[:2] and not any(n.startswith("sizes") for n in whole.notes)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate"])
def test_compressed_tiffs_too(compression: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene(), "TIFF", exif=exif, compression=compression)
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image)
    assert np.array_equal(np.asarray(read_plain(data, 3)[0]), np.asarray(expected))


def damaged(data: bytes, number: int) -> bytes:
    """The number-th damage of a file: a bit flipped, the end cut off, or sixteen bytes zeroed."""
    random = np.random.default_rng(number)
    place = int(random.integers(len(data)))
    if number % 3 == 0:
        return data[:place] + bytes([data[place] ^ 1 << int(random.integers(8))]) + data[place + 1 :]
    if number % 3 == 1:
        return data[:place]
    return data[:place] + bytes(min(16, len(data) - place)) + data[place + 16 :]


def outcomes(kind: str, count: int, cuts_only: bool = False) -> dict[str, int]:
    """How many damaged files are refused, decoded to the same pixels, and decoded to others."""
    data = encoded(scene(), kind)
    whole = np.asarray(read_plain(data, 3)[0])
    found = {"refused": 0, "identical": 0, "different": 0}
    for number in range(1, 3 * count, 3) if cuts_only else range(count):
        try:
            same = np.array_equal(np.asarray(read_plain(damaged(data, number), 3)[0]), whole)
            found["identical" if same else "different"] += 1
        except Exception:
            found["refused"] += 1
    return found


def test_a_damaged_png_is_refused_or_identical() -> None:
    # Catches Pillow's unchecked checksums of pixel chunks, and errors lost while EXIF is looked for.
    found = outcomes("PNG", 200)
    assert found["different"] == 0 and found["refused"] > 150


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_was_cut_short_is_refused_or_identical(kind: str) -> None:
    assert outcomes(kind, 60, cuts_only=True)["different"] == 0


def test_a_png_damaged_behind_its_first_rows_is_skipped_and_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path, each=6)
    whole = encoded(Image.fromarray(picture(5, (64, 64))), "PNG")
    (root / "train/cat/5.png").write_bytes(whole[: len(whole) // 2] + b"\0" * 9 + whole[len(whole) // 2 + 9 :])
    found = load(str(root))
    assert any("skipped: 1 file" in note and "train/cat/5.png" in note and "damaged" in note for note in found.notes)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 1000, 4095]], np.uint16), [0, 62, 255]),
        (np.array([[0, 300, 65535]], np.uint16), [0, 1, 255]),
        (np.array([[0, 7, 255]], np.uint16), [0, 7, 255]),
        (np.array([[-5, 0, 5]], np.int32), [0, 128, 255]),
        (np.array([[0, 500_000, 1_000_000]], np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 100, 255]], np.float32), [0, 100, 255]),
        (np.array([[-2, 0, 2]], np.float32), [0, 128, 255]),
    ],
    ids=["12 bits", "16 bits", "8 bits", "signed", "large", "fractions", "float levels", "signed float"],
)
def test_values_of_more_than_8_bits_keep_their_range(values: np.ndarray, expected: list[int]) -> None:
    data = encoded(Image.fromarray(values), "TIFF")
    found = decode([data], ["a"], "DATA x")
    assert np.allclose(found.images[0, 0, 0].numpy(), expected, atol=1), found.images
    assert any(note.startswith("intensity: ") and "--intensity-range" in note for note in found.notes)


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_16_bit_colour_keeps_its_low_bytes(byte_order: str) -> None:
    """12-bit colour in a 16-bit PNG, and a TIFF of either byte order: 16 levels, not one."""
    import struct
    import zlib

    values = np.random.default_rng(0).integers(0, 4096, (4, 5, 3), dtype=np.uint16)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    pixels = values.astype(f"{byte_order}u2").tobytes()
    order = byte_order
    entries = [(256, 4, 1, 5), (257, 4, 1, 4), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 14), (277, 3, 1, 3),
               (278, 4, 1, 4), (279, 4, 1, len(pixels))]  # fmt: skip
    start = 14 + len(pixels)
    body = struct.pack(f"{order}3H", 16, 16, 16) + pixels
    directory = struct.pack(f"{order}H", len(entries))
    for tag, type_, count, value in entries:
        inline = struct.pack(f"{order}HH", value, 0) if type_ == 3 and count == 1 else struct.pack(f"{order}I", value)
        directory += struct.pack(f"{order}HHI", tag, type_, count) + inline
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start) + body + directory + b"\0" * 4
    for data in (png, tiff):
        found = decode([data], ["a"], "DATA x")
        assert np.array_equal(found.images[0].permute(1, 2, 0).numpy(), (values >> 4).astype(np.uint8))
        assert any("0,4095 became grey levels" in note for note in found.notes)


def test_a_given_range_holds_for_the_whole_data_set_and_what_it_clips_is_counted() -> None:
    data = [encoded(Image.fromarray(np.array([[0, 500, high]], np.uint16)), "TIFF") for high in (1000, 3000)]
    found = decode(data, ["a", "b"], "DATA x", ReadOptions(intensity_range="0,1000"))
    assert found.images[:, 0, 0].tolist() == [[0, 128, 255], [0, 128, 255]]
    assert "1 image with values outside that range (clipped)" in found.notes[0]


def test_auto_measures_the_training_part_alone() -> None:
    data = [encoded(Image.fromarray(np.array([[0, 500, high]], np.uint16)), "TIFF") for high in (1000, 60000)]
    found = decode(data, ["train", "test"], "DATA x", leading=1)
    assert found.preparation.intensity == Range(0, 1023) and "1 image with values outside" in found.notes[0]


@pytest.mark.parametrize("text", ["", "1", "5,5", "9,1", "a,b", "0,inf", "nan,1", "1,2,3", "Auto"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="^--intensity-range: "):
        load("digits", intensity_range=text)


@steady
@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20))
def test_whole_numbers_keep_their_order_and_are_never_clipped_by_auto(values: list[int]) -> None:
    # Catches a range that is a bit too short, which would turn the brightest pixels into black or white.
    limits = measured([(min(values), max(values), True)])
    levels, clipped = to_levels(np.array([sorted(values)], np.int64), limits)
    assert not clipped and (np.diff(levels[0].astype(int)) >= 0).all()
    if max(values) > 0:
        assert levels.max() >= 127 or max(values) < 128


def test_a_long_thin_image_takes_little_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = fit(Image.fromarray(np.tile(picture(1, (2, 1000)), (1, 65, 1))), (224, 224))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    assert found.size == (224, 224) and grown < 200


def test_the_kept_box_alone_is_within_a_grey_level_of_resizing_everything() -> None:
    image = Image.fromarray(picture(2, (3, 300)))
    whole = image.resize((2200, 22), Image.Resampling.BILINEAR).crop((1089, 0, 1111, 22))
    difference = np.asarray(fit(image, (22, 22))).astype(int) - np.asarray(whole)
    assert np.abs(difference).max() <= 1


def test_streamed_images_are_those_in_memory_unreadable_ones_too(tmp_path: Path) -> None:
    root = image_folder(tmp_path, each=8, size=(9, 7))
    png = (root / "train/cat/3.png").read_bytes()
    (root / "train/cat/3.png").write_bytes(png[:-40] + bytes([png[-40] ^ 255]) + png[-39:])
    (root / "test/dog/1.png").write_bytes(b"no image")
    save(root / "train/dog/2.png", picture(99, (20, 12)))
    kept, streamed = load(str(root), stream="no"), load(str(root), stream="yes")
    for part in ("train", "validation", "test"):
        held, files = getattr(kept, part), getattr(streamed, part)
        assert torch.equal(files.images[torch.arange(len(held.ids))], held.images) and torch.equal(files.ids, held.ids)
    assert (kept.mean, kept.std) == (streamed.mean, streamed.std)
    assert kept.notes == streamed.notes[: len(kept.notes)] and "skipped: 2 files" in "".join(streamed.notes)
    assert kept.origin is not None and streamed.origin is not None
    assert kept.origin.fingerprint.digest() == streamed.origin.fingerprint.digest()


def test_a_streamed_file_that_is_lost_says_what_helps(tmp_path: Path) -> None:
    root = image_folder(tmp_path, each=8)
    images = load(str(root), stream="yes").train.images
    for path in (root / "train").rglob("*.png"):
        path.unlink()
    with pytest.raises(RunError, match=r"cannot be read any more \(.*\); put it back as it was, then --resume$"):
        images[torch.arange(2)]


@pytest.mark.parametrize("part", ["train", "test"])
def test_what_is_no_file_is_skipped_and_never_waited_for(part: str, tmp_path: Path) -> None:
    root = image_folder(tmp_path, each=6)
    os.mkfifo(root / part / "cat" / "pipe.png")
    os.symlink("/dev/zero", root / part / "dog" / "device.png")
    found = load(str(root))
    note = "".join(found.notes)
    assert (
        "skipped: 2 files" in note and "pipe.png (a named pipe, not a file)" in note and "device.png (a device, not a file)" in note
    )
