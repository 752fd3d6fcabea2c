"""Memory of processes that train: what was freed is handed out again or returned, and large arrays lie in huge pages."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# Faults of ten rounds of two arrays of 4 MB each (2,000 pages a round), after one that maps them.
FAULTS = """
import resource
{first}
import numpy as np

def work():
    one, two = np.ones(1 << 22, np.uint8), np.ones(1 << 22, np.uint8)
    return int(one[0] + two[0])

work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(first: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS.format(first=first)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is done")
def test_freed_memory_is_handed_out_again() -> None:
    kept = faults("from augury.core.memory import prepare_for_training; prepare_for_training()")
    assert kept < 200, kept


HUGE = """
from augury.core.memory import prepare_for_training
import torch

prepare_for_training()
image = torch.ones(64 << 20, dtype=torch.uint8)
print(next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")))
"""
OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(not OFFERED.exists() or "[never]" in OFFERED.read_text(), reason="the system offers no huge pages")
@pytest.mark.parametrize(("asked", "least", "most"), [(None, 2048, 70_000), ("0", 0, 2048)])
def test_large_arrays_lie_in_huge_pages(monkeypatch: pytest.MonkeyPatch, asked: str | None, least: int, most: int) -> None:
    # Catches a variable that PyTorch no longer reads, and one that overrides the user's.
    if "[always]" in OFFERED.read_text():
        pytest.skip("the system gives huge pages to everybody")
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    if asked is not None:
        monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", asked)
    done = subprocess.run([sys.executable, "-c", HUGE], capture_output=True, text=True, check=True)
    assert least <= int(done.stdout) <= most


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
    done = subprocess.run([sys.executable, "-c", RESIDENT], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100_000, "of 204,800 KB"


def test_training_commands_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from augury import cli

    called = []
    monkeypatch.setattr(cli, "prepare_for_training", lambda: called.append(True))
    assert cli.main(["train", "digits", "--epochs", "0", "--output", "nowhere"]) == 2 and called == [True]
    assert cli.main(["list"]) == 0 and called == [True]
