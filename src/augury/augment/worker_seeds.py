"""Keeps the draws of DataLoader workers and of processes apart, by numbers that are constants to torch.compile."""

from torch.utils.data import get_worker_info

from augury.core.devices import constant_when_compiled
from augury.core.processes import process_rank


def seed_here(seed: int) -> int:
    """A pipeline's seed combined with the DataLoader worker's seed and the process's rank, so that their draws differ."""
    worker, rank = worker_seed(), rank_of_process()
    here = seed if worker is None else seed * 1_000_003 + worker
    return here if rank == 0 else here * 1_000_003 + rank


@constant_when_compiled
def worker_seed() -> int | None:
    """The seed of this DataLoader worker; None outside a worker."""
    worker = get_worker_info()
    return None if worker is None else worker.seed


@constant_when_compiled
def rank_of_process() -> int:
    """This process's rank among those that train together; 0 where it is alone."""
    return process_rank()
