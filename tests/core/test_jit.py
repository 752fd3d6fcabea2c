"""Compiled kernels on disk are those of the files as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

KERNEL = """
from augury.core import jit, {part}

@jit.jit
def answer():
    return {part}.number()
"""
SCRIPT = """
import sys
from pathlib import Path
import augury.core
augury.core.__path__.append(sys.argv[1])
from augury.core import jit
jit._kernel_folders = lambda: [Path(sys.argv[1])]
from augury.core import whole_numba
print(whole_numba.answer(), sum(whole_numba.answer.stats.cache_hits.values()))
"""


def answer_and_hits(folder: Path) -> list[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run([sys.executable, "-B", "-c", SCRIPT, str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_an_edit_of_a_part_in_another_file_is_noticed(tmp_path: Path) -> None:
    part = tmp_path / "part_numba.py"
    (tmp_path / "whole_numba.py").write_text(KERNEL.format(part="part_numba"))
    part.write_text("from augury.core.jit import leaf\n@leaf\ndef number():\n    return 3\n")
    assert answer_and_hits(tmp_path) == ["3", "0"]
    assert answer_and_hits(tmp_path) == ["3", "1"]
    part.write_text("from augury.core.jit import leaf\n@leaf\ndef number():\n    return 40\n")
    assert answer_and_hits(tmp_path) == ["40", "0"]
