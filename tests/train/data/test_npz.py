"""Arrays: what is read from them, and every way in which they can be wrong."""

from pathlib import Path

import numpy as np
import pytest
from data_files import array_folder, arrays, picture

from augury.core.errors import InputError
from augury.train.data.dataset import load


@pytest.mark.parametrize(("shape", "channels"), [((12, 6, 5, 3), 3), ((12, 6, 5, 1), 1), ((12, 6, 5), 1)])
def test_shapes(shape: tuple[int, ...], channels: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = load(str(array_folder(tmp_path, count=12, x=x)))
    assert found.test.images.shape == (12, channels, 6, 5) and len(found.mean) == channels
    assert np.array_equal(found.test.images.permute(0, 2, 3, 1).numpy(), x.reshape(12, 6, 5, channels))


def test_numbers_and_stored_classes(tmp_path: Path) -> None:
    array_folder(tmp_path, y=np.array([1, 0, 1, 0, 1, 0, 1, 1], np.uint8), classes=np.array(["zebra", "ape"]))
    found = load(str(tmp_path))
    assert found.classes == ("zebra", "ape") and found.test.labels.tolist() == [1, 0, 1, 0, 1, 0, 1, 1]


@pytest.mark.parametrize("kind", ["U", "S"])
def test_labels_as_names(kind: str, tmp_path: Path) -> None:
    array_folder(tmp_path, y=np.array(["b", "a", "b", "a", "c", "c", "a", "b"]).astype(kind))
    found = load(str(tmp_path))
    assert found.classes == ("a", "b", "c") and found.test.labels.tolist() == [1, 0, 1, 0, 2, 2, 0, 1]


def test_groups_are_numbered_over_all_parts(tmp_path: Path) -> None:
    arrays(tmp_path / "train.npz", group=np.array([7, 5] * 4))
    arrays(tmp_path / "test.npz", group=np.array([6, 5] * 4))
    found = load(str(tmp_path))
    assert found.group_names == ("5", "6", "7")
    assert found.test.groups is not None and found.test.groups.tolist() == [1, 0] * 4


def test_val_beside_test_and_alone(tmp_path: Path) -> None:
    array_folder(tmp_path)
    arrays(tmp_path / "val.npz", count=4)
    found = load(str(tmp_path))
    assert (len(found.train.ids), len(found.validation.ids), len(found.test.ids)) == (8, 4, 8)
    (tmp_path / "test.npz").unlink()
    found = load(str(tmp_path))
    assert (len(found.train.ids), len(found.validation.ids), len(found.test.ids)) == (6, 2, 4)
    assert "val.npz is the test part" in found.notes[0]


def test_parts_of_other_size_and_depth_are_brought_together(tmp_path: Path) -> None:
    arrays(tmp_path / "train.npz")
    arrays(tmp_path / "test.npz", x=picture(2, (8, 9, 12), 1))
    found = load(str(tmp_path))
    assert found.test.images.shape == (8, 3, 6, 6)
    assert found.notes == (
        "converted: 8 grey images to RGB",
        "sizes: 8 images resized to 6x6 (short side resized, centre cut out: 25 % of each image cut away on average, 25 % at "
        "most; --resize fit or stretch keeps all)",
    )


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def objects() -> np.ndarray:
    found = np.empty(8, object)
    found[:] = [Bomb() for _ in range(8)]
    return found


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no x": ({"x": None}, "has no array 'x'; it has 'y'"),
    "no y": ({"y": None, "labels": np.arange(8)}, "has no array 'y'; it has 'x', 'labels'"),
    "float x": ({"x": np.zeros((8, 6, 6, 3))}, "x is float64; store grey levels 0 to 255 as uint8"),
    "channels first": ({"x": np.zeros((8, 3, 6, 6), np.uint8)}, r"x has shape \[8,3,6,6\]; put the channels last"),
    "17 channels": ({"x": np.zeros((8, 6, 6, 17), np.uint8)}, r"x has shape \[8,6,6,17\]; store"),
    "flat": ({"x": np.zeros((8, 36), np.uint8)}, r"x has shape \[8,36\]"),
    "no pixels": ({"x": np.zeros((8, 0, 6, 3), np.uint8)}, r"x has shape \[8,0,6,3\]"),
    "no images": ({"x": np.zeros((0, 6, 6, 3), np.uint8), "y": np.zeros(0, int)}, "x holds no images"),
    "float y": ({"y": np.zeros(8)}, "y is float64"),
    "bool y": ({"y": np.zeros(8, bool)}, "y is bool"),
    "short y": ({"y": np.arange(7) % 2}, r"y has shape \[7\] for 8 images"),
    "y of pairs": ({"y": np.zeros((8, 2, 2), dtype=int)}, r"y has shape \[8,2,2\]"),
    "negative": ({"y": np.arange(8) % 2 - 1}, "y has 2 different values from -1 to 0"),
    "from one": ({"y": np.arange(8) % 2 + 1}, "y has 2 different values from 1 to 2; number the classes 0 to 1"),
    "beyond classes": ({"classes": np.array(["a"])}, r"y\[1\] is 1; with 1 class "),
    "name unknown": ({"y": np.array(["a", "bb"] * 4), "classes": np.array(["a", "b"])}, "the class 'bb', which is not among"),
    "class without images": ({"classes": np.array(["a", "b", "c"])}, "no training image of class 'c'"),
    "classes twice": ({"classes": np.array(["a", "a"])}, "classes must be a list of different names"),
    "classes table": ({"classes": np.array([["a", "b"]])}, "classes must be a list"),
    "short group": ({"group": np.arange(3)}, r"group has shape \[3\] for 8 images"),
    "float group": ({"group": np.zeros(8)}, "group is float64"),
    "one class": ({"y": np.zeros(8, int)}, "the single class '0'"),
    "objects in x": ({"x": objects()}, "x holds pickled Python objects"),
    "objects in y": ({"y": objects()}, "y holds pickled Python objects"),
}


