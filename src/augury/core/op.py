"""Op: one image operation, as laws of its parameters and a rule that lowers them to a form.

An operation file holds a factory, registered under the operation's name; the factory's keyword options are fixed for all
images (interpolation, fill), the operation's parameters are drawn for each. Nothing here touches pixels: `lower` turns
native values into the arguments of one of seven forms (see `augury.augment.forms`), which back ends execute.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor

from augury.core.laws import Law
from augury.core.options import Interval

Candidates = Literal["inside", "centred"]
Form = Literal["warp", "separable", "table", "blend", "region", "mix", "map"]
Values = dict[str, Tensor]
Column = Tensor | float
Parts = tuple[Column | tuple[Column, ...], ...]
# (values, size, height, width) -> row and column, float64 [n,H,W] in pixel indices, at which each pixel of the result reads.
Reads = Callable[[Values, Tensor, int, int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Parameter:
    """A native parameter. `law`: what it is drawn from when the operation stands alone; `range`: what is accepted."""

    law: Law
    range: Interval
    unit: str


class Lower(Protocol):
    """(values: name -> [n], size: int64 [n,2] rows and columns) -> the parts of the form's record for n rows.

    A part is a tensor [n], a number that holds for every row whatever was drawn, or a tuple of those, one per column.
    """

    def __call__(self, values: Values, size: Tensor) -> Any: ...


@dataclass(frozen=True)
class Op:
    """One operation with its fixed options.

    form: which of the seven forms executes it. parameters: native parameters in the order of their uniforms.
    lower: native values to the parts of the form's record (see Lower; for region operations what goes in), for separable
    operations to the record itself; for map operations the function: (images [n,C,H,W], values, size) -> images. Rows on
    which another operation fires come with that one's values, and what is made of them is dropped.
    domain: `pixels` needs uint8, `any` also takes normalised floats.
    needs: `partner` where another sample is read. mixes_labels: whether that sample's label counts too.
    p: the chance to fire when the operation stands alone.
    batch_wide: whether one draw holds for all images of a batch; partners remain each image's own.
    intensive: whether refinement switches it off (crop and flip stay on).
    shape, place: region operations only. shape(values, size) -> rows and columns of the box, int64 [n,2];
    place(u float32 [n,2], extent, size) -> its top left corner, int64 [n,2], which may lie outside and is clipped.
    candidates: the places that `place` draws from, uniformly: boxes wholly `inside` the image, or `centred` on any pixel and
    clipped at the border.
    identity: parameter values at which the operation changes nothing, where there are such.
    reads: map operations only, for what belongs to an image (masks, boxes, key points): where each pixel of the result is read
    from, or `in place` for an operation that leaves everything where it is. Without it, an image with such companions is refused.
    faded: the laws at an intensity in (0, 1), where a gradual refinement weakens the operation's strength; without it, it
    lowers the chance to fire.
    """

    name: str
    form: Form
    lower: Callable[..., Any]
    parameters: dict[str, Parameter] = field(default_factory=dict)
    domain: Literal["pixels", "any"] = "pixels"
    needs: frozenset[str] = frozenset()
    mixes_labels: bool = False
    p: float = 1.0
    intensive: bool = True
    batch_wide: bool = False
    shape: Callable[[Values, Tensor], Tensor] | None = None
    place: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    candidates: Candidates = "inside"
    identity: dict[str, float] | None = None
    faded: Callable[[float], dict[str, Law]] | None = None
    reads: Reads | Literal["in place"] | None = None

    def __hash__(self) -> int:
        return hash((self.name, id(self.lower)))

    @property
    def uniforms(self) -> int:
        """How many uniform numbers a draw of this operation uses."""
        return len(self.parameters) + (2 if self.form == "region" else 0)
