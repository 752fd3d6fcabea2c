"""Text that is generated into pages: `<!-- site: WHAT -->` in a page is replaced by what WHAT makes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _site import cards, commands, settings

DOCS = Path(__file__).resolve().parents[1]
_MARK = re.compile(r"^<!-- site: (\w+)(?: (.*?))? -->$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_FENCED = re.compile(r"^(`{3,}|:{3,}).*?^\1$", re.MULTILINE | re.DOTALL)
# Pages of the repository that stand in the site under another name.
_MOVED = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def on_source(app: Any, docname: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".md":
        return
    text = _MARK.sub(lambda match: _make(match[1], match[2] or ""), source[0])
    source[0] = _outside_code(cards.with_picture(docname, text), lambda part: _LINK.sub(lambda m: _link(m, path.parent), part))


def _make(what: str, argument: str) -> str:
    return _MAKERS[what](argument)


def _file(name: str) -> str:
    """A page of the repository's root, with its links as they are from docs/."""
    text = (DOCS.parent / name).read_text(encoding="utf-8")
    return _outside_code(text, lambda part: re.sub(r"\]\((?![a-z]+:|#)([^)]+)\)", r"](../\1)", part))


def _section(text: str) -> str:
    """A section of the site, `CAPTION: PAGE ...`; a pattern stands for the pages that there are, in the order of their names."""
    caption, _, names = text.partition(": ")
    pages: list[str] = []
    for name in names.split():
        found = sorted(str(p.relative_to(DOCS).with_suffix("")) for kind in ("md", "rst") for p in DOCS.glob(f"{name}.{kind}"))
        pages += [page for page in found if page not in pages]
    return "\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", "", *pages, "```", ""])


_MAKERS: dict[str, Callable[[str], str]] = {
    "commands": lambda _: commands.markdown(),
    "settings": settings.markdown,
    "cards": cards.table,
    "gallery": cards.gallery,
    "original": lambda _: cards.original(),
    "file": _file,
    "section": _section,
    "tree": lambda name: f"```{{toctree}}\n:hidden:\n\n{name}\n```\n",
}


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    out, end = [], 0
    for match in _FENCED.finditer(text):
        out += [change(text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*out, change(text[end:])])


def _link(match: "re.Match[str]", folder: Path) -> str:
    """A link as the site has it: pages of the root have a place in it, and folders are named, since nothing shows them."""
    image, words, target, anchor = match[1], match[2], match[3], match[4] or ""
    if re.match(r"[a-z]+:", target):
        return match[0]
    found = (folder / target).resolve()
    if found.parent == DOCS.parent and found.name in _MOVED:
        up = "../" * len(folder.resolve().relative_to(DOCS).parts)
        return f"{image}[{words}]({up}{_MOVED[found.name]}{anchor})"
    if found == DOCS / "examples":  # what sphinx-gallery makes of it
        return f"{image}[{words}]({'../' * len(folder.resolve().relative_to(DOCS).parts)}auto_examples/index.rst)"
    if DOCS in found.parents and found.is_file():
        relative = "../" * len(folder.resolve().relative_to(DOCS).parts) + str(found.relative_to(DOCS))
        return f"{image}[{words}]({relative}{anchor})"
    return words if found.is_dir() else match[0]
