"""Figures of measurements: dots with ranges by category, points in the plane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from augury.explain.report.figures import _INK, Epochs, _axes, _curve_panel, _legend, _panels, _svg
from augury.explain.report.palette import row_style


def dot_panel(title: str, categories: Sequence[str], series: Mapping[str, Sequence[Iterable[float]]]) -> str:
    """A line per category with a dot for every series: the mean of its values, and a line from the lowest to the highest.

    series: label -> per category -> values. Returns HTML: a legend where there are several series, and an inline SVG.
    """
    step = min(0.22, 0.7 / max(1, len(series)))
    figure, axes = _axes(title, height=0.8 + len(categories) * max(0.42, 0.16 * len(series)))
    styles = {label: row_style(index) for index, label in enumerate(series)}
    for index, (label, row) in enumerate(series.items()):
        for place, values in enumerate(row):
            seen = list(values)
            height = place + (index - (len(series) - 1) / 2) * step
            style = styles[label]
            axes.plot([min(seen), max(seen)], [height, height], color=style.colour, linewidth=2.2, solid_capstyle="round")
            axes.plot([sum(seen) / len(seen)], [height], style.marker, color=style.colour, markersize=6.5)
    axes.set_yticks(range(len(categories)), categories)
    axes.tick_params(axis="y", labelsize=9, labelcolor=_INK)
    axes.set_ylim(len(categories) - 0.5, -0.5)
    axes.grid(axis="x", color=_INK, alpha=0.12, linewidth=0.8)
    axes.margins(x=0.06)
    spoken = "; ".join(
        f"{label}: " + ", ".join(f"{name} {np.mean(list(values)):.3g}" for name, values in zip(categories, row, strict=True))
        for label, row in series.items()
    )
    return (_legend(series, styles) if len(series) > 1 else "") + _panels([_svg(figure, f"{title}. {spoken}")])


def scatter_panel(title: str, points: np.ndarray) -> str:
    """Groups of points in the plane, [groups, points, 2], each group with its own colour and mark. Returns inline SVG."""
    figure, axes = _axes(title, height=4.2)
    for index, group in enumerate(points):
        style = row_style(index + 1)
        axes.plot(group[:, 0], group[:, 1], style.marker, color=style.colour, markersize=4.5, alpha=0.75, linestyle="none")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    return _panels([_svg(figure, f"{title}: {len(points)} groups of {points.shape[1]} points")])


def curve_of(title: str, curves: Mapping[str, Sequence[Epochs]], key: str) -> str:
    """A figure of metrics.jsonl over epochs: label -> per seed -> epochs; "" where no seed has a value. Returns HTML."""
    styles = {label: row_style(index) for index, label in enumerate(curves)}
    panel = _curve_panel(title, curves, styles, key)
    return ((_legend(curves, styles) if len(curves) > 1 else "") + _panels([panel])) if panel else ""
