"""`augury patch` from data to the report: its stages alone, its rows, and everything it refuses."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cli import run

from augury.core.errors import InputError
from augury.jobs.patch.patch import checked_groups
from augury.jobs.patch.rows import patch_rows
from augury.train.data.dataset import Dataset, Split, load
from augury.train.data.groups import groups_of
from augury.train.engine.prepare import prepare
from augury.train.engine.settings import Settings

QUICK = ["--epochs", "2", "--seeds", "2", "--translate", "class", "--translate-steps", "2", "--translate-batch-size", "2"]
QUICK += ["--lr", "0.01", "--quiet"]
ROWS = "erm,erm+balanced,group_dro(adjustment=1),clamp(weight=1)"


def arrays(
    folder: Path, counts: dict[tuple[int, int], int], parts: tuple[str, ...] = ("train", "val", "test"), **changed: object
) -> Path:
    """Squares of a class's brightness with a bright corner for subgroup 1, so many of each group in every part."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for part in parts:
        x, y, group = [], [], []
        for (label, subgroup), count in counts.items():
            for _ in range(count):
                image = random.integers(0, 30, (8, 8, 1), dtype=np.uint8)
                image[2:6, 2:6] += np.uint8(60 + 90 * label)
                image[:2, :2] = 255 * (subgroup > 0)
                x.append(image)
                y.append(label)
                group.append(subgroup)
        content = {"x": np.stack(x), "y": np.array(y), "group": np.array(group)}
        content |= changed.get(part, {})  # type: ignore[arg-type]
        np.savez(folder / f"{part}.npz", **{k: v for k, v in content.items() if v is not None})
    return folder


