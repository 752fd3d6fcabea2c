"""Operations as functions with typed options, `augury.ops.rotate(degrees=(-30, 30))`; each builds a `Pipeline`.

Every registered operation is available, including those of plug-ins. The signatures for editors and type checkers are in
`ops.pyi`, which `tools/stubs.py` generates.
"""


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from augury.augment.typed import builder

    return builder("op", name)


def __dir__() -> list[str]:
    from augury.core.registry import names

    return names("op")
