"""A run knows its data: what may change without harm, what is named, what is refused, and never by advising to destroy it."""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import save
from PIL import Image

from augury.cli import main
from augury.jobs.runs import open_run

FAST = ("--epochs", "2", "--quiet", "--batch-size", "8")


def flowers(root: Path) -> Path:
    """Dark cats and bright dogs, 8x8: a network learns them at once."""
    random = np.random.default_rng(0)
    for part, count in (("train", 16), ("test", 8)):
        for name, base in (("cat", 60), ("dog", 180)):
            for number in range(count):
                pixels = np.clip(random.normal(base, 30, (8, 8, 3)), 0, 255).astype(np.uint8)
                save(root / part / name / f"{number}.png", pixels)
    return root


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `flowers`, and `run`, which was trained on it."""
    root = tmp_path_factory.mktemp("identity")
    before = os.getcwd()
    os.chdir(root)
    try:
        flowers(root / "flowers")
        assert run("train", "flowers", *FAST, "--output", "run") == 0
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of both that a test may change, as the current folder; the copy's run knows the copy's data."""
    shutil.copytree(trained / "flowers", tmp_path / "flowers")
    shutil.copytree(trained / "run", tmp_path / "run")
    about = json.loads((tmp_path / "run/data.json").read_text())
    (tmp_path / "run/data.json").write_text(json.dumps(about | {"place": str(tmp_path / "flowers")}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    capsys.readouterr()
    assert run("evaluate", *arguments, "--json") == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def brighter(root: Path) -> None:
    for number in range(60):
        Image.new("RGB", (8, 8), (255, 255, 255)).save(root / f"flowers/train/cat/new{number}.png")


def renamed(root: Path) -> None:
    for part in ("train", "test"):
        (root / "flowers" / part / "dog").rename(root / "flowers" / part / "wolf")


def added(root: Path) -> None:
    shutil.copytree(root / "flowers/train/cat", root / "flowers/train/ant")


def removed(root: Path) -> None:
    for part in ("train", "test"):
        shutil.copytree(root / "flowers" / part / "dog", root / "flowers" / part / "eel")
        shutil.rmtree(root / "flowers" / part / "cat")


def changed(root: Path) -> None:
    Image.new("RGB", (8, 8)).save(root / "flowers/test/cat/3.png")


def gone(root: Path) -> None:
    (root / "flowers").rename(root / "elsewhere")


def grey(root: Path) -> None:
    for file in (root / "flowers").rglob("*.png"):
        Image.open(file).convert("L").save(file)


NAMED = {
    "brighter images in train/": (brighter, "changed since the training: train part: 60 files new ('train/cat/new0.png'"),
    "an image changed in test/": (changed, "changed since the training: test part: 1 file changed ('test/cat/3.png')"),
}
REFUSED = {
    "a class renamed": (renamed, "the classes are not those the network was trained on ('dog' missing, 'wolf' new)"),
    "a class added": (added, "the classes are not those the network was trained on ('ant' new)"),
    "a class removed": (removed, "'cat' missing, 'eel' new"),
    "the folder moved": (gone, "the run's data are no longer there; put them back, or name data by --data"),
}


@pytest.mark.parametrize(("change", "note"), list(NAMED.values()), ids=list(NAMED))
def test_changed_data_are_named_and_the_runs_own_mean_is_used(
    place: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None], note: str
) -> None:
    before = evaluated(capsys, "run")
    change(place)
    after = evaluated(capsys, "run")
    assert before["notes"] == [] and any(note in str(said) for said in after["notes"])  # type: ignore[attr-defined]
    if change is brighter:
        assert after["accuracy"] == before["accuracy"] and after["loss"] == before["loss"]


COMMANDS = {
    "evaluate": ("evaluate", "run"),
    "diagnose": ("diagnose", "run", "--what", "calibration", "--output", "d"),
    "preview": ("preview", "--run", "run", "--output", "p.png"),
}


@pytest.mark.parametrize("command", list(COMMANDS.values()), ids=list(COMMANDS))
@pytest.mark.parametrize(("change", "line"), list(REFUSED.values()), ids=list(REFUSED))
def test_what_cannot_be_right_is_refused_in_one_line_by_every_command(
    place: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None], line: str, command: tuple[str, ...]
) -> None:
    change(place)
    capsys.readouterr()
    assert run(*command) == 2
    said = capsys.readouterr().err
    assert line in said and "--overwrite" not in said and said.count("\n") == 1


