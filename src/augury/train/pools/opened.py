"""Opens the pool that a command's options specify."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from augury.core.errors import InputError
from augury.core.memory import available_memory
from augury.core.processes import cores
from augury.train.engine.setup import pick_device
from augury.train.pools.pool import J, Pool, R, Runner, SerialPool


@dataclass(frozen=True)
class Workers:
    """Where to train: in `count` processes, 1 being this one, or on a Ray cluster: `local` starts one here, `auto` or an address
    joins one, with `count` trainings at a time, or as many as it has room for if that is more. open: whether `count` is still to be
    chosen, by what is to be trained."""

    count: int = 1
    ray: str | None = None
    open: bool = False

    @staticmethod
    def of(where: str, count: int, ray: str | None) -> "Workers":
        """From a user's arguments; InputError if `count` is not a positive whole number, or if Ray is requested but missing."""
        if not isinstance(count, int) or count < 1:
            raise InputError(f"{where}: workers={count!r}: must be a whole number of at least 1")
        if ray is not None:
            from augury.train.pools.cluster import ray_module

            ray_module()
        return Workers(count, ray)

    @property
    def here(self) -> bool:
        """Whether all trainings run in this process."""
        return self.count == 1 and self.ray is None

    def unless(self, parallel_seeds: bool) -> "Workers":
        """These, or this process where the seeds of a row train together in it; InputError if both were asked for."""
        if parallel_seeds and not self.here:
            raise InputError("--parallel-seeds: trains in this process; leave it out, or --workers and --ray")
        return ALONE if parallel_seeds else self

    def chosen(self, trainings: int, device: str) -> "Workers":
        """These, or where their number is open: on a CPU a process for each of PyTorch's threads, as long as there is memory."""
        if not self.open:
            return self
        room = available_memory() // WORKER_BYTES
        count = min(torch.get_num_threads(), cores(), trainings, room)
        return Workers(count) if count > 1 and pick_device(device).type == "cpu" else ALONE


ALONE = Workers()
WORKER_BYTES = 3 << 29  # 1.5 GB: twice what a process of a small network's training takes beside the images, which all share


@contextmanager
def pool_of(runner: Runner[J, R], workers: Workers = ALONE) -> Iterator[Pool[J, R]]:
    """A pool in this process, in several, or on a Ray cluster. Raises InputError if Ray is requested but missing or unreachable."""
    if workers.ray is not None:
        from augury.train.pools.cluster import connected

        cluster, started = connected(runner, workers.count, workers.ray)
        try:
            yield cluster
        finally:
            if started:
                cluster.ray.shutdown()
    elif workers.count == 1:
        yield SerialPool(runner)
    else:
        from augury.train.pools.processes import ProcessPool

        processes = ProcessPool(runner, workers.count)
        try:
            yield processes
        finally:
            processes.close()
