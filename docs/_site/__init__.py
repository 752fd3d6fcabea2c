"""What Augury's documentation site adds to Sphinx: generated text in Markdown pages, and docstrings in plain prose."""

from typing import Any

from sphinx.application import Sphinx

from _site import docstrings, expand


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", expand.on_source)
    app.connect("autodoc-process-docstring", docstrings.on_docstring)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
