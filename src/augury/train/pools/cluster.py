"""Runs jobs as tasks of a Ray cluster; the values that they share are in memory once per machine."""

import logging
import os
import pickle
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np
import torch
from torch import Tensor

from augury.core.errors import InputError, RunError
from augury.core.memory import prepare_for_training
from augury.train.engine.setup import pick_device
from augury.train.pools.packed import Arrays, dumped, loaded, packed, unpacked
from augury.train.pools.pool import J, OnTold, R, Runner, Shared, T, attempted, unheard

# A value in Ray's memory: its pickle, and the arrays that the pickle leaves out.
Stored = tuple[bytes, list[np.ndarray]]


@dataclass
class RayPool(Generic[J, R]):
    """Runs jobs as tasks of a Ray cluster, `count` at a time. A task whose process dies is started once more; if it dies again,
    that is its result. What jobs report while they run is ignored."""

    ray: Any
    task: Any
    runner: Runner[J, R]
    count: int
    content: Any
    shared: dict[str, Any] = field(default_factory=dict)

    def run(self, jobs: Iterable[J], told: OnTold = unheard) -> Iterator[R]:
        upcoming = iter(jobs)
        pending: dict[Any, tuple[J, bool]] = {}
        while True:
            while len(pending) < self.count and (job := next(upcoming, None)) is not None:
                pending[self._begun(job)] = job, False
            if not pending:
                return
            ready, _ = self.ray.wait(list(pending), num_returns=1)
            job, again = pending.pop(ready[0])
            try:
                yield pickle.loads(self.ray.get(ready[0]))
            except self.ray.exceptions.RayError as error:
                if again:
                    yield self.runner.broken(job, RunError(f"{type(error).__name__}: {error}"), 0.0)
                else:
                    pending[self._begun(job)] = job, True

    def share(self, value: T) -> Shared[T]:
        store, key = Arrays(), str(len(self.shared))
        self.shared[key] = self.ray.put((dumped(value, store), store.arrays))
        return Shared(value, key)

    def _begun(self, job: J) -> Any:
        store = Arrays()
        content = dumped(job, store)
        keys = list(dict.fromkeys(store.keys))
        return self.task.remote(os.getcwd(), self.content, (content, store.arrays), keys, *(self.shared[key] for key in keys))


def ray_module() -> Any:
    """Raises InputError if Ray is not installed."""
    try:
        import ray
    except ImportError:
        raise InputError("--ray: needs the package ray; pip install 'augury[ray]', or use --workers N instead") from None
    return ray


def connected(runner: Runner[J, R], workers: int, address: str) -> tuple[RayPool[J, R], bool]:
    """A pool on a Ray cluster (`local` starts one here, `auto` or an address joins one), and whether this call initialised Ray.

    Raises InputError if Ray is missing or its cluster cannot be reached.
    """
    ray = ray_module()
    started = not ray.is_initialized()
    if started:
        local: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **local)
        except Exception as error:  # Ray raises plain Exception if it does not start
            raise InputError(f"--ray {address}: cannot be reached ({' '.join(str(error).split())[:200]})") from None
    gpus = 1 if pick_device(runner.settings.device).type == "cuda" else 0
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_remote)
    # As many as the cluster has room for: more would only wait there, having been chosen too early.
    room = int(ray.cluster_resources().get("GPU" if gpus else "CPU", 1))
    count = workers if address == "local" else max(workers, room)
    store = Arrays()
    content = packed(runner, "--ray", store)
    return RayPool(ray, task, runner, count, ray.put((content, store.arrays))), started


def _remote(place: str, runner: Stored, job: Stored, keys: list[str], *shared: Stored) -> bytes:
    if os.path.isdir(place):
        os.chdir(place)  # file names are relative to the command's working directory
    torch.set_num_threads(1)
    prepare_for_training()
    found = dict(zip(keys, shared, strict=True))

    def shared_at(key: str) -> Any:
        content, arrays = found[key]
        return loaded(content, _Held(arrays))

    made = unpacked(runner[0], _Held(runner[1]))
    return pickle.dumps(attempted(made, loaded(job[0], _Held(job[1]), shared_at), unheard))


@dataclass(frozen=True)
class _Held:
    """Makes tensors that share the memory of Ray's arrays, which are never written to."""

    arrays: list[np.ndarray]

    def __call__(self, number: int) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # PyTorch has no read-only tensors
            return torch.from_numpy(self.arrays[number])
