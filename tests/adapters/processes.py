"""Run alone and by torchrun on two processes: what each image draws in every host, and the weights after a few steps."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import hosts
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader

import augury
from augury.train.data.groups import groups_of
from augury.train.engine.world import World, join, leave

STEPS, STEP_IMAGES = 4, 40
Drawn = list[tuple[int, int, float]]


def made(case: hosts.Case) -> augury.Method:
    dataset = hosts.data_of(case)
    torch.manual_seed(0)
    channels, classes = dataset.train.images.shape[1], len(dataset.classes)
    model = network(channels, classes)
    more = {"groups": groups_of(dataset)} if case.groups else {}
    return augury.method(
        model,
        augment="crop+flip+cutout",
        strategy=case.strategy,
        classes=classes,
        mean=dataset.mean,
        std=dataset.std,
        seed=5,
        **more,
    )


def network(channels: int, classes: int) -> nn.Module:
    """Without batch normalisation, whose statistics would differ between one process and two."""
    layers = [nn.Conv2d(channels, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes))


def batches(case: hosts.Case, world: World) -> list[dict[str, Any]]:
    """This process's part of every step."""
    train = hosts.data_of(case).train
    assert isinstance(train.images, Tensor)
    found = []
    for start in range(0, STEPS * STEP_IMAGES, STEP_IMAGES):
        rows = torch.arange(start, start + STEP_IMAGES)[world.rank :: world.size]
        batch = {"images": train.images[rows], "labels": train.labels[rows], "ids": rows}
        if case.groups:
            assert train.groups is not None
            batch["groups"] = train.groups[rows]
        if case.translated:
            batch["translated"] = batch["images"][:, None].flip(-1).repeat(1, 2, 1, 1, 1)
        found.append(batch)
    return found


def noting(method: augury.Method) -> Drawn:
    """What each image becomes in each view, as the sum of its values."""
    drawn: Drawn = []
    plain = method.views

    def noted(*given: Any) -> Any:
        views = plain(*given)

        def view(view: int = 0, pipeline: int = 0, stream: str = "train") -> Any:
            batch = views(view, pipeline, stream)
            if stream == "train":
                sums = batch.images.double().flatten(1).abs().sum(1).tolist()
                drawn.extend((number, view, total) for number, total in zip(batch.ids.tolist(), sums, strict=True))
            return batch

        return view

    method.views = noted  # type: ignore[method-assign,assignment]
    return drawn


def weights(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def lightning(case: hosts.Case, world: World) -> tuple[Drawn, list[Tensor]]:
    from lightning.pytorch import LightningModule

    from augury.adapters.lightning import MethodTraining

    class Classifier(MethodTraining, LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.method = made(case)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.method.parameters(), lr=0.1)

    classifier = Classifier()
    drawn = noting(classifier.method)
    more = {"strategy": "ddp", "devices": world.size} if world.size > 1 else {}
    trainer = hosts.lightning_trainer(max_epochs=1, use_distributed_sampler=False, **more)
    trainer.fit(classifier, DataLoader(batches(case, world), batch_size=None))
    return drawn, weights(classifier.method)


def hugging_face(case: hosts.Case, world: World) -> tuple[Drawn, list[Tensor]]:
    from transformers import Trainer, TrainingArguments

    from augury.adapters.huggingface import MethodTraining

    class MethodTrainer(MethodTraining, Trainer):
        def get_train_dataloader(self) -> Any:
            return DataLoader(batches(case, world), batch_size=None)

    method = made(case)
    drawn = noting(method)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    arguments = TrainingArguments(
        str(folder / "hf"), num_train_epochs=1, use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no",
        max_grad_norm=0, disable_tqdm=True, ddp_backend="gloo" if world.size > 1 else None,
    )  # fmt: skip
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    MethodTrainer(method, arguments, optimizers=(optimizer, constant)).train()
    return drawn, weights(method)


def accelerate(case: hosts.Case, world: World) -> tuple[Drawn, list[Tensor]]:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    method = made(case)
    drawn = noting(method)
    wrapped, optimizer = accelerator.prepare(method, torch.optim.SGD(method.parameters(), lr=0.1))
    method.start_epoch(0, epochs=1)
    for batch in batches(case, world):
        accelerator.backward(wrapped(**batch).loss)
        optimizer.step()
        optimizer.zero_grad()
    return drawn, weights(method)


def sharded(case: hosts.Case, world: World) -> tuple[Drawn, list[Tensor]]:
    """FSDP, as Accelerate prepares it; Accelerate itself chooses it on accelerators only."""
    from accelerate import Accelerator, FullyShardedDataParallelPlugin
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model

    method = made(case)
    drawn = noting(method)
    wrapped: nn.Module = method
    if world.size > 1:
        accelerator = Accelerator(cpu=True)
        accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2, cpu_ram_efficient_loading=False, auto_wrap_policy="size_based_wrap", min_num_params=100
        )
        wrapped = fsdp2_prepare_model(accelerator, method)
        assert any(hasattr(p, "full_tensor") and p.to_local().numel() < p.numel() for p in wrapped.parameters())
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    method.start_epoch(0, epochs=1)
    for batch in batches(case, world):
        wrapped(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return drawn, [p.full_tensor().clone() if hasattr(p, "full_tensor") else p for p in weights(wrapped)]


CASES = {
    "lightning, clamp": (lightning, hosts.case_of("clamp")),
    "lightning, ait": (lightning, hosts.case_of("ait")),
    "hugging face, group_dro": (hugging_face, hosts.case_of("group_dro")),
    "accelerate, ait": (accelerate, hosts.case_of("ait")),
    "fsdp, ait": (sharded, hosts.case_of("ait")),
}

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    world, _ = join("cpu")
    found: dict[str, Drawn] = {}
    tensors: dict[str, list[Tensor]] = {}
    for name, (train, case) in CASES.items():
        found[name], tensors[name] = train(case, world)
        torch.manual_seed(0)
    torch.save(tensors, folder / f"weights-{world.size}-{world.rank}.pt")
    (folder / f"found-{world.size}-{world.rank}.json").write_text(json.dumps(found))
    if dist.is_initialized():
        dist.barrier()
    leave()
