"""Trains one network in several processes under torchrun: their shares of a step and their communication.

Gradients are summed after the backward pass in one flat buffer per dtype, rather than by DistributedDataParallel:
strategies run a network several times in a step, hook its layers and update networks in turn, which the wrapper does not
support. The loss is summed in the same buffer, so that all processes see a non-finite loss at the same step.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from augury.core.errors import InputError, RunError

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """Process `rank` of `size`; one process alone by default."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def share(self, rows: Tensor) -> tuple[Tensor, float]:
        """This process's rows of a step, and the weight of their mean loss; the weighted sum over processes is the step's mean.

        A process without rows computes one with weight 0, since all must take part.
        """
        if self.size == 1:
            return rows, 1.0
        own = rows[self.rank :: self.size]
        return (own, len(own) / len(rows)) if len(own) else (rows[:1], 0.0)

    def part(self, count: int) -> slice:
        """The rows, out of `count`, that this process evaluates."""
        return slice(self.rank, count, self.size)

    def sum_gradients(self, parameters: list[nn.Parameter], loss: Tensor) -> Tensor:
        """Sum the gradients over all processes in place; returns the summed loss. Does nothing with one process."""
        if self.size == 1:
            return loss
        gradients = [p.grad for p in parameters if p.grad is not None]
        for kind in sorted({g.dtype for g in gradients} | {torch.float32}, key=str):
            same = [g for g in gradients if g.dtype == kind]
            extra = [loss.detach().reshape(1)] if kind == torch.float32 else []
            flat = torch.cat([*(g.reshape(-1) for g in same), *extra])
            dist.all_reduce(flat)
            start = 0
            for gradient in same:
                gradient.copy_(flat[start : start + gradient.numel()].reshape(gradient.shape))
                start += gradient.numel()
            if extra:
                loss = flat[-1]
        return loss

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def total(self, numbers: list[float]) -> list[float]:
        """Sums of numbers over all processes, in float64."""
        if self.size == 1 or not numbers:
            return numbers
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        return self.sum(torch.tensor(numbers, dtype=torch.float64, device=device)).tolist()

    @torch.no_grad()
    def average_buffers(self, model: nn.Module) -> None:
        """Average the running statistics of batch normalisation over all processes."""
        if self.size > 1:
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.sum(buffer.detach().clone()) / self.size)

    def from_first(self, value: object) -> Any:
        """The first process's value, sent to all processes."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def first(self, do: Callable[[], T]) -> T | None:
        """What `do` returns in the first process, None in the others. What it refuses there is raised in all, which otherwise
        would wait for a process that has ended."""
        made: T | None = None
        refused: InputError | RunError | None = None
        if self.leads:
            try:
                made = do()
            except (InputError, RunError) as error:
                refused = error
        refused = self.from_first(refused)
        if refused is not None:
            raise refused
        return made

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()


def join(device: str) -> tuple[World, str]:
    """Join the processes that torchrun's environment variables describe; returns them and this process's device.

    Without torchrun, there is one process. Uses gloo on the CPU and NCCL on CUDA. Raises InputError if there are more processes
    than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World(), device
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if cuda and local >= torch.cuda.device_count():
        raise InputError(f"--nproc-per-node: process {local} has no GPU of its own, there are {torch.cuda.device_count()}")
    if cuda:
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(minutes=30))
    return World(rank, size), f"cuda:{local}" if cuda else "cpu"


def leave() -> None:
    """Leave the process group that `join` entered."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def alone(command: str) -> None:
    """InputError if a command that runs in one process is started by torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(f"{command}: runs in one process; `augury train` runs in several under torchrun")
