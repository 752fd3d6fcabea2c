"""A colour, dash pattern and marker per row of a comparison, the same in tables and figures."""

from __future__ import annotations

from dataclasses import dataclass

# Okabe and Ito, "Color Universal Design", 2008, without black and yellow, which are invisible on dark and light pages.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_REFERENCE = "#8a8a8a"
_DASHES = ("", "6 3", "2 2", "8 3 2 3")
_MARKERS = ("o", "s", "D", "^")


@dataclass(frozen=True, slots=True)
class Style:
    """How a row is drawn: colour "#rrggbb", SVG dash lengths ("" = solid), matplotlib marker."""

    colour: str
    dash: str
    marker: str


def row_style(index: int) -> Style:
    """The style of row `index`: grey for the first (the reference), then six colours, repeated with other dashes and markers."""
    if index == 0:
        return Style(_REFERENCE, "", "o")
    turn, colour = divmod(index - 1, len(_COLOURS))
    return Style(_COLOURS[colour], _DASHES[turn % len(_DASHES)], _MARKERS[turn % len(_MARKERS)])
