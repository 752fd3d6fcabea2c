"""Several labels per image through training, comparing, evaluating and predicting; metrics equal scikit-learn's."""

import csv
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from data_files import picture, save
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from augury.cli import main
from augury.core.errors import InputError
from augury.core.target_kind import TargetKind
from augury.train.data.dataset import Dataset, load
from augury.train.engine.answers import Answers
from augury.train.engine.label_metrics import absent_note
from augury.train.engine.metrics import all_metrics, class_table, metric_of
from augury.train.engine.prepare import check, prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings

CLASSES = ("left", "right", "bright")


def write(folder: Path, seed: int = 0) -> Path:
    """train.npz and test.npz: a white square on the left, on the right, and a grey ground, each or not."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", 96), ("test", 60)):
        y = random.random((count, 3)) < (0.5, 0.3, 0.4)
        x = random.integers(0, 60, (count, 12, 16), dtype=np.uint8)
        x[y[:, 2]] += 80
        x[y[:, 0], 3:9, 1:7] = 255
        x[y[:, 1], 3:9, 9:15] = 255
        np.savez(folder / f"{part}.npz", x=x, y=y, classes=np.array(CLASSES))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("several") / "data")


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return load(str(data))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training."""
    output = tmp_path_factory.mktemp("several") / "run"
    command = ["train", str(data), "--epochs", "12", "--lr", "0.05", "--augment", "mixup", "--output", str(output)]
    assert main([*command, "--select", "validation", "--quiet"]) == 0
    return output


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 5), st.sampled_from([0.0, 0.05, 0.4, 1.0]))
def test_metrics_equal_scikit_learns(seed: int, count: int, classes: int, share: float) -> None:
    """On random labels, and where classes are on no image, on every one, or never answered."""
    random = np.random.default_rng(seed)
    labels, probability = random.random((count, classes)) < share, random.random((count, classes)).round(1)
    a = Answers(labels, probability >= 0.5, probability)
    found = all_metrics(a)
    there, both = labels.any(0), labels.any(0) & ~labels.all(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found["accuracy"] == pytest.approx(100 * reference.accuracy_score(labels, a.predictions))
        assert found["macro_f1"] == pytest.approx(100 * reference.f1_score(labels, a.predictions, average="macro", zero_division=0))
        log_loss = [reference.log_loss(labels[:, k], np.clip(probability[:, k], 1e-308, 1), labels=[0, 1]) for k in range(classes)]
        if not ((probability == 0) | (probability == 1)).any():
            assert found["log_loss"] == pytest.approx(np.mean(log_loss), rel=1e-6)
        if there.any():
            own = reference.average_precision_score(labels[:, there], probability[:, there], average="macro")
            assert found["map"] == pytest.approx(100 * own)
            micro = reference.average_precision_score(labels, probability, average="micro")
            assert found["map_micro"] == pytest.approx(100 * micro)
        else:
            assert found["map"] is None and found["map_micro"] is None
        if both.all():
            assert found["auroc"] == pytest.approx(100 * reference.roc_auc_score(labels, probability, average="macro"))
        else:
            assert found["auroc"] is None
        table = class_table(a, tuple("abcde"[:classes]))
        for k, row in enumerate(table):
            assert row["images"] == labels[:, k].sum() and (row["auroc"] is None) == (not both[k])
            if both[k]:
                assert row["auroc"] == pytest.approx(100 * reference.roc_auc_score(labels[:, k], probability[:, k]))
                assert row["f1"] == pytest.approx(100 * reference.f1_score(labels[:, k], a.predictions[:, k], zero_division=0))
    note = absent_note(a, tuple("abcde"[:classes]))
    assert (note is None) == there.all() and all(repr("abcde"[k]) in (note or "") for k in np.flatnonzero(~there))


def test_nothing_to_measure_is_none() -> None:
    empty = Answers(np.zeros((0, 3), bool), np.zeros((0, 3), bool), np.zeros((0, 3)))
    assert set(all_metrics(empty).values()) == {None} and absent_note(empty, CLASSES) is None


def test_a_training_learns_and_is_reported_class_by_class(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    assert result["test_metrics"]["map"] > 90  # about 47 without learning
    assert [row["class"] for row in result["classes"]] == list(CLASSES) and "confusion" not in result
    assert result["selected"]["metric"] == "map" and result["accuracy_top5"] is None
    assert json.loads((run / "data.json").read_text())["labels"] == "several"
    page = (run / "report.html").read_text()
    for words in ("Mean average precision", "Subset accuracy", "AUROC", "Validation mean average precision"):
        assert words in page
    assert "Recall" in page and 'class="confusion"' not in page


def test_predictions_are_kept_as_arrays_and_as_a_table(run: Path, data: Path) -> None:
    found = np.load(run / "predictions.npz")
    labels = np.load(data / "test.npz")["y"]
    assert (found["label"] == labels).all() and found["probability"].shape == labels.shape
    assert (found["prediction"] == (found["probability"] >= 0.5)).all() and found["classes"].tolist() == list(CLASSES)
    own = np.where(labels, found["probability"], 1 - found["probability"]).prod(1)
    assert found["label_probability"] == pytest.approx(own, rel=1e-4)
    metrics = json.loads((run / "result.json").read_text())["test_metrics"]
    assert metrics["map"] == pytest.approx(100 * reference.average_precision_score(labels, found["probability"]), rel=1e-5)
    rows = list(csv.DictReader((run / "predictions.csv").read_text().splitlines()))
    assert list(rows[0]) == ["path", "id", "class", "prediction", "confidence", "label_probability", *CLASSES]
    assert rows[0]["class"] == "|".join(name for name, there in zip(CLASSES, labels[0], strict=True) if there) or "none"


def test_evaluate_and_predict_answer_label_by_label(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((run / "result.json").read_text())["test_metrics"]
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test_metrics"] == pytest.approx(before) and len(found["classes"]) == 3
    assert main(["evaluate", str(run)]) == 0
    assert "mean average precision" in (said := capsys.readouterr().out) and "subset accuracy" in said
    alone = tmp_path / "alone"
    alone.mkdir()
    arrays = dict(np.load(data / "test.npz"))
    np.savez(alone / "test.npz", **{**arrays, "y": arrays["y"][:, ::-1], "classes": arrays["classes"][::-1]})  # another order
    assert main(["evaluate", str(run), "--data", str(alone), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_metrics"] == pytest.approx(before)
    np.savez(alone / "test.npz", x=arrays["x"], y=arrays["y"].argmax(1))
    assert main(["evaluate", str(run), "--data", str(alone)]) == 2
    assert "y says one class per image, but the network was trained on several labels" in capsys.readouterr().err
    for row in range(3):
        save(tmp_path / "images" / f"{row}.png", arrays["x"][row])
    assert main(["predict", str(run), str(tmp_path / "images"), "--every-class"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    answers = np.load(run / "predictions.npz")
    for row, each in enumerate(rows):
        likely = [name for name in CLASSES if float(each[name]) >= 0.5]
        assert each["class"] == ("|".join(likely) or "none")
        assert [float(each[name]) for name in CLASSES] == pytest.approx(answers["probability"][row].tolist(), abs=2e-5)


def test_a_manifest_of_labels_is_evaluated(run: Path, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = np.load(data / "test.npz")
    lines = ["path,labels"]
    for row, (x, y) in enumerate(zip(arrays["x"][:12], arrays["y"][:12], strict=True)):
        save(tmp_path / f"{row}.png", x)
        lines.append(f"{row}.png,{'|'.join(n for n, there in zip(CLASSES, y, strict=True) if there)}")
    (tmp_path / "test.csv").write_text("\n".join(lines))
    assert main(["evaluate", str(run), "--data", str(tmp_path / "test.csv"), "--json", "--cache", "off"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 12
    image_folder = tmp_path / "folder" / "left"
    save(image_folder / "1.png", picture(1, (12, 16), 1))
    assert main(["evaluate", str(run), "--data", str(tmp_path / "folder")]) == 2
    assert "class folders give one class per image, but the network predicts several" in capsys.readouterr().err


def test_rows_are_compared_by_mean_average_precision(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", str(data), "--augment", "none,cutmix", "--strategy", "erm", "--epochs", "2", "--seeds", "2"]
    assert main([*command, "--class-weights", "balanced", "--output", str(tmp_path / "c"), "--quiet"]) == 0
    result = json.loads((tmp_path / "c" / "result.json").read_text())
    assert result["metric"]["name"] == "map" and len(result["classes"][0]["average_precision"]) == 2
    each = [json.loads(p.read_text())["test_metrics"]["map"] for p in sorted((tmp_path / "c" / "runs").glob("0-*/result.json"))]
    assert result["rows"][0]["values"] == each
    assert "Average precision, cutmix" in (tmp_path / "c" / "report.html").read_text()
    assert "mean average precision on the test part" in capsys.readouterr().out


def test_the_pixels_of_a_step_and_its_loss(dataset: Dataset) -> None:
    """The first step's loss is the weighted binary cross-entropy of the network's logits, recomputed by hand."""
    plain = prepare(Settings("x", class_weights="balanced", batch_size=32), dataset)
    labels = dataset.train.labels
    there = labels.double().sum(0)
    weight = ((len(labels) - there) / there).float()
    assert plain.method.class_weights == pytest.approx(weight)
    batch = torch.arange(8)
    plain.method.start_epoch(0, 1)
    step = plain.method(dataset.train.images[batch], labels[batch], ids=batch)
    logits = plain.model(plain.method.normalize.normalise(dataset.train.images[batch]))
    wanted = functional.binary_cross_entropy_with_logits(logits, labels[batch].float(), pos_weight=weight)
    assert step.loss.item() == pytest.approx(wanted.item(), abs=1e-5)


def test_manifold_mixup_and_refinement_train(dataset: Dataset) -> None:
    asked = Settings(
        "x", augment="crop(padding=1)", strategy="manifold_mixup", epochs=2, refine_epochs=1, risk_every=1, smoothing=0.1
    )
    found = Trainer(prepare(asked, dataset)).run()
    assert np.isfinite(found["loss"]) and found["stage_one"]["accuracy_top5"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "ait", "augment2": "flip"}, "--strategy ait: is defined for one class per image"),
        ({"strategy": "group_dro"}, "--strategy group_dro: "),
        ({"strategy": "augmix_jsd"}, "--strategy augmix_jsd: is defined for one class per image"),
        ({"sampling": "classes"}, "--sampling classes: is defined for one class per image"),
        ({"augment": "keep_randaugment"}, "saliency=.* explains one class per image"),
        ({"metric": "balanced"}, "--metric balanced: is not defined for several labels per image; choose from map, map_micro"),
        ({"metric": "worst_group"}, "--metric worst_group: is not defined for several labels per image"),
        ({"labels": 20}, "--labels: counts images of one class each"),
        ({"labels_per_class": 2}, "--labels-per-class: counts images of one class each"),
    ],
)
def test_what_needs_one_class_per_image_is_refused_by_name(dataset: Dataset, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check(replace(Settings("x", batch_size=16), **changes), dataset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["recommend", "--minutes", "1"], "recommend: is defined for one class per image"),
        (["search", "--method", "randaugment"], "search: is defined for one class per image"),
        (["patch"], "patch: is defined for one class per image"),
        (["train", "--label-noise", "0.1"], "--label-noise: replaces the one class of an image"),
        (["theory"], "theory: is defined for one class per image"),
    ],
)
def test_commands_for_one_class_per_image_are_refused(
    command: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *more = command
    assert main([name, str(data), *more, "--output", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert message in err and not (tmp_path / "out").exists()


def test_diagnose_refuses_them(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(run), "--output", str(tmp_path / "out")]) == 2
    assert "diagnose: is defined for one class per image" in capsys.readouterr().err


def test_previews_name_every_label(data: Path, run: Path, tmp_path: Path) -> None:
    assert main(["preview", str(data), "--augment", "mixup", "--output", str(tmp_path / "sheet.png")]) == 0
    assert main(["preview", "--worst", str(run), "--output", str(tmp_path / "worst.png")]) == 0


def test_a_metric_that_a_part_cannot_give_is_refused(dataset: Dataset) -> None:
    everywhere = dataset.test.labels.clone()
    everywhere[:, 1] = True
    with pytest.raises(InputError, match="--metric auroc: the test part has no image without class 'right'"):
        check(Settings("x", metric="auroc"), replace(dataset, test=replace(dataset.test, labels=everywhere)))
    with pytest.raises(InputError, match="--metric map: is not defined for one class per image"):
        metric_of("map", TargetKind.ONE)
    all_there = replace(dataset.train, labels=torch.ones_like(dataset.train.labels))
    with pytest.raises(InputError, match="--class-weights balanced: every training image has class 'left'"):
        prepare(Settings("x", class_weights="balanced"), replace(dataset, train=all_there))


def test_a_killed_training_goes_on_bit_for_bit(dataset: Dataset, data: Path, tmp_path: Path) -> None:
    whole = Trainer(prepare(Settings(str(data), epochs=4, augment="mixup"), dataset)).run()
    again = Trainer(prepare(Settings(str(data), epochs=4, augment="mixup"), dataset)).run()
    assert whole["test_metrics"] == again["test_metrics"] and whole["loss"] == again["loss"]
