"""Run by torchrun on two processes: what each image draws, overlapped and plain sums, groups, and a method within DDP."""

import json
import sys
from pathlib import Path
from typing import Any

import hosts
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import augury
from augury.train.data.dataset import load
from augury.train.data.groups import groups_of
from augury.train.engine import run
from augury.train.engine.prepare import prepare
from augury.train.engine.settings import Settings
from augury.train.engine.world import World, join, leave


def trained(world: World, strategy: str, overlap: bool, data: str = "digits") -> list[torch.Tensor]:
    """The weights after a few steps of a network without batch normalisation, whose statistics would differ."""
    settings = Settings(data, augment="crop+cutout", strategy=strategy, model="norm_free", epochs=1, batch_size=37, device="cpu")
    plain = run.overlapped
    run.overlapped = plain if overlap else lambda method, world: None  # type: ignore[assignment]
    dataset = few(data)
    streams = None
    if strategy.startswith("clamp"):
        streams = {"translated": dataset.train.images[:, None].flip(-1).repeat(1, 2, 1, 1, 1)}
    training = prepare(settings, dataset, streams, world=world)
    run.Trainer(training).train_epoch()
    run.overlapped = plain
    assert (training.overlapped is not None) == (overlap and world.size > 1 and training.strategy.turns == 1)
    return [p.detach().clone() for p in training.method.parameters()]


def few(data: str) -> Any:
    return hosts.data_of(hosts.Case("erm", groups=data == "digits_correlation"))


def norm_free(*, classes: int, channels: int) -> nn.Module:
    layers = [nn.Conv2d(channels, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, classes))


augury.register("model", "norm_free", source="a test")(norm_free)


def in_ddp(world: World) -> tuple[list[list[float]], list[torch.Tensor]]:
    """A user's loop: DistributedDataParallel around the method. The sums of what each image of this process became."""
    dataset = few("digits")
    torch.manual_seed(0)
    method = augury.method(
        norm_free(classes=10, channels=1),
        augment="crop+flip+cutout",
        strategy="ait",
        classes=10,
        mean=dataset.mean,
        std=dataset.std,
    )
    wrapped: nn.Module = method if world.size == 1 else DistributedDataParallel(method)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    drawn: list[list[float]] = []
    plain = method.views

    def noted(*given: Any) -> Any:
        views = plain(*given)

        def view(view: int = 0, pipeline: int = 0, stream: str = "train") -> Any:
            batch = views(view, pipeline, stream)
            sums = batch.images.double().flatten(1).abs().sum(1).tolist()
            drawn.extend([number, view, total] for number, total in zip(batch.ids.tolist(), sums, strict=True))
            return batch

        return view

    method.views = noted  # type: ignore[method-assign,assignment]
    method.start_epoch(0, epochs=1)
    assert isinstance(dataset.train.images, torch.Tensor)
    for start in range(0, 160, 40):
        rows = torch.arange(start, start + 40)[world.rank :: world.size]
        loss = wrapped(dataset.train.images[rows], dataset.train.labels[rows], ids=rows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return drawn, [p.detach().clone() for p in method.parameters()]


def without_ids(world: World) -> list[float]:
    """What the same image becomes again and again where nobody says which it is."""
    pipeline = augury.pipeline("crop+cutout")
    image = few("digits").train.images[:1].repeat(4, 1, 1, 1)
    return pipeline(image).double().flatten(1).sum(1).tolist()


def main(folder: Path) -> None:
    world, _ = join("cpu")
    torch.set_num_threads(1)
    found: dict[str, Any] = {"groups": len(groups_of(load("digits_correlation")))}
    tensors: dict[str, list[torch.Tensor]] = {}
    for strategy in ("ait", "multi_ait", "uncertainty(candidates=2)", "dml(updates=alternating)"):
        tensors[strategy] = trained(world, strategy, overlap=True)
        if world.size > 1:
            tensors[f"{strategy}, summed"] = trained(world, strategy, overlap=False)
    for strategy in ("group_dro(step_size=0.1)", "group_dro(class_conditional=true)", "clamp"):
        tensors[strategy] = trained(world, strategy, overlap=True, data="digits_correlation")
    found["drawn"], tensors["ddp"] = in_ddp(world)
    found["without_ids"] = without_ids(world)
    torch.save(tensors, folder / f"weights-{world.size}-{world.rank}.pt")
    (folder / f"found-{world.size}-{world.rank}.json").write_text(json.dumps(found))
    if dist.is_initialized():
        dist.barrier()
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
