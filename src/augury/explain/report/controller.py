"""Learning curves of Adversarial AutoAugment's controller: its entropy, rewards and probabilities over the epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from augury.explain.report.figures import INK, Epochs, make_panels, styled_axes, to_svg
from augury.explain.report.palette import row_style
from augury.explain.report.schedule import MOST_COLUMNS, heat


def controller_panels(epochs: Epochs) -> str:
    """Panels of the `controller` entries in metrics.jsonl: the policies' losses and, if policies were learned, the rewards, the
    entropy, and the probabilities of operations and magnitudes. Inline SVG as HTML; "" if there was no controller."""
    said = [(int(epoch["epoch"]), epoch["controller"]) for epoch in epochs if "controller" in epoch]
    if not said:
        return ""
    shown = [_dots("Loss of every policy", said, "losses")]
    learned = [(epoch, each) for epoch, each in said if "entropy" in each]
    if learned:
        names = list(learned[0][1]["operations"])
        operations = np.array([[each["operations"][name] for name in names] for _, each in learned]).T
        strengths = np.array([each["magnitudes"] for _, each in learned]).T
        shown += [
            _dots("Reward of every policy, z-score", learned, "rewards"),
            _entropy(learned),
            heat("Probability of the operations", names, _columns(operations), "{:.1%}"),
            heat("Probability of the magnitudes", list(map(str, range(len(strengths)))), _columns(strengths), "{:.1%}"),
        ]
    return make_panels(shown)


def _columns(values: np.ndarray) -> np.ndarray:
    """[rows, columns] with at most MOST_COLUMNS columns, by averaging neighbours."""
    return np.stack([part.mean(1) for part in np.array_split(values, min(MOST_COLUMNS, values.shape[1]), axis=1)], 1)


def _dots(title: str, said: list[tuple[int, dict[str, Any]]], key: str) -> str:
    figure, axes = styled_axes(title, height=2.6)
    style = row_style(2)
    points = [(epoch, value) for epoch, each in said for value in each[key]]
    axes.plot(*zip(*points, strict=True), linestyle="", marker="o", markersize=2.5, alpha=0.6, color=style.colour)
    means = [(epoch, sum(each[key]) / len(each[key])) for epoch, each in said]
    if key == "losses":
        axes.plot(*zip(*means, strict=True), color=row_style(1).colour, linewidth=1.6)
    _epochs(axes)
    last = said[-1]
    return to_svg(figure, f"{title}; in epoch {last[0]}: " + ", ".join(f"{value:.3f}" for value in last[1][key]))


def _entropy(said: list[tuple[int, dict[str, Any]]]) -> str:
    figure, axes = styled_axes("Entropy of a policy, nats", height=2.6)
    style = row_style(1)
    axes.plot(*zip(*((epoch, each["entropy"]) for epoch, each in said), strict=True), color=style.colour, linewidth=1.8)
    axes.ticklabel_format(axis="y", useOffset=False)
    _epochs(axes)
    return to_svg(figure, f"Entropy of a policy: {said[0][1]['entropy']:.3f} nats first, {said[-1][1]['entropy']:.3f} last")


def _epochs(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=INK, size=9)
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.8)
