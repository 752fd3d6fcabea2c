"""The risk gap between clean and augmented training images over the epochs: figure 1 of the paper on refined augmentation."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import MaxNLocator

from augury.explain.report.figures import INK, Epochs, dash_of, draw_legend, is_finite, make_panels, styled_axes, to_svg
from augury.explain.report.palette import Style, row_style

# Name of each curve, its path in an epoch's line of metrics.jsonl, and its style.
LINES: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("augmented training images", ("risk", "augmented"), 2),
    ("the same, minus the entropy of mixed labels", ("risk", "excess"), 5),
    ("clean training images", ("risk", "clean"), 1),
    ("validation images", ("validation_loss",), 0),
)


def risk_curves(epochs: Epochs) -> str:
    """Cross-entropies of one run over its epochs, as HTML with a legend; "" if no risk was measured.

    epochs: lines of metrics.jsonl, some with "risk". In a refined run they have "intensity", and a line marks the first refined
    epoch. Without mixed labels, the curve "minus the entropy" would equal another and is left out.
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
