"""Tables for the terminal."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def comparison_table(result: dict[str, Any]) -> None:
    """Print a comparison on stdout, a row per combination."""
    rows = result["rows"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    several = len({row["strategy"] for row in rows}) > 1
    headings = ["augment", *(["strategy"] if several else []), "accuracy %", "95 % interval", "difference", "its interval"]
    for heading in [*headings, "verdict", "images/s"]:
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
            f"{row['images_per_second']:,.0f}",
        )
    console = Console()
    console.width = max(console.width, 140)
    console.print(table)
    n = rows[0]["n"]
    print(
        f"{n} seed{'s' if n > 1 else ''}; accuracy on the test part after the last epoch; differences are paired by seed, "
        "their intervals hold for all rows at once."
    )


def _interval(low: float | None, high: float | None, sign: str = "") -> str:
    return "" if low is None or high is None else f"{low:{sign}.2f} to {high:{sign}.2f}"
