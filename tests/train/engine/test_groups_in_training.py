"""Group-balanced batches, selection by the worst group, early stopping, and the stream of translations."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from grouped import groups
from torch import nn

from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, Split, load
from augury.train.data.groups import groups_of
from augury.train.engine.evaluate import Evaluation
from augury.train.engine.prepare import prepare
from augury.train.engine.resume import save
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.sampling import balanced_batches
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings
from augury.train.strategies.strategy import Step, Strategy, Views

SHORT = Settings("digits_correlation", model="small_cnn(width=4)", epochs=2, batch_size=16, lr=0.01, sampling="groups")


@dataclass
class Watching:
    """A strategy whose views are looked at first."""

    inner: Strategy
    note: Callable[[Views], None]

    def __call__(self, model: nn.Module, views: Views, **options: Any) -> Step:
        self.note(views)
        return self.inner(model, views, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """A small part of digits_correlation."""
    whole = load("digits_correlation")
    cells = groups_of(whole).of_split(whole.train)
    rows = torch.cat([(cells == g).nonzero()[:n, 0] for g, n in enumerate((30, 3, 3, 30))])

    def part(split: Split, rows: torch.Tensor) -> Split:
        assert split.groups is not None
        return Split(split.images[rows], split.labels[rows], split.ids[rows], split.groups[rows])

    few = torch.arange(0, len(whole.validation.ids), 20)
    return replace(whole, train=part(whole.train, rows), validation=part(whole.validation, few), test=part(whole.test, few[:40]))


def test_every_batch_holds_every_group_equally_often() -> None:
    cells = torch.tensor([0] * 20 + [1] * 3 + [2] * 5 + [3] * 20)
    ids = 100 + torch.arange(48)
    seen: dict[int, list[int]] = {g: [] for g in range(4)}
    addresses = set()
    for rows, visits in balanced_batches(ids, cells, seed=0, epoch=2, batch_size=10, steps=9):
        assert torch.bincount(cells[rows], minlength=4).tolist() == [2] * 4
        addresses |= set(zip(rows.tolist(), visits.tolist(), strict=True))
        for row in rows.tolist():
            seen[int(cells[row])].append(row)
    assert len(addresses) == 9 * 8, "a repeated image has another visit, so another draw"
    for g, rows_of_group in seen.items():
        size = int((cells == g).sum())
        for start in range(0, len(rows_of_group) - size + 1, size):
            assert len(set(rows_of_group[start : start + size])) == size, "a pass sees every image once"


def test_the_order_is_of_the_seed_and_the_epoch_and_not_of_the_rows() -> None:
    cells, ids = torch.arange(40) % 4, torch.arange(40)

    def drawn(ids: torch.Tensor, cells: torch.Tensor, **where: int) -> list[list[int]]:
        found = balanced_batches(ids, cells, batch_size=8, steps=4, **{"seed": 0, "epoch": 0, **where})
        return [sorted(ids[rows].tolist()) for rows, _ in found]

    flipped = torch.arange(39, -1, -1)
    assert drawn(ids, cells) == drawn(ids[flipped], cells[flipped])
    assert drawn(ids, cells) != drawn(ids, cells, epoch=1) != drawn(ids, cells, seed=1)


def test_a_repeated_image_is_augmented_anew(data: Dataset) -> None:
    """With three images in a group and four of them in a step, the one that comes twice must look different."""
    training = prepare(replace(SHORT, augment="rotate(degrees=uniform(-90, 90), p=1)"), data)
    seen = {}

    def note(views: Views) -> None:
        batch = views()
        assert batch.visits is not None
        for image, address in zip(batch.images, zip(batch.ids.tolist(), batch.visits.tolist(), strict=True), strict=True):
            seen[address] = image

    training.method.strategy = Watching(training.strategy, note)  # type: ignore[assignment]
    Trainer(training).train_epoch()
    repeated = [i for i in {i for i, _ in seen} if sum(j == i for j, _ in seen) > 1]
    assert repeated
    for number in repeated:
        images = [image for (i, _), image in seen.items() if i == number]
        assert not torch.equal(images[0], images[1])


def test_equal_steps_whatever_the_sampling(data: Dataset) -> None:
    counts = [Trainer(prepare(replace(SHORT, sampling=how, epochs=1), data)).run()["counts"] for how in ("shuffled", "groups")]
    assert counts[0]["steps"] == counts[1]["steps"] == math.ceil(66 / 16)


def evaluation(right: list[bool]) -> Evaluation:
    labels = torch.zeros(len(right), dtype=torch.int64)
    prediction = torch.where(torch.tensor(right), labels, labels + 1)
    accuracy = 100 * sum(right) / len(right)
    none = torch.zeros(len(right))
    return Evaluation(accuracy, 100.0, 0.0, prediction, none, none, torch.zeros(len(right), 2))


def validation() -> Split:
    """Three images of group 0, one of group 1."""
    return Split(
        torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64), torch.arange(4), torch.tensor([0, 0, 0, 1])
    )  # fmt: skip


EPOCHS = [[True, True, True, False], [True, False, False, True], [True, True, True, False], [True, False, False, True]]


@pytest.mark.parametrize(("select", "epoch"), [("worst_group", 2), ("validation", 1), ("last", 0)])
def test_the_first_of_the_best_epochs_is_kept(select: str, epoch: int) -> None:
    model = nn.Linear(1, 1)
    selection = Selection(select, None, groups([(0, 0), (0, 1)], [3, 1]))
    for number, right in enumerate(EPOCHS, start=1):
        nn.init.constant_(model.weight, number)
        row = selection.see(number, evaluation(right), validation(), model)
        assert row["validation_worst_group"] == pytest.approx([0, 100 / 3, 0, 100 / 3][number - 1])
    selection.restore(model)
    assert float(model.weight.detach()) == (epoch or 4)


def test_patience() -> None:
    model, selection = nn.Linear(1, 1), Selection("worst_group", 2, groups([(0, 0), (0, 1)], [3, 1]))
    stopped = []
    for number, right in enumerate(EPOCHS, start=1):
        selection.see(number, evaluation(right), validation(), model)
        stopped.append(selection.stopped(number))
    assert stopped == [False, False, False, True], "two epochs after the best, the second"


def test_a_training_stops_early_and_ends_with_the_best_epoch(data: Dataset, tmp_path: Path) -> None:
    settings = replace(SHORT, lr=0.0, epochs=9, select="worst_group", patience=1)
    directory = RunDirectory.open(tmp_path / "run", settings.dict())
    training = prepare(settings, data)
    Trainer(training).run(directory)
    assert len(directory.metrics()) == 2 and training.selection.epoch == 1, "nothing is learned, so the first is the best"


def test_selection_survives_resuming(data: Dataset, tmp_path: Path) -> None:
    settings = replace(SHORT, epochs=3, select="worst_group")
    straight = Trainer(prepare(settings, data)).run(RunDirectory.open(tmp_path / "a", settings.dict()))
    short = RunDirectory.open(tmp_path / "b", settings.dict())
    half = prepare(settings, data)
    for _ in range(2):
        short.append_metrics(Trainer(half).train_epoch())
        save(half, short.path)
    resumed = prepare(settings, data)
    assert Trainer(resumed).run(short)["accuracy"] == straight["accuracy"] and resumed.selection.epoch > 0


def test_what_cannot_be_sampled_or_selected_is_refused(data: Dataset) -> None:
    plain = load("digits")
    for settings, dataset, words in [
        (replace(SHORT, batch_size=3), data, "fewer than the 4 groups"),
        (SHORT, plain, "has no groups"),
        (replace(SHORT, sampling="shuffled", select="worst_group"), plain, "has no groups"),
        (replace(SHORT, patience=2), data, "--patience"),
        (replace(SHORT, strategy="clamp"), data, "augury patch"),
        (replace(SHORT, strategy="group_dro", augment="mixup"), data, "mixes images of several groups"),
        (replace(SHORT, sampling="shuffled", strategy="group_dro"), plain, "has no groups"),
    ]:
        with pytest.raises(InputError, match=words):
            prepare(settings, dataset)


def test_translations_arrive_beside_their_images(data: Dataset) -> None:
    """Image i's translations are filled with i: what the strategy sees must belong to the batch's rows."""
    count = len(data.train.ids)
    marked = (torch.arange(count)[:, None] + 100 * torch.arange(2)).to(torch.uint8)[:, :, None, None, None].expand(-1, -1, 1, 8, 8)
    training = prepare(replace(SHORT, strategy="clamp", augment="none"), data, {"translated": marked.contiguous()})
    place = {int(i): row for row, i in enumerate(data.train.ids)}
    seen = []

    def note(views: Views) -> None:
        batch, others = views(), views(stream="translated")
        pixels = training.method.normalize.restore(others.images)[:, 0, 0, 0].reshape(len(batch), 2)
        rows = [place[i] for i in batch.ids.tolist()]
        assert pixels.tolist() == [[r, r + 100] for r in rows]
        seen.append(len(rows))

    training.method.strategy = Watching(training.strategy, note)  # type: ignore[assignment]
    Trainer(training).train_epoch()
    assert seen == [16] * 5
