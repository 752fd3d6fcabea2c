"""The table of other libraries' names: true of the libraries that are installed, of Augury, and behind the message."""

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import augury
from augury.core.other_names import OtherName, hint, other_names

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("KERAS_BACKEND", "torch")
HOMES = {
    "torchvision": ["torchvision.transforms.v2"],
    "albumentations": ["albumentations"],
    "kornia": ["kornia.augmentation"],
    "keras": ["keras.layers"],
    "composer": ["composer.algorithms"],
    "timm": ["timm.data.auto_augment", "timm.data.mixup", "timm.data.random_erasing", "timm.data.transforms"],
}
ROOT = Path(__file__).resolve().parents[2]
TABLE = other_names()
IMAGES = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def missing(library: str) -> bool:
    return importlib.util.find_spec(library) is None


@pytest.mark.parametrize("library", HOMES)
@pytest.mark.filterwarnings("ignore")
def test_every_name_is_one_of_the_library(library: str) -> None:
    if missing(library):
        pytest.skip(f"{library} is not installed")
    modules = [importlib.import_module(name) for name in HOMES[library]]
    unknown = [e.name for e in TABLE if e.library == library and not any(hasattr(module, e.name) for module in modules)]
    assert not unknown


@pytest.mark.parametrize("text", sorted({text for entry in TABLE for text in (entry.ours, entry.nearest) if text}))
def test_what_it_is_here_can_be_built(text: str) -> None:
    given: dict[str, Any] = {"normalize": ([0.5] * 3, [0.5] * 3)} if text == "normalize" else {}
    assert len(augury.pipeline(text, **given)) >= 1


@pytest.mark.parametrize("entry", TABLE, ids=lambda e: f"{e.library}-{e.name}")
def test_an_entry_says_something_and_is_behind_the_message(entry: OtherName) -> None:
    assert bool(entry.ours) + bool(entry.nearest) <= 1 and (entry.ours or entry.nearest or entry.differs)
    with pytest.raises(augury.InputError) as found:
        augury.pipeline(f"flip+{entry.name}")
    message = str(found.value)
    assert "\n" not in message and entry.name in message
    assert entry.ours in message if entry.ours else "there is none of" in message or "did you mean" in message


def test_the_message_reads_well() -> None:
    def said(call: Any) -> str:
        with pytest.raises((augury.InputError, AttributeError)) as found:
            call()
        return str(found.value)

    assert "did you mean flip (albumentations' HorizontalFlip)?" in said(lambda: augury.pipeline("HorizontalFlip"))
    assert "there is none of albumentations' CLAHE; the nearest is equalize" in said(lambda: augury.pipeline("CLAHE(p=0.5)"))
    assert "the nearest is cutout+cutout" in said(lambda: augury.pipeline("coarse_dropout"))
    erasing = "did you mean random_erasing(content=constant) (torchvision's and kornia's RandomErasing)"
    assert erasing in said(lambda: augury.ops.RandomErasing)
    assert "did you mean color_jitter (torchvision's and kornia's ColorJitter) or" in said(
        lambda: augury.apply("ColorJitter", IMAGES)
    )
    assert "`augury policy import rand-m9-mstd0.5-inc1`" in said(lambda: augury.pipeline("rand-m9-mstd0.5-inc1"))
    assert "did you mean 'rotate'?" in said(lambda: augury.pipeline("rotat")) and hint("rotat") == ""
    assert "albumentations" not in said(lambda: augury.strategy("HorizontalFlip"))