@pytest.mark.parametrize(("fields", "said"), list(REFUSED.values()), ids=list(REFUSED))
def test_refused_in_one_line(fields: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        load(str(array_folder(tmp_path, **fields)))
    assert "\n" not in str(refusal.value) and str(tmp_path) in str(refusal.value)


def test_parts_must_agree(tmp_path: Path) -> None:
    array_folder(tmp_path)
    arrays(tmp_path / "test.npz", kinds=3, count=9)
    with pytest.raises(InputError, match=r"test.npz: y\[2\] is 2"):
        load(str(tmp_path))
    arrays(tmp_path / "test.npz", y=np.array(["a", "b"] * 4))
    with pytest.raises(InputError, match="test.npz: y holds names; store numbers, as in train.npz"):
        load(str(tmp_path))
    arrays(tmp_path / "test.npz", group=np.arange(8))
    with pytest.raises(InputError, match="train.npz: has no array 'group'"):
        load(str(tmp_path))


def test_other_classes_in_the_test_part(tmp_path: Path) -> None:
    arrays(tmp_path / "train.npz", y=np.array(["cat", "dog"] * 4))
    arrays(tmp_path / "test.npz", y=np.array(["cat", "dgo"] * 4))
    with pytest.raises(InputError, match="test.npz: y holds the class 'dgo'.*did you mean 'dog'"):
        load(str(tmp_path))


def test_stored_classes_must_agree(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", x=picture(0, (8, 6, 6)), y=np.arange(8) % 2, classes=["a", "b"])
    np.savez(tmp_path / "test.npz", x=picture(0, (8, 6, 6)), y=np.arange(8) % 2, classes=["b", "a"])
    with pytest.raises(InputError, match="test.npz: classes are not those of train.npz"):
        load(str(tmp_path))


@pytest.mark.parametrize("keep", [0, 1, 40, -30])
def test_damaged_files(keep: int, tmp_path: Path) -> None:
    array_folder(tmp_path)
    path = tmp_path / "train.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="train.npz: is damaged or not an .npz file"):
        load(str(tmp_path))


def test_flipped_bytes_are_noticed(tmp_path: Path) -> None:
    array_folder(tmp_path)
    path = tmp_path / "train.npz"
    content = bytearray(path.read_bytes())
    content[300] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        load(str(tmp_path))


def test_a_pickle_or_single_array_named_npz(tmp_path: Path) -> None:
    import pickle

    array_folder(tmp_path)
    (tmp_path / "train.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="is damaged or not an .npz"):
        load(str(tmp_path))
    with open(tmp_path / "train.npz", "wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(InputError, match="is a single array"):
        load(str(tmp_path))


def test_no_test_file(tmp_path: Path) -> None:
    array_folder(tmp_path)
    (tmp_path / "test.npz").rename(tmp_path / "tests.npz")
    with pytest.raises(InputError, match="neither test.npz nor val.npz; did you mean 'tests.npz'"):
        load(str(tmp_path))
