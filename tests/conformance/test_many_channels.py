"""Images of 2 to 16 channels: every operation that does not take red, green and blue treats each channel as a grey image, alike on
all back ends; the others are refused by name."""

import importlib.util

import pytest
import torch
from samples import OPS, always, batch_of, noise_of, pictures, same

import augury
from augury.augment.stages.plan import WITHOUT_RGB
from augury.core import registry
from augury.core.errors import InputError

COUNTS = (2, 4, 5, 13)
RGB = {"color", "contrast", "grayscale", "hue"}
PER_CHANNEL = [name for name in OPS if not registry.get("op", name)().rgb]
SIZES = [(1, 1), (1, 7), (9, 16), (17, 22)]
numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")


def test_what_takes_red_green_and_blue_says_so() -> None:
    assert {name for name in OPS if registry.get("op", name)().rgb} == RGB
    assert not registry.get("op", "contrast")(mean="pixel_count").rgb


@pytest.mark.parametrize("channels", COUNTS)
@pytest.mark.parametrize("name", [name for name in PER_CHANNEL if name != "random_erasing"])  # its noise differs by channel
def test_every_channel_is_treated_as_a_grey_image(name: str, channels: int) -> None:
    # Catches a kernel that reads three channels, and a statistic that is shared between channels.
    stage = always(name)
    for height, width in SIZES:
        batch = batch_of(pictures(channels, height, width))
        trace = stage.sample(batch, noise_of(batch))
        done = stage.apply(batch, trace)
        assert done.images.shape == batch.images.shape
        for channel in range(channels):
            one = stage.apply(batch.replace(images=batch.images[:, channel : channel + 1].contiguous()), trace)
            assert torch.equal(done.images[:, channel : channel + 1], one.images), f"{height}x{width}, channel {channel}"


@numba
@pytest.mark.parametrize("channels", COUNTS)
@pytest.mark.parametrize("name", [*PER_CHANNEL, "randaugment(channels=any)", "trivialaugment(channels=any)", "augmix"])
def test_back_ends_agree(name: str, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = f"{name if '(' in name else f'{name}(p=1)' if name in OPS else name}+flip+cutout(length=4)+normalize"
    batch = batch_of(pictures(channels, 17, 22))
    statistics = (tuple(0.1 + 0.05 * k for k in range(channels)), tuple(0.2 + 0.01 * k for k in range(channels)))
    for options in ({}, {"channels_last": True}, {"dtype": torch.bfloat16}):
        found = []
        for backend, fuse in (("plain", "0"), ("numba", "0"), ("numba", "1")):
            monkeypatch.setenv("AUGURY_BACKEND", backend)
            monkeypatch.setenv("AUGURY_FUSE", fuse)
            pipeline = augury.pipeline(chain, normalize=statistics, **options)
            found.append(pipeline.run(batch, noise_of(batch))[0])
        assert same(found[0], found[1]) and same(found[0], found[2]), f"{name}, {options}"


@pytest.mark.parametrize("channels", COUNTS)
@pytest.mark.parametrize("name", sorted(RGB))
def test_the_others_are_refused_by_name(name: str, channels: int) -> None:
    images = pictures(channels, 8, 8)
    for refused in (lambda: augury.pipeline(f"{name}(p=1)")(images), lambda: augury.apply(name, images)):
        with pytest.raises(
            InputError, match=f"{name}: {name} takes grey .* these have {channels} channels; leave it out"
        ) as caught:
            refused()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["autoaugment", "keep_randaugment", "inaugment", *WITHOUT_RGB])
def test_policies_name_what_they_hold_and_what_leaves_it_out(name: str) -> None:
    batch = batch_of(pictures(5, 32, 32))
    with pytest.raises(InputError, match=r"colou?r.*these have 5 channels; \w+\(channels=any\) leaves such operations out"):
        augury.pipeline(name).run(batch, noise_of(batch))


@pytest.mark.parametrize("name", WITHOUT_RGB)
def test_policies_for_any_channels_leave_out_red_green_and_blue(name: str) -> None:
    whole, some = (registry.get("policy", name)(**options).space for options in ({}, {"channels": "any"}))
    kept = [entry.op.name for entry in some.entries]
    assert kept == [entry.op.name for entry in whole.entries if entry.op.name not in RGB] and len(kept) == 12


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 17, 8, 8), "1 to 16 channels"),
        ((2, 0, 8, 8), "1 to 16 channels"),
        ((2, 12, 12, 3), "channels first"),
        ((4, 16, 3), "channels first"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        augury.pipeline("flip")(torch.zeros(shape, dtype=torch.uint8))


def test_statistics_are_per_channel() -> None:
    images = pictures(5, 8, 8)
    mean, std = tuple(0.1 * k for k in range(5)), tuple(0.1 + 0.1 * k for k in range(5))
    done = augury.pipeline("none", normalize=(mean, std))(images)
    wanted = (images / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert torch.allclose(done, wanted, atol=1e-5)
    with pytest.raises(InputError, match="for 3 channels, and the images have 5"):
        augury.pipeline("none", normalize=((0.5,) * 3, (0.5,) * 3))(images)


@pytest.mark.parametrize("channels", COUNTS)
def test_a_method_trains_networks_of_so_many_channels(channels: int) -> None:
    model = augury.model("small_cnn", classes=3, channels=channels)
    method = augury.method(
        model,
        augment="crop+flip+randaugment(channels=any)+cutmix(p=1)",
        classes=3,
        mean=[0.5] * channels,
        std=[0.3] * channels,
        seed=0,
    )
    method.start_epoch(0, epochs=1)
    step = method(pictures(channels, 32, 32), torch.arange(9) % 3, ids=torch.arange(9))
    step.loss.backward()
    assert bool(step.loss.isfinite())
