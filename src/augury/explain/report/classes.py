"""Classes one by one, for reports: how common each is, how well it is recognised, and what it is taken for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from augury.explain.report.summary import number, row_labels

# A wider matrix does not fit a page; its largest entries are listed instead.
_WIDEST = 20
_LISTED = 10
# A training's columns, by their names in result.json; those that only several labels have.
_COLUMNS = {"recall": "Recall, %", "precision": "Precision, %"}
_SEVERAL = {"f1": "F1, %", "average_precision": "Average precision, %", "auroc": "AUROC, %"}


@dataclass(frozen=True)
class ClassTable:
    """headings: of the columns after class, images and share. rows: texts, with the number that a column is sorted by."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, float | None], ...]], ...]


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: rows are the true classes, columns the answers; counts of images."""

    title: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def shown(self) -> bool:
        """Whether it is narrow enough for a page."""
        return len(self.classes) <= _WIDEST

    def cells(self) -> list[tuple[str, list[tuple[str, int]]]]:
        """Per class its name and cells: the text, and the share of the row in percent."""
        return [
            (name, [(number(count, 0), round(100 * count / max(1, sum(row)))) for count in row])
            for name, row in zip(self.classes, self.counts, strict=True)
        ]

    def largest(self) -> list[tuple[str, str, str, str]]:
        """The classes that are confused most: the class, what it is taken for, images, and their share of the class."""
        found = [(count, k, j) for k, row in enumerate(self.counts) for j, count in enumerate(row) if j != k and count]
        return [
            (self.classes[k], self.classes[j], number(count, 0), f"{number(100 * count / sum(self.counts[k]))}\u00a0%")
            for count, k, j in sorted(found, key=lambda each: -each[0])[:_LISTED]
        ]


def class_rows(result: Mapping[str, Any]) -> ClassTable | None:
    """The classes of a comparison's or a training's result.json; None if it does not have them."""
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
    """The confusion matrices of a comparison's first and best row, or of a training."""
    found = result.get("confusion") or ()
    names = tuple(str(each["class"]) for each in result.get("classes") or ())
    if not found or not names:
        return []
    if isinstance(found[0], Mapping):
        return [Matrix(each["title"], names, tuple(map(tuple, each["matrix"]))) for each in found]
    return [Matrix("", names, tuple(map(tuple, found)))]
