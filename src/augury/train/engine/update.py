"""The update of the weights: optimisers, the mean of gradients over processes, clipping, and averaged weights."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from augury.train.engine.settings import Settings
from augury.train.engine.world import World

# The key of the learning-rate factor in a parameter group of the optimiser.
FACTOR = "rate_factor"


def make_optimizer(
    settings: Settings,
    parameters: list[nn.Parameter],
    *,
    tensor_rate: bool = False,
    rates: Mapping[nn.Parameter, float] | None = None,
) -> torch.optim.Optimizer:
    """The optimiser that the settings name; weight decay applies to every parameter, as in the papers' code.

    tensor_rate: keep the learning rate in a tensor on the parameters' device, where a captured step reads it. rates: factors of
    parameters' learning rates, 1 for those not in it; each factor has its own group.
    """
    made = _optimizer(settings, parameters if rates is None else _groups(parameters, rates), parameters[0].device, tensor_rate)
    set_rate(made, settings.peak_lr)
    return made


def _groups(parameters: list[nn.Parameter], rates: Mapping[nn.Parameter, float]) -> list[dict[str, Any]]:
    """Groups of parameters with the same factor, the full rate first."""
    factors = sorted({rates.get(parameter, 1.0) for parameter in parameters}, reverse=True)
    return [{"params": [p for p in parameters if rates.get(p, 1.0) == factor], FACTOR: factor} for factor in factors]


def _optimizer(
    s: Settings, parameters: list[nn.Parameter] | list[dict[str, Any]], device: torch.device, tensor_rate: bool
) -> torch.optim.Optimizer:
    rate: Any = torch.tensor(s.peak_lr, device=device) if tensor_rate else s.peak_lr
    if tensor_rate:
        for group in parameters:
            if isinstance(group, dict):
                group["lr"] = rate.clone()
    more: dict[str, Any] = {}
    if s.opt == "sgd":
        more = {"fused": True} if tensor_rate else {}
        return torch.optim.SGD(
            parameters, lr=rate, momentum=s.momentum, weight_decay=s.weight_decay, nesterov=s.nesterov and s.momentum > 0, **more
        )  # fmt: skip
    more = {"capturable": True} if tensor_rate else {}
    if s.opt == "rmsprop":
        # TensorFlow's defaults (decay 0.9), with which the papers' EfficientNets were trained; PyTorch's decay is 0.99.
        return torch.optim.RMSprop(
            parameters, lr=rate, alpha=s.opt_alpha, eps=s.opt_eps or 1e-3, momentum=s.momentum, weight_decay=s.weight_decay, **more
        )  # fmt: skip
    # Adam adds the decay to the gradient, as in the papers that name it; AdamW subtracts it from the weights.
    kind = torch.optim.Adam if s.opt == "adam" else torch.optim.AdamW
    return kind(
        parameters, lr=rate, betas=(s.momentum, 0.999), eps=s.opt_eps or 1e-8, weight_decay=s.weight_decay, **more
    )  # fmt: skip


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set every group's learning rate to `rate` times its factor; a tensor is filled in place."""
    for group in optimizer.param_groups:
        own = rate * group.get(FACTOR, 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = own


@dataclass
class Update:
    """Updates the weights from the gradients of backward passes. clip: the maximum norm of the gradient."""

    optimizer: torch.optim.Optimizer
    parameters: list[nn.Parameter]
    clip: float | None
    world: World

    def begin(self) -> None:
        # Parameters without a gradient in this turn must not change: with a gradient of 0, momentum would still move them.
        self.optimizer.zero_grad(set_to_none=True)

    def gather(self, loss: Tensor) -> Tensor:
        """Sum gradients and losses over the processes, each of which has its share of the mean; returns the step's loss."""
        return self.world.sum_gradients(self.parameters, loss)

    def finish(self) -> None:
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()


class ModelEma:
    """An exponential moving average of the weights (Polyak and Juditsky 1992); buffers are copied from the model.

    The decay of the n-th update is min(decay, (1 + n) / (10 + n)), so that the initial weights fade.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        mine: list[Tensor] = list(self.model.parameters())
        new: list[Tensor] = [p.detach() for p in model.parameters()]
        torch._foreach_lerp_(mine, new, 1 - decay)
        for kept, now in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(now)
