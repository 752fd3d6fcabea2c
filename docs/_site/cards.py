"""What the site adds to the method cards: a table of each kind, a card's pictures under its title, and the page of all pictures."""

import os
from pathlib import PurePosixPath

from augury.core import registry

KINDS: tuple[registry.Kind, ...] = ("op", "policy", "preset", "strategy", "measurement", "theory")
DRAWN = ("op", "policy", "preset", "strategy")
# What a strategy's command needs besides.
NEEDED = {
    "uda": " --labels 250",
    "dml": " --model small_cnn,small_cnn",
    "multi_ait": " --model small_cnn,small_cnn",
    "reid": ' --model "bnneck(resnet18)"',
}
QUICK = os.environ.get("AUGURY_DOCS") == "quick"


def table(kind: registry.Kind) -> str:
    """Every card of a kind: its name, as a link, and its first line."""
    found = [entry for entry in registry.entries(kind) if entry.own]  # examples register names of their own
    rows = [f"| [{entry.name}]({kind}/{entry.name}.md) | {_plain(entry.summary)} |" for entry in found]
    tree = ["```{toctree}", ":hidden:", "", *(f"{kind}/{entry.name}" for entry in found), "```", ""]
    return "\n".join(["| name | what it does |", "|---|---|", *rows, "", *tree])


def with_picture(docname: str, text: str) -> str:
    """A card with its pictures and the lines that use it, between its title and its first section."""
    path = PurePosixPath(docname)
    kind, name = path.parent.name, path.name
    if path.parent.parent.name != "cards" or kind not in DRAWN:
        return text
    title, line, rest = text.partition("\n")
    return f"{title}{line}\n{_pictures(kind, name)}{_lines(kind, name)}{rest}"


def _pictures(kind: str, name: str) -> str:
    if QUICK:
        return ""
    from _site import pictures

    made = pictures.strips(kind, name)
    return "".join(f"![{_alt(s.words)}](../../_build/gallery/{s.file})\n\n{s.words}\n\n" for s in made)


def _lines(kind: str, name: str) -> str:
    from _site.pictures import text_of

    text = text_of(kind, name)
    if kind == "strategy":
        return _strategy_lines(name)
    network = " --model RUN" if name.startswith("keep") or name == "attentive_cutmix" else ""
    python = f'```python\npipeline = augury.pipeline("{text}")\n```\n'
    return f'{python}\n```sh\naugury preview DATA --augment "{text}"{network} --output sheet.html\n```\n'


def _strategy_lines(name: str) -> str:
    if name == "clamp":
        return "```sh\naugury patch DATA --output patched\n```\n"
    command = f"augury train DATA --augment crop+flip --strategy {name}{NEEDED.get(name, '')} --output RUN"
    method = f'augury.method(model, augment="crop+flip", strategy="{name}", classes=10, mean=mean, std=std)'
    python = "" if name in NEEDED else f"```python\nmethod = {method}\n```\n\n"
    return f"{python}```sh\n{command}\n```\n"


def gallery(kind: registry.Kind) -> str:
    """All names of a kind with a small picture each, from weak to strong where they have a strength."""
    from _site import pictures

    parts = ["::::{grid} 2 2 3 3", ":gutter: 2", ""]
    for entry in registry.entries(kind):
        if entry.name in pictures.UNSEEN or not entry.own:
            continue
        parts += [":::{grid-item}", f"[{entry.name}](cards/{kind}/{entry.name}.md)", ""]
        if not QUICK:
            parts += [f"![{entry.name}: {_alt(entry.summary)}](_build/gallery/{pictures.thumbnail(kind, entry.name)})", ""]
        parts += [":::", ""]
    return "\n".join([*parts, "::::", ""])


def original() -> str:
    if QUICK:
        return ""
    from _site import pictures

    return f"![a temple in China and a flower](_build/gallery/{pictures.original()})\n"


def _alt(text: str) -> str:
    return text.replace("`", "").replace("[", "(").replace("]", ")")


def _plain(text: str) -> str:
    return text.replace("|", "\\|")
