"""Per-class results for reports: each class's prevalence, how well it is recognised, and what it is confused with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from augury.explain.report.summary import number, row_labels

# A wider matrix does not fit on a page; its largest entries are listed instead.
_WIDEST = 20
_LISTED = 10
# Columns of a single run by key in result.json; `_SEVERAL` is added if images have several labels.
_COLUMNS = {"recall": "Recall, %", "precision": "Precision, %"}
_SEVERAL = {"f1": "F1, %", "average_precision": "Average precision, %", "auroc": "AUROC, %"}


@dataclass(frozen=True)
class ClassTable:
    """headings: of the columns after class, images and share. rows: each cell's text and the number to sort it by."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, float | None], ...]], ...]


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: counts of images by true class (rows) and predicted class (columns)."""

    title: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def shown(self) -> bool:
        """Whether it fits on a page."""
        return len(self.classes) <= _WIDEST

    def cells(self) -> list[tuple[str, list[tuple[str, int]]]]:
        """Per class: its name, and each cell's text and share of the row in percent."""
        return [
            (name, [(number(count, 0), round(100 * count / max(1, sum(row)))) for count in row])
            for name, row in zip(self.classes, self.counts, strict=True)
        ]

    def largest(self) -> list[tuple[str, str, str, str]]:
        """The most frequent confusions: true class, predicted class, images, and their share of the true class."""
        found = [(count, k, j) for k, row in enumerate(self.counts) for j, count in enumerate(row) if j != k and count]
        return [
            (self.classes[k], self.classes[j], number(count, 0), f"{number(100 * count / sum(self.counts[k]))}\u00a0%")
            for count, k, j in sorted(found, key=lambda each: -each[0])[:_LISTED]
        ]


def class_rows(result: Mapping[str, Any]) -> ClassTable | None:
    """The table of classes in the result.json of a comparison or a single run; None if it has none."""
    classes: Sequence[Mapping[str, Any]] = result.get("classes") or ()
    if not classes:
        return None
    compared, several = "rows" in result, "average_precision" in classes[0]
    columns = _COLUMNS | (_SEVERAL if several else {})
    headings = tuple(columns.values())
    if compared:
        what = "Average precision" if several else "Recall"
        headings = tuple(f"{what}, {label}" for label in row_labels(result["rows"]))
    rows = []
    for each in classes:
        figures = [each[key] for key in columns] if not compared else list(each["average_precision" if several else "recall"])
        shown = [(number(each["images"], 0), float(each["images"])), (f"{number(each['prevalence'])}\u00a0%", each["prevalence"])]
        rows.append((str(each["class"]), (*shown, *((number(value), value) for value in figures))))
    return ClassTable(headings, tuple(rows))


def confusion_matrices(result: Mapping[str, Any]) -> list[Matrix]:
    """The confusion matrices of a comparison's first and best row, or of a single run."""
    found = result.get("confusion") or ()
    names = tuple(str(each["class"]) for each in result.get("classes") or ())
    if not found or not names:
        return []
    if isinstance(found[0], Mapping):
        return [Matrix(each["title"], names, tuple(map(tuple, each["matrix"]))) for each in found]
    return [Matrix("", names, tuple(map(tuple, found)))]
