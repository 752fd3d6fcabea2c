"""What a user writes, checked strictly: this file has no mistake, and `test_user_script` plants some."""

from pathlib import Path

import torch
from torch import Tensor, nn

import augury
from augury import Batch, InputError, Noise, Pipeline, Settings, Step, Targets, Views


def pipelines(images: Tensor, labels: Tensor) -> Tensor:
    first: Pipeline = augury.pipeline("randaugment", num_ops=2, magnitude=9)
    turned = augury.ops.rotate(degrees=(-30, 30), interpolation="bilinear")
    whole = augury.pipeline([turned, "cutout(8)", augury.policies.randaugment(num_ops=2)], seed=3) + first
    patches = augury.presets.inaugment(patches=2, policy=whole[:2], setting="resnet50")
    drawn = augury.ops.brightness(factor=augury.LogUniform(0.5, 2), p=0.5)
    batch = Batch(images, Targets.of(labels, 10), torch.arange(len(images)))
    done, _ = (patches + drawn).run(batch, Noise.of(0, batch.ids, epoch=1))
    names: list[str] = augury.names("op")
    print(len(whole), repr(whole), names[:3], done.images.shape)
    return done.images


def own_policy(space: augury.Space) -> augury.Plan:
    noise: Noise = Noise.of(0, torch.arange(4))
    on = noise.uniform(1) < 0.5
    print(len(space), augury.Interval(0, 1), augury.Parameter(augury.Uniform(0, 1), augury.Interval(0, 1), "share").unit)
    return augury.Plan(torch.zeros(4, 1, dtype=torch.int64), torch.ones(4, 1), on)


@augury.register("op", "my_invert", source="mine")
def my_invert() -> augury.Op:
    """Inverted."""

    def run(images: Tensor, values: dict[str, Tensor], size: Tensor) -> Tensor:
        return 255 - images

    return augury.Op("my_invert", "map", run)


def loss(model: nn.Module, views: Views) -> Step:
    batch = views()
    assert batch.targets is not None
    return Step(batch.targets.loss(model(batch.images)).mean())


def training(folder: Path) -> float:
    run = augury.fit("digits", augment=augury.presets.standard(), epochs=2, model="small_cnn", output=folder / "run")
    other = augury.fit(Settings("digits", augment="cutout", epochs=2), output=folder / "other")
    found = augury.compare("digits", augment=["none", augury.ops.cutout(length=4)], seeds=2, output=folder / "compared")
    best = max(found.rows, key=lambda row: row.mean)
    print(best.augment, best.verdict, other.accuracy, augury.__version__)
    try:
        network: nn.Module = augury.model("small_cnn", classes=10)
    except InputError:
        raise
    return run.accuracy + sum(p.numel() for p in network.parameters())
