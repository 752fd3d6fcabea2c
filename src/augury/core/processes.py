"""The processes that train together, whoever started them: Augury, torchrun, Lightning, Accelerate."""

import os

import torch
from torch import Tensor


def process_rank() -> int:
    """This process's number. A DataLoader's worker has that of the process it works for."""
    if _joined():
        return torch.distributed.get_rank()
    return int(os.environ.get("RANK", "0"))


def process_count() -> int:
    """How many processes there are. A DataLoader's worker knows it from its environment."""
    if _joined():
        return torch.distributed.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))


def summed(value: Tensor) -> Tensor:
    """The sum of all processes' values, which all must ask for; without others the value itself. No gradient flows through."""
    if not _joined() or torch.distributed.get_world_size() == 1:
        return value
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total


def _joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
