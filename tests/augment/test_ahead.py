"""Calls are drawn ahead, several at once, with the draws that each call has by its number."""

import copy
import threading
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import augury
from augury.augment import ahead
from augury.augment.pipeline import Pipeline
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.targets import Targets

pytest.importorskip("numba")
STATISTICS = ((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
CALLS = 16
MANY = 2 * CALLS + 6
ZERO = torch.zeros(1, dtype=torch.int64)
FUSED = ["crop+flip+randaugment+random_erasing", "resized_crop+flip+trivialaugment+cutout", "none", "posterize+grid_mask"]
UNFUSED = ["gaussian_blur(p=1)+flip", "elastic+crop", "color_jitter+cutout", "augmix"]


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGURY_COMPILE", "now")
    monkeypatch.delenv("AUGURY_BACKEND", raising=False)
    monkeypatch.setattr(ahead, "CALLS", CALLS)  # so that a few calls go beyond what was drawn


def image(number: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, shape or (3, 24, 20), generator=torch.Generator().manual_seed(number), dtype=torch.uint8)


def wanted(pipeline: Pipeline, given: Tensor, number: int) -> Tensor:
    """The image of a call, by its address."""
    return pipeline.run(Batch(given[None], None, ZERO), Noise.of(pipeline.seed, ZERO, epoch=number))[0].images[0]


@pytest.mark.parametrize("text", [*FUSED, *UNFUSED])
@pytest.mark.parametrize("options", [{}, {"normalize": STATISTICS}, {"normalize": STATISTICS, "channels_last": True}], ids=str)
def test_calls_on_single_images_have_the_draws_of_their_numbers(text: str, options: dict[str, object]) -> None:
    pipeline = augury.pipeline(text, seed=4, **options)
    for number in range(MANY):
        given = image(number)
        found, right = pipeline(given), wanted(pipeline, given, number)
        assert torch.equal(found, right) and found.stride() == right.stride() and found.dtype == right.dtype
    drawn = pipeline._ahead._drawn
    assert drawn is not None and (drawn.made is not None) == (text in FUSED)
    assert len(drawn.traces) == (0 if text == "augmix" else len(pipeline.stages))


def test_batches_other_shapes_and_labels_between_them_change_nothing() -> None:
    pipeline = augury.pipeline("crop+flip+randaugment", seed=4)
    for number in range(60):
        given = image(number, 3, *((24, 20) if number % 10 < 7 else (9, 30)))
        if number % 13 == 5:
            pipeline(torch.stack([given] * 3))
        elif number % 5 == 2:
            found, label = pipeline(given, 7)
            assert label == 7 and torch.equal(found, wanted(pipeline, given, number))
        else:
            assert torch.equal(pipeline(given), wanted(pipeline, given, number))


@pytest.mark.parametrize("text", [*FUSED, *UNFUSED])
@pytest.mark.parametrize("count", [2, 60, 700])
def test_calls_on_batches_have_the_draws_of_their_numbers(text: str, count: int) -> None:
    one, other = augury.pipeline(text, seed=4, normalize=STATISTICS), augury.pipeline(text, seed=4, normalize=STATISTICS)
    ids = torch.arange(count)
    for number in range(20 if count < 100 else 3):
        images = image(number, count, 3, 12, 10)
        right = one.run(Batch(images, None, ids), Noise.of(4, ids, epoch=number))[0].images
        out = torch.empty_like(right) if number % 3 else None
        found = other(images, out=out)
        assert torch.equal(found, right) and (out is None or found is out)


@pytest.mark.parametrize(
    "text",
    [
        "crop+randaugment+cutout+mixup",
        "flip+cutmix",
        "mixup",
        "cutmix(batch_wide=true, p=0.5)",
        "mixup(batch_wide=true)",
        "mixup+flip",
    ],
)
@pytest.mark.parametrize("options", [{}, {"normalize": STATISTICS, "dtype": torch.bfloat16}], ids=str)
def test_batches_that_are_mixed_have_the_draws_of_their_numbers(text: str, options: dict[str, object]) -> None:
    pipeline, ids, labels = augury.pipeline(text, seed=4, **options), torch.arange(7), torch.arange(7) % 3
    for number in range(9):
        images = image(number, 7, 3, 12, 10)
        right = pipeline.run(Batch(images, Targets.of(labels, 3), ids), Noise.of(4, ids, epoch=number))[0]
        out = torch.empty_like(right.images) if number % 3 else None
        found, targets = pipeline(images, labels, out=out)
        assert torch.equal(found, right.images) and (out is None or found is out)
        assert right.targets is not None and torch.equal(targets.dense(), right.targets.dense())
    assert pipeline._ahead._drawn is not None and (pipeline._ahead._drawn.made is None) == (text == "mixup+flip")


def test_pixels_are_augmented_in_place_as_drawn_ahead() -> None:
    pipeline, other, ids = augury.pipeline("flip+cutout", seed=4), augury.pipeline("cutout(p=1)", seed=4), torch.arange(5)
    for number in range(9):
        for each in (pipeline, other):
            images = image(number, 5, 3, 12, 10)
            right = each.run(Batch(images.clone(), None, ids), Noise.of(4, ids, epoch=number))[0].images
            assert each(images, out=images) is images and torch.equal(images, right)


def test_out_is_checked_in_every_call() -> None:
    pipeline, images = augury.pipeline("flip"), image(0, 5, 3, 12, 10)
    for _ in range(4):
        with pytest.raises(InputError, match=r"out: has the shape \[4, 3, 12, 10\]"):
            pipeline(images, out=torch.empty(4, 3, 12, 10, dtype=torch.uint8))


def test_copies_draw_for_themselves() -> None:
    pipeline = augury.pipeline("crop+flip+randaugment", seed=4)
    for number in range(5):
        pipeline(image(number))
    other, normalising = replace(pipeline, seed=5), replace(pipeline, stages=pipeline.stages[:1])
    for number in range(5, 9):
        given = image(number)
        for each in (copy.deepcopy(pipeline) if number == 5 else pipeline, other, normalising):
            each._calls.fill_(number)
            assert torch.equal(each(given), wanted(each, given, number))


def test_threads_get_each_the_draws_of_one_call() -> None:
    pipeline, given = augury.pipeline("crop+flip+randaugment+cutout", seed=4), image(0)
    found: list[Tensor] = []
    threads = [threading.Thread(target=lambda: found.extend(pipeline(given) for _ in range(40))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    possible = {wanted(pipeline, given, number).numpy().tobytes() for number in range(160)}
    assert all(each.numpy().tobytes() in possible for each in found)


def test_what_a_stage_refuses_is_refused_in_every_call() -> None:
    pipeline = augury.pipeline("flip+color")
    for number in range(4):
        with pytest.raises(InputError, match="color takes grey images or red, green and blue"):
            pipeline(image(number, 2, 24, 20))
