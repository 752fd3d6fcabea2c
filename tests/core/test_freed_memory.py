"""Freed memory is handed out again: a step that asks for the same large arrays finds its pages mapped."""

import platform
import subprocess
import sys

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
    kept = faults("from augury.core.memory import keep_freed_memory; keep_freed_memory()")
    assert kept < 200, kept


def test_training_commands_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from augury import cli

    called = []
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: called.append(True))
    assert cli.main(["train", "digits", "--epochs", "0", "--output", "nowhere"]) == 2 and called == [True]
    assert cli.main(["list"]) == 0 and called == [True]
