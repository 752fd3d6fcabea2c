"""Real images: a folder of files, arrays and the command line agree on them."""

import json
from pathlib import Path

import numpy as np
import pytest
from data_files import save
from PIL import Image
from real_data import real_data

from augury.cli import main
from augury.train.data.dataset import load


def images(name: str, part: str, count: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The first images [N,H,W,3] of a set stored as columns of stacked images, their labels, and all names."""
    folder = real_data(name)
    stored = json.loads((folder / "labels.json").read_text())
    with Image.open(next(iter(sorted(folder.glob(f"{part}-*"))))) as column:
        pixels = np.asarray(column.convert("RGB"))
    side = pixels.shape[1]
    return pixels.reshape(-1, side, side, 3)[:count], np.array(stored[part][:count]), stored["classes"]


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_folder_and_arrays_agree(name: str, tmp_path: Path) -> None:
    for part, count in (("train", 200), ("test", 60)):
        pixels, labels, names = images(name, part, count)
        plain = pixels[..., 0] if name == "mnist" else pixels
        order = np.lexsort((np.arange(count), np.array(names)[labels]))
        (tmp_path / "npz").mkdir(exist_ok=True)
        np.savez(tmp_path / "npz" / f"{part}.npz", x=plain[order], y=np.array(names)[labels][order])
        for i, (image, label) in enumerate(zip(plain, labels, strict=True)):
            save(tmp_path / "folder" / part / names[label] / f"{i:05d}.png", image)
    one, other = load(str(tmp_path / "folder")), load(str(tmp_path / "npz"))
    assert one.classes == other.classes and one.mean == other.mean and one.notes == other.notes == ()
    assert one.train.images.shape[1:] == ((1, 28, 28) if name == "mnist" else (3, 32, 32))
    for part in ("train", "validation", "test"):
        first, second = getattr(one, part), getattr(other, part)
        assert (first.images == second.images).all() and (first.labels == second.labels).all() and (first.ids == second.ids).all()


def test_a_training_on_grey_28x28(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for part, count in (("train", 100), ("test", 50)):
        pixels, labels, _ = images("mnist", part, count)
        np.savez(tmp_path / "mnist" / f"{part}.npz", x=pixels[..., 0], y=labels)
    arguments = ["train", "mnist", "--data-dir", str(tmp_path), "--augment", "randaugment", "--epochs", "1", "--quiet"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "result.json").exists()
