"""Annotations: how masks, boxes and key points follow their images."""

from dataclasses import dataclass

from augury.core.errors import InputError


@dataclass(frozen=True)
class Annotations:
    """How masks, boxes and key points follow their images; given as `augury.pipeline(..., annotations=Annotations(...))`.

    mask_fill: what masks show where the image shows nothing (boolean ones False), for example the class that a loss ignores.
    erase_masks: whether what cutout, random erasing or GridMask removes is such a place too.
    min_visible: boxes of which a smaller share of the area is left within the image are dropped. min_side: boxes with a
    shorter side, in pixels, are dropped. Both 0: every box stays, and one that has left the image is empty.
    rows: names of what has a row for each box and is dropped with it, in the mapping in which the boxes are; masks [N,H,W] and
    key points [N,...] beside N boxes are dropped too.
    """

    mask_fill: float = 0
    erase_masks: bool = False
    min_visible: float = 0.0
    min_side: float = 0.0
    rows: tuple[str, ...] = ("labels", "area", "iscrowd", "scores")

    def __post_init__(self) -> None:
        if not 0 <= self.min_visible <= 1:
            raise InputError(f"annotations: min_visible is a share of a box, from 0 to 1, not {self.min_visible}")
        if not 0 <= self.min_side < float("inf"):
            raise InputError(f"annotations: min_side is a number of pixels from 0 on, not {self.min_side}")
        if isinstance(self.rows, str):
            raise InputError(f"annotations: rows is a tuple of names, as in rows=({self.rows!r},)")

    @property
    def drops(self) -> bool:
        """Whether boxes may be dropped."""
        return self.min_visible > 0 or self.min_side > 0
