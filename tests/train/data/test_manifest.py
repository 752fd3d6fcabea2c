"""Manifests: what they say, the cut of a test part, and that every bad line is refused by its number."""

from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import manifest, picture, save

from augury.core.errors import InputError
from augury.train.data.dataset import load

ALL = ("path", "label", "group", "split")


def files(root: Path, count: int) -> list[str]:
    return [save(root / "images" / f"{i}.png", picture(i)).relative_to(root).as_posix() for i in range(count)]


def test_all_columns(tmp_path: Path) -> None:
    paths = files(tmp_path, 12)
    rows = [(p, "ab"[i % 2], "xy"[i // 2 % 2], ["train", "train", "valid", "TEST"][i // 2 % 4]) for i, p in enumerate(paths)]
    found = load(str(manifest(tmp_path / "all.csv", rows, ALL)))
    assert found.classes == ("a", "b") and found.group_names == ("x", "y") and found.notes == ()
    assert (len(found.train.ids), len(found.validation.ids), len(found.test.ids)) == (8, 2, 2)
    assert np.array_equal(found.test.images[1].permute(1, 2, 0).numpy(), picture(7))
    assert found.test.labels.tolist() == [0, 1]
    assert found.test.groups is not None and found.test.groups.tolist() == [1, 1]


def test_order_of_columns_blanks_marks_and_absolute_paths(tmp_path: Path) -> None:
    paths = files(tmp_path, 8)
    lines = [
        "\ufeffsplit, Label ,note,PATH",
        *(f"{'test' if i > 5 else 'train'},{'ab'[i % 2]},any,{tmp_path / p}" for i, p in enumerate(paths)),
        "",
    ]
    (tmp_path / "all.csv").write_text("\r\n".join(lines), encoding="utf-8")
    assert load(str(tmp_path / "all.csv")).test.labels.tolist() == [0, 1]


def test_without_split_a_fifth_is_cut_and_said(tmp_path: Path) -> None:
    rows = [(p, "ab"[i % 2]) for i, p in enumerate(files(tmp_path, 40))]
    path = manifest(tmp_path / "all.csv", rows)
    found, again = load(str(path)), load(str(path))
    assert torch.equal(found.test.images, again.test.images) and set(found.test.labels.tolist()) == {0, 1}
    assert 3 <= len(found.test.ids) <= 15
    assert (
        f"{len(found.test.ids)} images of 40 are the test part (about 20 % of every class, chosen by their paths" in found.notes[0]
    )
    images = torch.cat([found.train.images, found.validation.images, found.test.images])
    assert len(torch.unique(images.flatten(1), dim=0)) == 40


def test_val_alone_is_the_test_part(tmp_path: Path) -> None:
    rows = [(p, "ab"[i % 2], "val" if i < 4 else "train") for i, p in enumerate(files(tmp_path, 12))]
    found = load(str(manifest(tmp_path / "all.csv", rows, ("path", "label", "split"))))
    assert len(found.test.ids) == 4 and "split val is the test part" in found.notes[0]


def test_skipped_files_are_named_with_their_line(tmp_path: Path) -> None:
    rows = [(p, "ab"[i % 2], "test" if i < 4 else "train") for i, p in enumerate(files(tmp_path, 12))]
    (tmp_path / "images" / "5.png").write_bytes(b"broken")
    found = load(str(manifest(tmp_path / "all.csv", rows, ("path", "label", "split"))))
    assert "5.png (line 7)" in found.notes[0] and len(found.train.ids) + len(found.validation.ids) == 7


HEADER = "path,label,group,split"
GOOD = "images/0.png,a,x,train\nimages/1.png,b,x,train\nimages/2.png,a,x,test\n"
REFUSED = {
    "empty": ("", "line 1: has no column 'path'"),
    "header alone": (f"{HEADER}\n", "names no images"),
    "misspelt column": ("path,lable\nimages/0.png,a\n", "line 1: has no column 'label'; did you mean 'lable'"),
    "misspelt split": ("path,label,splits\nimages/0.png,a,train\n", "line 1: unknown column 'splits'; did you mean 'split'"),
    "column twice": ("path,label,label\nimages/0.png,a,a\n", "line 1: the column 'label' occurs twice"),
    "semicolons": ("path;label\nimages/0.png;a\n", "line 1: separate the columns by commas"),
    "missing file": (f"{HEADER}\n{GOOD}images/99.png,a,x,train\n", "line 5: 'images/99.png' does not exist; paths are relative to"),
    "a folder": (f"{HEADER}\n{GOOD}images,a,x,train\n", "line 5: 'images' is a folder"),
    "no label": (f"{HEADER}\n{GOOD}images/3.png,,x,train\n", "line 5: label is empty"),
    "no path": (f"{HEADER}\n{GOOD},a,x,train\n", "line 5: path is empty"),
    "no group": (f"{HEADER}\n{GOOD}images/3.png,a,,train\n", "line 5: group is empty"),
    "no split": (f"{HEADER}\n{GOOD}images/3.png,a,x,\n", "line 5: split is empty"),
    "unknown split": (f"{HEADER}\n{GOOD}images/3.png,a,x,tain\n", "line 5: unknown split 'tain'; did you mean 'train'"),
    "too few": (f"{HEADER}\n{GOOD}images/3.png,a\n", "line 5: has 2 fields, but the header has 4"),
    "too many": (f"{HEADER}\n{GOOD}images/3.png,a,x,train,more\n", "line 5: has 5 fields"),
    "repeated": (f"{HEADER}\n{GOOD}images/../images/0.png,a,x,test\n", "line 5: '0.png' is already on line 2"),
    "class in test only": (f"{HEADER}\n{GOOD}images/3.png,c,x,test\n", "line 5: class 'c' is only in the test part"),
    "no training": (f"{HEADER}\nimages/0.png,a,x,test\n", "no line has the split train"),
    "no testing": (f"{HEADER}\nimages/0.png,a,x,train\n", "no line has the split test"),
    "open quote": (f'{HEADER}\n{GOOD}"images/3.png,a,x,train\n', "line .: is not CSV"),
    "no byte": (f"{HEADER}\n{GOOD}images/\0.png,a,x,train\n", "line 5: "),
    "single images": ("path,label\nimages/0.png,a\nimages/1.png,b\n", "no class has two images"),
}


@pytest.mark.parametrize(("text", "said"), list(REFUSED.values()), ids=list(REFUSED))
def test_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    files(tmp_path, 4)
    (tmp_path / "all.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as refusal:
        load(str(tmp_path / "all.csv"))
    assert "\n" not in str(refusal.value) and "all.csv" in str(refusal.value)


def test_no_text(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_bytes(b"path,label\n\xff\xfe\xff,a\n")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        load(str(tmp_path / "all.csv"))
