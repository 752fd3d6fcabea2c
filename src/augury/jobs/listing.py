"""`augury list`: everything registered, with its source; a pipeline's stages."""

from typing import Any

from augury.core import registry
from augury.core.plugins import plugin_of


def listing() -> list[dict[str, str]]:
    """One mapping per registered name. Augury's own names are read from its source files without importing them, which is
    fast."""
    return [
        {"kind": e.kind, "name": e.name, "summary": e.summary, "source": e.source, "origin": origin(e)} for e in registry.entries()
    ]


def origin(entry: registry.Registration) -> str:
    """Where a name comes from: `augury`, or the name of its plug-in."""
    return "augury" if entry.own else plugin_of(entry.module).label


def stages(augment: str) -> list[dict[str, Any]]:
    """The stages of an augmentation in the order in which a training runs them, including normalisation."""
    from augury.augment.names import build
    from augury.core.options import parse_chain

    pipeline = build(parse_chain(augment, "--pipeline"), ((0.5,), (0.25,)), "--pipeline")
    return [
        {
            "stage": s.name,
            "sees": "normalised values" if i > position else "uint8 pixels",
            "switched_off_by_refinement": s.intensive,
        }
        for position in [next(i for i, s in enumerate(pipeline.stages) if s.name == "normalize")]
        for i, s in enumerate(pipeline.stages)
    ]
