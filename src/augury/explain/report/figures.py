"""Figures as inline SVG: transparent, with text and axes in the page's text colour, for light and dark pages."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from augury.explain.report.palette import Style, row_style
from augury.explain.report.summary import ACCURACY, Measure, ResultRow, bracketed, number, paired, row_labels, values_of

# Placeholder for the page's text colour in matplotlib's output; not a colour of the palette.
INK = "#010203"
_WIDTH = 4.6
_LONGEST_LABEL = 52
Epochs = Sequence[Mapping[str, Any]]


def accuracy_intervals(rows: Sequence[ResultRow], measure: Measure = ACCURACY) -> str:
    """Panels of dots and 95 % intervals: every row's accuracy, or other measure, and its difference from the first row.

    rows: from a comparison's result.json. Returns HTML (a div with two inline SVGs, or one for a single row).
    """
    labels = row_labels(rows)
    styles = [row_style(index) for index in range(len(rows))]
    values = [(row["mean"], *measure.ends(row["low"], row["high"])) for row in rows]
    seeds, dots = [row["n"] for row in rows], [values_of(row) for row in rows]
    title = f"Test {measure.title}, {measure.unit}"
    panels = [_interval_panel(title, labels, styles, values, seeds, False, dots, measure.digits)]
    if len(rows) > 1:
        difference = [(row["difference"], row["difference_low"], row["difference_high"]) for row in rows]
        title = f"Difference from {_short(labels[0], 28)}, {measure.differences}"
        pairs = [paired(row, rows[0]) for row in rows]
        panels.append(_interval_panel(title, labels, styles, difference, pairs, True, None, measure.digits))
    return make_panels(panels)


def learning_curves(curves: Mapping[str, Sequence[Epochs]], styles: Mapping[str, Style] | None = None) -> str:
    """Validation accuracy (in percent; mean average precision for several labels per image) and training loss over epochs:
    two panels with the mean over seeds and a band from the lowest to the highest.

    curves: label -> per seed -> epochs {"epoch", "train_loss", "validation_accuracy"}; missing and non-finite values are left
    out. styles: label -> style, by default in the order of the labels. Returns HTML with a legend, or "" if there is nothing
    to draw.
    """
    styles = styles or {label: row_style(index) for index, label in enumerate(curves)}
    several = any("validation_map" in epoch for seeds in curves.values() for epochs in seeds for epoch in epochs)
    what, key = ("mean average precision", "validation_map") if several else ("accuracy", "validation_accuracy")
    panels = [
        curve_panel(f"Validation {what}, %", curves, styles, key),
        curve_panel("Training loss", curves, styles, "train_loss"),
    ]
    drawn = [panel for panel in panels if panel]
    if not drawn:
        return ""
    return (draw_legend(curves, styles) if len(curves) > 1 else "") + make_panels(drawn)


def swatch(style: Style) -> Markup:
    """A short line in a row's colour and dash pattern, for legends and tables."""
    line = f'<line x1="1" y1="5" x2="21" y2="5" stroke="{style.colour}" stroke-width="3" stroke-dasharray="{style.dash}"/>'
    return Markup(f'<svg class="swatch" viewBox="0 0 22 10" width="22" height="10" aria-hidden="true">{line}</svg>')


def _interval_panel(
    title: str,
    labels: Sequence[str],
    styles: Sequence[Style],
    values: Sequence[tuple[float | None, float | None, float | None]],
    seeds: Sequence[int],
    relative: bool,
    dots: Sequence[Sequence[float | None]] | None,
    digits: int,
) -> str:
    figure, axes = styled_axes(title, height=0.7 + 0.5 * len(labels))
    if relative:
        axes.axvline(0, color=INK, linewidth=1, alpha=0.55)
    for place, (label, style, (middle, low, high)) in enumerate(zip(labels, styles, values, strict=True)):
        if dots is not None:
            seen = [value for value in dots[place] if value is not None]
            axes.plot(seen, [place] * len(seen), "|", color=style.colour, markersize=9, alpha=0.6)
        if low is not None and high is not None:
            axes.plot(
                [low, high], [place, place], color=style.colour, linewidth=2.4, linestyle=dash_of(style), solid_capstyle="round"
            )
        if middle is not None:
            axes.plot([middle], [place], style.marker, color=style.colour, markersize=7.5)
        brackets = bracketed(low, high, seeds[place], sign=relative, digits=digits)
        said = f"{number(middle, digits, sign=relative)} {brackets}".rstrip()
        if relative and place == 0:
            said, middle = "reference", 0.0
        for x, text, side in ((0.0, _short(label, _LONGEST_LABEL - len(said)), "left"), (1.0, said, "right")):
            axes.text(x, place - 0.33, text, transform=axes.get_yaxis_transform(), ha=side, color=INK, size=9, parse_math=False)
    axes.set_ylim(len(labels) - 0.65, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.8)
    axes.margins(x=0.06)
    pairs = list(zip(labels, values, strict=True))[relative:]
    spoken = "; ".join(f"{label} {number(value[0], digits, sign=relative)}" for label, value in pairs)
    return to_svg(figure, f"{title}: {spoken}")


