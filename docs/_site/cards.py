"""What the site adds to the method cards: a table of each kind, and a card's picture under its title."""

from augury.core import registry

KINDS = ("op", "policy", "preset", "strategy", "measurement", "theory")
DRAWN = ("op", "policy", "preset")


def table(kind: str) -> str:
    """Every card of a kind: its name, as a link, and its first line."""
    assert kind in KINDS
    rows = [f"| [{entry.name}]({kind}/{entry.name}.md) | {_plain(entry.summary)} |" for entry in registry.entries(kind)]  # type: ignore[arg-type]
    tree = ["```{toctree}", ":hidden:", "", *(f"{kind}/{entry.name}" for entry in registry.entries(kind)), "```", ""]  # type: ignore[arg-type]
    return "\n".join(["| name | what it does |", "|---|---|", *rows, "", *tree])


def with_picture(docname: str, text: str) -> str:
    return text


def gallery(kind: str) -> str:
    return ""


def _plain(text: str) -> str:
    return text.replace("|", "\\|")
