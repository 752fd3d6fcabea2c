"""Ways to make saliency maps, by name, and the map of a batch or an error that says where to get one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from augury.core import registry
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.options import Registered

SaliencyKind = Annotated[str, Registered("saliency")]
MakeMap = Callable[[nn.Module, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class SaliencyWay:
    """How a map is made, registered as `"saliency"` by a factory without options.

    make(network, images, labels): float32 [B,H,W] of normalised images float [B,C,H,W]; the network is in evaluation mode. labels:
    int64 [B], or None, where the network's largest logit stands in. backward: whether a map costs a backward pass beside the
    forward pass. early_head: whether it is given, in place of the network, the head on its first unit, which is trained
    along. labels: whether labels count, which must be one class per image then. other_size: whether it shows the
    network images of another size, which networks that resize make pointless.
    """

    make: MakeMap
    backward: bool = True
    early_head: bool = False
    other_size: bool = False
    labels: bool = True


def way_of(kind: str) -> SaliencyWay:
    """The way registered under a name; InputError if there is none."""
    made: SaliencyWay = registry.get("saliency", kind)()
    return made


def map_of(batch: Batch, name: str) -> Tensor:
    """The map float [B,H,W] that a stage called `name` needs; InputError if the batch has none, or one of another shape."""
    found = batch.saliency
    if found is None:
        raise InputError(
            f"{name} needs a saliency map: call pipeline.run(batch, noise, saliency=augury.saliency(model)), or give the "
            "Batch a `saliency`; a plain call has no model"
        )
    if found.shape != batch.images[:, 0].shape:
        raise InputError(f"saliency: expected [B,H,W] {list(batch.images[:, 0].shape)}, got {list(found.shape)}")
    return found
