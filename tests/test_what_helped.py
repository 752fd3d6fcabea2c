"""The pages about recommendations say what results/recommend.json says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(not (ROOT / "tools" / "what_helped.py").exists(), reason="tools/ is not part of a package")
def test_the_pages_are_those_of_the_results() -> None:
    done = subprocess.run(
        [sys.executable, "tools/what_helped.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run `python tools/what_helped.py`:\n{done.stdout}{done.stderr}"
