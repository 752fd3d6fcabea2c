"""Data sets of the hub, against a stand-in for the package `datasets` with its columns, features and splits."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from data_files import picture
from PIL import Image as Pillow

from augury.core.errors import InputError, RunError
from augury.train.data.dataset import load


@dataclass
class Image:
    decode: bool = True


@dataclass
class ClassLabel:
    names: list[str]


@dataclass
class Value:
    dtype: str


@dataclass
class Table:
    """What is used of a `datasets.Dataset`."""

    features: dict[str, Any]
    columns: dict[str, list[Any]]
    seen: list[Any] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> list[Any]:
        assert not isinstance(self.features[name], Image) or not self.features[name].decode, "decoding is ours"
        return self.columns[name]

    def cast_column(self, name: str, feature: Any) -> "Table":
        return Table({**self.features, name: feature}, self.columns)


def encoded(number: int) -> dict[str, Any]:
    stream = io.BytesIO()
    Pillow.fromarray(picture(number)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def table(labels: list[Any], start: int = 0, feature: Any = None, name: str = "label", **more: Any) -> Table:
    features = {"img": Image(), name: feature or ClassLabel(["cat", "dog"]), **{k: v[0] for k, v in more.items()}}
    rows = [encoded(start + i) for i in range(len(labels))]
    return Table(features, {"img": rows, name: labels, **{k: v[1] for k, v in more.items()}})


Install = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Install:
    def install(splits: dict[str, Table] | Exception, version: str = "4.1.0") -> list[tuple[Any, ...]]:
        calls: list[tuple[Any, ...]] = []

        def load_dataset(name: str, configuration: str | None = None, **options: Any) -> dict[str, Table]:
            calls.append((name, configuration, options))
            if isinstance(splits, Exception):
                raise splits
            return splits

        module = ModuleType("datasets")
        module.__dict__.update(Image=Image, load_dataset=load_dataset, __version__=version)
        monkeypatch.setitem(sys.modules, "datasets", module)
        return calls

    return install


def test_columns_are_found_by_type(hub: Install) -> None:
    calls = hub({"train": table([0, 1] * 4), "test": table([1, 0, 1], 50)})
    found = load("hf:owner/name")
    assert found.classes == ("cat", "dog") and found.test.labels.tolist() == [1, 0, 1]
    assert np.array_equal(found.test.images[2].permute(1, 2, 0).numpy(), picture(52))
    assert calls == [("owner/name", None, {})]


def test_remote_code_is_refused_where_the_package_knows_it(hub: Install) -> None:
    calls = hub({"train": table([0, 1] * 4), "test": table([1, 0])}, "2.18.0")
    load("hf:owner/name:small", data_dir="somewhere")
    assert calls == [("owner/name", "small", {"cache_dir": "somewhere", "trust_remote_code": False})]


def test_an_unlabelled_test_split_gives_way_to_validation(hub: Install) -> None:
    hub({"train": table([0, 1] * 4), "validation": table([1, 0], 30), "test": table([-1, -1, -1], 50)})
    found = load("hf:owner/name")
    assert found.test.labels.tolist() == [1, 0] and "validation is the test part" in found.notes[0]


def test_validation_beside_test(hub: Install) -> None:
    hub({"train": table([0, 1] * 4), "validation": table([1, 0], 30), "test": table([1], 50)})
    found = load("hf:owner/name")
    assert (len(found.train.ids), len(found.validation.ids), len(found.test.ids)) == (8, 2, 1)


def test_of_several_label_columns_the_fine_one(hub: Install) -> None:
    more = {"coarse_label": (ClassLabel(["x", "y", "z"]), [2] * 8)}
    hub({"train": table([0, 1] * 4, name="fine_label", **more), "test": table([1] * 8, 50, name="fine_label", **more)})
    assert load("hf:owner/name").classes == ("cat", "dog")


@pytest.mark.parametrize(("values", "dtype", "classes"), [(["b", "a"], "string", ("a", "b")), ([7, 3], "int64", ("3", "7"))])
def test_labels_without_names(hub: Install, values: list[Any], dtype: str, classes: tuple[str, ...]) -> None:
    hub({"train": table(values * 4, feature=Value(dtype)), "test": table(values, 50, feature=Value(dtype))})
    found = load("hf:owner/name")
    assert found.classes == classes and found.test.labels.tolist() == [1, 0]


def test_empty_and_broken_images_are_skipped(hub: Install) -> None:
    train = table([0, 1] * 4)
    train.columns["img"][0] = None
    train.columns["img"][3] = {"bytes": b"broken", "path": None}
    hub({"train": train, "test": table([1, 0], 50)})
    found = load("hf:owner/name")
    assert "skipped: 2 files" in found.notes[0] and "train[0]" in found.notes[0] and "train[3]" in found.notes[0]


@pytest.mark.parametrize(
    ("splits", "error", "said"),
    [
        ({"test": table([0])}, InputError, "has no split 'train' but 'test'"),
        ({"train": table([0, 1])}, InputError, "neither a labelled split 'test' nor"),
        ({"train": table([0, 1], feature=Value("float32"))}, InputError, "no column holds class labels"),
        ({"train": Table({"label": ClassLabel(["a"])}, {"label": [0]})}, InputError, "no column holds images"),
        ({"train": table([0, 1, 0, 1]), "test": table([0, -1])}, InputError, r"test\[1\] has the label -1"),
        (ValueError("Config name is missing.\nPick one"), RunError, "write hf:owner/name:CONFIGURATION"),
        (ConnectionError("unreachable"), RunError, "unreachable.*check the name and the connection"),
    ],
)
def test_refused(hub: Install, splits: Any, error: type[Exception], said: str) -> None:
    hub(splits)
    with pytest.raises(error, match=said) as refusal:
        load("hf:owner/name")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("data", ["hf:", "hf:/name", "hf:a/b/c", "hf:a/"])
def test_names(hub: Install, data: str) -> None:
    hub({})
    with pytest.raises(InputError, match="write hf:owner/name"):
        load(data)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'augury\[hf\]'"):
        load("hf:owner/name")
