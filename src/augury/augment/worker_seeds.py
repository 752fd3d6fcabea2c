"""What tells the draws of DataLoader workers and of processes apart; constants to torch.compile."""

from torch.utils.data import get_worker_info

from augury.core.devices import constant_when_compiled
from augury.core.processes import process_rank


@constant_when_compiled
def worker_seed() -> int | None:
    """The seed of this DataLoader worker; None outside a worker."""
    worker = get_worker_info()
    return None if worker is None else worker.seed


@constant_when_compiled
def rank_of_process() -> int:
    """This process's rank among those that train together; 0 where it is alone."""
    return process_rank()
