"""A policy's schedule over training: how often each operation is used, how strongly, and with which magnitudes."""

import numpy as np

from augury.augment.policies.file import PolicyFile
from augury.explain.report.figures import INK, make_panels, styled_axes, to_svg

MOST_COLUMNS = 60
MAGNITUDES = 10


def schedule_panels(content: PolicyFile) -> str:
    """Three panels by period: the operations' shares, their mean strengths, and the distribution of strengths. SVG as HTML.

    Neighbouring periods are merged if there are many. Same as Zhang et al. 2020 (arXiv:1912.11188), figures 2, 6a and 6b.
    """
    names, share, strength = table(content)
    shown = [
        heat("Share of the operations over training", names, share, "{:.0%}"),
        heat("Mean strength over training", names, strength, "{:.2f}"),
        heat("Magnitudes over training", list(map(str, range(MAGNITUDES))), magnitudes(content), "{:.0%}"),
    ]
    return make_panels(shown)


def magnitudes(content: PolicyFile) -> np.ndarray:
    """[10, periods]: the share of each period's entries in each of ten equal bins of strength, from the weakest."""
    found = np.zeros((MAGNITUDES, min(MOST_COLUMNS, len(content.periods))))
    for column, chunk in enumerate(np.array_split(np.arange(len(content.periods)), found.shape[1])):
        strengths = [entry.strength for number in chunk for row in content.periods[number][1] for entry in row]
        bins = np.minimum((np.asarray(strengths) * MAGNITUDES).astype(int), MAGNITUDES - 1)
        found[:, column] = np.bincount(bins, minlength=MAGNITUDES) / len(strengths)
    return found


def table(content: PolicyFile) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Operations, and their shares and mean strengths (NaN if absent) by period, both [ops, periods]."""
    names = sorted({entry.op for _, rows in content.periods for row in rows for entry in row})
    chunks = np.array_split(np.arange(len(content.periods)), min(MOST_COLUMNS, len(content.periods)))
    share, strength = np.zeros((len(names), len(chunks))), np.full((len(names), len(chunks)), np.nan)
    for column, chunk in enumerate(chunks):
        entries = [entry for number in chunk for row in content.periods[number][1] for entry in row]
        for place, name in enumerate(names):
            found = [entry.strength for entry in entries if entry.op == name]
            share[place, column] = len(found) / len(entries)
            if found:
                strength[place, column] = np.mean(found)
    return names, share, strength


def heat(title: str, names: list[str], values: np.ndarray, shape: str) -> str:
    """A heat map of values [names, columns] over training, left to right; NaN is blank. shape: number format of the alt text."""
    figure, axes = styled_axes(title, height=1.0 + 0.24 * len(names))
    drawn = axes.imshow(
        np.ma.masked_invalid(values), aspect="auto", cmap="viridis", interpolation="nearest", extent=(0, 1, len(names), 0)
    )
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.tick_params(axis="y", labelsize=8, labelcolor=INK)
    axes.set_xlabel("share of training", color=INK)
    axes.grid(False)
    bar = figure.colorbar(drawn, ax=axes, pad=0.02)
    bar.ax.tick_params(labelsize=8, labelcolor=INK)
    first, last = (np.nan_to_num(values[:, column]) for column in (0, -1))
    spoken = ", ".join(f"{name} {shape.format(a)} to {shape.format(b)}" for name, a, b in zip(names, first, last, strict=True))
    return to_svg(figure, f"{title}, first to last: {spoken}")
