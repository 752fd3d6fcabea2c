"""The results of a finished training: result.json's content, weights and test predictions."""

import copy
import csv
import io
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from torch import Tensor, nn

from augury.core.target_kind import TargetKind
from augury.train.data.dataset import Dataset, Split
from augury.train.engine import checkpoint
from augury.train.engine.answers import Answers
from augury.train.engine.collapse import collapsed
from augury.train.engine.evaluate import Evaluation, evaluate
from augury.train.engine.metrics import MOST_CLASSES, all_metrics, class_table, confusion, majority_note
from augury.train.engine.networks import described, network_specs, predictions_file, predictions_table, weights_file
from augury.train.engine.refinement import intensity_at
from augury.train.engine.retrieval import retrieve
from augury.train.engine.risk import risk_gap, wants_risk
from augury.train.engine.setup import on_device
from augury.train.engine.training import Training
from augury.train.strategies.strategy import members


def epoch_row(training: Training, loss: float, rate: float, logs: dict[str, Tensor], images: int) -> dict[str, Any]:
    """Evaluate on the validation part, take the requested measurements and return the epoch's line of metrics.jsonl.

    logs: the strategy's logged values, summed over the epoch's images.
    """
    t = training
    classes = len(t.dataset.classes)
    found = [evaluate(each, t.data.validation, t.method.normalize, classes, world=t.world) for each in members(t.shown)]
    row = t.selection.see(t.epoch, found[0], t.data.validation, t.shown) | {
        "epoch": t.epoch, "train_loss": loss, "learning_rate": rate, "validation_accuracy": found[0].accuracy,
        "validation_accuracy_top5": found[0].accuracy_top5, "validation_loss": found[0].loss,
        "seconds": round(t.progress.seconds, 3), "device_seconds": round(t.progress.device_seconds, 3), "counts": t.counts.dict(),
    }  # fmt: skip
    if t.settings.refined:
        row["intensity"] = intensity_at(t.settings, t.epoch - 1)
    if wants_risk(t.settings, t.epoch):
        row["risk"] = risk_gap(t)
    if len(found) > 1:
        row["validation_accuracies"] = [each.accuracy for each in found]
    row |= t.strategy.epoch_logs()
    names = sorted(logs)
    sums = t.world.total([logs[name].item() for name in names])
    return row | ({"logs": {name: value / images for name, value in zip(names, sums, strict=True)}} if names else {})


