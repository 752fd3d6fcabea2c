"""Metrics of a classifier on one part of the data, by which trainings are compared and selected."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.target_kind import TargetKind
from augury.train.data.dataset import Dataset
from augury.train.engine import label_metrics
from augury.train.engine.answers import Answers
from augury.train.engine.settings import MetricName

# A confusion matrix of more classes is hard to read and would bloat result.json.
MOST_CLASSES = 50


@dataclass(frozen=True)
class Metric:
    """A metric. title: for a table's heading. unit: `%` or `nats`. rising: whether higher is better. of: computes the value; None
    if it is undefined on the part (no images, or a class that `auroc` needs is absent)."""

    name: MetricName
    title: str
    unit: str
    rising: bool
    of: Callable[[Answers], float | None]

    @property
    def key(self) -> str:
        """The key of the metric on the validation part in a line of metrics.jsonl."""
        return f"validation_{self.name}"

    def score(self, value: float) -> float:
        """The value on a scale from 0 to 100 where higher is better, for selection and rewards.

        Percentages are unchanged; a log loss becomes the geometric mean of the probability of the true class, in percent.
        """
        return value if self.unit == "%" else 100 * float(np.exp(-value))

    @property
    def score_title(self) -> str:
        """What `score` returns, in words."""
        return self.title if self.unit == "%" else "geometric mean of the true class's probability"

    def one_image(self, labels: Tensor) -> float:
        """The most by which the score can change with the answer to one of the images with these labels, in percent; 0 without
        images. Metrics that weigh classes or groups equally change most with an image of the rarest class."""
        counts = torch.bincount(labels.cpu())
        counts = counts[counts > 0]
        if not len(counts):
            return 0.0
        if self.name in ("balanced", "macro_f1"):
            return 100 / (len(counts) * int(counts.min()))
        return 100 / int(counts.min() if self.name in ("worst_class", "worst_group") else counts.sum())

    def described(self) -> dict[str, Any]:
        """For result.json: the metric's name, its title, its unit, and whether higher is better."""
        return {"name": self.name, "title": self.title, "unit": self.unit, "rising": self.rising}

    def missing(self, dataset: Dataset) -> None:
        """InputError, before anything is trained, if the metric is undefined on the validation or test part."""
        if self.name == "worst_group" and dataset.train.groups is None:
            raise InputError(f"--metric worst_group: DATA {dataset.name} has no groups; choose another metric, such as worst_class")
        if self.name != "auroc":
            return
        for name, part in (("test", dataset.test), ("validation", dataset.validation)):
            counts = part.kind.counts(part.labels, len(dataset.classes)).tolist()
            for label, count in zip(dataset.classes, counts, strict=True):
                without = part.kind is TargetKind.SEVERAL and count == len(part.labels)
                if len(part.labels) and (without or not count):
                    what = "without" if without else "of"
                    raise InputError(f"--metric auroc: the {name} part has no image {what} class {label!r}; choose another metric")


def _accuracy(a: Answers) -> float | None:
    return 100 * float((a.labels == a.predictions).mean()) if len(a.labels) else None


def _recalls(labels: np.ndarray, right: np.ndarray) -> np.ndarray:
    """For each label that occurs, the fraction of its images that are right."""
    occurring, place = np.unique(labels, return_inverse=True)
    return np.bincount(place, weights=right, minlength=len(occurring)) / np.bincount(place, minlength=len(occurring))


def _balanced(a: Answers) -> float | None:
    return 100 * float(_recalls(a.labels, a.labels == a.predictions).mean()) if len(a.labels) else None


def _worst_class(a: Answers) -> float | None:
    return 100 * float(_recalls(a.labels, a.labels == a.predictions).min()) if len(a.labels) else None


def _auroc(a: Answers) -> float | None:
    classes = a.probability.shape[1]
    if len(np.unique(a.labels)) < classes:
        return None
    from sklearn.metrics import roc_auc_score

    score = a.probability[:, 1] if classes == 2 else a.probability / a.probability.sum(1, keepdims=True)
    return 100 * float(roc_auc_score(a.labels, score, multi_class="ovr", average="macro"))


def _worst_group(a: Answers) -> float | None:
    if a.groups is None or not (a.groups >= 0).any():
        return None
    known = a.groups >= 0
    return 100 * float(_recalls(a.groups[known], (a.labels == a.predictions)[known]).min())


def _log_loss(a: Answers) -> float | None:
    if not len(a.labels):
        return None
    own = a.probability[np.arange(len(a.labels)), a.labels]
    return float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean())


