"""The size of photographs where nobody names one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augury.train.data import default_side
from augury.train.data.dataset import load
from augury.train.data.default_side import default_size


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 70_000, (28, 28)),  # small images stay as they are, however many they are
        ([(48, 40)] * 10, (48, 40)),
        ([(40, 48), (48, 40), (40, 60)], (40, 40)),  # ... and of several sizes, the shorter side counts
        ([(96, 96)] * 5000, (96, 96)),  # a size of their own that takes no long time
        ([(96, 96)] * 50_000, (32, 32)),
        ([(333, 500)] * 400, (224, 224)),
        ([(333, 500), (500, 333)] * 200, (224, 224)),
        ([(333, 500), (400, 400)] * 2500, (128, 128)),
        ([(512, 512)] * 20_000, (64, 64)),
        ([(512, 512)] * 1_000_000, (32, 32)),
        ([(100, 120), (120, 100)], (64, 64)),
    ],
)
def test_the_largest_side_that_images_and_time_justify(
    sizes: list[tuple[int, int]], expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_side.torch.cuda, "is_available", lambda: False)
    assert default_size(sizes, sizes) == expected


def test_a_gpu_justifies_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_side.torch.cuda, "is_available", lambda: True)
    assert default_size([(512, 512)] * 100_000, []) == (224, 224)


def test_the_size_that_was_chosen_is_said(tmp_path: Path) -> None:
    for number in range(8):
        place = tmp_path / ("train" if number < 4 else "test") / ("ant" if number % 2 else "bee")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((333, 400, 3), 20 * number, np.uint8)).save(place / f"{number}.png")
    found = load(str(tmp_path))
    assert found.train.images.shape[-2:] == (224, 224)
    (note,) = [note for note in found.notes if note.startswith("sizes")]
    assert "224x224" in note and "the largest of 32, 64, 128 and 224" in note and "--image-size" in note
    named = load(str(tmp_path), image_size=100)
    assert named.train.images.shape[-1] == 100 and "the largest of" not in " ".join(named.notes)
