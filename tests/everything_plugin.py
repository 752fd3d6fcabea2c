"""A plug-in with a method of every kind, in one file, as a user would write it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import augury
from augury.augment.policies.fixed import SubPolicies
from augury.augment.policies.fixed import SubPolicyStep as Slot
from augury.augment.saliency.maps import SaliencyWay
from augury.core.options import Chain, parse_chain
from augury.core.plan import SpaceEntry
from augury.explain.measurements.measurement import Measured, Subject
from augury.train.data.dataset import Dataset, Split
from augury.train.data.parts import Part, Parts
from augury.train.data.preparation import ReadOptions
from augury.train.data.reader import Reader


@augury.register("op", "my_op", source="here")
def my_op(*, times: int = 1) -> augury.Op:
    """Brighter by a drawn number of grey levels."""

    def run(images: Tensor, values: dict[str, Tensor], size: Tensor) -> Tensor:
        return (images.int() + (times * values["levels"]).int()[:, None, None, None]).clamp(0, 255).to(torch.uint8)

    levels = augury.Parameter(augury.Uniform(0, 40), augury.Interval(0, 255), "grey levels")
    return augury.Op("my_op", "map", run, {"levels": levels}, identity={"levels": 0.0})


@augury.register("policy", "my_policy")
def my_policy(*, p: float = 0.5) -> augury.Policy:
    """My operation, sometimes."""
    space = augury.Space((SpaceEntry(my_op(), {"levels": augury.Constant(30.0)}),))
    return SubPolicies(space, ((Slot(0, p, 1.0),),))


@augury.register("preset", "my_preset")
def my_preset() -> Chain:
    """Flip and my policy."""
    return parse_chain("flip+my_policy(p=0.25)", "my_preset")


class Squared(augury.Strategy):
    """Squared distance of the probabilities from the labels."""

    def __call__(self, model: nn.Module, views: augury.Views, *, program: object = None, turn: int = 0) -> augury.Step:
        batch = views()
        assert batch.targets is not None
        losses = (model(batch.images).softmax(1) - batch.targets.dense()).square().sum(1)
        return augury.Step(losses.mean(), per_sample=losses.detach())


@augury.register("strategy", "my_strategy")
def my_strategy() -> augury.Strategy:
    """Squared error."""
    return Squared()


class Net(nn.Sequential):
    """Four pooled rows and columns, and a linear layer."""

    taps = ("0",)

    @property
    def head(self) -> nn.Module:
        return self[-1]


@augury.register("model", "my_net")
def my_net(*, classes: int, channels: int = 3) -> nn.Module:
    """A linear network."""
    return Net(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * channels, classes))


@augury.register("dataset", "my_bars")
def my_bars() -> Dataset:
    """Bars, upright and lying."""

    def split(count: int, start: int) -> Split:
        images, labels = torch.zeros(count, 1, 8, 8, dtype=torch.uint8), torch.arange(count) % 2
        for row in range(count):
            place = (row * 5 + start) % 6 + 1
            (images[row, 0, :, place] if labels[row] else images[row, 0, place])[:] = 220
        return Split(images, labels, torch.arange(start, start + count))

    return Dataset("my_bars", ("lying", "upright"), split(48, 0), split(16, 48), split(32, 64), (0.12,), (0.3,))


@augury.register("reader", "my_reader")
def my_reader() -> Reader:
    """A text file with a line of grey levels for every 8x8 image, after its class."""

    def read(place: str, options: ReadOptions) -> Parts:
        rows = [[int(word) for word in line.split()] for line in Path(place).read_text().splitlines()]
        images = torch.tensor([row[1:] for row in rows], dtype=torch.uint8).reshape(-1, 1, 8, 8)
        labels = torch.tensor([row[0] for row in rows])
        return Parts(("lying", "upright"), Part(images[::2], labels[::2]), Part(images[1::2], labels[1::2]))

    return Reader(read, lambda path: path.suffix == ".levels")


@augury.register("library", "my_library")
def my_library(name: str, /, *, classes: int, channels: int = 3, bias: bool = True) -> nn.Module:
    """Linear networks, by the size of what they pool to."""
    side = int(name.removeprefix("pool"))
    return Net(nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Linear(side * side * channels, classes, bias=bias))


@augury.register("saliency", "my_saliency")
def my_saliency() -> SaliencyWay:
    """Bright pixels, whatever the network says."""
    return SaliencyWay(lambda network, images, labels: images.mean(1), backward=False)


@augury.register("measurement", "my_measure")
def my_measure(subjects: Sequence[Subject], dataset: Dataset) -> Measured:
    """How many test images there are."""
    return Measured("Counted.", {"images": len(dataset.test.ids), "networks": len(subjects)})
