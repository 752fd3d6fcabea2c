"""What Augury's documentation site adds to Sphinx: generated text in Markdown pages, and docstrings in plain prose."""

from typing import Any

from sphinx.application import Sphinx

from _site import docstrings, expand


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", expand.on_source)
    app.connect("html-page-context", on_page, priority=900)  # after the theme
    app.connect("autodoc-process-docstring", docstrings.on_docstring)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def on_page(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Gives the headings of the navigation a level, without which a screen reader cannot place them."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
