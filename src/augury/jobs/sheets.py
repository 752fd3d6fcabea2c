"""Before and after: a data set's own images as a training shows them to its network."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.names import build
from augury.augment.pipeline import Pipeline, SaliencySource
from augury.augment.stages.normalize import Normalize
from augury.core.batch import Batch
from augury.core.draws import Draws as Drawing
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Chain
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.data.dataset import Dataset
from augury.train.engine.order import batches
from augury.train.engine.streams import repeated_order
from augury.train.strategies.strategy import Seen, Strategy

MOST_VIEWS = 8
_SHOWN_STREAMS = ("train", "unlabelled")


@dataclass(frozen=True)
class Draws:
    """before uint8 [R,C,H,W]; after: so many of the same shape each; captions[d][r] says what was drawn, headings[d] where."""

    before: Tensor
    after: list[Tensor]
    captions: list[list[str]]
    headings: list[str]


@dataclass(frozen=True)
class History:
    """What a training's draws depend on beside seed and epoch: mixes on the batches, schedules on the number of epochs, and
    how the draws of several epochs belong together. batch_size None: batches that are not known, so that partners of mixes
    come from the rows shown."""

    batch_size: int | None
    epochs: int
    draws: Drawing = "independent"


@dataclass(frozen=True)
class Shown:
    """A training's pipelines with the views that its strategy reads from them."""

    pipelines: tuple[Pipeline, ...]
    strategy: Strategy

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The views that a sheet has room for: of the data set's own images, at most eight."""
        return tuple(each for each in self.strategy.seen if each.stream in _SHOWN_STREAMS)[:MOST_VIEWS]

    @property
    def plain(self) -> bool:
        """Whether the network sees the augmentation and nothing else: one view, no stages or pipelines of the strategy's."""
        return self.seen == (Seen(),) and not self.strategy.stages and not self.strategy.chains

    def draws(self, wanted: int) -> int:
        """How many epochs give about so many columns, at least one."""
        return max(1, wanted // len(self.seen))


def sample_rows(dataset: Dataset, count: int) -> Tensor:
    """Rows of `count` training images that cycle through the classes, so that a sheet shows all of them."""
    labels = dataset.train.strata
    within = torch.zeros_like(labels)
    for label in labels.unique():
        mask = labels == label
        within[mask] = torch.arange(int(mask.sum()))
    return torch.argsort(within * (len(dataset.classes) + 1) + labels, stable=True)[:count]


def rows_with(dataset: Dataset, ids: list[int]) -> Tensor:
    """Rows of the training images with these ids, in this order. Raises InputError for an unknown id."""
    known = {int(number): row for row, number in enumerate(dataset.train.ids.tolist())}
    for number in ids:
        if number not in known:
            low, high = min(known), max(known)
            raise InputError(f"--ids {number}: no training image has this id; ids run from {low} to {high}")
    return torch.tensor([known[number] for number in ids], dtype=torch.int64)


def draw(
    dataset: Dataset, source: Chain | Shown, rows: Tensor, draws: int, *, seed: int = 0, epoch: int = 0,
    saliency: SaliencySource | None = None, history: History | None = None,
) -> Draws:  # fmt: skip
    """What the training with this seed shows the network of these rows in `draws` epochs from `epoch` on, a column per view.

    Partners of mixes come from the rows shown, or with `history` from the batches the training had them in. The pixels are
    those after the whole pipeline, taken back from their normalised values. Of images that come several times in an epoch
    the first time is shown. Epochs that differ in no pixel, as without augmentation, are shown once.
    """
    shown = source if isinstance(source, Shown) else Shown((build(source, (dataset.mean, dataset.std)),), Strategy())
    after, captions, headings = [], [], []
    for number in range(epoch, epoch + draws):
        shown.strategy.at_epoch(number)
        for each in shown.seen:
            images, said = _view(dataset, shown.pipelines, each, rows, seed, number, saliency, history)
            after.append(images)
            captions.append(said)
            headings.append(", ".join(part for part in (f"epoch {number + 1}", each.label) if part))
    views = len(shown.seen)
    if draws > 1 and all(torch.equal(images, after[number % views]) for number, images in enumerate(after)):
        after, captions = after[:views], captions[:views]
        headings = [", ".join(part for part in ("every epoch", each.label) if part) for each in shown.seen]
    return Draws(dataset.train.images[rows], after, captions, headings)


def _view(
    dataset: Dataset, pipelines: tuple[Pipeline, ...], seen: Seen, rows: Tensor, seed: int, epoch: int,
    saliency: SaliencySource | None, history: History | None,
) -> tuple[Tensor, list[str]]:  # fmt: skip
    """One view of the rows in an epoch: uint8 [R,C,H,W] and what was drawn for each."""
    pipeline = pipelines[min(seen.pipeline, len(pipelines) - 1)]
    normalize = next(stage for stage in pipeline.stages if isinstance(stage, Normalize))
    size = None if history is None else history.batch_size
    companies = [rows] if size is None or not pipeline.mixes else _batches_with(dataset, rows, seed, epoch, size)
    clock = Clock(epoch, history.epochs) if history else None
    shown, said = {}, {}
    for company in companies:
        noise = Noise.of(
            seed, dataset.train.ids[company], epoch=epoch, view=seen.view, draws="independent" if history is None else history.draws
        )
        noise = noise if seen.stream == "train" else noise.fold(seen.stream)
        batch = _batch(dataset, company, seen.stream == "train").replace(key=noise.key)
        done, traces = pipeline.run(batch, noise, clock=clock, saliency=saliency)
        restored = normalize.restore(done.images)
        for place, row in enumerate(company.tolist()):
            if row in rows:
                shown[row], said[row] = restored[place], pipeline.describe(traces, place)
    return torch.stack([shown[row] for row in rows.tolist()]), [said[row] for row in rows.tolist()]


def _batch(dataset: Dataset, rows: Tensor, labelled: bool) -> Batch:
    split = dataset.train
    targets = Targets.of(split.labels[rows], len(dataset.classes)) if labelled else None
    return Batch(split.images[rows], targets, split.ids[rows])


def _batches_with(dataset: Dataset, rows: Tensor, seed: int, epoch: int, size: int) -> list[Tensor]:
    """The batches of that epoch that hold one of the rows."""
    order, _ = repeated_order(dataset.train.ids, seed, epoch, len(dataset.train.ids))
    return [batch for batch in batches(order, size) if bool(torch.isin(batch, rows).any())]