def curve_panel(title: str, curves: Mapping[str, Sequence[Epochs]], styles: Mapping[str, Style], key: str) -> str:
    figure, axes = styled_axes(title, height=2.9)
    means = []
    for label, seeds in curves.items():
        epochs, table = _table(seeds, key)
        if not len(epochs):
            continue
        style, mean = styles[label], table.mean(axis=0)
        marker = style.marker if len(epochs) == 1 else ""
        axes.plot(epochs, mean, color=style.colour, linewidth=1.8, linestyle=dash_of(style), marker=marker)
        if len(table) > 1:
            axes.fill_between(epochs, table.min(axis=0), table.max(axis=0), color=style.colour, alpha=0.16, linewidth=0)
        means.append(mean)
    if not means:
        return ""
    _limits(axes, means, rising=key.startswith("validation_"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=INK, size=9)
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.8)
    return to_svg(figure, f"{title} per epoch for {', '.join(curves)}")


def dash_of(style: Style) -> Any:
    return (0, [float(length) / 2 for length in style.dash.split()]) if style.dash else "-"


def _table(seeds: Sequence[Epochs], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs with a finite value for every seed, and the values [seeds, epochs]; seeds without any value are left out."""
    series = [{epoch["epoch"]: float(epoch[key]) for epoch in seed if is_finite(epoch.get(key))} for seed in seeds]
    series = [one for one in series if one]
    shared = sorted(set.intersection(*(set(one) for one in series))) if series else []
    return np.array(shared), np.array([[one[epoch] for epoch in shared] for one in series])


def is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _limits(axes: Axes, means: Sequence[np.ndarray], *, rising: bool) -> None:
    """Fits the axis to the last three quarters of training, since its steep beginning would flatten the rest."""
    late = np.concatenate([mean[len(mean) // 4 :] for mean in means])
    low, high = float(late.min()), float(late.max())
    room = max((high - low) * 0.08, 1e-3)
    top = min(high + room, 100.5) if rising else high + room
    axes.set_ylim(low - room if rising else max(0.0, low - room), top)


def styled_axes(title: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set_title(title, loc="left", size=10, color=INK, weight="bold", pad=8, parse_math=False)
    axes.tick_params(colors=INK, labelsize=9, length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=INK, alpha=0.4)
    return figure, axes


def to_svg(figure: Figure, spoken: str) -> str:
    """The figure as inline SVG without external references, clashing ids, or fixed text colour and typeface."""
    target = io.StringIO()
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": spoken}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the page's own typeface renders the text
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href").replace(INK, "currentColor")
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"font: (?:(bold|700) )?([\d.]+)px [^;\"]*", r"font-size: \2px; font-weight: \1", text)
    text = text.replace("font-weight: ;", "").replace('font-weight: "', '"')
    text = re.sub(r"font-family: [^;\"]*(; )?", "", text)
    size = re.search(r'viewBox="([^"]*)"', text)
    box = size.group(1) if size else "0 0 1 1"
    opening = f'<svg viewBox="{box}" role="img" aria-label="{escape(spoken)}">'
    return re.sub(r"^<svg[^>]*>", lambda _: opening, text).strip()


def draw_legend(labels: Mapping[str, object], styles: Mapping[str, Style]) -> str:
    entries = "".join(f"<li>{swatch(styles[label])} {escape(label)}</li>" for label in labels)
    return f'<ul class="legend">{entries}</ul>'


def make_panels(panels: Sequence[str]) -> str:
    return f'<div class="panels">{"".join(panels)}</div>'


def _short(label: str, longest: int) -> str:
    """Shortens a label in the middle, since crossed rows differ at both ends."""
    longest = max(longest, 12)
    tail = longest // 2
    return label if len(label) <= longest else f"{label[: longest - tail - 1]}…{label[-tail:]}"
