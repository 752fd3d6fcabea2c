"""Decoding: every mode to its plain form, counted; what cannot be read is skipped, counted and named."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import picture, save
from PIL import Image

from augury.core.errors import InputError
from augury.train.data.decode import decode
from augury.train.data.preparation import Preparation, ReadOptions
from augury.train.data.resize import cut_away, fit, fit_tensor


def one(tmp_path: Path, image: Image.Image, suffix: str = "png", **options: object) -> tuple[np.ndarray, tuple[str, ...]]:
    """An image saved, then decoded beside a colour image of the same size: uint8 [H,W,3] and the notes."""
    path = tmp_path / f"image.{suffix}"
    image.save(path, **options)
    with Image.open(path) as opened:
        width, height = opened.size
        if opened.getexif().get(0x0112, 1) in range(5, 9):
            width, height = height, width
    colour = save(tmp_path / "colour.png", picture(0, (height, width)))
    found = decode([path, colour], ["image", "colour"], "DATA x")
    return found.images[0].permute(1, 2, 0).numpy(), found.notes


def test_rgb_is_untouched_and_says_nothing(tmp_path: Path) -> None:
    pixels = picture(1)
    found, notes = one(tmp_path, Image.fromarray(pixels))
    assert np.array_equal(found, pixels) and notes == ()


def test_grey_among_colour(tmp_path: Path) -> None:
    pixels = picture(1, channels=1)
    found, notes = one(tmp_path, Image.fromarray(pixels))
    assert np.array_equal(found, np.repeat(pixels[..., None], 3, 2))
    assert notes == ("converted: 1 grey image to RGB",)


def test_bilevel(tmp_path: Path) -> None:
    pixels = picture(1, channels=1) > 128
    found, _ = one(tmp_path, Image.fromarray(pixels))
    assert np.array_equal(found[..., 0], pixels * np.uint8(255))


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(picture(1)).quantize(16)
    found, notes = one(tmp_path, image)
    table = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    assert np.array_equal(found, table[np.asarray(image)]) and "1 palette image" in notes[0]


def test_cmyk(tmp_path: Path) -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 1] = 255  # all magenta: no green
    found, notes = one(tmp_path, Image.frombytes("CMYK", (8, 8), ink.tobytes()), "tif")
    assert found[..., 1].max() <= 2 and found[..., 0].min() >= 253 and "1 CMYK image" in notes[0]


def test_16_bit_grey_keeps_the_high_byte(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256], [32768, 65279, 65535]], np.uint16)
    found, notes = one(tmp_path, Image.fromarray(values))
    assert np.array_equal(found[..., 0], (values >> 8).astype(np.uint8)) and "1 image of more than 8 bits" in notes[0]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_16_bit_colour_is_told_though_pillow_hides_it(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (4, 5, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0))
    path = tmp_path / "deep.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    found = decode([path], ["deep"], "DATA x")
    assert np.array_equal(found.images[0].permute(1, 2, 0).numpy(), (values >> 8).astype(np.uint8))
    assert "1 image of more than 8 bits" in found.notes[0]


def test_transparency_is_composited_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0] = (10, 20, 30, 255)
    pixels[1] = (0, 0, 0, 0)
    pixels[1, 1] = (100, 0, 200, 128)
    found, notes = one(tmp_path, Image.fromarray(pixels))
    assert (found[0] == (10, 20, 30)).all() and (found[1, 0] == 255).all()
    assert np.allclose(found[1, 1], 255 + (np.array([100, 0, 200]) - 255.0) * 128 / 255, atol=1)
    assert "1 image with transparency (composited on white)" in notes[0]


def test_grey_with_transparency_stays_one_channel(tmp_path: Path) -> None:
    pixels = np.array([[[7, 255], [7, 0]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    found = decode([tmp_path / "grey.png"], ["grey"], "DATA x")
    assert found.images.tolist() == [[[[7, 255]]]] and "transparency" in found.notes[0]


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.frombytes("P", (2, 1), bytes([0, 1]))
    image.putpalette([1, 2, 3, 4, 5, 6])
    found, notes = one(tmp_path, image, "png", transparency=1)
    assert found.tolist() == [[[1, 2, 3], [255, 255, 255]]]
    assert "1 palette image" in notes[0] and "1 image with transparency" in notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, tmp_path: Path) -> None:
    # Table of the EXIF standard: where row 0 and column 0 of the stored array lie in the scene.
    upright = picture(3, (4, 6))
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: upright[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    found, notes = one(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), "png", exif=exif)
    assert np.array_equal(found, upright)
    assert ("1 image turned upright by the EXIF tag" in "".join(notes)) == (orientation > 1)
    assert not any(note.startswith("sizes") for note in notes)


def test_a_damaged_exif_loses_no_pixels(tmp_path: Path) -> None:
    Image.fromarray(picture(3)).save(tmp_path / "a.png", exif=b"Exif\0\0XXXXdamaged")
    found = decode([tmp_path / "a.png"], ["a"], "DATA x")
    assert np.array_equal(found.images[0].permute(1, 2, 0).numpy(), picture(3)) and found.notes == ()


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_one_transparent_colour(mode: str, tmp_path: Path) -> None:
    black_and_grey = Image.frombytes("L", (2, 1), bytes([0, 255])).convert(mode)
    found, notes = one(tmp_path, black_and_grey, "png", transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert found.tolist() == [[[255] * 3, [255] * 3]] and "1 image with transparency" in notes[0]


def test_exif_in_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    bright_left = np.zeros((16, 32, 3), np.uint8)
    bright_left[:, :16] = 255
    found, notes = one(tmp_path, Image.fromarray(bright_left), "jpg", exif=exif)
    assert found.shape == (32, 16, 3) and found[:14].min() > 240 and found[18:].max() < 15
    assert "turned upright" in notes[0]


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    found, notes = one(tmp_path, frames[0], "gif", save_all=True, append_images=frames[1:])
    assert (found == (255, 0, 0)).all() and "first frame used" in notes[0]


def test_all_grey_is_one_channel_without_a_word(tmp_path: Path) -> None:
    pixels = [picture(i, channels=1) for i in range(3)]
    found = decode([save(tmp_path / f"{i}.png", p) for i, p in enumerate(pixels)], ["a", "b", "c"], "DATA x")
    assert np.array_equal(found.images[:, 0].numpy(), np.stack(pixels)) and found.notes == ()


def test_sizes_that_differ_get_the_most_common_of_the_leading_ones(tmp_path: Path) -> None:
    sizes = [(8, 8), (8, 8), (10, 6), (20, 20), (20, 20), (20, 20)]
    paths = [save(tmp_path / f"{i}.png", picture(i, size)) for i, size in enumerate(sizes)]
    found = decode(paths, list("abcdef"), "DATA x", leading=3)
    assert found.images.shape == (6, 3, 8, 8)
    assert np.array_equal(found.images[0].permute(1, 2, 0).numpy(), picture(0, (8, 8)))
    assert found.notes[0].startswith("sizes: 4 images resized to 8x8")


def test_a_common_size_that_is_not_square_gives_its_shorter_side(tmp_path: Path) -> None:
    sizes = [(6, 9), (6, 9), (20, 20)]
    paths = [save(tmp_path / f"{i}.png", picture(i, size)) for i, size in enumerate(sizes)]
    found = decode(paths, list("abc"), "DATA x")
    assert found.images.shape == (3, 3, 6, 6) and found.notes[0].startswith("sizes: 3 images resized to 6x6")
    assert np.array_equal(found.images[0].permute(1, 2, 0).numpy(), picture(0, (6, 9))[:, 1:7])


def test_equal_sizes_that_are_not_square_stay(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", picture(i, (4, 7))) for i in range(2)]
    assert decode(paths, ["a", "b"], "DATA x").images.shape == (2, 3, 4, 7)
    assert decode(paths, ["a", "b"], "DATA x", ReadOptions(image_size=5)).images.shape == (2, 3, 5, 5)


def test_short_side_is_resized_and_the_centre_cut_out() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert (np.asarray(fit(Image.fromarray(wide), (10, 10))) == 200).all()
    reference = Image.fromarray(picture(4, (10, 30))).resize((15, 5), Image.Resampling.BILINEAR).crop((5, 0, 10, 5))
    assert np.array_equal(np.asarray(fit(Image.fromarray(picture(4, (10, 30))), (5, 5))), np.asarray(reference))


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_are_resized_as_files_are(channels: int) -> None:
    pixels = [picture(i, (9, 7), channels) for i in range(3)]
    tensor = torch.from_numpy(np.stack(pixels).reshape(3, 9, 7, channels)).permute(0, 3, 1, 2)
    expected = [np.asarray(fit(Image.fromarray(p), (4, 4))).reshape(4, 4, channels) for p in pixels]
    assert np.array_equal(fit_tensor(tensor, (4, 4)).permute(0, 2, 3, 1).numpy(), np.stack(expected))


def test_unreadable_files_are_skipped_counted_and_named(tmp_path: Path) -> None:
    good = [save(tmp_path / f"{i}.png", picture(i)) for i in range(5)]
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    stream = io.BytesIO()
    Image.fromarray(picture(9, (64, 64))).save(stream, "JPEG")
    truncated, empty = tmp_path / "cut.jpg", tmp_path / "empty.png"
    truncated.write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    empty.touch()
    found = decode(
        [good[0], text, *good[1:3], truncated, empty, *good[3:]], ["g0", "t", "g1", "g2", "c", "e", "g3", "g4"], "DATA x"
    )
    assert found.rows.tolist() == [0, 2, 3, 6, 7]
    assert np.array_equal(found.images[1].permute(1, 2, 0).numpy(), picture(1))
    note = found.notes[-1]
    assert note.startswith("skipped: 3 files") and "t (not an image)" in note and "c (" in note and "e (" in note


def test_mostly_unreadable_is_refused(tmp_path: Path) -> None:
    paths = [save(tmp_path / "good.png", picture(0)), tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths[1:]:
        path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="^DATA x: 2 of 3 files cannot be read as images, the first 'a'"):
        decode(paths, ["good", "a", "b"], "DATA x")


@pytest.mark.parametrize(
    ("name", "content"), [("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), ("a.pkl", b"\x80\x04N.")]
)
def test_formats_that_run_programs_are_no_images(name: str, content: bytes, tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", picture(i)) for i in range(2)]
    (tmp_path / name).write_bytes(content)
    found = decode([*paths, tmp_path / name], ["a", "b", "c"], "DATA x")
    assert found.rows.tolist() == [0, 1] and "c (not an image)" in found.notes[-1]


def test_values_that_are_not_numbers_are_no_image(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", picture(i, (4, 4))) for i in range(2)]
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "float.tif")
    found = decode([*paths, tmp_path / "float.tif"], ["a", "b", "c"], "DATA x")
    assert found.rows.tolist() == [0, 1] and "c (holds values that are not finite numbers)" in found.notes[-1]


def test_bytes_are_decoded_like_files(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture(0))
    assert torch.equal(decode([path.read_bytes()], ["a"], "x").images, decode([path], ["a"], "x").images)


def test_other_shapes_are_covered_fitted_or_stretched() -> None:
    # Three bands of 10 rows: covering 10x10 keeps the middle one, fitting keeps all on black, stretching fills the square.
    bands = np.repeat(np.array([50, 100, 200], np.uint8), 10)[:, None].repeat(10, 1)
    image = Image.fromarray(bands)
    covered, fitted, stretched = (np.asarray(fit(image, (10, 10), how)) for how in ("cover", "fit", "stretch"))  # type: ignore[arg-type]
    assert (covered == 100).all()
    assert (fitted[:, :3] == 0).all() and (fitted[:, 6:] == 0).all() and fitted[0, 4] == 50 and fitted[-1, 4] == 200
    assert (stretched == stretched[:, :1]).all() and stretched[0, 0] == 50 and stretched[-1, -1] == 200
    wide = Image.fromarray(bands.T.copy())
    assert (np.asarray(fit(wide, (5, 10), "fit"))[0] == 0).all() and np.asarray(fit(wide, (5, 10))).shape == (5, 10)


@pytest.mark.parametrize(("size", "target", "share"), [((30, 10), (10, 10), 2 / 3), ((10, 30), (20, 20), 2 / 3),
                                                       ((128, 64), (256, 128), 0.0),
                                                       ((128, 64), (256, 256), 0.5), ((100, 80), (50, 50), 0.2)])  # fmt: skip
def test_the_share_that_covering_cuts_away(size: tuple[int, int], target: tuple[int, int], share: float) -> None:
    assert cut_away(size, target) == pytest.approx(share)


def test_the_note_says_what_was_cut_away(tmp_path: Path) -> None:
    paths = []
    for number, height in enumerate((20, 10, 40)):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(np.zeros((height, 10), np.uint8)).save(paths[-1])
    names = [path.name for path in paths]
    (note,) = decode(paths, names, "DATA x", ReadOptions((10, 10))).notes
    assert "62 % of each image cut away on average, 75 % at most" in note and "--resize fit or stretch" in note
    assert "stretched" in decode(paths, names, "DATA x", ReadOptions((10, 10), resize="stretch")).notes[0]
    small = decode(paths, names, "DATA x", ReadOptions((10, 10), "yes", resize="fit"))
    assert small.images[torch.arange(3)].shape == (3, 1, 10, 10) and small.images.how == "fit"  # type: ignore[attr-defined]
    assert small.images.whole(2).size == (10, 40)  # type: ignore[attr-defined]
    kept = Preparation.of(small.preparation.plain())
    assert kept == small.preparation and kept.resize == "fit" and ReadOptions(like=kept).how == "fit"
