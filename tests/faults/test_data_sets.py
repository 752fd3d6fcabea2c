"""What a data set is: cuts that only paths decide, images met twice, names in several Unicode forms, one line for each fault."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from data_files import array_folder, arrays, image_folder, manifest, picture, save
from hypothesis import given
from hypothesis import strategies as st
from samples import steady

from augury.cli import main
from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, load
from augury.train.data.fingerprint import FileMark, Fingerprint
from augury.train.data.splits import cut_by_name

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def parts_of(dataset: Dataset) -> dict[str, set[str]]:
    assert dataset.origin is not None
    return {part: {mark.name for mark in marks} for part, marks in dataset.origin.fingerprint.parts.items()}


def rows_of(root: Path, count: int) -> list[tuple[str, str]]:
    return [(save(root / f"images/{i}.png", picture(i)).relative_to(root).as_posix(), "ab"[i % 2]) for i in range(count)]


def test_the_order_of_a_manifest_changes_nothing(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 60)
    first, again = (parts_of(load(str(manifest(tmp_path / "m.csv", each)))) for each in (rows, rows[::-1]))
    assert first == again


def test_adding_an_image_moves_no_other(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 61)
    before = parts_of(load(str(manifest(tmp_path / "m.csv", rows[:60]))))
    after = parts_of(load(str(manifest(tmp_path / "m.csv", [rows[60], *rows[:60]]))))
    for part in ("train", "test"):
        assert before[part] <= after[part]


def test_two_ways_to_write_a_path_are_one_address(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 40)
    plain = parts_of(load(str(manifest(tmp_path / "m.csv", rows))))
    dotted = parts_of(load(str(manifest(tmp_path / "m.csv", [(f"./images/../{p}", c) for p, c in rows]))))
    assert {os.path.normpath(name) for name in dotted["test"]} == plain["test"]


@steady
@given(st.sets(st.text("abcdefgh", min_size=1, max_size=6), min_size=12, max_size=40), st.text("xyz", min_size=7, max_size=9))
def test_what_was_trained_on_is_never_tested_with_after_an_addition(names: set[str], new: str) -> None:
    # Catches a quota per class: one image more would move another over the border.
    ordered = sorted(names)
    before = dict(zip(ordered, cut_by_name(ordered, ["a"] * len(ordered), 0.2), strict=True))
    more = [new, *ordered]
    after = dict(zip(more, cut_by_name(more, ["a"] * len(more), 0.2), strict=True))
    assert not any(after[name] and not before[name] for name in ordered)


def test_a_fifth_is_held_on_average() -> None:
    names = [f"images/{i}.png" for i in range(5000)]
    assert abs(np.mean(cut_by_name(names, ["a"] * 5000, 0.2)) - 0.2) < 0.02


@pytest.mark.parametrize("way", ["copy", "link", "hard link"])
def test_an_image_in_two_parts_is_counted_and_named(way: str, tmp_path: Path) -> None:
    root = image_folder(tmp_path, each=6)
    source, target = root / "train/cat/1.png", root / "test/dog/twice.png"
    if way == "copy":
        target.write_bytes(source.read_bytes())
    elif way == "link":
        target.symlink_to(source)
    else:
        os.link(source, target)
    note = "the same image in two parts: 1 file with the same bytes: 'train/cat/1.png = test/dog/twice.png'"
    assert any(each.startswith(note) for each in load(str(root)).notes)


def test_an_image_in_two_arrays_is_named(tmp_path: Path) -> None:
    array_folder(tmp_path)
    x = picture(1, (8, 6, 6)).copy()
    x[:] = np.arange(8)[:, None, None, None]
    x[5] = picture(1, (8, 6, 6))[2]
    arrays(tmp_path / "test.npz", x=x)
    assert any("'train.npz[2] = test.npz[5]'" in note for note in load(str(tmp_path)).notes)


def test_unicode_forms_of_a_class_are_one_class(tmp_path: Path) -> None:
    image_folder(tmp_path, parts=("train",), classes=("cat", COMPOSED))
    image_folder(tmp_path, parts=("test",), classes=("cat", DECOMPOSED))
    found = load(str(tmp_path))
    assert found.classes == (COMPOSED, "cat") or found.classes == ("cat", COMPOSED)
    assert f"class names in several Unicode forms are the same class: {COMPOSED!r}" in found.notes
    assert sorted(found.test.labels.tolist()) == [0] * 4 + [1] * 4


def test_unicode_forms_in_a_manifest_and_in_arrays(tmp_path: Path) -> None:
    rows = [(path, [COMPOSED, DECOMPOSED, "b"][i % 3]) for i, (path, _) in enumerate(rows_of(tmp_path, 60))]
    found = load(str(manifest(tmp_path / "m.csv", rows)))
    assert found.classes == ("b", COMPOSED) and any("several Unicode forms" in note for note in found.notes)
    array_folder(tmp_path / "n", y=np.array([COMPOSED, "b"] * 4))
    arrays(tmp_path / "n/test.npz", y=np.array([DECOMPOSED, "b"] * 4))
    assert load(str(tmp_path / "n")).classes == ("b", COMPOSED)


def test_byte_labels_are_names(tmp_path: Path) -> None:
    array_folder(tmp_path, y=np.array([b"cat", b"dog"] * 4))
    assert load(str(tmp_path)).classes == ("cat", "dog")


def test_byte_labels_that_are_no_text_are_refused(tmp_path: Path) -> None:
    array_folder(tmp_path, y=np.array([b"\xff\xfe", b"dog"] * 4))
    with pytest.raises(InputError, match="train.npz: y holds bytes that are not UTF-8 text"):
        load(str(tmp_path))


@pytest.mark.parametrize("name", ["train.npz", "test.npz"])
def test_a_pipe_in_place_of_arrays(name: str, tmp_path: Path) -> None:
    array_folder(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: is a named pipe, not a file"):
        load(str(tmp_path))


def test_a_pipe_in_place_of_a_manifest_or_of_its_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.csv")
    with pytest.raises(InputError, match="m.csv: is a named pipe; give a folder, or a .csv manifest"):
        load(str(tmp_path / "m.csv"))
    rows = rows_of(tmp_path, 6)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="line 8: 'pipe.png' is a named pipe; name a file"):
        load(str(manifest(tmp_path / "n.csv", [*rows, ("pipe.png", "a")])))


FILES = (FileMark("a", "cat", 3, "00"), FileMark("b", "dog", 4, "11"), FileMark("c", "dog", 5, "22"))
NOW = {
    "nothing": (FILES, ""),
    "order": (FILES[::-1], ""),
    "new": ((*FILES, FileMark("d", "cat", 1, "33")), "1 file new ('d')"),
    "missing": (FILES[:1], "2 files missing ('b', 'c')"),
    "changed": ((FileMark("a", "cat", 3, "99"), *FILES[1:]), "1 file changed ('a')"),
    "relabelled": ((FileMark("a", "dog", 3, "00"), *FILES[1:]), "1 file of another class ('a')"),
    "several": (
        (FileMark("a", "cat", 3, "99"), FILES[1], FileMark("d", "cat", 1, "33")),
        "1 file changed ('a'), 1 file new ('d'), 1 file missing ('c')",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("now", "said"), list(NOW.values()), ids=list(NOW))
def test_differences_are_named(now: tuple[FileMark, ...], said: str) -> None:
    before, after = Fingerprint({"train": FILES}), Fingerprint({"train": now})
    assert before.differences(after) == ({"train": said} if said else {})
    assert (before.digest() == after.digest()) == (not said)


MARKS = st.builds(FileMark, st.text(max_size=8), st.text(max_size=4), st.integers(0, 2**40), st.text("0123456789abcdef"))


@steady
@given(st.lists(MARKS, max_size=6))
def test_a_fingerprint_is_read_as_it_was_written(marks: list[FileMark]) -> None:
    whole = Fingerprint({"train": tuple(marks)}) if marks else Fingerprint({})
    assert Fingerprint.from_csv(whole.csv(), "x") == whole


def trained(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--model", "patch_cnn"), "--model patch_cnn: cannot take images of 6x6"),
        (("--strategy", "group_dro"), "has no groups"),
    ],
    ids=["too small", "no groups"],
)
def test_what_a_training_cannot_take_is_one_line_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], line: str
) -> None:
    root = image_folder(tmp_path / "data", each=6)
    capsys.readouterr()
    assert trained("train", root, *more, "--epochs", 1, "--output", tmp_path / "run", "--quiet") == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1 and not (tmp_path / "run").exists()


def test_one_image_per_class_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = image_folder(tmp_path / "data", each=1)
    assert trained("train", root, "--epochs", 1, "--output", tmp_path / "run") == 2
    assert "no class has two training images, so none is left for validation" in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--sampling", "groups"), ("--strategy", "group_dro"), ("--select", "worst_group")])
def test_a_group_that_only_the_test_part_has_is_trained_without_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    root = tmp_path / "data"
    image_folder(root, parts=("train",), groups=("day", "night"), each=8)
    image_folder(root, parts=("test",), groups=("day", "fog"), each=4)
    capsys.readouterr()
    code = trained("train", root, *more, "--epochs", 1, "--batch-size", 8, "--output", tmp_path / "run", "--quiet")
    said = capsys.readouterr().err
    assert code in (0, 2) and "unexpected" not in said
