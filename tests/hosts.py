"""The same short training of each strategy by different hosts: the first losses and the weights after them."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL import Image
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
    """A strategy with what it needs beside plain images. alone: an augmentation without a method."""

    strategy: str
    augment: str = "crop+flip+cutout"
    model: str = "small_cnn"
    networks: int = 1
    groups: bool = False
    unlabelled: bool = False
    translated: bool = False
    alone: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> set[str]:
        """What its loops write beside the lines that all write."""
        found = {"alone" if self.alone else "method"}
        asked = {"networks": self.networks > 1, "groups": self.groups, "unlabelled": self.unlabelled}
        return found | {name for name, wanted in (asked | {"translated": self.translated}).items() if wanted}


SPECIAL = {
    "augmentation alone": Case("erm", "crop+flip+cutout", alone=True),
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
    numbers = torch.arange(160)
    rows = numbers * (len(found.train.ids) // 160)  # of every class and group, which lie one after another
    groups = None if found.train.groups is None else found.train.groups[rows]
    return replace(found, train=Split(found.train.images[rows], found.train.labels[rows], numbers, groups))


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


@functools.cache
def own_engine(name: str) -> tuple[Recording, list[Tensor]]:
    """The first epoch, which has STEPS steps; the weights after it."""
    case = case_of(name)
    trainer = Recording(prepared(case))
    trainer.train_epoch()
    assert len(trainer.losses) == STEPS
    return trainer, [p.detach() for p in trainer.training.method.parameters()]


def networks_of(case: Case) -> tuple[nn.Module | list[nn.Module], nn.ModuleDict]:
    """The networks with the initial weights of the own engine's, and the parts trained along."""
    method = prepared(case).method
    return (list(method.networks) if case.networks > 1 else method.networks[0]), method.extra


def method_of(case: Case, **options: Any) -> augury.Method:
    """The method, as a user's script makes it."""
    dataset = data_of(case)
    model, extra = networks_of(case)
    more = {**case.options, **options}
    if case.groups:
        more["groups"] = groups_of(dataset)  # of all parts, as the own engine counts them
    method = augury.method(
        model, augment=case.augment, strategy=case.strategy, classes=len(dataset.classes), mean=dataset.mean, std=dataset.std,
        seed=5, **more,
    )  # fmt: skip
    method.extra.load_state_dict(extra.state_dict())
    return method


def pipeline_of(case: Case, **output: Any) -> augury.Pipeline:
    """The augmentation alone, as a user's script makes it."""
    dataset = data_of(case)
    return augury.pipeline(case.augment, normalize=(dataset.mean, dataset.std), seed=5, **output)


Read = list[tuple[Share, dict[str, Drawn]]]
Outcome = tuple[list[Tensor], list[Tensor]]


def rows_of(read: Read) -> list[list[int]]:
    return [share.rows.tolist() for share, _ in read]


def training_part(case: Case) -> tuple[Tensor, Tensor]:
    train = data_of(case).train
    assert isinstance(train.images, Tensor)
    return train.images, train.labels


def further_of(case: Case, read: Read) -> Iterator[dict[str, Any]]:
    """The further arguments of each step."""
    train = data_of(case).train
    images, _ = training_part(case)
    for share, streams in read:
        more: dict[str, Any] = {}
        if case.groups:
            assert train.groups is not None
            more["groups"] = train.groups[share.rows]
        if case.translated:
            more["translated"] = images[share.rows][:, None].flip(-1).repeat(1, 2, 1, 1, 1)
        for name, drawn in streams.items():
            more[name] = (images[drawn.rows], train.ids[drawn.rows])
        yield more


def batches_of(case: Case, read: Read) -> list[dict[str, Any]]:
    """The own engine's batches, as a loader of mappings gives them."""
    loader = DataLoader(augury.with_ids(TensorDataset(*training_part(case))), batch_sampler=rows_of(read))
    named = ({"images": images, "labels": labels, "ids": ids} for images, labels, ids in loader)
    return [{**batch, **more} for batch, more in zip(named, further_of(case, read), strict=True)]


def optimizer_of(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)


def noting(method: augury.Method) -> list[Tensor]:
    """The losses of all turns that the method makes from here on."""
    losses: list[Tensor] = []
    plain = method.loss

    def noted(*given: Any, **named: Any) -> augury.Step:
        step = plain(*given, **named)
        losses.append(step.loss.detach())
        return step

    method.loss = noted  # type: ignore[method-assign]
    return losses


def outcome(method: augury.Method, losses: list[Tensor]) -> Outcome:
    """Losses by step, and the weights."""
    turns, zero = method.strategy.turns, torch.zeros(())
    steps = [sum(losses[start : start + turns], zero) for start in range(0, len(losses), turns)]
    return steps, [p.detach() for p in method.parameters()]  # type: ignore[return-value]


# The loops below are what users write. Lines that make or call something of Augury's end in `# augury: needs`, and count one for
# each of these that a case has.


