"""Metrics equal scikit-learn's, weights and sampling even out rare classes, and what a metric cannot answer is refused."""

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from augury.cli import main
from augury.core.errors import InputError
from augury.core.targets import Targets
from augury.explain.statistics import compare_rows
from augury.train.data.dataset import Dataset, Split, load
from augury.train.engine.answers import Answers
from augury.train.engine.evaluate import Evaluation
from augury.train.engine.metrics import all_metrics, class_table, confusion, majority_note, metric_of
from augury.train.engine.prepare import check, prepare
from augury.train.engine.run import Trainer
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings


@pytest.fixture(scope="module")
def uneven() -> Dataset:
    """Digits 0 to 2, of which 1 and 2 are rare in every part."""
    digits = load("digits")

    def few(part: Split) -> Split:
        rows = torch.cat([(part.labels == label).nonzero()[:count, 0] for label, count in ((0, 60), (1, 12), (2, 6))])
        return Split(part.images[rows], part.labels[rows], part.ids[rows])

    parts = {name: few(getattr(digits, name)) for name in ("train", "validation", "test")}
    return replace(digits, classes=digits.classes[:3], **parts)


def drawn(seed: int, count: int, classes: int) -> Answers:
    generator = np.random.default_rng(seed)
    labels, logits = generator.integers(0, classes, count), generator.normal(size=(count, classes)) * 2
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Answers(labels, probability.argmax(1), probability, generator.integers(-1, 3, count))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 6))
def test_metrics_equal_scikit_learns(seed: int, count: int, classes: int) -> None:
    a = drawn(seed, count, classes)
    found = all_metrics(a)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recall = reference.recall_score(a.labels, a.predictions, labels=np.unique(a.labels), average=None)
        wanted = {
            "accuracy": 100 * reference.accuracy_score(a.labels, a.predictions),
            "balanced": 100 * reference.balanced_accuracy_score(a.labels, a.predictions),
            "macro_f1": 100 * reference.f1_score(a.labels, a.predictions, average="macro"),
            "worst_class": 100 * recall.min(),
            "log_loss": reference.log_loss(a.labels, a.probability, labels=range(classes)),
        }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-9)
    assert a.groups is not None
    cells = [(a.labels == a.predictions)[a.groups == g].mean() for g in range(3) if (a.groups == g).any()]
    assert found["worst_group"] == (pytest.approx(100 * min(cells)) if cells else None)
    if len(np.unique(a.labels)) < classes:
        assert found["auroc"] is None
    elif classes == 2:
        assert found["auroc"] == pytest.approx(100 * reference.roc_auc_score(a.labels, a.probability[:, 1]))
    else:
        assert found["auroc"] == pytest.approx(100 * reference.roc_auc_score(a.labels, a.probability, multi_class="ovr"))
    matrix = confusion(a, classes)
    assert (matrix == reference.confusion_matrix(a.labels, a.predictions, labels=range(classes))).all()
    table = class_table(a, tuple("abcdef"[:classes]))
    assert [row["images"] for row in table] == matrix.sum(1).tolist()
    assert all((row["recall"] is None) == (row["images"] == 0) for row in table)


def test_nothing_to_measure_is_none() -> None:
    empty = Answers(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)), None)
    assert set(all_metrics(empty).values()) == {None} and {"accuracy", "log_loss"} < set(all_metrics(empty))


def test_a_sure_and_wrong_answer_has_a_finite_log_loss() -> None:
    a = Answers(np.array([0]), np.array([1]), np.array([[0.0, 1.0]]))
    assert metric_of("log_loss").of(a) == pytest.approx(-math.log(np.finfo(float).tiny))


def test_a_score_rises_with_what_is_better() -> None:
    assert metric_of("log_loss").score(math.log(2)) == pytest.approx(50)
    assert metric_of("log_loss").score(0.1) > metric_of("log_loss").score(0.2)
    assert metric_of("balanced").score(61.0) == 61.0


def test_of_a_log_loss_less_is_better() -> None:
    values = [[1.00, 1.02, 0.99, 1.01], [0.50, 0.53, 0.50, 0.50], [1.49, 1.52, 1.50, 1.51]]
    assert [row.verdict for row in compare_rows(values, rising=False)] == ["reference", "better", "worse"]
    assert [row.verdict for row in compare_rows(values)] == ["reference", "worse", "better"]


def test_the_common_class_is_named_where_it_explains_the_accuracy() -> None:
    labels = np.array([0] * 120 + [1] * 12)
    always = Answers(labels, np.zeros_like(labels), np.eye(2)[np.zeros_like(labels)])
    note = majority_note(always, ("bee", "ant"))
    assert note is not None and "'bee'" in note and "90.9 %" in note and "50.0 %" in note and "--metric balanced" in note
    assert majority_note(Answers(labels, labels, np.eye(2)[labels]), ("bee", "ant")) is None
    even = np.array([0, 1] * 10)
    assert majority_note(Answers(even, np.zeros_like(even), np.eye(2)[np.zeros_like(even)]), ("bee", "ant")) is None


