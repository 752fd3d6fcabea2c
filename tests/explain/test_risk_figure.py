"""The figure of the gap: what it draws, and when there is nothing to draw."""

from augury.explain.pages.page import train_page
from augury.explain.report.risk import risk_curves

EPOCHS = [
    {"epoch": n, "validation_loss": 1 / n, "intensity": 1.0 if n < 4 else 0.0, "train_loss": 1.0, "validation_accuracy": 50.0}
    | ({"risk": {"clean": 0.5 / n, "augmented": 2.0 / n, "label_entropy": h, "excess": 2.0 / n - h}} if n % 2 == 0 else {})
    for n, h in ((1, 0.4), (2, 0.4), (3, 0.4), (4, 0.0), (5, 0.0))
]


def test_lines_legend_and_the_mark_of_the_refinement() -> None:
    html = risk_curves(EPOCHS)
    for name in ("augmented training images", "minus the entropy", "clean training images", "validation images", "refined"):
        assert name in html
    assert "in epoch 4: augmented training images 0.500" in html and "clean training images 0.125" in html


def test_nothing_that_was_not_measured() -> None:
    assert risk_curves([{k: v for k, v in epoch.items() if k != "risk"} for epoch in EPOCHS]) == ""
    plain = [{**e, "intensity": 1.0, "risk": {"clean": 1.0, "augmented": 1.5, "label_entropy": 0.0, "excess": 1.5}} for e in EPOCHS]
    assert "minus the entropy" not in risk_curves(plain) and "refined" not in risk_curves(plain)


def test_it_stands_in_the_report_with_the_accuracy_before_refinement() -> None:
    result = {"accuracy": 80.0, "best": 81.0, "last": 80.5, "median_last_10": 79.0, "stage_one": {"epoch": 3, "accuracy": 77.25}}
    page = train_page(result, settings={}, curves=EPOCHS, sheets=[], notes=[])
    assert "The gap between clean and augmented images" in page and "77.25 %" in page and "after epoch 3" in page
    without = train_page(result, settings={}, curves=[], sheets=[], notes=[])
    assert "The gap between" not in without