def conclude(training: Training, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Evaluate on the test part, write weights and predictions, and return result.json's content.

    If the training was refined, `stage_one` holds the first network's figures before the refinement.
    """
    t = training
    t.selection.restore(t.shown)
    part = on_device(t.dataset.test, t.device)
    tests = _tests(t, t.shown, part)
    if t.output.directory:
        for number, (network, test) in enumerate(zip(members(t.shown), tests, strict=True)):
            write_outcome(t.output.directory.path, number, network, part, test, t.dataset)
        for name, text in t.method.files().items():
            checkpoint.write_atomically(t.output.directory.path / name, text.encode())
    found, named = figures(tests, rows, len(t.dataset.classes)), described(network_specs(t.settings, t.strategy))
    seconds = {"training": t.progress.seconds, "device": t.progress.device_seconds, "wall": t.progress.clock.read()}
    result = {
        "version": 1, **found[0], "counts": t.counts.dict(), "precision": "bfloat16" if t.bfloat16 else "float32",
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "networks": [{**name, **values} for name, values in zip(named, found, strict=True)],
    }  # fmt: skip
    answers = Answers.of(tests[0].prediction, tests[0].probability, part, t.data.groups)
    result |= judged(answers, t.dataset.classes)
    if t.dataset.retrieval is not None:
        result["retrieval"] = retrieve(members(t.shown)[0], t.dataset.retrieval, t.method.normalize, t.device).dict()
    if t.progress.stage_one:
        before = copy.deepcopy(t.shown)
        before.load_state_dict(t.progress.stage_one)
        own = [row for row in rows if row["epoch"] <= t.settings.stage_one]
        _, chosen = t.selection.ended or (t.settings.stage_one, t.settings.stage_one)
        result["stage_one"] = {"epoch": chosen, **figures(_tests(t, before, part), own, len(t.dataset.classes))[0]}
    if t.selection.epoch:
        result["selected"] = t.selection.outcome()
    fallen = collapsed(rows, t.data.validation.labels, len(t.dataset.classes)) if t.dataset.kind is TargetKind.ONE else []
    if fallen:
        result["collapsed"] = [each.dict() for each in fallen]
    last = rows[-1]["epoch"] if rows else t.epoch
    common = majority_note(answers, t.dataset.classes)
    notes = [
        *([] if common is None else [common]),
        *t.progress.notes,
        *t.selection.notes(last),
        *(each.note(len(members(t.shown))) for each in fallen),
    ]
    return result | ({"notes": notes} if notes else {})


def judged(answers: Answers, classes: tuple[str, ...]) -> dict[str, Any]:
    """The predictions' entries in result.json: every metric, the classes' table and, for one class per image, the confusions."""
    found: dict[str, Any] = {"test_metrics": all_metrics(answers)}
    if len(answers.labels):
        found["classes"] = class_table(answers, classes)
    if len(answers.labels) and len(classes) <= MOST_CLASSES and answers.kind is TargetKind.ONE:
        found["confusion"] = confusion(answers, len(classes)).tolist()
    return found


def _tests(t: Training, model: nn.Module, part: Split) -> list[Evaluation]:
    return [evaluate(network, part, t.method.normalize, len(t.dataset.classes), world=t.world) for network in members(model)]


def figures(tests: list[Evaluation], rows: list[dict[str, Any]], classes: int) -> list[dict[str, Any]]:
    """Per network: its final test accuracy and loss, and the last, best and median of the last ten validation accuracies."""
    curves = [[row.get("validation_accuracies", [row["validation_accuracy"]])[k] for row in rows] for k in range(len(tests))]
    return [
        {
            "accuracy": test.accuracy, "accuracy_top5": top5(test, classes), "loss": test.loss,
            "last": curve[-1], "best": max(curve), "median_last_10": statistics.median(curve[-10:]),
            "epochs": len(curve),
        }
        for test, curve in zip(tests, curves, strict=True)
    ]  # fmt: skip


def top5(test: Evaluation, classes: int) -> float | None:
    """The top-5 accuracy; None for five classes or fewer, where it is always 100 %."""
    return test.accuracy_top5 if classes > 5 else None


def write_outcome(folder: Path, number: int, network: nn.Module, part: Split, test: Evaluation, dataset: Dataset) -> None:
    """Write a network's weights and its predictions on `part`, as arrays and as a table of paths and class names for people."""
    weights = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    checkpoint.write_atomically(folder / weights_file(number), safetensors.torch.save(weights))
    packed = io.BytesIO()
    names = [dataset.name_of(number) for number in part.ids.tolist()]
    more: dict[str, Any] = {}
    if part.kind is TargetKind.SEVERAL:
        more = {"probability": test.probability.cpu().numpy(), "classes": np.array(dataset.classes, dtype=np.str_)}
    np.savez(
        packed, name=np.array(names, dtype=np.str_), id=part.ids.cpu().numpy(), label=part.labels.cpu().numpy(),
        prediction=test.prediction.cpu().numpy(), confidence=test.confidence.cpu().numpy(),
        label_probability=test.label_probability.cpu().numpy(), **more,
    )  # fmt: skip
    checkpoint.write_atomically(folder / predictions_file(number), packed.getvalue())
    table = prediction_table(names, part, test, dataset.classes)
    checkpoint.write_atomically(folder / predictions_table(number), table.encode("utf-8", "surrogateescape"))


def prediction_table(names: Sequence[str], part: Split, test: Evaluation, classes: Sequence[str]) -> str:
    """CSV: path, id, class, prediction, confidence (of the prediction) and label_probability (of the true class). Several labels
    are separated by `|`, and the probability of each class follows in a column of that name."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    several = part.kind is TargetKind.SEVERAL
    header = ("path", "id", "class", "prediction", "confidence", "label_probability", *(classes if several else ()))
    writer.writerow(header)
    columns = (test.confidence, test.label_probability, *(test.probability.T if several else ()))
    said = zip(*(column.cpu().tolist() for column in columns), strict=True)
    rows = zip(names, part.ids.tolist(), part.labels.cpu(), test.prediction.cpu(), said, strict=True)
    for name, number, label, predicted, figures in rows:
        shown = (part.kind.named(label, classes), part.kind.named(predicted, classes))
        writer.writerow((name, number, *shown, *(f"{value:.6f}" for value in figures)))
    return out.getvalue()