# Where nothing is drawn, what both make of one image: the chain of the table with its numbers fixed, and the library's own call.
EQUAL: list[tuple[str, str, str, int]] = [
    ("torchvision", "RandomHorizontalFlip(p=1)", "flip(p=1)", 0),
    ("torchvision", "RandomVerticalFlip(p=1)", "flip_vertical(p=1)", 0),
    ("torchvision", "RandomInvert(p=1)", "invert(p=1)", 0),
    ("torchvision", "RandomPosterize(bits=4, p=1)", "posterize(bits=4, p=1)", 0),
    ("torchvision", "RandomSolarize(threshold=128, p=1)", "solarize(threshold=128, p=1)", 0),
    ("torchvision", "RandomAdjustSharpness(2, p=1)", "sharpness(factor=2, p=1)", 1),
    ("torchvision", "RandomAutocontrast(p=1)", "auto_contrast(p=1)", 1),
    ("torchvision", "RandomEqualize(p=1)", "equalize(p=1)", 0),
    ("torchvision", "RandomRotation((30, 30))", "rotate(degrees=30)", 0),
    ("torchvision", "ColorJitter(brightness=(1.3, 1.3))", "brightness(factor=1.3)", 1),
    ("torchvision", "GaussianBlur(13, sigma=1.5)", "gaussian_blur(sigma=1.5, p=1)", 1),
    ("albumentations", "HorizontalFlip(p=1)", "flip(p=1)", 0),
    ("albumentations", "VerticalFlip(p=1)", "flip_vertical(p=1)", 0),
    ("albumentations", "InvertImg(p=1)", "invert(p=1)", 0),
    ("albumentations", "Posterize(4, p=1)", "posterize(bits=4, p=1)", 0),
    ("albumentations", "Solarize((0.5, 0.5), p=1)", "solarize(threshold=128, p=1)", 0),
    ("albumentations", "Equalize(mode='pil', p=1)", "equalize(p=1)", 6),
    ("kornia", "RandomHorizontalFlip(p=1)", "flip(p=1)", 0),
    ("kornia", "RandomVerticalFlip(p=1)", "flip_vertical(p=1)", 0),
    ("kornia", "RandomInvert(p=1)", "invert(p=1)", 0),
    ("kornia", "RandomSolarize((0.5, 0.5), (0.0, 0.0), p=1)", "solarize(threshold=128, p=1)", 0),
    ("keras", "Solarization(0.0, (0.0, 0.0))", "solarize(threshold=0, p=1)", 0),
    ("keras", "RandomPosterization((4, 4))", "posterize(bits=4, p=1)", 0),
    ("keras", "RandomInvert((1.0, 1.0))", "invert(p=1)", 0),
    ("keras", "AutoContrast()", "auto_contrast(p=1)", 1),
    ("keras", "RandomGrayscale(1.0)", "grayscale(p=1)", 1),
    ("keras", "RandomRotation((1 / 12, 1 / 12), 'constant', 'nearest')", "rotate(degrees=30)", 0),
    ("keras", "RandomZoom((-0.2, -0.2), fill_mode='constant')", "zoom(factor=1.25, interpolation=bilinear)", 2),
]


@pytest.mark.parametrize(("library", "call", "ours", "levels"), EQUAL)
@pytest.mark.filterwarnings("ignore")
def test_the_numbers_mean_the_same_in_both(library: str, call: str, ours: str, levels: int) -> None:
    if missing(library):
        pytest.skip(f"{library} is not installed")
    made = eval(f"module.{call}", {"module": importlib.import_module(HOMES[library][0])})
    assert any(entry.library == library and entry.name == call.split("(")[0] for entry in TABLE)
    got, expected = augury.pipeline(ours)(IMAGES), theirs(library, made)
    close = (got.int() - expected.int()).abs() <= levels
    assert close.float().mean() > (0.99 if "Rotation" in call else 0.9999)


def theirs(library: str, made: Any) -> Tensor:
    if library == "torchvision":
        return torch.as_tensor(made(IMAGES))
    if library == "keras":
        made_here = made(IMAGES.permute(1, 2, 0)[None].float().numpy(), training=True)
        return made_here[0].permute(2, 0, 1).round().to(torch.uint8)
    if library == "kornia":
        return (made(IMAGES[None].float() / 255)[0] * 255).round().to(torch.uint8)
    return torch.from_numpy(made(image=IMAGES.permute(1, 2, 0).contiguous().numpy())["image"]).permute(2, 0, 1)


def test_the_page_has_the_table_as_it_is_now() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "coming_from.py"), "--check"], capture_output=True, timeout=120)
    assert done.returncode == 0, "run `python tools/coming_from.py`"
