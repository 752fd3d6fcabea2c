"""The gap between clean and augmented training images over the epochs: figure 1 of the paper on refined augmentation."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import MaxNLocator

from augury.explain.report.figures import INK, Epochs, dash_of, draw_legend, is_finite, make_panels, styled_axes, to_svg
from augury.explain.report.palette import Style, row_style

# What is drawn, where an epoch's line of metrics.jsonl has it, and in which style.
LINES: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("augmented training images", ("risk", "augmented"), 2),
    ("the same, minus the entropy of mixed labels", ("risk", "excess"), 5),
    ("clean training images", ("risk", "clean"), 1),
    ("validation images", ("validation_loss",), 0),
)


def risk_curves(epochs: Epochs) -> str:
    """Cross-entropies of one training over its epochs, HTML with a legend; "" where no risk was measured.

    epochs: lines of metrics.jsonl, with "risk" in some and "intensity" where the training was refined, whose first refined
    epoch is marked by a line. A line that equals another (no mixed labels) is left out.
    """
    if not any("risk" in epoch for epoch in epochs):
        return ""
    mixed = any(epoch["risk"]["label_entropy"] > 0 for epoch in epochs if "risk" in epoch)
    figure, axes = styled_axes("Cross-entropy, nats", height=3.1)
    styles: dict[str, Style] = {}
    for name, path, number in LINES:
        points = [(epoch["epoch"], value) for epoch in epochs if is_finite(value := _at(epoch, path))]
        if not points or (path[-1] == "excess" and not mixed):
            continue
        style = styles[name] = row_style(number)
        few = len(points) < 25
        axes.plot(*zip(*points, strict=True), color=style.colour, linewidth=1.8, linestyle=dash_of(style),
                  marker=style.marker if few else "", markersize=4)  # fmt: skip
    begun = next((epoch["epoch"] for epoch in epochs if epoch.get("intensity", 1.0) < 1), None)
    if begun is not None:
        axes.axvline(begun - 0.5, color=INK, linewidth=1, alpha=0.55, linestyle=":")
        axes.text(begun - 0.5, 1.0, " refined", transform=axes.get_xaxis_transform(), va="top", color=INK, size=9)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=INK, size=9)
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.8)
    last = next(epoch for epoch in reversed(epochs) if "risk" in epoch)
    spoken = f"Cross-entropy over the epochs; in epoch {last['epoch']}: " + "; ".join(
        f"{name} {_at(last, path):.3f}" for name, path, _ in LINES if name in styles and is_finite(_at(last, path))
    )
    return draw_legend(styles, styles) + make_panels([to_svg(figure, spoken)])


def _at(epoch: object, path: tuple[str, ...]) -> Any:
    for key in path:
        epoch = epoch.get(key) if isinstance(epoch, dict) else None
    return epoch