FOUR = {(0, 0): 12, (0, 1): 4, (1, 0): 4, (1, 1): 12}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished command."""
    folder = tmp_path_factory.mktemp("patch")
    data = arrays(folder / "data", FOUR)
    assert run("patch", str(data), "--strategy", ROWS, "--output", str(folder / "out"), *QUICK) == 0
    return folder


def test_a_row_per_strategy(done: Path) -> None:
    result = json.loads((done / "out" / "result.json").read_text())
    assert [row["strategy"] for row in result["rows"]] == ["erm", "erm+balanced", "group_dro(adjustment=1)", "clamp(weight=1)"]
    data = load(str(done / "data"))
    groups = groups_of(data)
    share = dict(zip(groups.names, [12 / 32, 4 / 32, 4 / 32, 12 / 32], strict=True))
    steps = {row["counts"]["steps"] for row in result["rows"]}
    assert len(steps) == 1, "equal budget"
    for row in result["rows"]:
        assert row["n"] == 2 == len(row["seeds"])
        for seed in row["seeds"]:
            assert seed["accuracy"] == pytest.approx(sum(share[name] * seed["groups"][name] for name in groups.names))
            assert seed["worst_group"] == min(seed["groups"].values())
            assert seed["gaps"]["0"] == pytest.approx(abs(seed["groups"]["0, 0"] - seed["groups"]["0, 1"]))
        for key in ("accuracy", "worst_group"):
            assert row[key] == pytest.approx(np.mean([seed[key] for seed in row["seeds"]]))
        assert row["gaps"]["1"] == pytest.approx(np.mean([seed["gaps"]["1"] for seed in row["seeds"]]))
    own = done / "out" / "runs" / "0-erm-seed0"
    with np.load(own / "predictions.npz") as kept:
        right = kept["prediction"] == kept["label"]
        cells = groups.of_split(data.test).numpy()
    assert result["rows"][0]["seeds"][0]["groups"]["1, 0"] == pytest.approx(100 * right[cells == 2].mean())


def test_what_fails_is_told_from_the_validation_part(done: Path) -> None:
    found = json.loads((done / "out" / "find.json").read_text())
    assert [(g["name"], g["training_images"], g["images"]) for g in found["groups"]] == [
        ("0, 0", 12, 12), ("0, 1", 4, 4), ("1, 0", 4, 4), ("1, 1", 12, 12)
    ]  # fmt: skip
    assert found["worst_group"] == min(g["accuracy"] for g in found["groups"])
    rows = [json.loads(line) for line in (done / "out" / "runs" / "0-erm-seed0" / "metrics.jsonl").read_text().splitlines()]
    assert found["worst_group"] == pytest.approx(max(row["validation_worst_group"] for row in rows)), "the selected epoch's"


def test_the_report_shows_everything(done: Path) -> None:
    page = (done / "out" / "report.html").read_text()
    assert not re.search(r"https?:|@import", page)
    for words in (
        "What fails",
        "Strategies compared",
        "Translations between subgroups",
        "Where the networks look",
        "Learning curves",
    ):
        assert f"<h2>{words}" in page
    assert page.count("<img") == 3, "a sheet for each class and the saliency maps"
    images = np.load(done / "out" / "translated.npy")
    assert images.shape == (32, 2, 1, 8, 8) and images.dtype == np.uint8


def test_stages_alone_give_the_same_as_all_at_once(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = done / "alone"
    command = ["patch", str(done / "data"), "--strategy", ROWS, "--output", str(output), *QUICK]
    for stage, file in (("find", "find.json"), ("translate", "translate.json"), ("retrain", "runs"), ("report", "result.json")):
        assert not (output / file).exists() or stage == "retrain"
        assert run(*command, "--stage", stage) == 0, capsys.readouterr().err
        assert (output / file).exists()
    one, other = (json.loads((done / name / "result.json").read_text()) for name in ("out", "alone"))
    for left, right in zip(one["rows"], other["rows"], strict=True):
        assert {**left, "seconds_training": 0} == {**right, "seconds_training": 0}


def test_stages_need_what_comes_before_them(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["patch", str(done / "data"), "--strategy", ROWS, "--output", str(tmp_path / "out"), *QUICK]
    assert run(*command, "--stage", "report") == 2
    assert "--stage retrain first" in capsys.readouterr().err
    assert run(*command, "--stage", "retrain") == 2
    error = capsys.readouterr().err
    assert "--stage translate first" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists(), "refused before anything is trained or written"
    first = ["patch", str(done / "data"), "--strategy", "clamp(weight=1),erm", "--output", str(tmp_path / "out"), *QUICK]
    assert run(*first) == 2
    assert "name a strategy that needs none first" in capsys.readouterr().err and not (tmp_path / "out").exists()
    shutil.copytree(done / "out", tmp_path / "whole")
    assert run(*command[: -len(QUICK) - 1], str(tmp_path / "whole"), *QUICK, "--stage", "report", "--overwrite") == 2
    assert (
        "output of earlier stages that --stage report needs" in capsys.readouterr().err
        and (tmp_path / "whole" / "result.json").exists()
    )
    assert run(*command, "--stage", "mend") == 2
    assert "find, translate, retrain, report" in capsys.readouterr().err


def test_going_on_starting_anew_and_other_settings(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    shutil.copytree(done / "out", output)
    (output / "notes.txt").write_text("mine")
    shutil.rmtree(output / "runs" / "3-clamp_weight=1-seed1")
    command = ["patch", str(done / "data"), "--strategy", ROWS, "--output", str(output), *QUICK]
    assert run(*command) == 2 and "--overwrite" in capsys.readouterr().err
    assert run(*command, "--resume", "--translate-lr", "0.1") == 2 and "translate_lr" in capsys.readouterr().err
    assert run("patch", "-c", str(output / "config.yaml"), "--output", str(output), "--resume", "--quiet", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    before = json.loads((done / "out" / "result.json").read_text())
    assert [row["seeds"] for row in again["rows"]] == [row["seeds"] for row in before["rows"]]
    assert run(*command, "--overwrite", "--stage", "find") == 0
    assert not (output / "result.json").exists() and not (output / "translated.npy").exists()
    assert not list(output.glob("translations/*/*.safetensors")) and (output / "notes.txt").read_text() == "mine"


def test_a_given_model_is_what_is_patched(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = done / "out" / "runs" / "1-erm_balanced-seed1"
    command = ["patch", str(done / "data"), "--strategy", "erm,clamp(weight=1)", *QUICK, "--stage", "find"]
    assert run(*command, "--from-run", str(trained), "--output", str(tmp_path / "a"), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "before" and not (tmp_path / "a" / "runs").exists(), "nothing needs to be trained to look"
    assert run(*command, "--from-run", str(tmp_path), "--output", str(tmp_path / "b")) == 2
    assert "no finished run" in capsys.readouterr().err and not (tmp_path / "b").exists()


def test_the_best_of_what_is_tried_is_chosen_on_validation(done: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = ["patch", str(done / "data"), "--strategy", "erm+tuned(weight_decay=[0.0005],lr=[0.0,0.02]),erm+with(lr=0.02)"]
    assert run(*command, "--output", str(output), *QUICK) == 0
    rows = json.loads((output / "result.json").read_text())["rows"]
    assert rows[0]["tried"] == 2 and [row["label"] for row in rows] == ["erm+tuned", "erm"]
    tries = [[output / "runs" / f"0-erm_tuned-seed{seed}-try{k}" / "metrics.jsonl" for seed in (0, 1)] for k in (0, 1)]
    best = [
        np.mean([max(json.loads(line)["validation_worst_group"] for line in file.read_text().splitlines()) for file in files])
        for files in tries
    ]
    assert rows[0]["settings"]["lr"] == (0.0 if best[0] >= best[1] else 0.02)
    assert rows[1]["settings"]["lr"] == 0.02 and rows[1]["tried"] == 1
    assert json.loads((output / "result.json").read_text())["translations"] == [], "no row needs translations"


def test_rows_are_read_and_checked() -> None:
    rows = patch_rows("erm+with(weight_decay=0.05),erm+tuned,clamp(consistency=jsd)+balanced,clamp")
    assert [row.own for row in rows] == [{"weight_decay": 0.05}, {}, {"sampling": "groups"}, {"sampling": "groups"}]
    assert [len(row.grid) for row in rows] == [1, 4, 1, 1] and [row.translated for row in rows] == [False, False, True, True]
    assert [row.label for row in rows] == ["erm", "erm+tuned", "clamp(consistency=jsd)+balanced", "clamp"]
    assert [row.label for row in patch_rows("erm+with(lr=0.1),erm+with(lr=0.2)")] == ["erm+with(lr=0.1)", "erm+with(lr=0.2)"]
    for text, words in [
        ("erm,erm", "twice"), ("erm+balancd", "did you mean 'balanced'"), ("erm+with(rate=1)", "no option 'rate'"),
        ("erm+with(lr=-1)", "at least 0"), ("erm+tuned(weight_decay=[x])", "a number"), ("erm+balanced(2)", "no options"),
        ("emr", "did you mean 'erm'"), ("clamp(consistency=js)", "clamp, jsd"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=re.escape(words)):
            patch_rows(text)


REFUSED = {
    "no group key": (FOUR, {p: {"group": None} for p in ("train", "val", "test")}, [], "has no groups"),
    "one subgroup per class": ({(0, 0): 4, (1, 1): 4}, {}, [], "single subgroup in training"),
    "a tiny group": ({(0, 0): 8, (0, 1): 1, (1, 0): 8, (1, 1): 8}, {}, [], "has 1 training image"),
    "a batch smaller than the groups": (FOUR, {}, ["--batch-size", "3"], "fewer than the 4 groups"),
    "labels left out": (FOUR, {}, ["--labels", "8"], "--labels"),
    "a mix": (FOUR, {}, ["--augment", "mixup"], "mixes images of several groups"),
    "a mix for translations": (FOUR, {}, ["--translate-augment", "cutmix"], "--translate-augment"),
    "an unknown scope": (FOUR, {}, ["--translate", "classes"], "must be one of class, all"),
    "an unknown setting": (FOUR, {}, ["--translate-steps", "0"], "at least 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line_with_nothing_written(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts, changed, flags, words = REFUSED[case]
    data = arrays(tmp_path / "data", counts, **changed)  # type: ignore[arg-type]
    assert run("patch", str(data), "--output", str(tmp_path / "out"), "--quiet", *flags) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_parts_without_groups_are_refused(tmp_path: Path) -> None:
    """Validation without groups cannot select by the worst one; a test part without any cannot tell it."""
    train = load(str(arrays(tmp_path / "data", FOUR)))

    def without(split: Split) -> Split:
        return Split(split.images, split.labels, split.ids, torch.full_like(split.labels, -1))

    def data(validation: Split, test: Split, part: Split = train.train) -> Dataset:
        return Dataset("made", train.classes, part, validation, test, train.mean, train.std)

    with pytest.raises(InputError, match="no image of the test part has a group"):
        checked_groups(data(train.validation, without(train.test)))
    with pytest.raises(InputError, match="32 training images have no group"):
        checked_groups(data(train.validation, train.test, without(train.train)))
    with pytest.raises(InputError, match="the validation part has no groups"):
        prepare(Settings("made", select="worst_group"), data(without(train.validation), train.test))


def test_groups_that_a_part_lacks_are_noted_and_counted_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No validation image of a group, a class alone in its subgroup, a small group: noted; the command goes on."""
    counts = {(0, 0): 12, (0, 1): 4, (1, 1): 12}
    data = arrays(tmp_path / "data", counts, parts=("train",))
    arrays(data, {(0, 0): 6, (1, 1): 6}, parts=("val",))
    arrays(data, {(0, 0): 6, (0, 1): 6, (1, 0): 2, (1, 1): 6}, parts=("test",))
    assert run("patch", str(data), "--strategy", "erm,clamp(weight=1)", "--output", str(tmp_path / "out"), *QUICK) == 0
    error = capsys.readouterr().err
    for words in ("group '0, 1' has no validation image", "class '1' has the single subgroup '1'",
                  "'0, 1' has 4 training images", "group '1, 0' has no training image"):  # fmt: skip
        assert words in error
    row = json.loads((tmp_path / "out" / "result.json").read_text())["rows"][1]
    assert set(row["groups"]) == {"0, 0", "0, 1", "1, 0", "1, 1"} and row["gaps"]["1"] is not None