def plain_pytorch(case: Case, read: Read) -> Outcome:
    """A loop as users write it."""
    further = list(further_of(case, read))
    loader = DataLoader(augury.with_ids(TensorDataset(*training_part(case))), batch_sampler=rows_of(read))  # augury: method
    method = method_of(case)  # augury: method, networks
    losses, optimizer = noting(method), optimizer_of(method)
    method.start_epoch(0, epochs=2)  # augury: method
    for (images, labels, ids), more in zip(loader, further, strict=True):
        for step in method.turns(images, labels, ids=ids, **more):  # augury: method, groups, unlabelled, translated
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
    return outcome(method, losses)


def plain_pytorch_alone(case: Case, read: Read) -> Outcome:
    """A loop with an augmentation and a loss of its own."""
    model, _ = networks_of(case)
    assert isinstance(model, nn.Module)
    pipeline = pipeline_of(case)  # augury: alone
    optimizer, losses = optimizer_of(model), []
    for images, labels, ids in DataLoader(augury.with_ids(TensorDataset(*training_part(case))), batch_sampler=rows_of(read)):
        given = augury.Batch(images, augury.Targets.of(labels, 10), ids)  # augury: alone
        batch, _ = pipeline.run(given, augury.Noise.of(5, ids, epoch=0))  # augury: alone
        assert batch.targets is not None
        loss = batch.targets.loss(model(batch.images)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses, [p.detach() for p in model.parameters()]


def lightning(case: Case, read: Read) -> Outcome:
    """Lightning's Trainer with the mixin."""
    from lightning.pytorch import LightningModule

    from augury.adapters.lightning import MethodTraining

    class Classifier(MethodTraining, LightningModule):  # augury: method
        def __init__(self) -> None:
            super().__init__()
            self.method = method_of(case)  # augury: method, networks

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer_of(self.method)

        def on_train_epoch_end(self) -> None:
            super().on_train_epoch_end()
            self.trainer.should_stop = True

    classifier = Classifier()
    losses = noting(classifier.method)
    loader = DataLoader(batches_of(case, read), batch_size=None)  # augury: method, groups, unlabelled, translated
    lightning_trainer().fit(classifier, loader)
    return outcome(classifier.method, losses)


def lightning_alone(case: Case, read: Read) -> Outcome:
    """Lightning's Trainer with a training step of the user's own."""
    from lightning.pytorch import LightningModule

    from augury.adapters.lightning import BatchAugmentation

    losses: list[Tensor] = []

    class Classifier(BatchAugmentation, LightningModule):  # augury: alone
        def __init__(self) -> None:
            super().__init__()
            self.model, _ = networks_of(case)
            self.augmentation, self.classes = pipeline_of(case), 10  # augury: alone

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            images, labels = batch
            loss = augury.Targets.of(labels, 10).loss(self.model(images)).mean()
            losses.append(loss.detach())
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer_of(self.model)

        def on_train_epoch_end(self) -> None:
            self.trainer.should_stop = True

    classifier = Classifier()
    loader = DataLoader(augury.with_ids(TensorDataset(*training_part(case))), batch_sampler=rows_of(read))  # augury: alone
    lightning_trainer().fit(classifier, loader)
    return losses, [p.detach() for p in classifier.model.parameters()]


def lightning_trainer(**options: Any) -> Any:
    from lightning.pytorch import Trainer

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(**{"accelerator": "cpu", "devices": 1, "max_epochs": 2, **quiet, **options})


def hugging_face(case: Case, read: Read) -> Outcome:
    """transformers' Trainer with the mixin."""
    from transformers import Trainer

    from augury.adapters.huggingface import MethodTraining

    class MethodTrainer(MethodTraining, Trainer):  # augury: method
        def get_train_dataloader(self) -> Any:
            return DataLoader(batches_of(case, read), batch_size=None)  # augury: method, groups, unlabelled, translated

    method = method_of(case)  # augury: method, networks
    losses = noting(method)
    trainer = MethodTrainer(method, **trainer_options(method))
    trainer.train()
    return outcome(method, losses)


def hugging_face_alone(case: Case, read: Read) -> Outcome:
    """transformers' Trainer on a data set of `datasets` with a transform."""
    import datasets
    from transformers import Trainer

    from augury.adapters.huggingface import Transform

    losses: list[Tensor] = []
    model, _ = networks_of(case)
    assert isinstance(model, nn.Module)

    def loss_of(logits: Tensor, labels: Tensor, **_: Any) -> Tensor:
        loss = augury.Targets.of(labels, 10).loss(logits).mean()
        losses.append(loss.detach())
        return loss

    class Ordered(Trainer):
        def get_train_dataloader(self) -> Any:
            return DataLoader(self.train_dataset, batch_sampler=rows_of(read))  # type: ignore[arg-type]

    images, labels = training_part(case)
    pictures = [Image.fromarray(image.numpy()) for image in images[:, 0]]
    data = datasets.Dataset.from_dict(
        {"image": pictures, "labels": labels.tolist(), "id": list(range(len(labels)))},
        features=datasets.Features({"image": datasets.Image(), "labels": datasets.Value("int64"), "id": datasets.Value("int64")}),
    )
    transform = Transform(pipeline_of(case), to="x")  # augury: alone
    data = data.with_transform(transform)  # augury: alone
    network = Named(model)
    Ordered(network, train_dataset=data, compute_loss_func=loss_of, **trainer_options(model)).train()
    return losses, [p.detach() for p in model.parameters()]


class Named(nn.Module):
    """A network as transformers call one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, id: Tensor | None = None) -> Tensor:
        return self.model(x)


def trainer_options(module: nn.Module) -> dict[str, Any]:
    """Plain SGD for one epoch of two, and nothing written."""
    import tempfile

    from transformers import TrainerCallback, TrainingArguments

    class OneEpoch(TrainerCallback):
        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = True

    optimizer = optimizer_of(module)
    arguments = TrainingArguments(
        tempfile.mkdtemp(), num_train_epochs=2, use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no",
        max_grad_norm=0, disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    return {"args": arguments, "optimizers": (optimizer, constant), "callbacks": [OneEpoch()]}


class Pictures:
    """PIL images and labels, as timm's data sets give them: through `transform`."""

    transform: Callable[[Image.Image], Any] | None = None

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.images[index, 0].numpy())
        return image if self.transform is None else self.transform(image), int(self.labels[index])


