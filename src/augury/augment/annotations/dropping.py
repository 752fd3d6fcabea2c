"""Drops boxes of which too little is left, with everything beside them that has a row for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from augury.core.errors import InputError


@dataclass(frozen=True)
class Judged:
    """Boxes, in the place of their own, and which of them stay, bool [N]."""

    boxes: Tensor
    valid: Tensor


def dropped(node: object, names: tuple[str, ...]) -> Any:
    """The structure with only the boxes that stay, and with what else has a row for each of them in the same container.

    names: keys of a mapping whose values have a row per box. Masks [N,H,W] and key points [N,...] have one by their shape; in a
    tuple or list, so have other tensors of N rows. Raises InputError if a named value has another number of rows.
    """
    if isinstance(node, Judged):
        return _rows(node.boxes, node.valid)
    if isinstance(node, Mapping):
        marker = next((value for value in node.values() if _judged(value) is not None), None)
        known = {name.lower() for name in names}
        parts = {}
        for key, value in node.items():
            own = marker is None or value is marker
            name = str(key)
            parts[key] = dropped(value, names) if own else _beside(value, marker, name, name.lower() in known, names)
        return type(node)(parts) if type(node) is not dict else parts  # type: ignore[call-arg]
    if isinstance(node, list | tuple):
        marker = next((value for value in node if isinstance(value, Judged)), None)
        several = marker is not None and sum(isinstance(value, Judged) for value in node) > 1
        if marker is None or several:
            made = [dropped(value, names) for value in node]
        else:
            made = [dropped(v, names) if v is marker else _beside(v, marker, "", isinstance(v, Tensor), names) for v in node]
        return type(node)(*made) if hasattr(node, "_fields") else type(node)(made)
    return node


def _judged(value: object) -> list[Judged] | None:
    """The judged boxes that a container's value is, or is a list of."""
    if isinstance(value, Judged):
        return [value]
    if isinstance(value, list | tuple) and value and all(isinstance(each, Judged) for each in value):
        return list(value)
    return None


def _beside(value: Any, marker: Any, name: str, named: bool, names: tuple[str, ...]) -> Any:
    """What stands beside boxes: its own rows of those that stay, where it has a row for each."""
    if isinstance(marker, Judged):
        return _fitting(value, marker.valid, name, named, names)
    if isinstance(value, list | tuple) and len(value) == len(marker):
        made = [_fitting(v, judged.valid, name, named, names) for v, judged in zip(value, marker, strict=True)]
        return type(value)(made)
    return dropped(value, names)


def _fitting(value: object, valid: Tensor, name: str, named: bool, names: tuple[str, ...]) -> Any:
    from torchvision import tv_tensors

    count = len(valid)
    if isinstance(value, tv_tensors.Image | tv_tensors.Video | Image.Image):
        return value
    if isinstance(value, tv_tensors.TVTensor):
        rows = value.ndim >= (3 if isinstance(value, tv_tensors.Mask) else 2) and len(value) == count
        return _rows(value, valid) if rows else value
    if not named or not (isinstance(value, list | tuple | np.ndarray) or (isinstance(value, Tensor) and value.ndim)):
        return dropped(value, names)
    if len(value) != count:
        if not name:
            return value
        raise InputError(f"{name}: {len(value)} entries beside {count} boxes; leave it out of Annotations(rows=...), or mend it")
    return _rows(value, valid)


def _rows(value: Any, valid: Tensor) -> Any:
    if isinstance(value, Tensor):
        plain = value.as_subclass(Tensor)[valid.to(value.device)]
        if type(value) is Tensor:
            return plain
        from torchvision import tv_tensors

        return tv_tensors.wrap(plain, like=value)
    if isinstance(value, np.ndarray):
        return value[valid.cpu().numpy()]
    return type(value)(each for each, stays in zip(value, valid.tolist(), strict=True) if stays)
