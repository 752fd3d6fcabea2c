"""Contact sheets: the right pixels in the right places."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from augury.augment.shown import original_heading
from augury.core.errors import InputError
from augury.explain.report.sheet import Block, _wrap, sheet, sheets


def opened(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG" and image.mode == "RGB"
        return np.asarray(image).astype(int)


def colours(rows: int, columns: int, side: int) -> np.ndarray:
    """Flat images, each of its own colour: uint8 [columns, rows, 3, side, side]."""
    flat = np.arange(rows * columns * 3, dtype=np.uint8).reshape(columns, rows, 3) * 5 + 3
    return np.broadcast_to(flat[..., None, None], (columns, rows, 3, side, side)).copy()


def places(picture: np.ndarray, colour: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, height, width of the box of one colour."""
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1), "not a filled box"
    return int(rows.min()), int(columns.min()), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


@pytest.mark.parametrize(("side", "shown"), [(32, 96), (28, 112), (96, 96), (100, 100), (300, 160)])
def test_rows_are_images_and_columns_are_draws(side: int, shown: int) -> None:
    images = colours(rows=2, columns=3, side=side)
    picture = opened(sheet(torch.from_numpy(images[0]), [torch.from_numpy(draw) for draw in images[1:]], title="a"))
    boxes = [[places(picture, images[column, row, :, 0, 0]) for row in range(2)] for column in range(3)]
    assert {box[2:] for column in boxes for box in column} == {(shown, shown)}
    assert all(column[0][0] < column[1][0] and column[0][1] == column[1][1] for column in boxes)
    assert boxes[0][0][1] < boxes[1][0][1] < boxes[2][0][1]
    assert len({column[0][0] for column in boxes}) == 1


def test_small_images_are_enlarged_pixel_by_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 8, 8), dtype=np.uint8)
    picture = opened(sheet(image, []))
    square = np.kron(image[0, 0], np.ones((12, 12), int))
    found = np.lib.stride_tricks.sliding_window_view(picture[:, :, 0], (96, 96))
    assert (found == square).all(axis=(2, 3)).any()


def test_captions_are_drawn_and_fit_their_column() -> None:
    images = colours(rows=1, columns=2, side=32)
    plain = opened(sheet(images[0], [images[1]]))
    long = "posterize 4 bits, translate_y 0.13, brightness 1.33, solarize 192, rotate −30.0°, and_one_word_without_any_end_at_all"
    said = opened(sheet(images[0], [images[1]], [[long]]))
    assert said.shape[1] == plain.shape[1] and plain.shape[0] < said.shape[0] <= plain.shape[0] + 6 * 13
    left, width = places(said, images[1, 0, :, 0, 0])[1::2]
    top = places(said, images[1, 0, :, 0, 0])[0] + 96
    written = np.nonzero((said[top:] != said[0, 0]).any(axis=2))[1]
    assert left <= written.min() and written.max() < left + width


def test_blocks_stand_below_each_other() -> None:
    images = colours(rows=2, columns=2, side=32)
    parts = [Block("a", images[0], [images[1]]), Block("b", images[1], [images[0], images[0]], names=["x", "y"])]
    heights = [opened(sheets([part])).shape[0] for part in parts]
    assert opened(sheets(parts)).shape[0] == sum(heights)


def test_sizes_may_differ_between_originals_and_draws() -> None:
    opened(sheet(np.zeros((2, 1, 40, 20), np.uint8), [np.zeros((2, 1, 32, 32), np.uint8)]))


@pytest.mark.parametrize("channels", [2, 4, 5, 16])
def test_of_other_channels_the_first_are_shown(channels: int) -> None:
    made = np.random.default_rng(0).integers(0, 256, (2, channels, 96, 96), dtype=np.uint8)
    shown = made[:, :1] if channels == 2 else made[:, :3]
    one, other = opened(sheet(made, [made])), opened(sheet(shown, [shown]))
    head = len(other) - 2 * 96 - 30  # what stands above the pictures differs: the heading has two lines
    more = len(one) - len(other)
    assert more > 0 and (one[head + more :] == other[head:]).all() and one[head:].std() > 20
    assert " ".join(_wrap(original_heading(channels), 96, most=2)) == original_heading(channels), "nothing is cut"


@pytest.mark.parametrize(
    ("before", "after", "captions", "word"),
    [
        (np.zeros((2, 3, 8, 8), np.float32), [], None, "uint8"),
        (np.zeros((2, 0, 8, 8), np.uint8), [], None, "R,C,H,W"),
        (np.zeros((3, 8, 8), np.uint8), [], None, "R,C,H,W"),
        (np.zeros((0, 3, 8, 8), np.uint8), [], None, "at least 1"),
        (np.zeros((2, 3, 8, 8), np.uint8), [np.zeros((1, 3, 8, 8), np.uint8)], None, "as many"),
        (np.zeros((2, 3, 8, 8), np.uint8), [np.zeros((2, 3, 8, 8), np.uint8)], [["a"]], "captions"),
    ],
)
def test_what_does_not_fit_is_refused(
    before: np.ndarray, after: list[np.ndarray], captions: list[list[str]] | None, word: str
) -> None:
    with pytest.raises(InputError, match=word):
        sheet(before, after, captions)


def test_the_name_of_a_file_is_whole_under_a_small_picture() -> None:
    # Catches a path that is cut at the width of its picture, so that nobody could find the file.
    lines = _wrap("id 1600, train/cardboard/00160-of-12.png, seen as plastic, loss 8.46", 96)
    assert "".join(lines).replace(" ", "") == "id1600,train/cardboard/00160-of-12.png,seenasplastic,loss8.46"
