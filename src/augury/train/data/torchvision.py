"""CIFAR-10, CIFAR-100, SVHN and MNIST by name: from arrays, from files in torchvision's layout, or downloaded by torchvision."""

import contextlib
import importlib
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augury.core.errors import InputError, RunError
from augury.core.registry import register
from augury.train.data.npz import read_npz
from augury.train.data.parts import Part, Parts
from augury.train.data.preparation import ReadOptions
from augury.train.data.resize import ImageSize, Resize, Size, fit_tensor, size_of

_TIMEOUT_SECONDS = 30


@register("dataset", "cifar10", source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images")
def cifar10(*, data_dir: str | None = None, image_size: ImageSize = None, resize: Resize = "cover") -> Parts:
    """Small colour photographs, 32x32, of 10 classes: 50,000 for training, 10,000 for testing."""
    return _named("cifar10", "CIFAR10", data_dir, image_size, resize)


@register("dataset", "cifar100", source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images")
def cifar100(*, data_dir: str | None = None, image_size: ImageSize = None, resize: Resize = "cover") -> Parts:
    """Small colour photographs, 32x32, of 100 classes: 50,000 for training, 10,000 for testing."""
    return _named("cifar100", "CIFAR100", data_dir, image_size, resize)


@register("dataset", "svhn", source="Netzer et al. 2011, Reading Digits in Natural Images with Unsupervised Feature Learning")
def svhn(*, data_dir: str | None = None, image_size: ImageSize = None, resize: Resize = "cover") -> Parts:
    """House numbers, 32x32, of 10 classes: 73,257 for training, 26,032 for testing (the extra part is left out)."""
    return _named("svhn", "SVHN", data_dir, image_size, resize)


@register("dataset", "mnist", source="LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition")
def mnist(*, data_dir: str | None = None, image_size: ImageSize = None, resize: Resize = "cover") -> Parts:
    """Handwritten digits, grey, 28x28, 10 classes: 60,000 for training, 10,000 for testing."""
    return _named("mnist", "MNIST", data_dir, image_size, resize)


def _named(name: str, kind: str, data_dir: str | None, image_size: ImageSize, resize: Resize) -> Parts:
    """Reads D/NAME/train.npz if it exists, else files in torchvision's layout in D, which are downloaded if they are missing.

    torchvision checks the MD5 sum of a pickled or MATLAB file before it reads it.
    """
    root = Path(data_dir).expanduser() if data_dir is not None else Path("~/.cache/augury").expanduser()
    if root.exists() and not root.is_dir():
        raise InputError(f"--data-dir {root}: is a file; give the folder that {name} is in")
    if (root / name / "train.npz").exists():
        return replace(read_npz(root / name, ReadOptions(image_size, resize=resize)), place=root / name)
    found = _open(name, kind, root, True), _open(name, kind, root, False)
    train, test = (_part(one, size_of(image_size), resize) for one in found)
    classes = tuple(map(str, found[0].classes)) if name.startswith("cifar") else tuple(map(str, range(10)))
    return Parts(classes, train, test)


def _open(name: str, kind: str, root: Path, is_train: bool) -> Any:
    make = getattr(importlib.import_module("torchvision.datasets"), kind)
    part: dict[str, Any] = {"split": "train" if is_train else "test"} if name == "svhn" else {"train": is_train}
    try:
        return make(str(root), **part, download=False)
    except RuntimeError:
        pass  # missing or incomplete
    except Exception as error:
        raise InputError(f"--data-dir {root}: {name} cannot be read ({_line(error)}); remove it to have it downloaded") from error
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _patiently():
            return make(str(root), **part, download=True)
    except Exception as error:  # errors of urllib, tarfile and torchvision share no other base class
        for folder in (root / kind / "raw", root / kind, *missing):
            with contextlib.suppress(OSError):
                folder.rmdir()  # only succeeds if it is empty
        raise RunError(
            f"{name}: is not in --data-dir {root} and could not be downloaded ({_line(error)}); give --data-dir D that holds "
            f"torchvision's files or D/{name}/train.npz and test.npz"
        ) from error


@contextlib.contextmanager
def _patiently() -> Iterator[None]:
    """Limits how long the network may be silent, and keeps standard output free for results."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _part(found: Any, size: Size | None, how: Resize) -> Part:
    images = found.data if isinstance(found.data, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(found.data))
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3:
        images = images.permute(0, 3, 1, 2).contiguous()
    labels = found.labels if hasattr(found, "labels") else found.targets
    if size is not None:
        images = fit_tensor(images, size, how)
    return Part(images, torch.as_tensor(labels, dtype=torch.int64))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
