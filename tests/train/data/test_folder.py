"""Folders of classes, groups, validation parts, Tiny-ImageNet's layout, and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_files import image_folder, picture, save

from augury.core.errors import InputError
from augury.train.data.dataset import load


def test_classes_are_sorted_and_images_are_those_of_the_files(tmp_path: Path) -> None:
    save(tmp_path / "train" / "b" / "1.png", picture(1))
    save(tmp_path / "train" / "b" / "2.png", picture(2))
    save(tmp_path / "train" / "a" / "deep" / "er" / "3.png", picture(3))
    save(tmp_path / "train" / "a" / "4.png", picture(4))
    save(tmp_path / "test" / "b" / "5.png", picture(5))
    found = load(str(tmp_path))
    assert found.classes == ("a", "b") and found.test.labels.tolist() == [1] and found.test.ids.tolist() == [4]
    assert np.array_equal(found.test.images[0].permute(1, 2, 0).numpy(), picture(5))
    pixels = {
        int(i): image.permute(1, 2, 0).numpy()
        for p in (found.train, found.validation)
        for i, image in zip(p.ids, p.images, strict=True)
    }
    for number, made in enumerate((4, 3, 1, 2)):  # files by path: a/4.png, a/deep/er/3.png, b/1.png, b/2.png
        assert np.array_equal(pixels[number], picture(made))


def test_val_alone_is_the_test_part(tmp_path: Path) -> None:
    found = load(str(image_folder(tmp_path, ("train", "val"), each=5)))
    assert (len(found.train.ids), len(found.validation.ids), len(found.test.ids)) == (8, 2, 10)
    assert "val/ is the test part" in found.notes[0]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_val_beside_test_is_the_validation_part(name: str, tmp_path: Path) -> None:
    found = load(str(image_folder(tmp_path, ("train", name, "test"), each=3)))
    assert (len(found.train.ids), len(found.validation.ids), len(found.test.ids)) == (6, 6, 6) and found.notes == ()
    assert found.validation.ids.tolist() == list(range(6, 12)) and found.test.ids.tolist() == list(range(12, 18))
    assert np.array_equal(found.validation.images[0].permute(1, 2, 0).numpy(), picture(6))


def test_groups_where_every_class_holds_only_folders(tmp_path: Path) -> None:
    image_folder(tmp_path, groups=("water", "land"))
    save(tmp_path / "train" / "dog" / "air" / "0.png", picture(99))
    found = load(str(tmp_path))
    assert found.group_names == ("air", "land", "water")
    assert found.test.groups is not None and found.test.groups.tolist() == [1] * 4 + [2] * 4 + [1] * 4 + [2] * 4
    assert found.train.groups is not None and found.validation.groups is not None
    assert len(set(zip(found.validation.labels.tolist(), found.validation.groups.tolist(), strict=True))) == 4


def test_no_groups_where_a_class_holds_files_too(tmp_path: Path) -> None:
    image_folder(tmp_path, groups=("water", "land"))
    save(tmp_path / "test" / "dog" / "0.png", picture(99))
    found = load(str(tmp_path))
    assert found.group_names == () and found.test.groups is None and len(found.test.ids) == 17
    assert "not treated as groups" in found.notes[0]


def test_one_folder_everywhere_is_no_group(tmp_path: Path) -> None:
    assert load(str(image_folder(tmp_path, groups=("images",)))).group_names == ()


def test_litter_is_ignored_silently(tmp_path: Path) -> None:
    image_folder(tmp_path, groups=("water", "land"))
    for place in (tmp_path, tmp_path / "train", tmp_path / "train" / "dog", tmp_path / "train" / "dog" / "land"):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png"):
            (place / name).write_bytes(b"litter")
        for name in ("__MACOSX", ".ipynb_checkpoints"):
            save(place / name / "x.png", picture(0))
    found = load(str(tmp_path))
    assert found.notes == () and found.classes == ("cat", "dog") and found.group_names == ("land", "water")
    assert len(found.train.ids) + len(found.validation.ids) == 16


def test_skipped_files_do_not_shift_labels(tmp_path: Path) -> None:
    image_folder(tmp_path, each=5)
    (tmp_path / "train" / "cat" / "0.png").write_bytes(b"broken")
    (tmp_path / "train" / "dog" / "readme.txt").write_text("text")
    found = load(str(tmp_path))
    assert sorted([*found.train.labels.tolist(), *found.validation.labels.tolist()]) == [0] * 4 + [1] * 5
    assert found.test.labels.tolist() == [0] * 5 + [1] * 5
    assert np.array_equal(found.test.images[0].permute(1, 2, 0).numpy(), picture(10))
    assert "skipped: 2 files" in found.notes[0] and "train/cat/0.png" in found.notes[0]


def test_files_beside_the_class_folders_are_named(tmp_path: Path) -> None:
    image_folder(tmp_path)
    save(tmp_path / "train" / "lost.png", picture(0))
    assert load(str(tmp_path)).notes == ("left out: 1 file beside the class folders of train/: 'train/lost.png'",)


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    image_folder(tmp_path / "real")
    (tmp_path / "linked").mkdir()
    for part in ("train", "test"):
        os.symlink(tmp_path / "real" / part, tmp_path / "linked" / part)
    os.symlink(tmp_path / "real" / "train" / "cat", tmp_path / "real" / "train" / "cat" / "loop")
    assert len(load(str(tmp_path / "linked")).test.ids) == 8
    found = load(str(tmp_path / "linked"))
    assert len(found.train.ids) + len(found.validation.ids) == 8


def tiny(root: Path) -> Path:
    number = 0
    for name in ("n01", "n02"):
        for index in range(4):
            save(root / "train" / name / "images" / f"{name}_{index}.JPEG", picture(number, (8, 8)))
            number += 1
        (root / "train" / name / f"{name}_boxes.txt").write_text("0\t0\t1\t1\n")
    lines = []
    for index, name in enumerate(("n02", "n01", "n02")):
        save(root / "val" / "images" / f"val_{index}.JPEG", picture(50 + index, (8, 8)))
        lines.append(f"val_{index}.JPEG\t{name}\t0\t0\t3\t3\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    save(root / "test" / "images" / "test_0.JPEG", picture(70, (8, 8)))
    (root / "wnids.txt").write_text("n01\nn02\n")
    return root


def test_tiny_imagenet(tmp_path: Path) -> None:
    found = load(str(tiny(tmp_path)))
    assert found.classes == ("n01", "n02") and found.test.labels.tolist() == [1, 0, 1]
    assert len(found.train.ids) + len(found.validation.ids) == 8 and found.group_names == ()
    assert len(found.notes) == 1 and "test/ holds no labels" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("val_0.JPEG\tn02\nval_1.JPEG\tn03\n", "line 2: class 'n03' is not in train/; did you mean 'n0"),
        ("val_0.JPEG n02\n", "line 1: has no second column"),
        ("val_0.JPEG\tn02\nval_9.JPEG\tn02\n", "line 2: there is no file"),
        ("val_0.JPEG\tn02\nval_0.JPEG\tn01\n", "line 2: 'val_0.JPEG' is named twice"),
        ("\n", "names no images"),
    ],
)
def test_tiny_imagenet_annotations_are_checked(text: str, said: str, tmp_path: Path) -> None:
    (tiny(tmp_path) / "val" / "val_annotations.txt").write_text(text)
    with pytest.raises(InputError, match=said):
        load(str(tmp_path))


def remove(path: Path) -> None:
    for inner in sorted(path.rglob("*"), reverse=True):
        inner.rmdir() if inner.is_dir() else inner.unlink()
    path.rmdir()


def spoil(path: Path) -> None:
    for file in path.rglob("*.png"):
        file.write_bytes(b"broken")


REFUSED: list[tuple[str, Callable[[Path], object], str]] = [
    ("no train", lambda r: (r / "train").rename(r / "trian"), "no train/ folder and no train.npz; did you mean 'trian'"),
    ("no test", lambda r: (r / "test").rename(r / "tset"), "neither test/ nor val/; did you mean 'tset'"),
    ("only train", lambda r: remove(r / "test"), "neither test/ nor val/; add one, or write a CSV"),
    (
        "classes alone",
        lambda r: ((r / "train" / "cat").rename(r / "cat"), remove(r / "train"), remove(r / "test")),
        "sort the images into",
    ),
    ("empty", lambda r: (remove(r / "train"), remove(r / "test")), "the folder is empty"),
    ("pickles", lambda r: (remove(r / "train"), (r / "train.pkl").write_bytes(b"x")), "train.pkl can execute code"),
    ("no classes", lambda r: (remove(r / "train" / "cat"), remove(r / "train" / "dog")), "train/ holds no class folders"),
    ("empty class", lambda r: (r / "train" / "cow").mkdir(), "the class folder train/cow holds no files"),
    ("empty test", lambda r: (remove(r / "test" / "cat"), remove(r / "test" / "dog")), "test/ holds no files"),
    ("one class", lambda r: (remove(r / "train" / "cat"), remove(r / "test" / "cat")), "the single class 'dog'"),
    (
        "test only",
        lambda r: (r / "train" / "cat").rename(r / "train" / "cats"),
        "class 'cat' is only in test/; did you mean 'cats'",
    ),
    ("val twice", lambda r: ((r / "val").mkdir(), (r / "valid").mkdir()), "holds both val/ and valid/"),
    ("class unreadable", lambda r: spoil(r / "train" / "cat"), "no training file of class 'cat' can be read"),
    ("all unreadable", spoil, "16 of 16 files cannot be read as images"),
]


@pytest.mark.parametrize(("change", "said"), [pytest.param(c, s, id=name) for name, c, s in REFUSED])
def test_refused_in_one_line(change: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    image_folder(tmp_path)
    change(tmp_path)
    with pytest.raises(InputError, match=said) as refusal:
        load(str(tmp_path))
    assert "\n" not in str(refusal.value) and str(tmp_path) in str(refusal.value)


def test_a_class_missing_from_the_test_part_is_fine(tmp_path: Path) -> None:
    image_folder(tmp_path)
    remove(tmp_path / "test" / "cat")
    assert load(str(tmp_path)).test.labels.tolist() == [1] * 4


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    image_folder(tmp_path)
    (tmp_path / "train" / "cat").chmod(0)
    try:
        with pytest.raises(InputError, match="permission denied"):
            load(str(tmp_path))
    finally:
        (tmp_path / "train" / "cat").chmod(0o755)
