"""Lowering shared by many operations: affine matrices and table records."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from augury.augment.forms.table import Recipe, Table
from augury.augment.forms.warp import Warp
from augury.core.op import Values


def affine(columns: list[Tensor | float], like: Tensor, bilinear: bool, fill: float) -> Warp:
    """A Warp record from the six entries of an output-to-input matrix, each a float64 [n] or a number."""
    parts = [c.double() if isinstance(c, Tensor) else torch.full_like(like, c, dtype=torch.float64) for c in columns]
    count = len(like)
    return Warp(
        torch.stack(parts, 1),
        torch.full((count,), bilinear, device=like.device),
        torch.full((count,), float(fill), device=like.device),
    )


def recipe(kind: Recipe, parameter: str | None = None) -> Callable[[Values, Tensor], Any]:
    """The lowering of an operation that is one table recipe, driven by at most one parameter."""

    def lower(values: Values, size: Tensor) -> Table:
        value = values[parameter].double() if parameter else torch.zeros(len(size), dtype=torch.float64, device=size.device)
        return Table(torch.full((len(size),), int(kind), device=size.device), value)

    return lower
