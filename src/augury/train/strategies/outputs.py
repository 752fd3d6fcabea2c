"""The outputs of a network: logits, together with features or the last feature maps."""

from typing import Any, Literal

from torch import Tensor, nn

from augury.core.errors import InputError
from augury.core.targets import Targets
from augury.train.strategies.strategy import Views

Layer = Literal["logits", "features", "feature_map"]


def outputs(model: nn.Module, images: Tensor, at: Layer = "logits") -> tuple[Tensor, Tensor]:
    """Logits and the output of a layer, from one forward pass.

    at: `features` are the input of the head, [B,D]; `feature_map` is the last tap's output, [B,D,H,W]. Raises
    InputError for a network without them (see `require`).
    """
    if at == "logits":
        logits = model(images)
        return logits, logits
    seen: list[Tensor] = []
    layer = require(model, at)
    if at == "features":
        hook = layer.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    else:
        hook = layer.register_forward_hook(lambda module, given, made: seen.append(made))
    try:
        logits = model(images)
    finally:
        hook.remove()
    return logits, seen[-1]


def require(model: nn.Module, at: Layer) -> Any:
    """The module that `at` is read from; InputError if the network lacks `head` or `taps`."""
    needed = "head" if at == "features" else "taps"
    found = getattr(model, needed, None)
    if not found:
        raise InputError(f"--strategy: at={at} needs a network that names its {needed}; {type(model).__name__} does not")
    return found if at == "features" else model.get_submodule(found[-1])


def view(views: Views, number: int, pipeline: int, where: str) -> tuple[Tensor, Targets]:
    """Images and labels of one view; InputError if the images have no labels."""
    batch = views(view=number, pipeline=pipeline)
    if batch.targets is None:
        raise InputError(f"strategy: {where} needs labels")
    return batch.images, batch.targets
