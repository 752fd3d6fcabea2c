"""The update of the weights: optimisers, the mean of gradients over processes, clipping, and averaged weights."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from augury.train.engine.settings import Settings
from augury.train.engine.world import World

# Where a group of the optimiser keeps the factor of its learning rate.
FACTOR = "rate_factor"


def make_optimizer(
    settings: Settings,
    parameters: list[nn.Parameter],
    *,
    tensor_rate: bool = False,
    rates: Mapping[nn.Parameter, float] | None = None,
) -> torch.optim.Optimizer:
    """The optimiser that the settings name; every parameter is decayed, as the papers' codes do it.

    tensor_rate: the learning rate is a tensor on the parameters' device, so that a captured step reads it there. rates: factors of
    parameters' learning rates (1 for those that are not named), each with a group of its own.
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
        # TensorFlow's defaults (decay 0.9), which the papers' EfficientNets were trained with; PyTorch's own is 0.99.
        return torch.optim.RMSprop(
            parameters, lr=rate, alpha=s.opt_alpha, eps=s.opt_eps or 1e-3, momentum=s.momentum, weight_decay=s.weight_decay, **more
        )  # fmt: skip
    # Adam adds the decay to the gradient, as the papers that name it do; AdamW takes it off the weights.
    kind = torch.optim.Adam if s.opt == "adam" else torch.optim.AdamW
    return kind(
        parameters, lr=rate, betas=(s.momentum, 0.999), eps=s.opt_eps or 1e-8, weight_decay=s.weight_decay, **more
    )  # fmt: skip


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the learning rate times its factor; a tensor is filled where it is."""
    for group in optimizer.param_groups:
        own = rate * group.get(FACTOR, 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = own


@dataclass
class Update:
    """One update from the gradients that backward passes have left."""

    optimizer: torch.optim.Optimizer
    parameters: list[nn.Parameter]
    clip: float | None
    world: World

    def begin(self) -> None:
        # Parameters without a gradient in this turn must stay as they are: momentum would move zeros.
        self.optimizer.zero_grad(set_to_none=True)

    def gather(self, loss: Tensor) -> Tensor:
        """Sum gradients and losses over the processes, which each hold their share of the mean; the step's loss."""
        return self.world.sum_gradients(self.parameters, loss)

    def finish(self) -> None:
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()


class ModelEma:
    """An exponential moving average of the weights (Polyak and Juditsky 1992); buffers are the newest.

    The decay of the n-th update is min(decay, (1 + n) / (10 + n)), so that the first steps are not kept for ever.
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
