"""What the tests of names and of plugins share: a file that registers an operation, a function of a module, a refusal's words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from augury.core.errors import InputError

OP = '''import augury


@augury.register("op", "NAME")
def made() -> augury.Op:
    """Made."""
    return augury.Op("NAME", "map", lambda images, values, size: images)
'''


def refusal(function: Callable[..., object], *given: Any) -> str:
    with pytest.raises(InputError) as refused:
        function(*given)
    return str(refused.value)


def made_by(module: str, qualified: str = "made") -> Callable[[], None]:
    """A function as if it were defined there."""

    def function() -> None:
        """Made."""

    function.__module__, function.__qualname__ = module, qualified
    return function


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
