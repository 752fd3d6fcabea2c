"""Lowering shared by many operations: affine matrices, recipes of tables and blends, fillings of regions."""

from collections.abc import Callable

from torch import Tensor

from augury.augment.forms.blend import Degenerate
from augury.augment.forms.region import NO_GRID, Content
from augury.augment.forms.table import TableKind
from augury.core.op import Column, Parts, Values


def affine(columns: tuple[Column, ...], bilinear: bool, fill: float) -> Parts:
    """The parts of a Warp from the six entries of an output-to-input matrix, each a tensor [n] or a number."""
    return columns, bilinear, float(fill)


def recipe(kind: TableKind | Degenerate, parameter: str | None = None) -> Callable[[Values, Tensor], Parts]:
    """The lowering of an operation that is one recipe of a table or one blend: driven by a parameter, or by nothing."""

    def lower(values: Values, size: Tensor) -> Parts:
        return int(kind), values[parameter] if parameter else 0.0

    return lower


def filling(content: Content, fill: float = 0.0, pattern: Column = 0, grid: tuple[Column, ...] = NO_GRID) -> Parts:
    """The parts of a Region with one content."""
    return int(content), float(fill), pattern, grid
