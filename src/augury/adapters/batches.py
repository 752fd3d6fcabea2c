"""What loaders yield, as the arguments of a method's call."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from augury.core.errors import InputError

_PLACES = ("images", "labels", "ids", "groups")
_NAMES = {"image": "images", "pixel_values": "images", "label": "labels", "id": "ids", "group": "groups", "visit": "visits"}


def arguments(batch: object) -> dict[str, Any]:
    """A loader's batch as `method(**arguments(batch))` takes it.

    Batches are images, or (images, labels), (images, labels, ids) or (images, labels, ids, groups), or mappings by these names,
    in which `image`, `label`, `id` and `group` stand for the plurals. Further names are a strategy's streams; under `train` a
    mapping holds a batch of the training part, as loaders do that combine several. Labels with two whole numbers in each row are
    (label, id), which timm's loaders can carry.

    Raises InputError for anything else.
    """
    given: dict[str, Any]
    if isinstance(batch, Mapping):
        named: dict[str, Any] = {_NAMES.get(str(name), str(name)): value for name, value in batch.items()}
        given = {**arguments(named.pop("train")), **named} if "train" in named else named
    elif isinstance(batch, tuple | list) and 1 <= len(batch) <= len(_PLACES):
        given = dict(zip(_PLACES, batch, strict=False))
    elif isinstance(batch, Tensor):
        given = {"images": batch}
    else:
        shape = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, tuple | list) else type(batch).__name__
        raise InputError(f"batch: expected (images, labels), (images, labels, ids) or a mapping with these names, got {shape}")
    if "images" not in given:
        raise InputError(f"batch: has no images, only {', '.join(map(str, given))}; name them 'image' or 'images'")
    labels = given.get("labels")
    if isinstance(labels, Tensor) and labels.ndim == 2 and labels.shape[1] == 2 and not labels.is_floating_point():
        given = {**given, "labels": labels[:, 0], "ids": labels[:, 1]}
    return given
