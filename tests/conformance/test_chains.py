"""What holds for stages that are executed together: the same bits as one after another, whatever stands beside what."""

import importlib.util

import pytest
import torch
from samples import OPS, batch_of, noise_of, pictures, same
from torch import Tensor

import augury
from augury.augment.pipeline import Pipeline
from augury.core import registry
from augury.core.batch import Batch

pytestmark = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")
STATISTICS = ((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
ON_VALUES = [name for name in OPS if registry.get("op", name)().domain == "any"]


@pytest.fixture(autouse=True)
def _together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGURY_FUSE", "1")


def one_by_one(pipeline: Pipeline, batch: Batch) -> Batch:
    """A pipeline's stages each for itself, as a reader of the documentation would run them."""
    noise = noise_of(batch)
    for number, stage in enumerate(pipeline.stages):
        batch = stage.apply(batch, stage.sample(batch, noise.fold(f"{stage.address}{number}")))
    return batch


def valid(batch: Batch, images: Tensor) -> list[Tensor]:
    return [image[:, :rows, :columns] for image, (rows, columns) in zip(images, batch.sizes().tolist(), strict=True)]


def small() -> Batch:
    """Nine pictures on one canvas, of which some fill only a part."""
    size = torch.tensor([[17, 22]] * 5 + [[1, 1], [2, 22], [17, 5], [9, 13]])
    return batch_of(pictures(3, 17, 22), size=size)


def check(text: str, batch: Batch, **options: object) -> None:
    pipeline = augury.pipeline(text, **options)
    found, traces = pipeline.run(batch, noise_of(batch))
    wanted = one_by_one(pipeline, batch)
    images = wanted.images if pipeline.output.dtype is None else wanted.images.to(pipeline.output.dtype)
    assert found.images.dtype == images.dtype
    for k, (one, other) in enumerate(zip(valid(batch, found.images), valid(batch, images), strict=True)):
        assert torch.equal(one, other), f"{text}, {options}, image {k}"
    assert same(found.replace(images=wanted.images), wanted), text
    assert torch.equal(pipeline.apply(batch, traces).images, found.images)
    layout = torch.channels_last if pipeline.output.channels_last else torch.contiguous_format
    assert found.images.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("first", OPS)
def test_neighbours_give_the_same_together_and_one_after_another(first: str) -> None:
    # Catches a pass that reads what the one before it has not written, and a buffer that is written while it is read.
    batch = small()
    for second in OPS:
        check(f"{first}(p=1)+{second}(p=1)", batch)


@pytest.mark.parametrize("name", OPS)
def test_values_are_rounded_once_whatever_stood_before(name: str) -> None:
    batch = small()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for channels_last in (False, True):
            check(f"{name}(p=1)+normalize", batch, normalize=STATISTICS, dtype=dtype, channels_last=channels_last)


@pytest.mark.parametrize("name", ON_VALUES)
def test_what_stands_on_values_gives_the_same_together(name: str) -> None:
    # Catches a box that is painted a row too far in a band, and a partner that is read before its own boxes.
    batch = batch_of(pictures(3, 37, 22))
    for before in ("rotate(p=1)+", "", "cutout+"):
        for after in ("", "+cutout", "+random_erasing(p=1)", "+mixup", "+cutmix(p=1)"):
            check(f"{before}normalize+{name}(p=1){after}", batch, normalize=STATISTICS)
    for channels_last in (False, True):
        check(
            f"rotate+normalize+{name}(p=1)+cutmix(p=1)",
            batch,
            normalize=STATISTICS,
            dtype=torch.bfloat16,
            channels_last=channels_last,
        )


@pytest.mark.parametrize(
    "text",
    [
        "crop+flip+randaugment+random_erasing", "resized_crop+flip+randaugment+cutout+cutmix", "inaugment+random_erasing",
        "keep(cutout)+mixup", "keep(randaugment)+cutmix", "elastic+crop+gaussian_blur+flip", "augmix",
        "resized_crop(interpolation=bicubic)",
        "autoaugment+mixup+cutmix", "batch_augment(2)+crop+cutout", "attentive_cutmix+flip", "color_jitter+hue", "none",
    ],
)  # fmt: skip
def test_chains_that_people_write_give_the_same_together(text: str) -> None:
    batch = batch_of(pictures(3, 40, 33))
    if "batch_augment" in text:
        pipeline = augury.pipeline(text, normalize=STATISTICS, channels_last=True)
        found, traces = pipeline.run(batch, noise_of(batch))
        assert len(found) == 2 * len(batch) and torch.equal(pipeline.apply(batch, traces).images, found.images)
        return
    for options in ({}, {"normalize": STATISTICS}, {"normalize": STATISTICS, "dtype": torch.float16, "channels_last": True}):
        check(text, batch, **options)


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (3, 3, 1, 70), (2, 3, 130, 3), (1, 1, 64, 129), (0, 3, 8, 8)])
def test_every_shape_gives_the_same_together(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    statistics = ((0.5,), (0.25,))
    for text in ("resized_crop+flip+randaugment+random_erasing+cutmix", "crop+equalize+sharpness+mixup"):
        for options in ({}, {"normalize": statistics}, {"normalize": statistics, "dtype": torch.bfloat16, "channels_last": True}):
            check(text, batch_of(images), **options)


def test_half_precisions_round_as_pytorch_does() -> None:
    # Catches a tie that is rounded up, a value below the smallest normal one, and one beyond the largest.
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(1, 3, 1, 1)
    random = torch.Generator().manual_seed(0)
    for scale in (1.0, 1e-3, 1e-7, 1e4, 300.0, 1 / 255):
        for _ in range(20):
            mean = (torch.rand(3, generator=random) - 0.2).tolist()
            std = ((torch.rand(3, generator=random) + 0.1) / scale).tolist()
            for dtype in (torch.bfloat16, torch.float16):
                found = augury.pipeline("none", normalize=(mean, std), dtype=dtype)(levels)
                assert torch.equal(found, augury.pipeline("none", normalize=(mean, std))(levels).to(dtype))
