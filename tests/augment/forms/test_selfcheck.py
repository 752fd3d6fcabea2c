"""A back end is tried on a few images before it is relied upon, and does not serve where it is wrong."""

import importlib
import importlib.util
import logging
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from augury.augment.forms import backends, plain, selfcheck
from augury.core import noise

CPU = torch.device("cpu")
NAMES = [name for name, _ in selfcheck._rows()]


def like_plain(**changed: Any) -> Any:
    """Plain PyTorch's back end with other functions in it."""
    return SimpleNamespace(**{**vars(plain), **changed})


def test_right_back_ends_pass() -> None:
    assert selfcheck.disagreement(plain, CPU) is None
    if importlib.util.find_spec("numba") is not None:
        assert selfcheck.disagreement(importlib.import_module("augury.augment.forms.numba_backend"), CPU) is None


@pytest.mark.parametrize("row", range(len(NAMES)))
def test_one_wrong_level_in_one_pixel_is_found_and_named(row: int) -> None:
    # Catches a form that is not tried, and a comparison that looks at some rows alone.
    region = NAMES[row].startswith("region")

    def pixels(*given: Any) -> Tensor:
        return off(plain.pixels(*given), row)

    def regions(*given: Any) -> Tensor:
        return off(plain.regions(*given), row)

    found = selfcheck.disagreement(like_plain(**({"regions": regions} if region else {"pixels": pixels})), CPU)
    assert found is not None and found.split(", pixels")[0] == NAMES[row]


def off(images: Tensor, row: int) -> Tensor:
    images = images.clone()
    images[row, 1, 2, 3] += 1
    return images


def test_every_kind_changes_the_image_it_is_tried_on() -> None:
    # Catches a row that a back end may leave out without anybody seeing it.
    untouched = selfcheck._images(len(NAMES), CPU)
    for (name, found, _), image in zip(selfcheck._tried(plain, CPU), untouched, strict=False):
        assert name.startswith("region") or not found.equal(image[:, : found.shape[1], : found.shape[2]]), name


def test_an_error_of_the_driver_is_an_answer() -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("no kernel image is available\nfor execution")

    assert selfcheck.disagreement(like_plain(pixels=broken), CPU) == "RuntimeError: no kernel image is available"


@pytest.mark.parametrize("wrong", [None, "bits", "absorbed"])
def test_a_wrong_hash_is_found(wrong: str | None) -> None:
    def bits(key: Tensor, count: int) -> Tensor:
        found = noise.Noise(key).bits(count)
        return found + 1 if wrong == "bits" else found

    def absorbed(state: Tensor, part: Tensor) -> Tensor:
        found = noise._absorb(state, part)
        assert isinstance(found, Tensor)
        return found.flip(0) if wrong == "absorbed" else found

    made = ModuleType("made")
    made.__dict__.update(bits=bits, absorbed=absorbed)
    assert noise.disagreement(made, CPU) == wrong


def test_a_wrong_triton_gives_way_to_pytorch_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AUGURY_BACKEND", raising=False)
    monkeypatch.setattr(backends, "available", lambda name: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(selfcheck, "disagreement", lambda run, device: "warp bilinear")
    backends._tried.cache_clear()
    with caplog.at_level(logging.WARNING, "augury"):
        assert [backends.backend(torch.device("cuda", 0)).__name__ for _ in range(2)] == [plain.__name__] * 2
    assert len(caplog.messages) == 1 and "cuda:0" in caplog.messages[0] and "warp bilinear" in caplog.messages[0]
    monkeypatch.setattr(selfcheck, "disagreement", lambda run, device: None)
    assert backends.backend(torch.device("cuda", 1)).__name__.endswith("triton_backend")
    monkeypatch.setenv("AUGURY_BACKEND", "triton")  # what is asked for is used, for `augury doctor` to try it
    assert backends.backend(torch.device("cuda", 0)).__name__.endswith("triton_backend")
    backends._tried.cache_clear()
