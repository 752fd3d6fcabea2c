"""Images that stay in their files: the same pixels and the same training as in memory, and workers that only decode."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from augury.augment.stages.normalize import Normalize
from augury.augment.stages.plan import PlanStage
from augury.core.errors import RunError
from augury.train.data.dataset import load
from augury.train.data.stream import FileImages
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.source import load_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, random = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 6)):
        for name in ("a", "b"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                side = (20, 24) if number % 3 else (28, 20)
                pixels = random.integers(0, 256, (*side, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    return root


def test_the_same_data_as_in_memory(folder: Path) -> None:
    kept, streamed = load(str(folder), stream="no"), load(str(folder), stream="yes")
    for name in ("train", "validation", "test"):
        held, files = getattr(kept, name), getattr(streamed, name)
        assert isinstance(files.images, FileImages) and files.images.shape == held.images.shape
        assert torch.equal(files.images[torch.arange(len(held.ids))], held.images)
        assert torch.equal(files.labels, held.labels) and torch.equal(files.ids, held.ids)
    assert streamed.mean == kept.mean and streamed.std == kept.std
    assert any("streamed" in note for note in streamed.notes)
    assert not isinstance(load(str(folder)).train.images, FileImages)


def test_batches_come_in_order_whatever_the_workers(folder: Path) -> None:
    images = load(str(folder), stream="yes").train.images
    assert isinstance(images, FileImages)
    rows = [torch.tensor([3, 1]), torch.tensor([7]), torch.tensor([0, 0, 9])]
    for workers in (0, 2):
        found = list(images.batches(rows, workers=workers))
        assert all(torch.equal(batch, images[wanted]) for batch, wanted in zip(found, rows, strict=True))


def test_training_is_the_same_bit_for_bit_and_no_augmentation_runs_in_workers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process writes its number where it decodes and where it augments."""

    def noting(kind: type, name: str, file: str) -> None:
        plain = getattr(kind, name)

        def noted(self, *given, **more):  # type: ignore[no-untyped-def]
            with open(tmp_path / file, "a", encoding="utf-8") as out:
                out.write(f"{os.getpid()}\n")
            return plain(self, *given, **more)

        monkeypatch.setattr(kind, name, noted)

    settings = Settings(str(folder), augment="crop+randaugment+mixup", epochs=2, batch_size=8, stream="no", decode_workers=2)
    first = prepare(settings, load_for(settings))
    whole = Trainer(first).run()
    streamed = replace(settings, stream="yes")
    second = prepare(streamed, load_for(streamed))
    noting(PlanStage, "sample", "augmented")
    noting(PlanStage, "apply", "augmented")
    noting(Normalize, "apply", "augmented")
    noting(FileImages, "read", "decoded")
    again = Trainer(second).run()
    assert again["accuracy"] == whole["accuracy"] and again["loss"] == whole["loss"]
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])
    augmenting = set((tmp_path / "augmented").read_text().split())
    decoding = set((tmp_path / "decoded").read_text().split())
    assert augmenting == {str(os.getpid())}
    assert len(decoding) >= 2 and str(os.getpid()) not in decoding


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_gone_is_named(folder: Path, tmp_path: Path, workers: int) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (24, 20)).save(path)
    images = FileImages([path], 3, (20, 24))
    path.unlink()
    with pytest.raises(RunError, match="x.png: cannot be read"):
        list(images.batches([torch.tensor([0])], workers=workers))


def test_arrays_cannot_be_streamed_and_the_notes_say_so() -> None:
    # Catches --stream yes passing for something it did not do.
    assert any("--stream yes" in note for note in load("digits", stream="yes").notes)
    assert not load("digits").notes
