"""Pipelines and trainings do the same whatever device and dtype new tensors have by default."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from samples import batch_of, noisy

import augury
from augury.core import registry
from augury.core.batch import Batch
from augury.core.noise import Noise

NEED_MORE = ("fast_autoaugment", "pba", "keep")  # a file, or what is to be kept
NAMES = [*registry.names("op"), *(n for kind in ("preset", "policy") for n in registry.names(kind) if n not in NEED_MORE)]
STATISTICS = ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


@pytest.fixture
def nowhere() -> Iterator[None]:
    """New tensors hold nothing, so that one which is made where the images are not is found at once."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def drawn(name: str, batch: Batch) -> list[torch.Tensor]:
    """Images and labels of three plain calls, of which the first is drawn for itself and the others ahead; or of one batch, where
    a plain call lacks the saliency map."""
    made = augury.pipeline(name, normalize=STATISTICS, seed=3)
    if any("saliency" in stage.needs for stage in made.stages):
        done, _ = made.run(batch, Noise.of(3, batch.ids))
        assert done.targets is not None
        return [done.images, done.targets.dense()]
    found = []
    for _ in range(3):
        images, labels = made(batch.images, [0, 1, 2, 3, 4, 0], classes=5)
        found += [images, labels.dense() if isinstance(labels, augury.Targets) else torch.as_tensor(labels, device="cpu")]
    return found


@pytest.fixture
def coarse() -> Iterator[None]:
    """As in a step of Lightning's `precision="bf16-true"`."""
    torch.set_default_dtype(torch.bfloat16)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("default", ["nowhere", "coarse"])
def test_the_users_defaults_change_nothing(default: str, name: str, request: pytest.FixtureRequest) -> None:
    batch = batch_of(noisy(6, height=32, width=32))
    wanted = drawn(name, batch)
    request.getfixturevalue(default)
    for found, expected in zip(drawn(name, batch), wanted, strict=True):
        assert found.dtype == expected.dtype and found.equal(expected)


def test_a_training_and_its_data_are_where_they_are_asked_to_be(tmp_path: Path, nowhere: None) -> None:
    data = augury.dataset("digits")
    assert data.train.images.device.type == data.train.labels.device.type == "cpu"
    settings = {"model": "small_cnn(width=4)", "epochs": 1, "fraction": 0.3, "device": "cpu", "quiet": True}
    run = augury.fit("digits", augment="crop+cutout", output=tmp_path / "one", **settings)
    assert 0 <= run.accuracy <= 100
    assert len(augury.compare("digits", augment="none,cutout", seeds=1, output=tmp_path / "two", **settings).rows) == 2
    assert torch.empty(0).device.type == "meta", "the user's default is as it was"


FRESH = """
import sys
import torch

images = torch.arange(4 * 3 * 20 * 24).reshape(4, 3, 20, 24).mul(7919).remainder(251).to(torch.uint8)
if sys.argv[1] == "device":
    torch.set_default_device("meta")
if sys.argv[1] == "dtype":
    torch.set_default_dtype(torch.bfloat16)
import augury

for text in ("crop+flip+randaugment+random_erasing", "resized_crop+trivialaugment+cutmix", "augmix", "elastic+mixup"):
    made = augury.pipeline(text, normalize=((0.5, 0.5, 0.5), (0.2, 0.2, 0.2)))
    for _ in range(3):
        done, _ = made(images, [0, 1, 2, 0], classes=3)
    print(done.dtype, done.double().sum().item())
print(augury.apply("rotate", images, degrees=10).sum(dtype=torch.int64).item())
"""


def test_a_process_may_begin_with_its_defaults() -> None:
    """What the library makes when it is first used is as if the user had set none."""
    said = []
    for default in ("none", "device", "dtype"):
        done = subprocess.run([sys.executable, "-c", FRESH, default], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (default, done.stderr[-2000:])
        said.append(done.stdout)
    assert said[0].count("torch.float32") == 4 and said[1] == said[2] == said[0]
