"""Lowering shared by many operations: affine matrices, recipes of tables and blends, contents of regions."""

from collections.abc import Callable

import torch
from torch import Tensor

from augury.augment.forms.blend import Degenerate
from augury.augment.forms.region import NO_GRID, Content
from augury.augment.forms.table import TableKind
from augury.core.op import Column, Parts, Values


def affine(columns: tuple[Column, ...], bilinear: bool, fill: float) -> Parts:
    """The fields of a Warp from the six entries of an output-to-input matrix, each a tensor [n] or a number."""
    return columns, bilinear, float(fill)


def whole_pixels(fraction: Tensor, of: Tensor) -> Tensor:
    """float64 [n]: a float32 fraction of a length in pixels, truncated to whole pixels.

    Rounded to float32, k/W may be slightly too small in size, and truncating its product with W would lose a pixel. The fraction is
    therefore first moved to the outer end of the interval that rounds to the same float32.
    """
    outer = (fraction.double() + torch.nextafter(fraction, 2 * fraction).double()) / 2
    return (outer * of).trunc()


def recipe(kind: TableKind | Degenerate, parameter: str | None = None) -> Callable[[Values, Tensor], Parts]:
    """The lowering of an operation that is a single recipe of a table or blend, with one parameter or none."""

    def lower(values: Values, size: Tensor) -> Parts:
        return int(kind), values[parameter] if parameter else 0.0

    return lower


def filling(content: Content, fill: float = 0.0, pattern: Column = 0, grid: tuple[Column, ...] = NO_GRID) -> Parts:
    """The fields of a Region with one content."""
    return int(content), float(fill), pattern, grid
