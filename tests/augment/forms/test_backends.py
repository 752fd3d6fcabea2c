"""Every back end gives the same bits as plain PyTorch: over all operations and policies, sizes, and rows of unequal size."""

import importlib
import importlib.util

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import augury
from augury.augment.forms import plain
from augury.augment.forms.neighbourhood import MOST_PIXELS, Neighbourhood
from augury.core import registry
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.targets import Targets

SHAPES = [(7, 3, 32, 32), (5, 1, 17, 9), (4, 3, 1, 1), (3, 3, 1, 7), (0, 3, 8, 8), (1, 3, 2, 40), (4, 3, 90, 21)]
FROM_A_FILE = ("fast_autoaugment", "pba")
NAMES = [*registry.names("op"), *(name for name in registry.names("policy") if name not in FROM_A_FILE)]
NAMES += ["autoaugment(table=imagenet)", "randaugment(version=tpu_published)", "randaugment(version=uda)", "augmix", "inaugment"]
needs_numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")


def chain(name: str) -> str:
    return f"{name}(p=1)" if name in registry.names("op") else name


def batch_of(shape: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> Batch:
    random = torch.Generator().manual_seed(sum(shape))
    images = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
    if dtype != torch.uint8:
        images = images.to(dtype) / 64 - 2
    return Batch(images, Targets.of(torch.arange(shape[0]) % 3, 3), torch.arange(shape[0]))


def outcome(monkeypatch: pytest.MonkeyPatch, name: str, backend: str, batch: Batch) -> Batch:
    monkeypatch.setenv("AUGURY_BACKEND", backend)
    return augury.pipeline(chain(name)).run(batch, Noise.of(5, batch.ids))[0]


@needs_numba
@pytest.mark.parametrize("name", NAMES)
def test_numba_is_plain(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in SHAPES:
        batch = batch_of(shape)
        plain = outcome(monkeypatch, name, "plain", batch)
        assert plain.images.equal(outcome(monkeypatch, name, "numba", batch).images)


@needs_numba
@pytest.mark.parametrize("name", [*registry.names("op"), "randaugment(channels=any)", "cutmix", "mixup"])
@pytest.mark.parametrize("shape", [(4, 2, 20, 13), (3, 4, 70, 130), (2, 13, 9, 30)], ids=str)
def test_numba_is_plain_with_any_number_of_channels(
    name: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    batch, found = batch_of(shape), []
    for backend in ("plain", "numba"):
        try:
            found.append(outcome(monkeypatch, name, backend, batch).images)
        except augury.InputError as error:
            assert "grey images or red, green and blue" in str(error)
    assert len(found) != 1 and all(images.equal(found[0]) for images in found)


@needs_numba
@pytest.mark.parametrize("name", NAMES)
def test_numba_is_plain_where_images_are_smaller_than_the_canvas(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size = torch.tensor([[20, 24], [1, 1], [2, 24], [20, 5], [7, 9]])
    batch = batch_of((5, 3, 20, 24)).replace(size=size)
    plain, fast = (outcome(monkeypatch, name, backend, batch).images for backend in ("plain", "numba"))
    for row, (height, width) in enumerate(size.tolist()):
        assert plain[row, :, :height, :width].equal(fast[row, :, :height, :width])


@needs_numba
@pytest.mark.parametrize("side", [4095, 4097])
def test_planes_whose_counts_are_float32_numbers_no_more_are_equalized_exactly(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Levels as far apart and as unequal as makes quotients fall on whole numbers and just below them.
    random = torch.Generator().manual_seed(1)
    levels = (255 * torch.rand(1, 1, side, side, generator=random) ** 3).to(torch.uint8)
    batch = Batch(levels, Targets.of(torch.zeros(1, dtype=torch.int64), 1), torch.zeros(1, dtype=torch.int64))
    plain, fast = (outcome(monkeypatch, "equalize", backend, batch).images for backend in ("plain", "numba"))
    assert plain.equal(fast)


@needs_numba
@pytest.mark.parametrize("name", ["cutout", "cutmix", "random_erasing", "grid_mask", "mixup"])
def test_numba_is_plain_on_normalised_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of((6, 3, 16, 12), torch.float32)
    assert outcome(monkeypatch, name, "plain", batch).images.equal(outcome(monkeypatch, name, "numba", batch).images)


@needs_numba
@pytest.mark.parametrize(
    ("name", "values", "shape"),
    [
        ("shear_y", {"slope": [10.0, -10.0]}, (2, 1, 4, 7000)),  # source rows around 65,536, which 32 bits of 16.16 take for 0
        ("solarize", {"threshold": [0.0, 0.5, 99.5, 100.0, 255.0, 255.5, 256.0]}, (7, 3, 16, 16)),
        ("solarize_add", {"amount": [-255.0, -1.0, 0.0, 110.0, 127.0, 127.5, 128.0, 255.0]}, (8, 3, 16, 16)),
        ("posterize", {"bits": [0.0, 1.0, 4.0, 7.0, 8.0]}, (5, 3, 16, 16)),
        ("brightness", {"factor": [0.0, 0.1, 1.0, 1.9, 100.0]}, (5, 1, 16, 16)),
        ("color", {"factor": [0.0, 1.9, 100.0]}, (3, 3, 50, 50)),  # more pixels than are taken at once
    ],
)
def test_numba_is_plain_at_the_ends_of_what_is_computed_instead_of_looked_up(
    name: str, values: dict[str, list[float]], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = batch_of(shape).images
    given = {key: torch.tensor(numbers) for key, numbers in values.items()}
    found = []
    for backend in ("plain", "numba"):
        monkeypatch.setenv("AUGURY_BACKEND", backend)
        found.append(augury.apply(name, images, **given))
    assert found[0].equal(found[1])


@needs_numba
def test_several_threads_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    batch = batch_of((64, 3, 96, 96))
    try:
        torch.set_num_threads(1)
        one = outcome(monkeypatch, "randaugment", "numba", batch).images
        torch.set_num_threads(3)
        assert one.equal(outcome(monkeypatch, "randaugment", "numba", batch).images)
    finally:
        torch.set_num_threads(before)


def test_an_unknown_back_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(augury.InputError, match="AUGURY_BACKEND: unknown back end 'cuda'"):
        outcome(monkeypatch, "invert", "cuda", batch_of((1, 1, 2, 2)))


def test_everything_works_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    from augury.augment.forms import backends

    monkeypatch.setattr(backends, "available", lambda name: name == "plain")
    monkeypatch.delenv("AUGURY_BACKEND", raising=False)
    assert backends.backend(torch.device("cpu")).__name__.endswith("plain")


@needs_numba
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_numba_moves_and_compares_pixels_as_plain_does(data: st.DataObject) -> None:
    # Positions beyond the border and on it, sides of one pixel, neighbourhoods wider than the image.
    height, width, channels = (data.draw(st.integers(1, most)) for most in (9, 70, 3))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    images = torch.randint(0, 256, (3, channels, height, width), generator=generator, dtype=torch.uint8)
    size = torch.stack([torch.randint(1, side + 1, (3,), generator=generator) for side in (height, width)], 1)
    places = [
        torch.rand(3, height, width, generator=generator, dtype=torch.float64) * 2 * side - side / 2 for side in (height, width)
    ]
    places = [place.round() if data.draw(st.booleans()) else place for place in places]
    wide = torch.randint(1, MOST_PIXELS + 1, (3,), generator=generator)
    around = Neighbourhood(*(data.draw(st.booleans()) for _ in range(3)))
    weights = torch.rand(2 * data.draw(st.integers(0, 6)) + 1, generator=generator, dtype=torch.float64).tolist()
    key = torch.randint(0, 2**24, (3,), generator=generator)
    for plain_result, numba_result in zip(
        *(
            (
                run.displaced(images, *places, size),
                run.extreme(images, wide, size, around),
                run.smooth_field(key, weights, height, width),
            )
            for run in (plain, importlib.import_module("augury.augment.forms.numba_backend"))
        ),
        strict=True,
    ):
        assert plain_result.equal(numba_result)
