"""Several labels per image in every layout that can say so, and one clear line for what is wrong with them."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import manifest, picture, save

from augury.core.errors import InputError
from augury.core.target_kind import TargetKind
from augury.train.data.dataset import Dataset, Split, load

NAMES = ("ball", "cat", "dog")


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """bool [count, 3]; every class on some images, some images without any."""
    found = np.random.default_rng(seed).random((count, 3)) < 0.4
    found[:4] = [[1, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 0]]
    return found


def told(data: Dataset) -> dict[str, list[bool]]:
    """Every image's label vector by its name."""
    assert data.kind is TargetKind.SEVERAL and data.train.labels.dtype == torch.bool
    parts = (data.train, data.validation, data.test)
    return {
        data.name_of(int(i)).split("/")[-1]: row for part in parts for i, row in zip(part.ids, part.labels.tolist(), strict=True)
    }


def columns(path: Path, labels: np.ndarray, mark: Sequence[str] = ("0", "1")) -> Path:
    rows = [[f"{row}.png", *(mark[int(there)] for there in each)] for row, each in enumerate(labels)]
    made = manifest(path, rows, ("image_id", "dog", "Cat", "ball"))
    for row in range(len(labels)):
        save(path.parent / f"{row}.png", picture(row))
    return made


@pytest.mark.parametrize("mark", [("0", "1"), ("0.0", "1.0"), ("False", "True")])
def test_a_column_of_marks_for_every_class(tmp_path: Path, mark: Sequence[str]) -> None:
    labels = vectors(40)
    data = load(str(columns(tmp_path / "all.csv", labels, mark)), cache="off")
    assert data.classes == ("dog", "Cat", "ball")
    assert told(data) == {f"{row}.png": each.tolist() for row, each in enumerate(labels)}
    assert len(data.test.ids) in range(4, 13) and len(data.validation.ids)


def test_names_with_a_bar_between_them(tmp_path: Path) -> None:
    labels = vectors(40)
    rows = [(f"{row}.png", "|".join(n for n, there in zip(NAMES, each, strict=True) if there)) for row, each in enumerate(labels)]
    for row in range(40):
        save(tmp_path / f"{row}.png", picture(row))
    data = load(str(manifest(tmp_path / "all.csv", rows, ("path", "labels"))), cache="off")
    assert data.classes == NAMES and told(data) == {f"{row}.png": each.tolist() for row, each in enumerate(labels)}


def test_arrays(tmp_path: Path) -> None:
    labels = vectors(60)
    x = picture(1, (60, 6, 6))
    np.savez(tmp_path / "one.npz", x=x, y=labels.astype(np.uint8), classes=np.array(NAMES))
    data = load(str(tmp_path / "one.npz"))
    assert data.classes == NAMES and data.kind is TargetKind.SEVERAL
    every = torch.cat([part.labels for part in (data.train, data.validation, data.test)])
    assert sorted(every.tolist()) == sorted(labels.tolist())
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("train", "test"):
        np.savez(folder / f"{name}.npz", x=x, y=labels)
    assert load(str(folder)).test.labels.tolist() == labels.tolist()
    np.savez(tmp_path / "med.npz", train_images=x, train_labels=labels, test_images=x, test_labels=labels)
    assert load(str(tmp_path / "med.npz")).test.labels.tolist() == labels.tolist()


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    labels = vectors(40)
    paths = [str(save(tmp_path / f"{row}.png", picture(row)).name) for row in range(40)]
    names = [[n for n, there in zip(NAMES, each, strict=True) if there] for each in labels]
    wanted = {f"{row}.png": each.tolist() for row, each in enumerate(labels)}
    forms = {
        "list": {"label": names},
        "text": {"labels": ["|".join(each) for each in names]},
        "marks": {name: labels[:, k].astype(int) for k, name in enumerate(NAMES)},
    }
    for form, fields in forms.items():
        parquet.write_table(pyarrow.table({"path": paths, **fields}), tmp_path / f"{form}.parquet")
        data = load(str(tmp_path / f"{form}.parquet"), cache="off")
        assert data.classes == NAMES and told(data) == wanted, form


def test_exactly_one_label_for_every_image_is_a_class(tmp_path: Path) -> None:
    labels = np.eye(3, dtype=bool)[np.arange(30) % 3]
    data = load(str(columns(tmp_path / "all.csv", labels)), cache="off")
    assert data.kind is TargetKind.ONE and any("exactly one label" in note for note in data.notes)
    np.savez(tmp_path / "one.npz", x=picture(1, (30, 6, 6)), y=labels)
    data = load(str(tmp_path / "one.npz"))
    assert (
        data.kind is TargetKind.ONE and data.classes == ("0", "1", "2") and any("exactly one label" in note for note in data.notes)
    )


