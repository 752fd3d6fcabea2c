"""Batch: indexing selects the rows of every field."""

import dataclasses

import pytest
import torch

from augury.core import devices
from augury.core.batch import Batch
from augury.core.targets import Targets


def full(count: int = 5) -> Batch:
    rows = torch.arange(count)
    images = rows[:, None, None, None].expand(count, 3, 4, 6).to(torch.uint8)
    size = torch.stack([rows % 4 + 1, rows % 6 + 1], 1)
    saliency = rows[:, None, None].expand(count, 4, 6).float()
    return Batch(images, Targets.of(rows, 9), rows + 100, rows, rows + 50, saliency, size, rows + 70)


def test_rows_are_taken_from_every_part() -> None:
    # Catches a part forgotten in __getitem__: its row would not follow.
    rows = torch.tensor([3, 0, 3])
    got = full()[rows]
    assert got.images[:, 0, 0, 0].tolist() == [3, 0, 3]
    assert got.targets is not None and got.targets.index[:, 0].tolist() == [3, 0, 3]
    assert got.ids.tolist() == [103, 100, 103]
    assert got.visits is not None and got.visits.tolist() == [3, 0, 3]
    assert got.groups is not None and got.groups.tolist() == [53, 50, 53]
    assert got.saliency is not None and got.saliency[:, 0, 0].tolist() == [3, 0, 3]
    assert got.size is not None and got.size.tolist() == [[4, 4], [1, 1], [4, 4]]
    assert got.key is not None and got.key.tolist() == [73, 70, 73]
    assert all(getattr(got, field.name) is not None for field in dataclasses.fields(got))


def test_parts_that_are_not_there_stay_so() -> None:
    batch = Batch(torch.zeros(2, 1, 4, 6, dtype=torch.uint8), None, torch.arange(2))
    got = batch[torch.tensor([1])]
    assert (got.targets, got.visits, got.groups, got.saliency, got.size) == (None,) * 5
    assert batch.sizes().tolist() == [[4, 6], [4, 6]]
    assert len(batch) == 2 and len(got) == 1


def test_a_batch_is_not_changed_in_place() -> None:
    batch = full()
    other = batch.replace(ids=batch.ids + 1)
    assert batch.ids.tolist() == [100, 101, 102, 103, 104] and other.ids.tolist() == [101, 102, 103, 104, 105]
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.ids = other.ids  # type: ignore[misc]


def test_sizes_are_rows_then_columns() -> None:
    assert full().sizes()[1].tolist() == [2, 2]
    assert Batch(torch.zeros(0, 3, 4, 6), None, torch.arange(0)).sizes().shape == (0, 2)


def test_a_batch_moves_with_all_its_parts() -> None:
    """Catches a part left behind; the key stays where noise is drawn, which is not on every device."""
    batch, elsewhere = full(), torch.device("meta")
    assert batch.to(torch.device("cpu")) is batch
    moved = batch.to(elsewhere)
    assert moved.images.device == elsewhere and moved.ids.device == elsewhere and moved.key is batch.key
    assert moved.targets is not None and moved.targets.index.device == moved.targets.weight.device == elsewhere
    bare = Batch(batch.images, None, batch.ids).to(elsewhere)
    assert bare.ids.device == elsewhere and (bare.targets, bare.visits, bare.key) == (None, None, None)


def test_sizes_are_the_same_where_no_value_may_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of accelerators and compiled graphs, on a CPU."""
    batch = Batch(torch.zeros(2, 3, 4, 6, dtype=torch.uint8), None, torch.arange(2))
    expected = batch.sizes()
    monkeypatch.setattr(devices, "is_host", lambda device: False)
    assert batch.sizes().equal(expected) and expected.tolist() == [[4, 6], [4, 6]] and expected.dtype == torch.int64


def test_sizes_are_the_last_two_dimensions() -> None:
    assert Batch(torch.zeros(1, 4, 6, 9, 7), None, torch.arange(1)).sizes().tolist() == [[9, 7]]


def test_a_key_follows_to_devices_that_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "augments", lambda device: device.type == "meta")
    moved = full().to(torch.device("meta"))
    assert moved.key is not None and moved.key.device.type == "meta"
