"""Overlaps the summing of gradients with the backward pass, by PyTorch's DistributedDataParallel, if a step allows it.

The wrapper encloses the whole method, in which a strategy may run networks several times and hook their layers. It requires
that every parameter get its gradient in one backward pass, which is not so for strategies that update networks in turn and for
networks with unused parts; their gradients are summed by `World.sum_gradients` afterwards.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from augury.train.engine.world import World
from augury.train.method.method import Method
from augury.train.strategies.strategy import Step


class _Loss(nn.Module):
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, *given: Any, **named: Any) -> Step:
        return self.method.loss(*given, **named)


def overlapped(method: Method, world: World) -> DistributedDataParallel | None:
    """The method's loss with gradients summed during its backward pass; None if that is impossible, as before PyTorch 2.7, whose
    wrapper would first overwrite every process's running statistics with those of one.

    Call this in every process after a first backward pass, whose gradients show whether all parameters get one.
    """
    if world.size == 1 or method.strategy.turns > 1:
        return None
    if any(p.grad is None for p in method.parameters() if p.requires_grad):
        return None
    named = inspect.signature(DistributedDataParallel).parameters
    if "init_sync" not in named:
        return None
    # Weights are equal already, and running statistics stay separate until an epoch ends. PyTorch has renamed the flag.
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in named else "broadcast_buffers"
    more: dict[str, Any] = {buffers: False}
    wrapped = DistributedDataParallel(_Loss(method), init_sync=False, **more)
    wrapped.register_comm_hook(None, _sum)
    return wrapped


def _sum(state: object, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """Sum instead of averaging, the wrapper's default, since every process's loss is already its share of the step's."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    assert work is not None
    first: Callable[[Any], Tensor] = lambda done: done.value()[0]  # noqa: E731
    return work.get_future().then(first)
