"""Lowering shared by many operations: affine matrices, recipes of tables and blends, fillings of regions."""

from collections.abc import Callable

import torch
from torch import Tensor

from augury.augment.forms.blend import Degenerate
from augury.augment.forms.region import NO_GRID, Content
from augury.augment.forms.table import TableKind
from augury.core.op import Column, Parts, Values


def affine(columns: tuple[Column, ...], bilinear: bool, fill: float) -> Parts:
    """The parts of a Warp from the six entries of an output-to-input matrix, each a tensor [n] or a number."""
    return columns, bilinear, float(fill)


def whole_pixels(fraction: Tensor, of: Tensor) -> Tensor:
    """float64 [n]: a fraction, float32, of a length in pixels, cut to whole pixels towards zero.

    What float32 makes of k/W may lie just below it, and the product just below k, which must not cost a pixel: every number
    that a float32 stands for lies between the middles to its neighbours, and the outer middle is taken.
    """
    outer = (fraction.double() + torch.nextafter(fraction, 2 * fraction).double()) / 2
    return (outer * of).trunc()


def recipe(kind: TableKind | Degenerate, parameter: str | None = None) -> Callable[[Values, Tensor], Parts]:
    """The lowering of an operation that is one recipe of a table or one blend: driven by a parameter, or by nothing."""

    def lower(values: Values, size: Tensor) -> Parts:
        return int(kind), values[parameter] if parameter else 0.0

    return lower


def filling(content: Content, fill: float = 0.0, pattern: Column = 0, grid: tuple[Column, ...] = NO_GRID) -> Parts:
    """The parts of a Region with one content."""
    return int(content), float(fill), pattern, grid
