"""Kernels that are not compiled yet: no process waits, one compiles them, and all notice when it has finished."""

import gc
import importlib.util
import logging
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import augury
from augury.augment.forms.backends import backend
from augury.core import warmup

pytestmark = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """A machine on which nothing was compiled; what is started there is only noted."""
    commands: list[list[str]] = []

    def popen(command: list[str], **_: Any) -> None:
        commands.append(command)

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("AUGURY_COMPILE", raising=False)
    monkeypatch.delenv("AUGURY_BACKEND", raising=False)
    monkeypatch.setattr(subprocess, "Popen", popen)
    warmup._state.cache_clear()
    yield commands
    warmup._state.cache_clear()


def used() -> str:
    return backend(torch.device("cpu")).__name__.rsplit(".", 1)[-1]  # type: ignore[attr-defined]


def test_plain_serves_until_a_process_beside_has_compiled(started: list[list[str]], caplog: pytest.LogCaptureFixture) -> None:
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    with caplog.at_level(logging.WARNING):
        augury.pipeline("crop+cutout")(images)
        assert used() == "plain"
    assert len(started) == 1 and started[0][1:3] == ["-m", "augury.augment.forms.compile"], "once, however often one asks"
    assert [record.getMessage() for record in caplog.records] == [warmup.MESSAGE]
    warmup.finished(Path(started[0][3]))
    assert used() == "numba_backend"


def test_a_compiler_that_outlives_the_first_batch_is_no_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("AUGURY_COMPILE", raising=False)
    warmup._state.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warmup.start("this")  # a module that runs for a moment
        gc.collect()
    compiler = warmup._state().compiler
    assert compiler is not None and compiler.wait(60) == 0
    warmup._state.cache_clear()


def test_another_process_does_not_compile_too(started: list[list[str]]) -> None:
    assert used() == "plain"
    warmup._state.cache_clear()  # as a second process sees it
    assert used() == "plain" and len(started) == 1


def test_a_process_that_died_is_followed_by_another(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert used() == "plain"
    monkeypatch.setattr(warmup, "LONGEST_SECONDS", -1)
    assert used() == "plain" and len(started) == 2


def test_nothing_is_said_where_all_is_compiled(started: list[list[str]], caplog: pytest.LogCaptureFixture) -> None:
    mark = warmup._state().mark
    assert mark is not None
    warmup.finished(mark)
    assert used() == "numba_backend" and not started and not caplog.records


def test_a_back_end_that_is_asked_for_is_compiled_at_once(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGURY_BACKEND", "numba")
    assert used() == "numba_backend" and not started


def test_where_nothing_can_be_kept_nobody_waits(monkeypatch: pytest.MonkeyPatch, started: list[list[str]]) -> None:
    monkeypatch.setattr(warmup, "cache_folder", lambda: None)
    warmup._state.cache_clear()
    assert used() == "numba_backend" and not started


@pytest.mark.parametrize("edited", ["augment/forms/a.py", "core/hash_x.py", "core/jit.py"])
def test_an_edit_of_a_kernel_is_another_kernel(edited: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "augment" / "forms").mkdir(parents=True)
    for place in ("core/hash_x.py", "core/jit.py", "augment/forms/a.py"):
        (tmp_path / place).write_text("1")
    monkeypatch.setattr(warmup, "PACKAGE", tmp_path)
    first = warmup._fingerprint()
    assert warmup._fingerprint() == first
    (tmp_path / edited).write_text("12")
    assert warmup._fingerprint() != first
