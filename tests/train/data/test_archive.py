"""Archives that would fill the memory are refused before anything of them is unpacked."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import augury
from augury.train.data import archive
from augury.train.data.npz import read_npz

SIDE = 32


def _write(folder: Path, declared: int, stored: int) -> Path:
    """Arrays of `stored` black images whose header declares `declared` of them."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (declared, SIDE, SIDE)})
    for part in ("train", "test"):
        with zipfile.ZipFile(folder / f"{part}.npz", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("x.npy", header.getvalue() + bytes(stored * SIDE * SIDE))
    return folder


@pytest.fixture
def nothing_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("unpacked before its size was checked")

    monkeypatch.setattr(np, "load", load)


@pytest.mark.usefixtures("nothing_unpacked")
@pytest.mark.parametrize(("declared", "stored"), [(1 << 20, 4), (4, 5)])
def test_a_header_that_declares_another_size_is_refused(declared: int, stored: int, tmp_path: Path) -> None:
    with pytest.raises(augury.InputError, match=r"train\.npz: x\.npy declares \d+ bytes and holds \d+; .*numpy\.savez"):
        read_npz(_write(tmp_path, declared, stored))


@pytest.mark.usefixtures("nothing_unpacked")
def test_much_packed_into_little_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "HARMLESS_BYTES", 2**20)
    with pytest.raises(augury.InputError, match=r"x\.npy would expand from .* GB; if that is intended, .* numpy\.savez"):
        read_npz(_write(tmp_path, 4096, 4096))


@pytest.mark.usefixtures("nothing_unpacked")
def test_more_than_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_memory", lambda: 2**20)
    with pytest.raises(augury.InputError, match="use a folder of image files"):
        read_npz(_write(tmp_path, 4096, 4096))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(save: Any, tmp_path: Path) -> None:
    """Black images, packed tightly but few; names of classes and a Fortran-ordered array among them."""
    for part in ("train", "test"):
        x = np.asfortranarray(np.zeros((40, SIDE, SIDE, 3), np.uint8))
        save(tmp_path / f"{part}.npz", x=x, y=np.arange(40) % 2, classes=np.array(["a", "bé"]), unused=np.array([None]))
    read_npz(tmp_path)
