"""The report page of `augury theory`: the claims, what was measured, and whether each claim holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from augury.explain.pages.page import cell_text, render_page

if TYPE_CHECKING:
    from augury.explain.theory.claim import Checked


def theory_page(
    parts: Mapping[str, Checked], *, summary: str, settings: Mapping[str, str], notes: Sequence[str], title: str = "Theory checked"
) -> str:
    """The report as HTML; parts: experiment, as requested -> result. All but the figures is escaped."""
    shown = [
        {
            "title": name,
            "summary": found.summary,
            "claims": found.claims,
            "figures": [{"html": Markup(figure.html), "caption": figure.caption} for figure in found.figures],
            "tables": [
                {**vars(table), "rows": [[cell_text(v, table.digits) for v in r] for r in table.rows]} for table in found.tables
            ],
        }
        for name, found in parts.items()
    ]
    return render_page(
        "theory.html", title=title, summary=summary, parts=shown, settings=settings, curves="", sheets=[], notes=notes
    )
