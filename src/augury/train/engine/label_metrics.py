"""Metrics for several labels per image, from scikit-learn: each class is a binary problem of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np

from augury.train.engine.answers import Answers


def subset_accuracy(a: Answers) -> float | None:
    """The share of images with all labels right, in percent."""
    return 100 * float((a.labels == a.predictions).all(1).mean()) if len(a.labels) else None


def macro_f1(a: Answers) -> float | None:
    """The mean F1 of the classes, in percent (of several labels, at probability 0.5); 0 for a class neither true nor predicted."""
    if not len(a.labels):
        return None
    from sklearn.metrics import f1_score  # takes half a second, so imported only if needed

    return 100 * float(f1_score(a.labels, a.predictions, average="macro", zero_division=0.0))


def mean_average_precision(a: Answers) -> float | None:
    """The mean of the average precision, in percent, over the classes that occur."""
    return _mean(_precision, a, np.flatnonzero(a.labels.any(0)))


def micro_average_precision(a: Answers) -> float | None:
    """The average precision, in percent, of the answers for all classes pooled."""
    if not a.labels.any():
        return None
    from sklearn.metrics import average_precision_score

    return 100 * float(average_precision_score(a.labels, a.probability, average="micro"))


def auroc(a: Answers) -> float | None:
    """The mean over the classes of the area under the ROC curve, in percent; None if a class is on every image or on none."""
    if not len(a.labels) or not divided(a.labels).all():
        return None
    return _mean(_area, a, np.arange(a.labels.shape[1]))


def log_loss(a: Answers) -> float | None:
    """The mean binary cross-entropy over images and classes, in nats."""
    if not len(a.labels):
        return None
    own = np.where(a.labels, a.probability, 1 - a.probability)
    return float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean())


def divided(labels: np.ndarray) -> np.ndarray:
    """bool [classes]: whether a class is on some images but not on all."""
    there = labels.sum(0)
    found: np.ndarray = (there > 0) & (there < len(labels))
    return found


def label_table(a: Answers, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Per class: the images it is on, their share (%), recall, precision and F1 at 0.5, average precision and area under the ROC
    curve, in percent; None if undefined."""
    there, answered, both = a.labels.sum(0), a.predictions.sum(0), (a.labels & a.predictions).sum(0)
    known = divided(a.labels)
    return [
        {
            "class": name, "images": int(there[k]), "prevalence": share(there[k], len(a.labels)),
            "recall": share(both[k], there[k]), "precision": share(both[k], answered[k]),
            "f1": share(2 * both[k], there[k] + answered[k]),
            "average_precision": _precision(a.labels[:, k], a.probability[:, k]) if there[k] else None,
            "auroc": _area(a.labels[:, k], a.probability[:, k]) if known[k] else None,
        }
        for k, name in enumerate(classes)
    ]  # fmt: skip


def absent_note(a: Answers, classes: tuple[str, ...]) -> str | None:
    """A note if classes are on no image, so that their metrics are undefined."""
    absent = [name for name, there in zip(classes, a.labels.sum(0).tolist(), strict=True) if not there]
    if not absent or not len(a.labels):
        return None
    shown = ", ".join(map(repr, absent[:5])) + (", ..." if len(absent) > 5 else "")
    return f"no test image has the label {shown}: mean average precision is that of the other classes, and there is no AUROC"


def _precision(labels: np.ndarray, probability: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return 100 * float(average_precision_score(labels, probability))


def _area(labels: np.ndarray, probability: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return 100 * float(roc_auc_score(labels, probability))


def _mean(of: Callable[[np.ndarray, np.ndarray], float], a: Answers, classes: np.ndarray) -> float | None:
    return float(np.mean([of(a.labels[:, k], a.probability[:, k]) for k in classes])) if len(classes) else None


def share(part: float, whole: float) -> float | None:
    """`part` of `whole`, in percent; None if `whole` is 0."""
    return 100 * float(part) / float(whole) if whole else None
