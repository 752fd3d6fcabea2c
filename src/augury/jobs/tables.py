"""Tables for the terminal."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

_COSTS = {"images": "images", "forward": "forward passes", "backward": "backward passes", "steps": "steps"}


def cost_line(counts: dict[str, float], seconds: dict[str, float] | None = None) -> str:
    """What a training cost, in words; passes are of as many images as a step has source images."""
    said = f"{counts['images']:,} images, {counts['forward']:,} forward and {counts['backward']:,} backward passes, "
    said += f"{counts['steps']:,} steps"
    return said if seconds is None else f"{said}, {seconds['training']:,.1f} s, of the device {seconds['device']:,.1f} s"


def comparison_table(result: dict[str, Any]) -> None:
    """Print a comparison on stdout, a row per combination."""
    rows = result["rows"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    several = len({row["strategy"] for row in rows}) > 1
    headings = ["augment", *(["strategy"] if several else []), "accuracy %", "95 % interval", "difference", "its interval"]
    costs = [name for name in _COSTS if len({row["counts"][name] for row in rows}) > 1]
    for heading in [*headings, "verdict", *(_COSTS[name].split()[0] for name in costs), "seconds", "images/s"]:
        words = heading in ("augment", "strategy", "verdict")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True, overflow="ellipsis")
    for row in rows:
        names = [row["augment"], *([row["strategy"]] if several else [])]
        table.add_row(
            *names,
            f"{row['mean']:.2f}",
            _interval(row["low"], row["high"]),
            "" if row["difference"] is None else f"{row['difference']:+.2f}",
            _interval(row["difference_low"], row["difference_high"], "+"),
            row["verdict"],
            *(f"{row['counts'][name]:,}" for name in costs),
            f"{row['seconds_training']:,.1f}",
            f"{row['images_per_second']:,.0f}",
        )
    console = Console()
    console.width = max(console.width, 140 + 12 * len(costs))
    console.print(table)
    for row in rows:
        for number, network in enumerate(row["networks"][1:], start=2):
            print(f"{row['augment']} {row['strategy']}: network {number} ({network['model']}) {network['mean']:.2f} %")
    equal = {name: rows[0]["counts"][name] for name in _COSTS if name not in costs}
    print(f"Each training: {', '.join(f'{count:,} {_COSTS[name]}' for name, count in equal.items())}.")
    n = rows[0]["n"]
    print(
        f"{n} seed{'s' if n > 1 else ''}; accuracy on the test part after the last epoch; differences are paired by seed, "
        "their intervals hold for all rows at once."
    )


def _interval(low: float | None, high: float | None, sign: str = "") -> str:
    return "" if low is None or high is None else f"{low:{sign}.2f} to {high:{sign}.2f}"
