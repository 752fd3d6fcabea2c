"""The chains and settings that the page on augmentation invariant training gives are what the paper trains with."""

import re
from pathlib import Path

import pytest
import torch
import yaml

import augury
from augury.core.noise import Noise
from augury.train.engine.schedule import rate_at
from augury.train.engine.settings import Settings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "augmentation-invariant-training.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (r[a-z,]+) \| `([^`]+)` \| (?:`([^`]+)` )?\|$", PAGE, re.MULTILINE)
LETTERS = {"p": "crop", "g": "grayscale", "c": "color_jitter"}


@pytest.mark.parametrize(("name", "chain", "second"), ROWS, ids=[row[0] for row in ROWS])
def test_each_letter_is_a_stage_and_all_flip(name: str, chain: str, second: str) -> None:
    for letters, text in zip(name.split(","), filter(None, (chain, second)), strict=True):
        stages = [stage.name for stage in augury.pipeline(text).stages]
        wanted = [LETTERS[letter] for letter in letters[1:] if letter != "h"]
        assert stages == [*wanted, "flip"]


def test_all_eleven_rows_of_table_5_are_there() -> None:
    names = ["rh", "rp", "rg", "rc", "rpg", "rpc", "rgc", "rpgc", "rp,rg", "rp,rc", "rg,rc"]
    assert [row[0] for row in ROWS] == names


def test_colour_changes_by_a_tenth_and_a_tenth_turns_grey() -> None:
    chain = next(text for name, text, _ in ROWS if name == "rgc")
    images = torch.full((4000, 3, 2, 2), 100, dtype=torch.uint8)
    images[:, 0] = 200
    ids = torch.arange(4000)
    batch, _ = augury.pipeline(chain).run(augury.Batch(images, None, ids), Noise.of(0, ids))
    pixels = batch.images[:, :, 0, 0].int()
    grey = (pixels[:, 0] == pixels[:, 1]) & (pixels[:, 1] == pixels[:, 2])
    assert 0.08 < grey.float().mean() < 0.12
    assert pixels[~grey, 0].min() > 150 and pixels[~grey, 0].max() < 250 and pixels[~grey, 0].float().std() > 5


def test_the_settings_are_the_papers() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    values = {key.replace("-", "_"): value for key, value in yaml.safe_load(block).items()}
    s = Settings.of(values, "ait.yaml")

    def rate(epoch: float) -> float:
        return rate_at(s, int(epoch * 10), 10)

    assert [rate(e) for e in (0, 79.9, 80, 119.9, 120, 159.9)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert (s.epochs, s.batch_size, s.momentum, s.nesterov, s.weight_decay) == (160, 128, 0.9, False, 1e-4)