_ALL: dict[TargetKind, dict[str, Metric]] = {
    TargetKind.ONE: {
        each.name: each
        for each in (
            Metric("accuracy", "accuracy", "%", True, _accuracy),
            Metric("balanced", "balanced accuracy", "%", True, _balanced),
            Metric("macro_f1", "macro F1", "%", True, label_metrics.macro_f1),
            Metric("auroc", "area under the ROC curve", "%", True, _auroc),
            Metric("worst_class", "accuracy of the worst class", "%", True, _worst_class),
            Metric("worst_group", "accuracy of the worst group", "%", True, _worst_group),
            Metric("log_loss", "log loss", "nats", False, _log_loss),
        )
    },
    TargetKind.SEVERAL: {
        each.name: each
        for each in (
            Metric("map", "mean average precision", "%", True, label_metrics.mean_average_precision),
            Metric("map_micro", "average precision of all answers", "%", True, label_metrics.micro_average_precision),
            Metric("macro_f1", "macro F1 at 0.5", "%", True, label_metrics.macro_f1),
            Metric("auroc", "area under the ROC curve", "%", True, label_metrics.auroc),
            Metric("accuracy", "subset accuracy", "%", True, label_metrics.subset_accuracy),
            Metric("log_loss", "log loss", "nats", False, label_metrics.log_loss),
        )
    },
}


def metric_of(name: str | None, kind: TargetKind = TargetKind.ONE) -> Metric:
    """The named metric for labels of that kind; the kind's first if there is no name. InputError if the kind does not have it."""
    known = _ALL[kind]
    if name is not None and name not in known:
        raise InputError(f"--metric {name}: is not defined for {kind.words}; choose from {', '.join(known)}")
    return known[name] if name is not None else next(iter(known.values()))


def figure_of(row: dict[str, Any]) -> str:
    """The validation figure in a line of metrics.jsonl, for people: the metric that is compared by, or `accuracy 91.20 %`."""
    named = [metric for known in _ALL.values() for metric in known.values() if metric.name not in ("accuracy", "worst_group")]
    for metric in named:
        if row.get(metric.key) is not None:
            return f"{metric.title} {row[metric.key]:.2f} %" if metric.unit == "%" else f"{metric.title} {row[metric.key]:.4f}"
    return f"accuracy {row['validation_accuracy']:.2f} %"


def all_metrics(answers: Answers) -> dict[str, float | None]:
    """Every metric's value; None if it is undefined on this part."""
    return {name: metric.of(answers) for name, metric in _ALL[answers.kind].items()}


def class_table(answers: Answers, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Per class: its images, their share of all (%), recall and precision (%), None if undefined; for several labels per image,
    see `label_table`."""
    if answers.kind is TargetKind.SEVERAL:
        return label_metrics.label_table(answers, classes)
    matrix = confusion(answers, len(classes))
    images, predicted, right = matrix.sum(1), matrix.sum(0), matrix.diagonal()
    return [
        {
            "class": name, "images": int(images[k]), "prevalence": label_metrics.share(images[k], len(answers.labels)),
            "recall": label_metrics.share(right[k], images[k]), "precision": label_metrics.share(right[k], predicted[k]),
        }
        for k, name in enumerate(classes)
    ]  # fmt: skip


def confusion(answers: Answers, classes: int) -> np.ndarray:
    """The number of images by true class (rows) and predicted class (columns), int64 [classes, classes]."""
    return np.bincount(answers.labels * classes + answers.predictions, minlength=classes * classes).reshape(classes, classes)


def majority_note(answers: Answers, classes: tuple[str, ...]) -> str | None:
    """A warning if the most common class explains the accuracy: its share is at least twice an even one, or 75 %, and always
    naming it comes within a point of the network's accuracy. For several labels per image, a warning if classes are on no image."""
    if answers.kind is TargetKind.SEVERAL:
        return label_metrics.absent_note(answers, classes)
    accuracy = _accuracy(answers)
    if accuracy is None or len(classes) < 2:
        return None
    counts = np.bincount(answers.labels, minlength=len(classes))
    common = int(counts.argmax())
    share = 100 * float(counts[common]) / len(answers.labels)
    if share < min(75.0, 200 / len(classes)) or accuracy > share + 1:
        return None
    return (
        f"{share:.1f} % of the images are of class {classes[common]!r}, so that always answering {classes[common]!r} has an "
        f"accuracy of {share:.1f} %, and the network has {accuracy:.1f} %; balanced accuracy is {_balanced(answers):.1f} % "
        "(--metric balanced compares by it)"
    )
