"""Memory of processes that train: what was freed is handed out again or returned, and large arrays lie in huge pages."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from augury.core import memory

FAULTS = """
from augury.core.memory import prepare_for_training
from page_faults import faults_of_a_step

prepare_for_training()
print(faults_of_a_step())
"""


def printed(program: str) -> str:
    """What a Python process of its own prints, which finds Augury and the tests' helpers as this one does."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is done")
def test_freed_memory_is_handed_out_again() -> None:
    assert int(printed(FAULTS)) < 200


def test_an_older_library_gets_the_highest_threshold_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """glibc before 2.35 refuses one above 32 MB for mmap, and would keep 128 KB: every map of a network would be new pages."""
    taken: dict[int, int] = {}

    class Older:
        @staticmethod
        def mallopt(parameter: int, value: int) -> int:
            if parameter == -3 and value > 32 << 20:
                return 0
            taken[parameter] = value
            return 1

    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "1")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Older)
    memory.prepare_for_training()
    assert taken == {-1: 1 << 30, -3: 32 << 20}


HUGE = """
from augury.core.memory import prepare_for_training
import torch

prepare_for_training()
image = torch.ones(64 << 20, dtype=torch.uint8)
print(next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")))
"""
OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not OFFERED.exists() or "[madvise]" not in OFFERED.read_text(), reason="the system gives huge pages to all or to nobody"
)
@pytest.mark.parametrize(("asked", "least", "most"), [(None, 2048, 70_000), ("0", 0, 2048)])
def test_large_arrays_lie_in_huge_pages(monkeypatch: pytest.MonkeyPatch, asked: str | None, least: int, most: int) -> None:
    # Catches a variable that PyTorch no longer reads, and one that overrides the user's.
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    if asked is not None:
        monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", asked)
    assert least <= int(printed(HUGE)) <= most


RESIDENT = """
from augury.core.memory import prepare_for_training, release_freed_memory

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))

prepare_for_training()
blocks = [bytearray(1 << 20) for _ in range(200)]
del blocks
kept = resident()
release_freed_memory()
print(kept - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is done")
def test_freed_memory_is_returned_when_asked() -> None:
    assert int(printed(RESIDENT)) > 100_000, "of 204,800 KB"


def test_training_commands_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from augury import cli

    called = []
    monkeypatch.setattr(cli, "prepare_for_training", lambda: called.append(True))
    assert cli.main(["train", "digits", "--epochs", "0", "--output", "nowhere"]) == 2 and called == [True]
    assert cli.main(["list"]) == 0 and called == [True]


def test_memory_that_a_container_leaves(tmp_path: Path) -> None:
    assert memory._of_container(tmp_path) is None, "no limit"
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory._of_container(tmp_path) is None, "a limit in words"
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory._of_container(tmp_path) == 4000
    (tmp_path / "memory.current").write_text("6000\n")
    assert memory._of_container(tmp_path) == 0


def test_available_memory_is_a_part_of_the_machines() -> None:
    assert 0 < memory.available_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
