"""The table of settings, from the dataclasses that hold them."""

from importlib import import_module

from augury.core.flags import Flag, flags_of


def markdown(name: str) -> str:
    """The keys of a settings dataclass, `module:Class`, under the headings that the command line has them under."""
    module, _, kind = name.partition(":")
    groups: dict[str, list[Flag]] = {}
    for each in flags_of(getattr(import_module(module), kind)):
        groups.setdefault(each.group, []).append(each)
    parts = []
    for group, flags in groups.items():
        parts += [f"**{group}**", "", "| key | value | what it is | default |", "|---|---|---|---|", *map(_row, flags), ""]
    return "\n".join(parts)


def _row(flag: Flag) -> str:
    key = f"`{flag.option.removeprefix('--')}`"
    return "| " + " | ".join([key, f"`{flag.value}`".replace("|", "\\|"), _plain(flag.text), _plain(flag.default)]) + " |"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_").replace("<", "\\<")
