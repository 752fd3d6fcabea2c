"""Nested state as JSON and named tensors, so that a checkpoint can be read without executing code."""

from typing import Any

from torch import Tensor

TENSOR, PAIRS = "tensor of the checkpoint", "pairs"


def flatten_state(value: object, prefix: str, tensors: dict[str, Tensor]) -> Any:
    """The value with every tensor moved to `tensors`, named by `prefix` and its path, and replaced by a reference to that name.

    Mappings whose keys are not all strings become pairs; tuples become lists.
    """
    if isinstance(value, Tensor):
        tensors[prefix] = value
        return {TENSOR: prefix}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: flatten_state(item, f"{prefix}.{key}", tensors) for key, item in value.items()}
        return {PAIRS: [[key, flatten_state(item, f"{prefix}.{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [flatten_state(item, f"{prefix}.{number}", tensors) for number, item in enumerate(value)]
    return value


def unflatten_state(value: object, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `flatten_state`, except that tuples stay lists."""
    if isinstance(value, dict):
        if set(value) == {TENSOR}:
            return tensors[value[TENSOR]]
        if set(value) == {PAIRS}:
            return {key: unflatten_state(item, tensors) for key, item in value[PAIRS]}
        return {key: unflatten_state(item, tensors) for key, item in value.items()}
    return [unflatten_state(item, tensors) for item in value] if isinstance(value, list) else value