def test_selection_goes_by_the_metric(uneven: Dataset) -> None:
    labels = uneven.validation.labels
    common, right = torch.zeros_like(labels), labels.clone()
    right[: int((labels == 0).sum()) // 2] = 1  # fewer are right, and every rare one is

    def seen(prediction: torch.Tensor) -> Evaluation:
        probability = functional.one_hot(prediction, 3).float()
        accuracy = 100 * (prediction == labels).double().mean().item()
        return Evaluation(accuracy, 100.0, 1.0, prediction, probability.max(1).values, probability[:, 0], probability)

    network = torch.nn.Linear(1, 1)
    chosen = {}
    for metric in ("accuracy", "balanced"):
        selection = Selection("validation", None, None, metric)  # type: ignore[arg-type]
        rows = [selection.see(epoch, seen(p), uneven.validation, network) for epoch, p in ((1, common), (2, right))]
        chosen[metric] = selection.epoch
        assert metric == "accuracy" or f"validation_{metric}" in rows[0]
    commonly_right, evenly_right = int((common == labels).sum()), int((right == labels).sum())
    assert chosen["balanced"] == 2 and chosen["accuracy"] == (1 if commonly_right >= evenly_right else 2)


def test_balanced_weights_and_the_weighted_loss(uneven: Dataset) -> None:
    training = prepare(Settings("digits", epochs=1, class_weights="balanced"), uneven)
    weights = training.method.class_weights
    counts = torch.bincount(uneven.train.labels).double()
    assert weights is not None and torch.allclose(weights.double(), counts.sum() / (3 * counts))
    assert float((weights.double() * counts).sum() / counts.sum()) == pytest.approx(1)
    logits, labels = torch.randn(9, 3), torch.arange(9) % 3
    own = Targets.of(labels, 3).weighted(weights).loss(logits).mean()
    assert own == pytest.approx(functional.cross_entropy(logits, labels, weight=weights, reduction="sum").item() / 9, rel=1e-6)
    partner, keep = torch.arange(8, -1, -1), torch.full((9,), 0.3)
    mixed = Targets.of(labels, 3).mix(partner, keep)
    wanted = -(mixed.dense() * weights * functional.log_softmax(logits, 1)).sum(1)
    assert torch.allclose(mixed.weighted(weights).loss(logits), wanted, atol=1e-6)


def test_weights_change_the_training_and_not_its_evaluation(uneven: Dataset) -> None:
    rows = {}
    for name in ("none", "balanced"):
        training = prepare(Settings("digits", epochs=1, batch_size=16, class_weights=name), uneven)  # type: ignore[arg-type]
        rows[name] = Trainer(training).train_epoch()
    assert rows["none"]["train_loss"] != rows["balanced"]["train_loss"]
    assert rows["balanced"]["validation_loss"] < 10


def test_every_batch_holds_every_class_as_often(uneven: Dataset) -> None:
    trainer = Trainer(prepare(Settings("digits", epochs=1, batch_size=12, sampling="classes"), uneven))
    labels = uneven.train.labels
    for share in trainer.shares():
        assert torch.bincount(labels[share.rows], minlength=3).tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "worst_group"}, "--metric worst_group: DATA digits has no groups"),
        ({"sampling": "classes", "batch_size": 2}, "--batch-size 2: fewer than the 3 classes"),
    ],
)
def test_what_cannot_be_answered_is_refused(changes: dict[str, object], said: str, uneven: Dataset) -> None:
    with pytest.raises(InputError, match=said):
        check(replace(Settings("digits"), **changes), uneven)  # type: ignore[arg-type]


def test_absent_classes_are_refused_by_name(uneven: Dataset) -> None:
    without = replace(uneven, test=Split(*(getattr(uneven.test, n)[uneven.test.labels != 2] for n in ("images", "labels", "ids"))))
    with pytest.raises(InputError, match="--metric auroc: the test part has no image of class '2'"):
        check(Settings("digits", metric="auroc"), without)
    train = Split(*(getattr(uneven.train, n)[uneven.train.labels != 2] for n in ("images", "labels", "ids")))
    with pytest.raises(InputError, match="--class-weights balanced: class '2' has no training image"):
        prepare(Settings("digits", class_weights="balanced"), replace(uneven, train=train))


def test_a_comparison_by_a_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = [
        "compare",
        "digits",
        "--augment",
        "none,flip",
        "--seeds",
        "2",
        "--epochs",
        "1",
        "--quiet",
        "--output",
        str(tmp_path / "out"),
    ]
    assert main([*run, "--metric", "log_loss"]) == 0
    assert "log loss nats" in capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["metric"] == {"name": "log_loss", "title": "log loss", "unit": "nats", "rising": False}
    first = json.loads(next((tmp_path / "out" / "runs").glob("0-*seed0/result.json")).read_text())
    assert result["rows"][0]["values"][0] == pytest.approx(first["loss"], abs=1e-6) == first["test_metrics"]["log_loss"]
    assert result["rows"][0]["accuracies"][0] == first["accuracy"]
    assert len(result["classes"]) == 10 and sum(each["images"] for each in result["classes"]) == np.sum(first["confusion"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Class by class" in page and "less is better" in page and "Test log loss, nats" in page
    assert main([*run, "--metric", "f1"]) == 2 and "--metric" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["accuracy", "balanced", "worst_class"])
def test_one_image_is_the_most_that_a_single_answer_changes(name: str) -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] * 2)
    metric, changes = metric_of(name), []
    for changed in range(len(labels)):
        predictions = labels.clone()
        right = metric.of(Answers(labels.numpy(), predictions.numpy(), np.zeros((len(labels), 3))))
        predictions[changed] = (labels[changed] + 1) % 3
        wrong = metric.of(Answers(labels.numpy(), predictions.numpy(), np.zeros((len(labels), 3))))
        assert right is not None and wrong is not None
        changes.append(right - wrong)
    assert metric.one_image(labels) == pytest.approx(max(changes))
    assert metric.one_image(labels[:0]) == 0.0
