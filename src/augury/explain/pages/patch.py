"""The report page of `augury patch`: sections of text, figures, tables and contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from augury.explain.pages.page import cell_text, embedded_sheets, render_page
from augury.explain.report.sheet import Sheet

if TYPE_CHECKING:
    from augury.explain.measurements.measurement import Figure, Table


@dataclass(frozen=True)
class Part:
    """A section of the page."""

    title: str
    words: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    sheets: tuple[Sheet, ...] = ()


def patch_page(
    parts: Sequence[Part], *, summary: str, settings: Mapping[str, str], notes: Sequence[str], title: str = "A model patched"
) -> str:
    """The report as HTML; all arguments but the figures are escaped."""
    every = iter(embedded_sheets([sheet for part in parts for sheet in part.sheets]))
    shown = [
        {
            "title": part.title,
            "words": part.words,
            "figures": [{"html": Markup(figure.html), "caption": figure.caption} for figure in part.figures],
            "tables": [
                {**vars(table), "rows": [[cell_text(v, table.digits) for v in r] for r in table.rows]} for table in part.tables
            ],
            "sheets": [next(every) for _ in part.sheets],
        }
        for part in parts
    ]
    return render_page(
        "patch.html", title=title, summary=summary, parts=shown, settings=settings, curves="", sheets=[], notes=notes
    )
