"""The same short training of each strategy by different hosts: the first losses and the weights after them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import augury
from augury.train.data.dataset import Dataset, Split, load
from augury.train.data.groups import groups_of
from augury.train.engine.feed import Share
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.streams import Drawn
from augury.train.engine.training import Training

STEPS = 5


@dataclass(frozen=True)
class Case:
    """A strategy with what it needs beside plain images."""

    strategy: str
    augment: str = "crop+flip+cutout"
    model: str = "small_cnn"
    networks: int = 1
    groups: bool = False
    unlabelled: bool = False
    translated: bool = False
    options: dict[str, Any] = field(default_factory=dict)


SPECIAL = {
    "ait": Case("ait", "crop+flip+keep(cutmix)"),
    "augmix_jsd": Case("augmix_jsd", "crop", options={"augment2": "crop+augmix"}),
    "clamp": Case("clamp", groups=True, translated=True),
    "dml": Case("dml", networks=2),
    "erm": Case("erm", "crop+randaugment+mixup", options={"smoothing": 0.1}),
    "group_dro": Case("group_dro", groups=True),
    "multi_ait": Case("multi_ait", networks=2),
    "reid": Case("reid", model="bnneck(small_cnn)"),
    "uda": Case("uda", "crop+randaugment", unlabelled=True),
    "dml(updates=alternating)": Case("dml(updates=alternating)", networks=2),
    "erm, early head": Case("erm", "crop+keep_cutout(saliency=early_head)"),
}


def case_of(name: str) -> Case:
    return SPECIAL.get(name, Case(name))


def names() -> list[str]:
    return sorted({*augury.names("strategy"), *SPECIAL})


def data_of(case: Case) -> Dataset:
    """160 training images whose ids are their indices, as `augury.with_ids` numbers them."""
    found = load("digits_correlation" if case.groups else "digits")
    rows = torch.arange(160)
    groups = None if found.train.groups is None else found.train.groups[rows]
    return replace(found, train=Split(found.train.images[rows], found.train.labels[rows], rows, groups))


def settings_of(case: Case) -> Settings:
    return Settings(
        "digits_correlation" if case.groups else "digits", augment=case.augment, strategy=case.strategy, model=case.model,
        epochs=2, batch_size=32, seed=5, sched="constant", device="cpu", precision="float32", **case.options,
    )  # fmt: skip


@dataclass
class Recording(Trainer):
    """Augury's own engine, with the loss of every step kept, and what each read."""

    losses: list[Tensor] = field(default_factory=list)
    read: list[tuple[Share, dict[str, Drawn]]] = field(default_factory=list)

    def _step(self, share: Share, streams: dict[str, Drawn]) -> tuple[Tensor, dict[str, Tensor]]:
        done = super()._step(share, streams)
        self.losses.append(done[0])
        self.read.append((share, streams))
        return done


def prepared(case: Case) -> Training:
    dataset = data_of(case)
    streams = {"translated": dataset.train.images[:, None].flip(-1).repeat(1, 2, 1, 1, 1)} if case.translated else None
    return prepare(settings_of(case), dataset, streams)


def own_engine(case: Case) -> tuple[Recording, list[Tensor]]:
    """The first epoch, which has STEPS steps; the weights after it."""
    trainer = Recording(prepared(case))
    trainer.train_epoch()
    assert len(trainer.losses) == STEPS
    return trainer, [p.detach() for p in trainer.training.method.parameters()]


def networks_of(case: Case) -> tuple[nn.Module | list[nn.Module], nn.ModuleDict]:
    """The networks with the initial weights of the own engine's, and the parts trained along."""
    method = prepared(case).method
    return (list(method.networks) if case.networks > 1 else method.networks[0]), method.extra


def method_of(case: Case) -> augury.Method:
    """The method, as a user's script makes it."""
    dataset = data_of(case)
    model, extra = networks_of(case)
    more = dict(case.options)
    if case.groups:
        more["groups"] = groups_of(dataset)  # of all parts, as the own engine counts them
    method = augury.method(
        model, augment=case.augment, strategy=case.strategy, classes=len(dataset.classes), mean=dataset.mean, std=dataset.std,
        seed=5, **more,
    )  # fmt: skip
    method.extra.load_state_dict(extra.state_dict())
    return method


def batches_of(case: Case, read: list[tuple[Share, dict[str, Drawn]]], **loader: Any) -> Iterator[tuple[Any, ...]]:
    """(images, labels, ids) in the own engine's order through a DataLoader, and the further arguments of each step."""
    dataset = data_of(case)
    train = dataset.train
    assert isinstance(train.images, Tensor)
    order = [share.rows.tolist() for share, _ in read]
    batches = DataLoader(augury.with_ids(TensorDataset(train.images, train.labels)), batch_sampler=order, **loader)
    for (images, labels, ids), (share, streams) in zip(batches, read, strict=True):
        more: dict[str, Any] = {}
        if case.groups:
            assert train.groups is not None
            more["groups"] = train.groups[share.rows]
        if case.translated:
            more["translated"] = images[:, None].flip(-1).repeat(1, 2, 1, 1, 1)
        for name, drawn in streams.items():
            more[name] = (train.images[drawn.rows], train.ids[drawn.rows])
        yield images, labels, ids, more


def optimizer_of(method: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(method.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)


def plain_pytorch(case: Case, read: list[tuple[Share, dict[str, Drawn]]]) -> tuple[list[Tensor], list[Tensor]]:
    """A loop as users write it."""
    method, losses = method_of(case), []
    optimizer = optimizer_of(method)
    method.start_epoch(0, epochs=2)
    for images, labels, ids, more in batches_of(case, read):
        total = torch.zeros(())
        for step in method.turns(images, labels, ids=ids, **more):
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            total = total + step.loss.detach()
        losses.append(total)
    return losses, [p.detach() for p in method.parameters()]