def test_data_sets_by_hand() -> None:
    labels = torch.from_numpy(vectors(12))
    part = Split(torch.zeros(12, 1, 8, 8, dtype=torch.uint8), labels, torch.arange(12))
    made = Dataset("mine", NAMES, part, part, part, (0.5,), (0.5,))
    assert made.kind is TargetKind.SEVERAL and made.train[torch.arange(3)].labels.tolist() == labels[:3].tolist()


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("path,dog,cat", ["a.png,1,0", "b.png,,1"], "line 3: the column 'dog' is empty; without a label column"),
        ("path,dog,cat", ["a.png,1,0", "b.png,0.5,1"], "line 3: the column 'dog' is '0.5'"),
        ("path,dog,cat", ["a.png,1,0", "b.png,2,1"], "line 3: the column 'dog' is '2'"),
        ("path,dog,age", ["a.png,1,37", "b.png,0,12"], "has no column 'label'"),
        ("path,dog,cat,dog", ["a.png,1,0,1"], "the column 'dog' occurs twice"),
        ("path,labels", ["a.png,dog|cat", "b.png,dog||cat"], "line 3: labels 'dog||cat' holds an empty name"),
        ("path,labels", ["a.png,dog|cat", "b.png,dog|dog"], "line 3: labels 'dog|dog' holds 'dog' twice"),
        ("path,labels", ["a.png,dog", "b.png,"], "line 3: label is empty"),
        ("path,label", ["a.png,dog", "b.png,"], "line 3: label is empty"),
        ("path,label", ["a.png,1.0", "b.png,2"], "line 2: label 1.0 is a float, which gaps"),
        ("path,dog,cat,split", ["a.png,1,0,train", "b.png,0,1,test"], "no training image of class 'cat'"),
        (
            "path,labels,group",
            [f"{k}.png,{'dog|cat' if k % 2 else 'cat'},{'xy'[k % 2]}" for k in range(12)],
            "groups and several labels",
        ),
    ],
)
def test_gaps_and_other_values_in_tables_are_named(tmp_path: Path, header: str, rows: list[str], message: str) -> None:
    parsed = list(csv.reader(rows))
    for each in parsed:
        save(tmp_path / each[0], picture(len(each[0])))
    path = manifest(tmp_path / "all.csv", parsed, header.split(","))
    with pytest.raises(InputError, match=message.replace("|", r"\|")) as caught:
        load(str(path), cache="off")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"y": np.full((8, 3), 2)}, r"y\[0,0\] is 2; with several labels per image, y must hold 0 and 1"),
        ({"y": np.full((8, 3), 0.5)}, "y is float64 .8,3.; for several labels per image, store 0 and 1 as bool"),
        ({"y": np.full(8, np.nan)}, "y is float64; store whole numbers or names"),
        ({"y": np.zeros((7, 3), bool)}, "y has shape .7,3. for 8 images"),
        ({"y": np.zeros((8, 1), bool)}, "y has shape .8,1. for 8 images"),
        ({"y": np.ones((8, 3), bool), "classes": np.array(["a", "b"])}, "y has 3 columns for 2 classes"),
        ({"y": np.eye(4, dtype=bool)[[0, 1, 2] * 2 + [0, 1]] | np.eye(4, dtype=bool)[0]}, "no training image of class '3'"),
    ],
)
def test_arrays_that_are_wrong_are_named(tmp_path: Path, fields: dict[str, np.ndarray], message: str) -> None:
    for part in ("train", "test"):
        np.savez(tmp_path / f"{part}.npz", x=picture(1, (8, 6, 6)), **fields)
    with pytest.raises(InputError, match=message) as caught:
        load(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label": ["a", None, "b", "a"]}, "row 1: has no label"),
        ({"label": [1.0, 2.0, 1.0, 2.0]}, "row 0: label 1 is a float"),
        ({"label": [[0, 1], [0, 0], [1], []]}, "row 1: has the label 0 twice"),
        ({"label": [["a", None], ["b"], ["a"], ["b"]]}, "row 0: has no label"),
        ({"dog": [0, 1, None, 1], "cat": [1, 1, 0, 0]}, "row 2: the column 'dog' is empty"),
        ({"dog": [0, 1, 0, 1], "cat": [1, 0.5, 0, 0]}, "row 1: the column 'cat' is '0.5'"),
    ],
)
def test_tables_that_are_wrong_are_named(tmp_path: Path, fields: dict[str, list], message: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    paths = [save(tmp_path / f"{row}.png", picture(row)).name for row in range(4)]
    parquet.write_table(pyarrow.table({"path": paths, **fields}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message) as caught:
        load(str(tmp_path / "t.parquet"), cache="off")
    assert "\n" not in str(caught.value)


def test_images_keep_their_place_in_the_split_when_rows_are_added(tmp_path: Path) -> None:
    """The test part depends on names and on each image's rarest label, so that further rows move none that stay as they are."""
    labels = vectors(60)
    for count in (50, 60):
        columns(tmp_path / f"{count}.csv", labels[:count])
    few, more = (load(str(tmp_path / f"{count}.csv"), cache="off") for count in (50, 60))
    held = [{d.name_of(int(i)) for i in d.test.ids} for d in (few, more)]
    assert held[0] <= held[1] | {f"{row}.png" for row in range(50, 60)}
