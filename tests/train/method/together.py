"""Run by torchrun on two processes: every strategy, overlapped and plain sums, what each image draws, and a method within DDP."""

import inspect
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import hosts
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import augury
from augury.core import registry
from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, load
from augury.train.data.groups import groups_of
from augury.train.engine import run
from augury.train.engine.prepare import prepare
from augury.train.engine.world import World, join, leave

OVERLAPPED = ("ait", "multi_ait", "uncertainty(candidates=2)", "dml(updates=alternating)")
MORE = (*OVERLAPPED, "group_dro(step_size=0.1)", "group_dro(class_conditional=true)")


def case_of(strategy: str) -> hosts.Case:
    """What the strategy needs beside images, with a network without batch normalisation, whose statistics would differ."""
    case = replace(hosts.case_of(strategy.partition("(")[0]), strategy=strategy)
    model = "bnneck(small_cnn(width=4))" if case.model.startswith("bnneck") else "norm_free"
    return replace(case, augment="crop+cutout", model=model)


def trained(world: World, strategy: str, overlap: bool = True) -> list[torch.Tensor]:
    """The weights after a few steps."""
    case = case_of(strategy)
    plain = run.overlapped
    run.overlapped = plain if overlap else lambda method, world: None  # type: ignore[assignment]
    dataset = hosts.data_of(case)
    streams = {"translated": dataset.train.images[:, None].flip(-1).repeat(1, 2, 1, 1, 1)} if case.translated else None
    settings = replace(hosts.settings_of(case), epochs=1, batch_size=37)
    training = prepare(settings, dataset, streams, world=world)
    run.Trainer(training).train_epoch()
    run.overlapped = plain
    able = "init_sync" in inspect.signature(torch.nn.parallel.DistributedDataParallel).parameters  # from PyTorch 2.7 on
    assert (training.overlapped is not None) == (able and overlap and world.size > 1 and training.strategy.turns == 1)
    return [p.detach().clone() for p in training.method.parameters()]


def few() -> Dataset:
    return hosts.data_of(hosts.Case("erm"))


def norm_free(*, classes: int, channels: int) -> nn.Module:
    layers = [nn.Conv2d(channels, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, classes))


def in_ddp(world: World) -> tuple[list[list[float]], list[torch.Tensor]]:
    """A user's loop: DistributedDataParallel around the method. The sums of what each image of this process became."""
    dataset = few()
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
    image = few().train.images[:1].repeat(4, 1, 1, 1)
    return pipeline(image).double().flatten(1).sum(1).tolist()


def main(folder: Path) -> None:
    world, _ = join("cpu")
    torch.set_num_threads(1)
    found: dict[str, Any] = {"groups": len(groups_of(load("digits_correlation")))}
    tensors: dict[str, list[torch.Tensor]] = {}
    found["refused"] = {}
    for strategy in (*registry.names("strategy"), *MORE):
        try:
            tensors[strategy] = trained(world, strategy)
        except InputError as error:
            found["refused"][strategy] = str(error)
    for strategy in OVERLAPPED if world.size > 1 else ():
        tensors[f"{strategy}, summed"] = trained(world, strategy, overlap=False)
    found["drawn"], tensors["ddp"] = in_ddp(world)
    found["without_ids"] = without_ids(world)
    torch.save(tensors, folder / f"weights-{world.size}-{world.rank}.pt")
    (folder / f"found-{world.size}-{world.rank}.json").write_text(json.dumps(found))
    if dist.is_initialized():
        dist.barrier()
    leave()


if __name__ == "__main__":
    augury.register("model", "norm_free", source="a test")(norm_free)
    main(Path(sys.argv[1]))