def test_another_folder_of_the_same_name_is_not_taken(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = evaluated(capsys, place / "run")
    other = place / "other"
    shutil.copytree(place / "flowers", other / "flowers")
    for part in ("train", "test"):  # the same names, exchanged
        folder = other / "flowers" / part
        (folder / "cat").rename(folder / "x")
        (folder / "dog").rename(folder / "cat")
        (folder / "x").rename(folder / "dog")
    monkeypatch.chdir(other)
    assert evaluated(capsys, place / "run") == before


def test_grey_images_where_colour_was_are_brought_to_what_the_network_takes(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    grey(place)
    found = evaluated(capsys, "run")
    assert any("grey images to RGB" in str(note) for note in found["notes"])  # type: ignore[attr-defined]


def test_test_images_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = evaluated(capsys, "run")
    for data in ("flowers/test", "alone"):
        if data == "alone":
            shutil.copytree("flowers/test", "alone/test")
        found = evaluated(capsys, "run", "--data", data)
        assert (found["accuracy"], found["loss"], found["images"]) == (whole["accuracy"], whole["loss"], 16)
    rows = "".join(f"flowers/test/dog/{number}.png,dog\n" for number in range(8))
    Path("dogs.csv").write_text("path,label\n" + rows)
    assert evaluated(capsys, "run", "--data", "dogs.csv")["images"] == 8
    shutil.copytree("flowers/test/dog", "some/dog")
    assert evaluated(capsys, "run", "--data", "some")["images"] == 8


def test_images_that_were_trained_on_are_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluated(capsys, "run", "--data", "flowers/train")
    assert any("trained on: 32 images of 32" in str(note) for note in found["notes"])  # type: ignore[attr-defined]


def test_a_class_the_network_does_not_know(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("flowers/test/dog", "some/dgo")
    assert run("evaluate", "run", "--data", "some") == 2
    assert "has the class 'dgo', which the network does not know; did you mean 'dog'?" in capsys.readouterr().err


def test_predict(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("flowers/test/cat/broken.png").write_bytes(b"no image")
    capsys.readouterr()
    assert run("predict", "run", "flowers/test/cat", "flowers/test/dog/0.png", "--every-class") == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["path"] for row in rows] == [*(f"flowers/test/cat/{n}.png" for n in range(8)), "flowers/test/dog/0.png"]
    assert "skipped: 1 file that cannot be read as images: 'flowers/test/cat/broken.png (not an image)'" in err
    with torch.no_grad():
        opened = open_run(place / "run")
        images = opened.dataset.test.images[:8]
        expected = opened.networks[0](opened.normalize.normalise(images.to(opened.device))).softmax(1)
    assert np.allclose([[float(row["cat"]), float(row["dog"])] for row in rows[:8]], expected.cpu().numpy(), atol=2e-6)
    assert all(float(row["probability"]) == max(float(row["cat"]), float(row["dog"])) for row in rows)


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (["nowhere"], "IMAGES nowhere: No such file"),
        (["empty"], "holds no files"),
        (["text"], "none of 1 file can be read as an image"),
        (["pipe"], "IMAGES pipe: is a named pipe"),
    ],
)
def test_predict_refuses_in_one_line(place: Path, capsys: pytest.CaptureFixture[str], images: list[str], line: str) -> None:
    Path("empty").mkdir()
    Path("text").mkdir()
    Path("text/a.txt").write_text("x")
    os.mkfifo("pipe")
    capsys.readouterr()
    assert run("predict", "run", *images) == 2
    out, err = capsys.readouterr()
    assert line in err and not out and err.count("\n") == 1


def test_predictions_and_sheets_name_files(place: Path) -> None:
    arrays = np.load("run/predictions.npz")
    table = list(csv.DictReader(io.StringIO(Path("run/predictions.csv").read_text())))
    assert arrays["name"].tolist() == [row["path"] for row in table] and len(table) == 16
    for row in table:
        assert Path("flowers", row["path"]).parent.name == row["class"] and row["prediction"] in ("cat", "dog")
    from augury.jobs.preview import _called

    dataset = open_run(Path("run")).dataset
    for row, image in enumerate(dataset.train.images[:5]):
        number = int(dataset.train.ids[row])
        stored = np.asarray(Image.open(Path("flowers", dataset.name_of(number))))
        assert np.array_equal(stored, image.permute(1, 2, 0).numpy()) and dataset.name_of(number) in _called(dataset, row)


def test_a_preview_of_what_a_run_saw_needs_the_images_it_saw(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brighter(place)
    capsys.readouterr()
    assert run("preview", "--run", "run", "--output", "p.png") == 2
    assert "its training images have changed: 60 files new" in capsys.readouterr().err and not Path("p.png").exists()


def test_export_needs_no_data(place: Path) -> None:
    gone(place)
    run("export", "run", "--output", "exported")
    assert open_run(Path("run")).identity.classes == ("cat", "dog")


def test_resuming_with_other_data_names_the_files(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run/result.json").unlink()
    brighter(place)
    capsys.readouterr()
    assert run("train", "flowers", *FAST, "--output", "run", "--resume") == 2
    said = capsys.readouterr().err
    assert "are not those it was started with: train part: 60 files new" in said and "--overwrite" not in said


@pytest.mark.parametrize("harm", ["no json", "newer", "list", "list cut", "keys"])
def test_a_damaged_identity_is_refused(place: Path, capsys: pytest.CaptureFixture[str], harm: str) -> None:
    about, files = Path("run/data.json"), Path("run/data_files.csv")
    content = json.loads(about.read_text())
    if harm == "no json":
        about.write_text("{")
    elif harm == "newer":
        about.write_text(json.dumps(content | {"version": 99}))
    elif harm == "keys":
        about.write_text(json.dumps({"version": 1}))
    elif harm == "list":
        files.write_text(files.read_text().replace("train/cat/1.png", "train/cat/x.png"))
    else:
        files.write_text(files.read_text()[:100])
    capsys.readouterr()
    assert run("evaluate", "run") == 2
    said = capsys.readouterr().err
    assert said.startswith("augury: run/data") and said.count("\n") == 1 and "--overwrite" not in said


def test_runs_from_before_are_read_as_they_were(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = evaluated(capsys, "run")
    Path("run/data.json").unlink()
    assert evaluated(capsys, "run")["accuracy"] == before["accuracy"]
