"""What every form shares: parts, ids, the cut, statistics, names and refusals."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import array_folder, arrays, image_folder, manifest, picture

import augury
from augury.cli import main
from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, load, statistics
from augury.train.data.preparation import ReadOptions


def forms(root: Path) -> dict[str, Path]:
    """The same kind of data in every form that needs no network."""
    folder = image_folder(root / "folder", each=6)
    lines = [(p.relative_to(folder).as_posix(), p.parent.name, p.parts[-3]) for p in sorted(folder.rglob("*.png"))]
    return {
        "folder": folder,
        "npz": array_folder(root / "npz", count=12),
        "csv": manifest(folder / "all.csv", lines, ("path", "label", "split")),
    }


@pytest.mark.parametrize("form", ["folder", "npz", "csv"])
def test_every_form_gives_a_whole_data_set(form: str, tmp_path: Path) -> None:
    found = load(str(forms(tmp_path)[form]), validation=0.3)
    parts = [found.train, found.validation, found.test]
    assert [len(p.ids) for p in parts] == [8, 4, 12] and len(found.classes) == 2
    for part in parts:
        assert part.images.dtype == torch.uint8 and part.images.shape[1:] == (3, 6, 6) and part.images.is_contiguous()
        assert part.labels.dtype == part.ids.dtype == torch.int64
        assert len(part.images) == len(part.labels) == len(part.ids)
        assert set(part.labels.tolist()) == {0, 1} and part.groups is None
    assert sorted(torch.cat([p.ids for p in parts]).tolist()) == list(range(24))
    pixels = found.train.images.double() / 255
    assert np.allclose(found.mean, pixels.mean((0, 2, 3))) and np.allclose(found.std, pixels.std((0, 2, 3), correction=0))


def test_folder_and_manifest_agree_on_everything(tmp_path: Path) -> None:
    made = forms(tmp_path)
    one, other = load(str(made["folder"])), load(str(made["csv"]))
    for part in ("train", "validation", "test"):
        first, second = getattr(one, part), getattr(other, part)
        order, other_order = (torch.argsort(p.images.flatten(1).double().sum(1)) for p in (first, second))
        if part == "test":
            assert torch.equal(first.images[order], second.images[other_order])
    assert one.classes == other.classes == ("cat", "dog")


def test_loading_twice_is_the_same_and_leaves_global_generators_alone(tmp_path: Path) -> None:
    folder = str(forms(tmp_path)["folder"])
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, other = load(folder), load(folder)
    assert torch.equal(torch.get_rng_state(), state) and np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(one.validation.ids, other.validation.ids) and torch.equal(one.train.images, other.train.images)


def test_statistics_of_constant_images_divide_by_no_zero() -> None:
    mean, std = statistics(torch.full((2, 3, 4, 4), 51, dtype=torch.uint8))
    assert np.allclose(mean, 0.2) and std == (1 / 255,) * 3


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_validation_fraction_is_checked(fraction: float) -> None:
    with pytest.raises(InputError, match="^--validation: .* between 0 and 1"):
        load("digits", validation=fraction)


@pytest.mark.parametrize("size", [0, -1, 10**6])
def test_image_size_is_checked(size: int) -> None:
    with pytest.raises(InputError, match="^--image-size: .* from 1 to 4096"):
        load("digits", image_size=size)


@pytest.mark.parametrize("form", ["folder", "npz", "csv"])
def test_image_size_in_every_form(form: str, tmp_path: Path) -> None:
    found = load(str(forms(tmp_path)[form]), image_size=4)
    assert all(p.images.shape[1:] == (3, 4, 4) for p in (found.train, found.validation, found.test))


@pytest.mark.parametrize("form", ["folder", "npz", "csv"])
def test_rows_and_columns_in_every_form(form: str, tmp_path: Path) -> None:
    found = load(str(forms(tmp_path)[form]), image_size=(6, 4), resize="stretch")
    assert all(p.images.shape[1:] == (3, 6, 4) for p in (found.train, found.validation, found.test))


@pytest.mark.parametrize("size", [(1, 2, 3), ()])
def test_other_numbers_of_sides_are_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="^--image-size: .*give one side, 224, or rows and columns"):
        load("digits", image_size=size)


def test_digits_keep_their_parts_and_take_an_image_size() -> None:
    plain, small = load("digits"), load("digits", image_size=16)
    assert plain.train.images.shape == (200, 1, 32, 32) and small.train.images.shape == (200, 1, 16, 16)
    assert torch.equal(plain.train.ids, small.train.ids) and plain.mean != small.mean


def test_single_image_classes_stay_in_training_and_are_told(tmp_path: Path) -> None:
    image_folder(tmp_path, classes=("rare",), each=1)
    image_folder(tmp_path, classes=("cat", "dog"), each=4)
    found = load(str(tmp_path))
    assert sorted(found.validation.labels.tolist()) == [0, 1] and 2 in found.train.labels
    assert "1 class with a single training image: none is held out for validation" in found.notes


def test_nothing_left_for_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no class has two training images"):
        load(str(image_folder(tmp_path, each=1)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("cifra10", "unknown data 'cifra10'; did you mean 'cifar10'"),
        ("mnsit", "did you mean 'mnist'"),
        ("no/such/place", "no such folder or file .there is no no/such either"),
        ("", "holds no train/"),
        ("a\0b", "is not a path|unknown data"),
    ],
)
def test_unknown_data(data: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        load(data)


def test_a_missing_folder_names_its_neighbour(tmp_path: Path) -> None:
    image_folder(tmp_path / "flowers")
    with pytest.raises(InputError, match="no such folder or file; did you mean 'flowers'"):
        load(str(tmp_path / "flower"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.pt", "can execute code"), ("data.pkl", "can execute code"), ("data.npz", "damaged or not an .npz file"),
            ("data.npy", "numpy.savez"),
        ("data.zip", "unpack"), ("notes.txt", "neither a folder nor a .csv"),
    ],
)  # fmt: skip
def test_files_that_are_no_data(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=said):
        load(str(tmp_path / name))


def test_the_list_shows_data_sets_without_torch() -> None:
    code = (
        "import sys, augury.cli; assert augury.cli.main(['list']) == 0; "
        "assert not {'torch', 'torchvision', 'numpy', 'PIL'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("cifar10", "cifar100", "digits", "mnist", "svhn"):
        assert f"\n  {name} " in done.stdout


def test_the_command_line_refuses_in_one_line_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_folder(tmp_path / "good")
    array_folder(tmp_path / "bad", x=np.zeros((8, 6, 6, 3)))
    manifest(tmp_path / "bad.csv", [("no.png", "a")])
    for data, *flags in (["bad"], ["bad.csv"], ["god"], ["good", "--validation", "1"], ["good", "--image-size", "0"]):
        arguments = ["train", str(tmp_path / data), *flags, "--epochs", "1", "--output", str(tmp_path / "out")]
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("augury: ") and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_notes_reach_the_user_and_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_folder(tmp_path / "data", ("train", "val"), each=6, size=(8, 8))
    arguments = ["train", str(tmp_path / "data"), "--epochs", "1", "--quiet", "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "note: val/ is the test part" in capsys.readouterr().err
    assert "val/ is the test part" in (tmp_path / "out" / "result.json").read_text()
    assert "val/ is the test part" in (tmp_path / "out" / "report.html").read_text()


def test_the_front_door() -> None:
    assert isinstance(augury.dataset("digits"), Dataset)
    assert {"cifar10", "cifar100", "digits", "mnist", "svhn"} <= set(augury.names("dataset"))


def test_a_data_set_from_outside_joins(tmp_path: Path) -> None:
    from augury.core import registry
    from augury.train.data.npz import read_npz

    root = array_folder(tmp_path, count=12)

    def mine(*, image_size: int | None = None) -> object:
        """Mine."""
        return read_npz(root, ReadOptions(image_size))

    registry.register("dataset", "mine_for_a_test", source="this test")(mine)
    try:
        assert load("mine_for_a_test", image_size=5).train.images.shape[1:] == (3, 5, 5)
    finally:
        registry._outside.pop(("dataset", "mine_for_a_test"))
        registry._loaded.pop(("dataset", "mine_for_a_test"))


def test_both_forms_in_one_folder_are_refused(tmp_path: Path) -> None:
    image_folder(tmp_path)
    arrays(tmp_path / "train.npz")
    with pytest.raises(InputError, match="may be read as folder or as npz"):
        load(str(tmp_path))


def test_pictures_differ() -> None:
    assert not np.array_equal(picture(0), picture(1))
