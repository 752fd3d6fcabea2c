"""Presets as functions with typed options, `augury.presets.inaugment(patches=2)`: each builds a `Pipeline`.

Every registered name is here, those of plug-ins included; nothing is listed. The signatures for editors and type checkers
stand in `presets.pyi`, which `tools/stubs.py` writes.
"""


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from augury.augment.typed import builder

    return builder("preset", name)


def __dir__() -> list[str]:
    from augury.core.registry import names

    return names("preset")