class Ordered:
    """Items in a given order."""

    def __init__(self, dataset: Any, order: list[int]) -> None:
        self.dataset, self.order = dataset, order

    @property
    def transform(self) -> Any:
        return self.dataset.transform

    @transform.setter
    def transform(self, value: Any) -> None:
        self.dataset.transform = value

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.order[index]]


def timm_loader(case: Case, read: Read, **options: Any) -> Any:
    """timm's loader without its own augmentation and normalisation, in the own engine's order."""
    from timm.data import create_loader

    from augury.adapters.timm import WithIds

    order = [row for rows in rows_of(read) for row in rows]
    dataset = Ordered(WithIds(Pictures(*training_part(case))), order)
    return create_loader(
        dataset, (1, *dataset.dataset.dataset.images.shape[-2:]), 32, mean=(0.0,), std=(1.0,), crop_pct=1.0,
        device=torch.device("cpu"), num_workers=0, persistent_workers=False, **options,
    )  # fmt: skip


def timm(case: Case, read: Read, prefetcher: bool = True) -> Outcome:
    """A loop over timm's loader."""
    further = list(further_of(case, read))
    loader = timm_loader(case, read, use_prefetcher=prefetcher)  # augury: method
    method = method_of(case, image_range=(0, 1))  # augury: method, networks
    losses, optimizer = noting(method), optimizer_of(method)
    method.start_epoch(0, epochs=2)  # augury: method
    for (images, targets), more in zip(loader, further, strict=True):
        for step in method.turns(
            images, targets[:, 0], ids=targets[:, 1], **more
        ):  # augury: method, groups, unlabelled, translated
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
    return outcome(method, losses)


def timm_alone(case: Case, read: Read) -> Outcome:
    """A loop over timm's loader that augments where it collates."""
    from augury.adapters.torchvision import Collate

    model, _ = networks_of(case)
    assert isinstance(model, nn.Module)
    optimizer, losses = optimizer_of(model), []
    collate = Collate(pipeline_of(case), 10)  # augury: alone
    loader = timm_loader(case, read, use_prefetcher=False, collate_fn=collate)  # augury: alone
    for images, labels in loader:
        loss = augury.Targets.of(labels, 10).loss(model(images)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses, [p.detach() for p in model.parameters()]


HOSTS: dict[str, tuple[Callable[[Case, Read], Outcome], Callable[[Case, Read], Outcome]]] = {
    "plain PyTorch": (plain_pytorch, plain_pytorch_alone),
    "Lightning": (lightning, lightning_alone),
    "HF Trainer": (hugging_face, hugging_face_alone),
    "timm loader": (timm, timm_alone),
}
# Cells that are refused: what the message says, and what the page says.
REFUSED = {("dml(updates=alternating)", "HF Trainer"): ("updates its networks in turn", "refused: it updates once a batch")}


def loop_of(case: Case, host: str) -> Callable[[Case, Read], Outcome]:
    return HOSTS[host][case.alone]


def lines(case: Case, host: str) -> int:
    """The lines of a user's loop that make or call something of Augury's."""
    tags = re.findall(r"# augury: (.*)", inspect.getsource(loop_of(case, host)))
    return sum(len(case.needs.intersection(tag.split(", "))) for tag in tags)


def table() -> str:
    """The table of docs/own-loop.md."""
    head = f"| strategy | own engine | {' | '.join(HOSTS)} |\n|{'---|' * (len(HOSTS) + 2)}\n"
    found = ""
    for name in names():
        case = case_of(name)
        cells = [REFUSED[name, host][1] if (name, host) in REFUSED else f"equal, {lines(case, host)}" for host in HOSTS]
        title = name if case.alone else f"`{name}`"
        found += f"| {title} | reference | {' | '.join(cells)} |\n"
    return head + found
