"""`augury doctor`: what it tries, that a kernel that gives other bits is found, and that the environment is left as it was."""

import json
import os

import pytest
import torch

from augury.augment.forms import chain
from augury.cli import main
from augury.core import registry
from augury.explain.fidelity import agreement
from augury.jobs import doctor as job


def test_a_machine_that_works_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(os.environ)
    assert main(["doctor", "--json", "--quick"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] and dict(os.environ) == before
    checks = {check["name"]: check for check in result["checks"]}
    assert checks["chains in one pass, numba on cpu"]["detail"].startswith("2 of 2")
    assert torch.__version__.split("+")[0] in checks["versions"]["detail"]


def test_every_operation_is_tried() -> None:
    seen = {text.split("(")[0] for text in _tried()}
    assert seen == set(registry.names("op"))


def _tried() -> list[str]:
    texts: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "_difference", lambda text, *_: texts.append(text) or "")
        agreement.differing_operations("numba", "cpu")
    return texts


def test_a_kernel_that_gives_other_bits_fails_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a check that compares a back end with itself."""
    own = chain.chain
    with monkeypatch.context() as patch:
        patch.setattr(chain, "chain", lambda *given: own(*given) ^ 1)
        assert agreement._difference("crop+flip", "numba", "cpu") == "46080 of 46080 values differ, at most by 1"
    monkeypatch.setattr(job, "differing_chains", lambda *_: {"crop+flip": "3 of 9 values differ"})
    assert main(["doctor", "--quick"]) == 1
    told = capsys.readouterr()
    assert "crop+flip: 3 of 9 values differ" in told.out and "AUGURY_BACKEND=plain" in told.out
    assert told.err.startswith("augury: 1 of ") and "chains in one pass, numba on cpu" in told.err


def test_what_raises_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "InputError" in agreement._difference("rotate(p=1)", "unknown", "cpu")
