"""Real images for tests that want them; where there are none, the test is skipped."""

import os
from pathlib import Path

import pytest


def real_data(name: str) -> Path:
    """The folder `name` in $AUGURY_TEST_DATA, or in shared/data beside the repository; skips the test where there is none."""
    places = [parent / "shared" / "data" for parent in Path(__file__).resolve().parents[1:4]]
    if os.environ.get("AUGURY_TEST_DATA"):
        places = [Path(os.environ["AUGURY_TEST_DATA"])]
    for place in places:
        if (place / name).is_dir():
            return place / name
    pytest.skip(f"no real images {name!r}: set AUGURY_TEST_DATA to a folder that holds them")
