"""Named data sets: arrays first, then torchvision's layout, whose sums are checked before it is read, then its downloader."""

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torchvision
from data_files import arrays, picture

from augury.core.errors import InputError, RunError
from augury.train.data.dataset import load


def no_network(*_: object, **__: object) -> None:
    raise OSError("no network in tests\nsecond line")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (torchvision.datasets.cifar, torchvision.datasets.mnist):
        monkeypatch.setattr(module, "download_and_extract_archive", no_network)
    monkeypatch.setattr(torchvision.datasets.svhn, "download_url", no_network)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "mnist"])
def test_arrays_under_the_name(name: str, tmp_path: Path) -> None:
    for part in ("train", "test"):
        arrays(tmp_path / name / f"{part}.npz", count=20, size=(28, 28))
    found = load(name, data_dir=str(tmp_path))
    assert found.name == name and found.train.images.shape == (18, 3, 28, 28)


def cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's layout of CIFAR-10 with 10 images a batch, and the sums it is to expect."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()

    def write(name: str, content: object) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    def batch(number: int) -> dict[str, object]:
        return {"data": picture(number, (10, 3072), 1), "labels": list(range(10))}

    kind = torchvision.datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [write(f"data_batch_{i}", batch(i)) for i in range(1, 6)])
    monkeypatch.setattr(kind, "test_list", [write("test_batch", batch(0))])
    name, md5 = write("batches.meta", {"label_names": [f"class{i}" for i in range(10)]})
    monkeypatch.setattr(kind, "meta", {"filename": name, "key": "label_names", "md5": md5})


def test_the_layout_of_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar(tmp_path, monkeypatch)
    found = load("cifar10", data_dir=str(tmp_path))
    assert found.classes[3] == "class3" and (len(found.train.ids), len(found.validation.ids)) == (40, 10)
    assert np.array_equal(found.test.images.numpy(), picture(0, (10, 3072), 1).reshape(10, 3, 32, 32))
    assert found.test.labels.tolist() == list(range(10))
    assert load("cifar10", data_dir=str(tmp_path), image_size=16).train.images.shape == (40, 3, 16, 16)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_a_file_with_another_sum_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar(tmp_path, monkeypatch)
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(RunError, match="--data-dir"):
        load("cifar10", data_dir=str(tmp_path))


def idx(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes())


def test_the_layout_of_mnist_keeps_its_size(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    for part, count in (("train", 30), ("t10k", 10)):
        idx(raw / f"{part}-images-idx3-ubyte", picture(count, (count, 28, 28), 1))
        idx(raw / f"{part}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    found = load("mnist", data_dir=str(tmp_path))
    assert found.train.images.shape == (20, 1, 28, 28) and found.classes == tuple("0123456789")
    assert np.array_equal(found.test.images[:, 0].numpy(), picture(10, (10, 28, 28), 1))
    assert found.test.labels.tolist() == list(range(10))


def test_the_layout_of_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    sums = {}
    for part, count in (("train", 30), ("test", 10)):
        path = tmp_path / f"{part}_32x32.mat"
        savemat(
            path, {"X": picture(count, (32, 32, 3 * count), 1).reshape(32, 32, 3, count), "y": np.arange(count)[:, None] % 10 + 1}
        )
        sums[part] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", sums)
    found = load("svhn", data_dir=str(tmp_path))
    assert found.train.images.shape == (20, 3, 32, 32) and found.test.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    expected = picture(10, (32, 32, 30), 1).reshape(32, 32, 3, 10)[..., 4]
    assert np.array_equal(found.test.images[4].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "mnist"])
def test_a_failed_download_names_the_flag_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"{name}: .*--data-dir") as failure:
        load(name, data_dir=str(tmp_path / "new" / "place"))
    assert "\n" not in str(failure.value) and not (tmp_path / "new").exists()


def test_the_default_place_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    arrays(tmp_path / ".cache" / "augury" / "mnist" / "train.npz")
    arrays(tmp_path / ".cache" / "augury" / "mnist" / "test.npz")
    assert len(load("mnist").test.ids) == 8


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(gzip.compress(b"nothing"))
    with pytest.raises(InputError, match="--data-dir .*: mnist cannot be read"):
        load("mnist", data_dir=str(tmp_path))


def test_data_dir_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--data-dir .*is a file"):
        load("cifar10", data_dir=str(tmp_path / "file"))
