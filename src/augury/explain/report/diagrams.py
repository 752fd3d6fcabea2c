"""Figures of measurements: dots with ranges by category, lines, and points in the plane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from augury.explain.report.figures import INK, Epochs, curve_panel, dash_of, draw_legend, make_panels, styled_axes, to_svg
from augury.explain.report.palette import row_style

Point = tuple[float, float, float, float]
_LEAST = 1e-12


def dot_panel(
    title: str, categories: Sequence[str], series: Mapping[str, Sequence[Iterable[float]]], *, log: bool = False, zero: bool = False
) -> str:
    """A row per category with a dot for every series: the mean of its values, and a line from the lowest to the highest.

    series: label -> per category -> values. log: use a logarithmic axis if values differ more than thirtyfold; within one or
    two powers of ten it would have too few labels. zero: mark 0 with a line. Returns HTML: a legend if there are several
    series, and an inline SVG.
    """
    every = [value for row in series.values() for values in row for value in values]
    log = log and max(every, default=1) > 30 * max(min(every, default=1), _LEAST)
    step = min(0.22, 0.7 / max(1, len(series)))
    figure, axes = styled_axes(title, height=0.8 + len(categories) * max(0.42, 0.16 * len(series)))
    styles = {label: row_style(index) for index, label in enumerate(series)}
    for index, (label, row) in enumerate(series.items()):
        for place, values in enumerate(row):
            seen = [max(value, _LEAST) for value in values] if log else list(values)
            height = place + (index - (len(series) - 1) / 2) * step
            style = styles[label]
            axes.plot([min(seen), max(seen)], [height, height], color=style.colour, linewidth=2.2, solid_capstyle="round")
            axes.plot([sum(seen) / len(seen)], [height], style.marker, color=style.colour, markersize=6.5)
    axes.set_yticks(range(len(categories)), categories)
    axes.tick_params(axis="y", labelsize=9, labelcolor=INK)
    axes.set_ylim(len(categories) - 0.5, -0.5)
    if log:
        axes.set_xscale("log")
        axes.minorticks_off()
    if zero:
        axes.axvline(0, color=INK, linewidth=1, alpha=0.55)
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.8)
    axes.margins(x=0.06)
    spoken = "; ".join(
        f"{label}: " + ", ".join(f"{name} {np.mean(list(values)):.3g}" for name, values in zip(categories, row, strict=True))
        for label, row in series.items()
    )
    return (draw_legend(series, styles) if len(series) > 1 else "") + make_panels([to_svg(figure, f"{title}. {spoken}")])


def scatter_panel(title: str, points: np.ndarray) -> str:
    """Groups of points in the plane, [groups, points, 2], each with its own colour and marker. Returns HTML with an inline SVG."""
    figure, axes = styled_axes(title, height=4.2)
    for index, group in enumerate(points):
        style = row_style(index + 1)
        axes.plot(group[:, 0], group[:, 1], style.marker, color=style.colour, markersize=4.5, alpha=0.75, linestyle="none")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    return make_panels([to_svg(figure, f"{title}: {len(points)} groups of {points.shape[1]} points")])


def line_panel(
    title: str, series: Mapping[str, Sequence[Point]], axes_titles: tuple[str, str], *, log: str = "",
    mark: tuple[float, str] | None = None, diagonal: bool = False, points: bool = True,
) -> str:  # fmt: skip
    """A line per series through its points (x, middle, low, high), with a band from low to high.

    log: the logarithmic axes, "x", "y" or "xy". mark: a position on the x axis and its label. diagonal: draw the line y = x.
    Returns inline SVG; `side_by_side` adds the legend.
    """
    figure, axes = styled_axes(title, height=3.1)
    styles = {label: row_style(index) for index, label in enumerate(series)}
    for label, row in series.items():
        style, table = styles[label], np.array(row, dtype=float).reshape(-1, 4)
        if "y" in log:
            table[:, 1:] = table[:, 1:].clip(min=_LEAST)
        marker = style.marker if points else ""
        axes.plot(
            table[:, 0], table[:, 1], marker=marker, markersize=4.5, color=style.colour, linewidth=1.8, linestyle=dash_of(style)
        )
        if (table[:, 3] > table[:, 2]).any():
            axes.fill_between(table[:, 0], table[:, 2], table[:, 3], color=style.colour, alpha=0.16, linewidth=0)
    if "x" not in log and all(float(point[0]).is_integer() for row in series.values() for point in row):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if diagonal:
        axes.set_xlim(0, 102)
        axes.axline((0, 0), slope=1, color=INK, linewidth=1, alpha=0.45, linestyle=(0, (4, 3)))
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    if mark is not None:
        axes.axvline(mark[0], color=INK, linewidth=1, alpha=0.55)
        axes.annotate(mark[1], (mark[0], 1), xycoords=("data", "axes fraction"), xytext=(4, -10), textcoords="offset points",
                      size=8, color=INK)  # fmt: skip
    axes.set_xlabel(axes_titles[0], color=INK, size=9)
    axes.set_ylabel(axes_titles[1], color=INK, size=9)
    axes.minorticks_off()
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.8)
    spoken = f"{title}: {axes_titles[1]} over {axes_titles[0]} for {', '.join(series)}"
    return to_svg(figure, spoken)


def side_by_side(panels: Sequence[str], labels: Sequence[str]) -> str:
    """Panels next to each other below a shared legend of their series (no legend for a single series)."""
    styles = {label: row_style(index) for index, label in enumerate(labels)}
    return (draw_legend(styles, styles) if len(labels) > 1 else "") + make_panels(panels)


def plane_panel(
    title: str, points: Mapping[str, tuple[float, float]], axes_titles: tuple[str, str], origin: tuple[float, float]
) -> str:
    """Named points in the plane, with lines through `origin`. Returns HTML with an inline SVG."""
    figure, axes = styled_axes(title, height=4.6)
    for place, line in zip(origin, (axes.axvline, axes.axhline), strict=True):
        line(place, color=INK, linewidth=1, alpha=0.35)
    for name, (x, y) in points.items():
        axes.plot([x], [y], "o", color=row_style(1).colour, markersize=4.5, alpha=0.85)
        axes.annotate(name, (x, y), xytext=(4, 3), textcoords="offset points", size=7, color=INK, parse_math=False)
    axes.set_xlabel(axes_titles[0], color=INK, size=9)
    axes.set_ylabel(axes_titles[1], color=INK, size=9)
    axes.margins(x=0.16, y=0.08)
    return make_panels([to_svg(figure, f"{title}: " + "; ".join(f"{name} {x:.3g}, {y:.3g}" for name, (x, y) in points.items()))])


def curve_of(title: str, curves: Mapping[str, Sequence[Epochs]], key: str) -> str:
    """HTML that plots a metric of metrics.jsonl over the epochs; "" if no seed has a value. curves: label -> per seed -> epochs."""
    styles = {label: row_style(index) for index, label in enumerate(curves)}
    panel = curve_panel(title, curves, styles, key)
    return ((draw_legend(curves, styles) if len(curves) > 1 else "") + make_panels([panel])) if panel else ""
