"""The processes that train together, whoever started them: Augury, torchrun, Lightning, Accelerate."""

import os

import torch
from torch import Tensor


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def process_rank() -> int:
    """This process's rank. A DataLoader worker has the rank of its parent process."""
    if _is_distributed():
        return torch.distributed.get_rank()
    return int(os.environ.get("RANK", "0"))


def process_count() -> int:
    """How many processes train together (the world size). A DataLoader worker reads it from its environment."""
    if _is_distributed():
        return torch.distributed.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))


def summed(value: Tensor) -> Tensor:
    """The sum of all processes' values, without gradient; the value itself in a single process. All processes must call it."""
    if not _is_distributed() or torch.distributed.get_world_size() == 1:
        return value
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
