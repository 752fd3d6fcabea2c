"""`augury diagnose` from trainings to the report."""

import json
import re
import shutil
from pathlib import Path

import card_facts
import pytest
import torch
from test_cli import run

from augury.core import registry
from augury.core.registry import register
from augury.explain.measurements.measurement import Measured, Table
from augury.jobs.diagnose import group_names
from augury.train.engine.settings import Settings

QUICK = "transfer(sets=[none,flip(p=1)]),variation(sets=[none,flip(p=1)]),embedding(images=3,views=3)"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two rows with two seeds, and one training of two networks beside it."""
    folder = tmp_path_factory.mktemp("runs")
    common = ["--epochs", "1", "--quiet"]
    arguments = ["--augment", "none,crop", "--strategy", "erm", "--seeds", "2", "--output", str(folder / "compared")]
    assert run("compare", "digits", *arguments, *common) == 0
    assert run("train", "digits", "--strategy", "dml", *common, "--output", str(folder / "pair")) == 0
    return folder


def test_runs_side_by_side(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "d"
    assert (
        run("diagnose", str(trained / "compared"), str(trained / "pair"), "--what", QUICK, "--output", str(output), "--quiet") == 0
    )
    text = capsys.readouterr().out
    result = json.loads((output / "result.json").read_text())
    table = result["measurements"]["transfer(sets=[none, flip(p=1)])"]
    groups = {row["trained"]: row for row in table["rows"]}
    assert list(groups) == ["none, erm", "crop, erm", "none, dml, network 1 (small_cnn)", "none, dml, network 2 (small_cnn)"]
    assert [row["n"] for row in groups.values()] == [2, 2, 1, 1]
    for network in result["networks"]:
        kept = json.loads((Path(network["folder"]) / "result.json").read_text())
        assert network["accuracy"] in [each["accuracy"] for each in kept["networks"]] and network["counts"] == kept["counts"]
    originals = [one["original"] for one in groups["none, erm"]["accuracies"]]
    assert originals == pytest.approx([n["accuracy"] for n in result["networks"][:2]]), "not the test part the runs were tested on"
    assert "crop, erm" in text and str(output / "report.html") in text
    page = (output / "report.html").read_text()
    assert page.count("<h2>") >= 4 and "forward and" in page
    assert not re.search(r"https?:|@import", page)

    again = tmp_path / "again"
    assert run("diagnose", "-c", str(output / "config.yaml"), "--output", str(again), "--quiet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["measurements"] == result["measurements"]
    assert run("diagnose", "-c", str(output / "config.yaml"), "--output", str(again), "--quiet") == 2
    assert "--overwrite" in capsys.readouterr().err


def test_of_an_unfinished_comparison_it_says_what_is_missing(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = tmp_path / "begun"
    shutil.copytree(trained / "compared", begun)
    (begun / "result.json").unlink()
    (begun / "runs" / "1-crop-erm-seed1" / "result.json").unlink()
    assert run("diagnose", str(begun), "--what", QUICK, "--output", str(tmp_path / "d"), "--quiet", "--json") == 0
    said = [note for note in json.loads(capsys.readouterr().out)["notes"] if "not finished" in note]
    assert len(said) == 1 and "only the 3 of its trainings that are" in said[0]
    assert run("diagnose", str(begun / "runs" / "1-crop-erm-seed1"), "--output", str(tmp_path / "e"), "--quiet") == 2
    assert "1-crop-erm-seed1: not finished; run the command that began it again, with --resume" in capsys.readouterr().err


def test_a_measurement_is_found_by_its_name_and_shown(trained: Path, tmp_path: Path) -> None:
    """What registers as a measurement needs nothing else to be run, listed and reported."""
    with card_facts.forgetting_new_names():

        @register("measurement", "parameters", source="test")
        def parameters(subjects, dataset, *, times: int = 1) -> Measured:  # type: ignore[no-untyped-def]
            """Counts parameters."""
            counts = [times * sum(p.numel() for p in s.model.parameters()) for s in subjects]
            rows = tuple((s.name, float(c)) for s, c in zip(subjects, counts, strict=True))
            return Measured("<b>counted</b>", {"counts": counts}, (Table("Counts", ("network", "parameters"), rows, digits=0),))

        what = ["--what", "parameters(times=2)", "--output", str(tmp_path / "p"), "--quiet"]
        assert run("diagnose", str(trained / "pair"), *what) == 0
    result = json.loads((tmp_path / "p" / "result.json").read_text())
    expected = sum(torch.Size(shape).numel() for shape in _shapes(trained / "pair" / "model.safetensors"))
    assert result["measurements"]["parameters(times=2)"]["counts"] == [2 * expected] * 2
    assert "&lt;b&gt;counted" in (tmp_path / "p" / "report.html").read_text()


def test_all_measures_what_it_can_and_says_what_it_cannot(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = registry.names
    chosen = ["calibration", "harm"]
    monkeypatch.setattr(registry, "names", lambda kind: chosen if kind == "measurement" else names(kind))
    one = next((trained / "compared" / "runs").glob("0-*-seed0"))
    assert run("diagnose", str(one), "--output", str(tmp_path / "d"), "--quiet") == 0
    result = json.loads((tmp_path / "d" / "result.json").read_text())
    assert list(result["measurements"]) == ["calibration"]
    assert [note for note in result["notes"] if note.startswith("harm was not measured: ") and "reference" in note]
    assert "harm was not measured" in (tmp_path / "d" / "report.html").read_text()
    assert "harm was not measured" in capsys.readouterr().err
    chosen.remove("calibration")
    assert run("diagnose", str(one), "--output", str(tmp_path / "none"), "--quiet") == 2
    assert not (tmp_path / "none").exists()


def test_measurements_train_only_when_asked(trained: Path, tmp_path: Path) -> None:
    """`--train` reaches the measurements that have the option, and no option is overruled by it."""
    seen: list[bool] = []
    with card_facts.forgetting_new_names():

        @register("measurement", "asked", source="test")
        def asked(subjects, dataset, *, train: bool = False) -> Measured:  # type: ignore[no-untyped-def]
            """Notes the option."""
            seen.append(train)
            return Measured("", {})

        for number, arguments in enumerate((["asked"], ["asked", "--train"], ["asked(train=false)", "--train"])):
            output = ["--output", str(tmp_path / str(number)), "--quiet"]
            assert run("diagnose", str(trained / "pair"), "--what", *arguments, *output) == 0
        again = ["-c", str(tmp_path / "1" / "config.yaml"), "--output", str(tmp_path / "again"), "--quiet"]
        assert run("diagnose", *again) == 0
    assert seen == [False, True, False, True]


def _shapes(file: Path) -> list[tuple[int, ...]]:
    from safetensors.torch import load_file

    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return [tuple(v.shape) for name, v in load_file(file).items() if not name.endswith(buffers)]


def test_groups_are_named_by_what_tells_them_apart() -> None:
    plain = Settings("digits")
    assert group_names([plain, Settings("digits", seed=3)]) == ["none, erm"] * 2
    assert group_names([plain, Settings("digits", augment2="crop", strategy="ait", label_noise=0.5)]) == [
        "none, erm, label noise 0.0", "none, crop, ait, label noise 0.5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["RUN", "--what", "transfr"], "'transfer'"),
        (["RUN", "--what", "transfer,transfer"], "twice"),
        (["RUN", "--what", "transfer(set=[none])"], "'sets'"),
        (["RUN", "--what", "transfer(sets=[mixup])"], "mixes samples"),
        (["RUN", "--what", "transfer(sets=[crap])"], "'crop'"),
        (["RUN", "--what", "embedding(images=1)"], "from 2"),
        (["RUN", "--what", "transfer+variation"], "commas"),
        (["RUN", "RUN"], "twice"),
        (["/nowhere"], "no finished run"),
        ([], "at least one run"),
        (["RUN", "--data", "digitz"], "digits"),
        (["RUN", "--what", "scale(padding=[9])"], "from 0 to 8"),
        (["RUN", "--what", "saliency(methods=[gradcam])"], "grad_cam"),
        (["RUN", "--what", "spectrum(part=validation)"], "train, test"),
        (["RUN", "--what", "harm(by=group)"], "no groups"),
        (["RUN", "--what", "affinity_diversity(augments=[cutmix])"], "mixes samples"),
    ],
)
def test_refused_in_one_line_with_nothing_written(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    output = tmp_path / "out"
    filled = [str(trained / "pair") if word == "RUN" else word for word in arguments]
    assert run("diagnose", *filled, "--output", str(output), "--quiet") == 2
    error = capsys.readouterr().err
    assert error.startswith("augury: ") and error.count("\n") == 1 and named in error
    assert not output.exists()
