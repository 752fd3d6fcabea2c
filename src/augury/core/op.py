"""Op: one image operation, given by the laws of its parameters and a function that lowers their values to a form.

An operation's file holds a factory, registered under the operation's name. The factory's keyword options (interpolation,
fill) are fixed for all images; the operation's parameters are drawn for each image. Nothing here touches pixels: `lower`
turns native values into the arguments of one of seven forms (see `augury.augment.forms`), which the back ends execute.
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


# The unit of a parameter that a fixed option stands in for, as `length` does for cutout's `fraction`: drawn, and not shown.
UNUSED = "unused"
_SIGNS = {"degrees": "°", "pixels": " px"}


@dataclass(frozen=True)
class Parameter:
    """A parameter in native units. `law`: its distribution when no policy sets it; `range`: the values accepted."""

    law: Law
    range: Interval
    unit: str

    def caption(self, value: float, *, alone: bool = True) -> str:
        """A value with its unit, for a caption: `12.5°`, `40 % of the width`, `3 px`; empty for the number of a noise pattern.
        alone: spelled out, as beside an operation's name; several parameters of one operation are shorter."""
        if self.unit == UNUSED or self.unit.startswith("which"):
            return ""
        if self.unit.startswith("of the"):
            return f"{100 * value:.3g} % {self.unit if alone else ''}".rstrip()
        sign = _SIGNS.get(self.unit)
        return f"{value:.3g}{sign if sign is not None else f' {self.unit}' if alone else ''}"


class Lower(Protocol):
    """(values: name -> [n], size: int64 [n,2] rows and columns) -> the fields of the form's record for n rows.

    A field is a tensor [n], a number that is the same for every row and draw, or a tuple of those, one per column.
    """

    def __call__(self, values: Values, size: Tensor) -> Any: ...


@dataclass(frozen=True)
class Op:
    """One operation with its fixed options.

    form: which of the seven forms executes it. parameters: native parameters in the order of their uniforms.
    lower: from native values to the fields of the form's record (see Lower; for region operations the content of the box);
    for separable operations to the record itself; for map operations the function (images [n,C,H,W], values, size) -> images.
    Rows on which another operation fires are passed with that operation's values, and their results are discarded.
    domain: `pixels` needs uint8, `any` also takes normalised floats.
    needs: `partner` if it reads another sample. mixes_labels: whether that sample's label is mixed in, too.
    p: the probability of firing when no policy decides.
    batch_wide: whether one draw applies to all images of a batch; each image still has its own partner.
    intensive: whether refinement switches it off (crop and flip stay on).
    shape, place: region operations only. shape(values, size) -> rows and columns of the box, int64 [n,2];
    place(u float32 [n,2], extent, size) -> its top left corner, int64 [n,2], which may be outside the image; boxes are clipped.
    candidates: where `place` puts boxes, uniformly: wholly `inside` the image, or `centred` on any pixel and clipped at the
    border.
    identity: parameter values at which the operation changes nothing, if there are any.
    reads: map operations only, for masks, boxes and key points: the place that each pixel of the result is read from, or `in place`
    if the operation leaves everything where it is. Without it, images that come with annotations are refused.
    rgb: whether it takes channels for red, green and blue, so that only images of 1 or 3 channels have it.
    faded: the laws at an intensity in (0, 1), if gradual refinement weakens the operation's strength; without it, refinement
    lowers the probability of firing.
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
    rgb: bool = False

    def __hash__(self) -> int:
        return hash((self.name, id(self.lower)))

    @property
    def uniforms(self) -> int:
        """How many uniform numbers a draw of this operation uses."""
        return len(self.parameters) + (2 if self.form == "region" else 0)
