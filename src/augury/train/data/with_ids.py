"""Data sets whose items carry an id, by which augmentations address their random numbers."""

import hashlib
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from torch.utils.data import Dataset, IterableDataset, get_worker_info

from augury.core.errors import InputError
from augury.core.processes import process_count, process_rank

Key = Callable[[Any], Hashable]


def with_ids(dataset: object, *, key: Key | None = None) -> Dataset[Any]:
    """The data set with each item's id as its last element: (image, label, id), or a mapping with the key "id".

    The ids of a map-style data set are its indices, so that an image gets the same draws regardless of order, workers and
    processes. The items of an iterable data set have no index: with `key`, which returns an item's name (a file name, or
    webdataset's `__key__`) or number, draws follow the item; without it, ids count the items that each worker of each process
    reads, so that ids are unique, but draws depend on the number of workers.

    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> with_ids(TensorDataset(torch.zeros(3, 1), torch.tensor([4, 5, 6])))[1]
    (tensor([0.]), tensor(5), 1)
    """
    if isinstance(dataset, IterableDataset):
        return IterableWithIds(dataset, key)
    if not callable(getattr(type(dataset), "__getitem__", None)):
        raise InputError(f"with_ids: expected a PyTorch data set, got {type(dataset).__name__}")
    return MapWithIds(dataset, key)


class MapWithIds(Dataset[Any]):
    """See `with_ids`."""

    def __init__(self, dataset: Any, key: Key | None = None) -> None:
        self.dataset, self.key = dataset, key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        item = self.dataset[index]
        return _joined(item, int(index) % len(self.dataset) if self.key is None else number_of(self.key(item)))


class IterableWithIds(IterableDataset[Any]):
    """See `with_ids`."""

    def __init__(self, dataset: Any, key: Key | None = None) -> None:
        self.dataset, self.key = dataset, key

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        own, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for count, item in enumerate(self.dataset):
            number = (count * process_count() + process_rank()) * workers + own if self.key is None else number_of(self.key(item))
            yield _joined(item, number)


def number_of(name: Hashable) -> int:
    """A whole number modulo 2^63; for anything else, a hash of its text that is the same in every process."""
    if isinstance(name, int) and not isinstance(name, bool):
        return name % 2**63
    return int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=8).digest(), "big") >> 1


def _joined(item: object, number: int) -> Any:
    if isinstance(item, dict):
        if "id" in item:
            raise InputError("with_ids: the items already have a key 'id'; pass the data set to the method as it is")
        return {**item, "id": number}
    return (*item, number) if isinstance(item, tuple | list) else (item, number)
