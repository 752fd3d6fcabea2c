"""Tables for the terminal."""

from collections.abc import Iterable
from typing import Any

from augury.explain.measurements.measurement import Measured
from augury.explain.report.summary import NO_SPREAD, Measure, interval_notes, paired, percent
from augury.explain.theory.claim import Checked
from augury.jobs.fitted import print_table, table
from augury.jobs.recommend.live import race_table
from augury.jobs.search.arms import arm_words
from augury.train.engine.metrics import metric_of

_COSTS = {"images": "images", "forward": "forward passes", "backward": "backward passes", "steps": "steps"}


def cost_line(counts: dict[str, float], seconds: dict[str, float] | None = None) -> str:
    """A training's cost in words; a pass is over as many images as a step has source images."""
    said = f"{counts['images']:,} images, {counts['forward']:,} forward and {counts['backward']:,} backward passes, "
    said += f"{counts['steps']:,} steps"
    return (
        said if seconds is None else f"{said}, {seconds['training']:,.1f} s in training, {seconds['device']:,.1f} s on the device"
    )


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def comparison_table(result: dict[str, Any]) -> None:
    """Print a comparison on stdout, a row per combination."""
    rows, measure = result["rows"], Measure.of(result)
    made = table()
    several = len({row["strategy"] for row in rows}) > 1
    refined = any("before_refinement" in row for row in rows)
    before = ["before refinement", "gain"] if refined else []
    headings = [
        "augment",
        *(["strategy"] if several else []),
        f"{measure.title} {measure.unit}",
        "95 % interval",
        *before,
        "difference",
        "its interval",
    ]
    costs = [name for name in _COSTS if len({row["counts"][name] for row in rows}) > 1]
    for heading in [*headings, "verdict", *(_COSTS[name].split()[0] for name in costs), "seconds", "images/s"]:
        words = heading in ("augment", "strategy", "verdict")
        made.add_column(heading, justify="left" if words else "right", no_wrap=True)
    for row in rows:
        names = [row["augment"], *([row["strategy"]] if several else [])]
        made.add_row(
            *names,
            "" if row["mean"] is None else f"{row['mean']:.{measure.digits + 1}f}",
            _interval(*measure.ends(row["low"], row["high"]), row["n"], digits=measure.digits + 1),
            *(_before_refinement(row) if refined else ()),
            "" if row["difference"] is None else f"{row['difference']:+.{measure.digits + 1}f}",
            _interval(row["difference_low"], row["difference_high"], paired(row, rows[0]), "+", measure.digits + 1),
            row["verdict"],
            *(f"{row['counts'][name]:,}" for name in costs),
            f"{row['seconds_training']:,.1f}",
            f"{row['images_per_second']:,.0f}",
        )
    print_table(made, ["images/s", "seconds", *(_COSTS[name].split()[0] for name in reversed(costs))])
    for row in rows:
        for number, network in enumerate(row["networks"][1:], start=2):
            print(f"{row['augment']} {row['strategy']}: network {number} ({network['model']}) {network['mean']:.2f} %")
    equal = {name: rows[0]["counts"][name] for name in _COSTS if name not in costs}
    print(f"Each training: {', '.join(f'{count:,} {_COSTS[name]}' for name, count in equal.items())}.")
    n = rows[0]["n"]
    print(
        f"{n} seed{'s' if n > 1 else ''}; {measure.title} on the test part after the last epoch; differences are paired by seed, "
        "and their intervals hold for all rows at once."
    )
    print_lines(interval_notes(rows, measure=measure))


def _before_refinement(row: dict[str, Any]) -> tuple[str, str]:
    """A row's mean accuracy at the end of stage one, and what the refinement added."""
    found = row.get("before_refinement")
    return ("", "") if found is None else (f"{found['mean']:.2f}", f"{found['gain']:+.2f}")


def search_table(result: dict[str, Any]) -> None:
    """Print a search on stdout: the comparison of the winners, the course of both searches, and the verdict."""
    comparison_table(result)
    for name, arm in result["search"].items():
        print(arm_words(name, arm))
    print(f"Found: {result['verdict']}.")


def recommendation_table(result: dict[str, Any]) -> None:
    """Print a recommendation on stdout: the race, then the answer."""
    made = race_table(result["rows"], metric_of(result["metric"]))
    print_table(made, ["seconds", "rounds"])
    print(result["answer"])


def patch_table(result: dict[str, Any]) -> None:
    """Print `augury patch` on stdout: a row per strategy, then every group."""
    rows = result["rows"]
    classes = [name for name in rows[0]["gaps"] if any(row["gaps"][name] is not None for row in rows)]
    made = table()
    for heading in ("strategy", "accuracy %", "worst group %", "95 % interval", "difference", "its interval", "verdict",
                    *(f"gap {name}" for name in classes), "steps", "seconds"):  # fmt: skip
        made.add_column(heading, justify="left" if heading in ("strategy", "verdict") else "right", no_wrap=True)
    for row in rows:
        made.add_row(
            row["label"], _text(row["accuracy"], 2), _text(row["worst_group"], 2),
            _interval(*percent(row["worst_group_low"], row["worst_group_high"]), row["n"]),
            "" if row["difference"] is None else f"{row['difference']:+.2f}",
            _interval(row["difference_low"], row["difference_high"], paired(row, rows[0]), "+"), row["verdict"],
            *(_text(row["gaps"][name], 2) for name in classes), f"{row['counts']['steps']:,}", f"{row['seconds_training']:,.1f}",
        )  # fmt: skip
    groups = table("Accuracy of every group, %")
    for number, heading in enumerate(("strategy", *rows[0]["groups"])):
        groups.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        groups.add_row(row["label"], *(_text(value, 2) for value in row["groups"].values()))
    print_table(made, ["seconds", "steps"])
    print_table(groups)
    n = rows[0]["n"]
    print(f"{n} seed{'s' if n > 1 else ''}; test part; differences are of the worst group, paired by seed, to the first row.")
    print_lines(interval_notes(rows, "worst_group_low", "worst_group_high"))


def found_table(found: dict[str, Any]) -> None:
    """Print what the first stage of `augury patch` found."""
    made = table()
    for heading in ("group", "training images", "validation images", "accuracy %"):
        made.add_column(heading, justify="left" if heading == "group" else "right", no_wrap=True)
    for group in found["groups"]:
        made.add_row(group["name"], f"{group['training_images']:,}", f"{group['images']:,}", _text(group["accuracy"], 2))
    print_table(made)
    gaps = ", ".join(f"{name} {gap:.2f}" for name, gap in found["gaps"].items() if gap is not None)
    print(f"{found['model']}: {found['accuracy']:.2f} % overall; worst group {found['worst_group_name']}; gaps in points: {gaps}")


def theory_tables(result: dict[str, Any], found: dict[str, Checked]) -> None:
    """Print `augury theory` on stdout: every claim with its tolerance, what was measured, and whether it holds."""
    for name, checked in found.items():
        print(f"\n{name}\n{checked.summary}")
        for claim in checked.claims:
            print(f"\n  {'HOLDS' if claim.holds else 'DOES NOT HOLD'}: {claim.claim} [{claim.source}]")
            print(f"    expected: {claim.stated}\n    measured: {claim.measured}")
    print(f"\n{result['holding']} of {result['claims']} claims hold on {result['data']}.")


def measurement_tables(found: dict[str, Measured]) -> None:
    """Print what measurements found on stdout: their paragraphs and tables."""
    for name, measured in found.items():
        print(f"\n{name}\n{measured.summary}")
        for each in measured.tables:
            made = table(each.title)
            for number, heading in enumerate(each.columns):
                made.add_column(heading, justify="right" if number else "left", overflow="fold")
            for row in each.rows:
                made.add_row(*(_text(value, each.digits) for value in row))
            print_table(made)


def _text(value: str | float | None, digits: int) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.{digits}f}"


def _interval(low: float | None, high: float | None, seeds: int, sign: str = "", digits: int = 2) -> str:
    if low is None or high is None:
        return NO_SPREAD if seeds > 1 else ""
    return f"{low:{sign}.{digits}f} to {high:{sign}.{digits}f}"


def fidelity_table(result: dict[str, Any]) -> None:
    """Print `augury verify` on stdout: Augury by image size, then the other libraries, a row per operation and strength."""
    sizes = [tuple(size) for size in result["sizes"]]
    names = list(dict.fromkeys(row["library"] for row in result["rows"]))
    own = [name for name in names if name.startswith("augury")]
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in result["rows"]:
        cells.setdefault((row["title"], row["strength"]), []).append(row)
    for title, libraries in (("Augury", own), ("Other libraries, the worst over all sizes", [n for n in names if n not in own])):
        if not libraries:
            continue
        made = table(f"{title}, against {result['reference']}")
        for heading in ("operation", "strength"):
            made.add_column(heading, no_wrap=True)
        headings = [f"{h}x{w}" for h, w in sizes] + ["worst case"] if libraries is own else libraries
        for heading in headings:
            made.add_column(heading, no_wrap=True)
        for (operation, strength), rows in cells.items():
            if libraries is own:
                mine = [r for r in rows if r["own"]]
                shown = [_worst_of([r for r in mine if tuple(r["size"]) == size], brief=True) for size in sizes]
                shown.append(_worst_of(mine, where=True))
            else:
                shown = [_worst_of([r for r in rows if r["library"] == name]) for name in libraries]
            made.add_row(operation, strength, *shown)
        print_table(made)
    _policies_table(result)
    print(
        "Exact: every value is equal. Percentages are shares of differing values; 3 and 1 channels, "
        f"{len(sizes)} sizes, 7 kinds of images."
    )
    for name in result["not_installed"]:
        print(f"{name} is not installed and was not compared (pip install 'augury[peers]')")
    wrong = result["wrong"]
    print(f"Augury ({', '.join(own)}): " + ("every row is as promised" if not wrong else f"{wrong} rows are not as promised"))


def _policies_table(result: dict[str, Any]) -> None:
    """Print published policies and their strength levels, against the libraries they come from."""
    if not result["policies"]:
        return
    made = table("Policies: probabilities and values, compared bit for bit")
    for heading in ("library", "policy", "in Augury", "entries", "equal"):
        made.add_column(heading, justify="right" if heading == "entries" else "left")
    for row in result["policies"]:
        wrong = f"{row['different']} differ: {row['first']}" if row["different"] else "all"
        library = f"{row['library']} {result['libraries'][row['library']]}"
        made.add_row(library, row["name"], row["text"], str(row["entries"]), row["reason"] or wrong)
    print_table(made)


def _worst_of(rows: list[dict[str, Any]], brief: bool = False, where: bool = False) -> str:
    order = ("exact", "within 1", "geometric", "differs")
    done = [r for r in rows if r["verdict"] != "refuses"]
    refused = "" if len(done) == len(rows) else f"{'; ' if done else ''}refuses {'some' if done else 'all'}"
    if not done:
        return refused or "-"
    worst = max(done, key=lambda r: (order.index(r["verdict"]), r["largest"], r["share"]))
    text = worst["verdict"]
    if text != "exact" and not brief:
        text += f" {_percent(worst['share'])} %" + (f", max {worst['largest']}" if worst["largest"] > 1 else "")
        if where:
            height, width = worst["size"]
            text += f" ({worst['input']}, {worst['channels']}x{height}x{width}, {worst['library']})"
    return text + refused


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def doctor_table(result: dict[str, Any]) -> None:
    """Print `augury doctor` on stdout: a row per check."""
    made = table()
    for heading in ("check", "", "what was seen"):
        made.add_column(heading, justify="left", no_wrap=heading != "what was seen")
    for check in result["checks"]:
        made.add_row(check["name"], check["state"], check["detail"])
    print_table(made)


def throughput_table(result: dict[str, Any]) -> None:
    """Print `augury bench` on stdout: a row per job, size and implementation; then memory, parts and first calls."""
    made = table()
    for heading in ("job", "size", "library", "images/s", "lowest", "highest", "x best peer", "x torchvision PIL", "best peer"):
        words = heading in ("job", "size", "library", "best peer")
        made.add_column(heading, justify="left" if words else "right", no_wrap=True)
    for row in result["rows"]:
        figures = [f"{row[k]:,.0f}" if row[k] else "-" for k in ("images_per_second", "low", "high")]
        ratios = [f"{row[k]:.1f}" if row[k] else "" for k in ("to_best_peer", "to_torchvision_pil")]
        name = f"{row['library']} {row['how']}" + ("" if row["equal_work"] else " *")
        made.add_row(row["job"], f"{row['size']} x{row['batch']}", name, *figures, *ratios, row["note"] or _peer(row))
    print_table(made, ["highest", "lowest"])
    place, before = result["environment"]["device"], result["machine"]["load_before"]
    load = "unknown" if before is None else f"{before:.1f}"
    rounds = result["rounds"]["count"]
    print(f"{place}; {result['threads']} thread; load {load}; medians of {rounds} interleaved rounds by {result['clock']}.")
    if any(not row["equal_work"] for row in result["rows"]):
        print("* does less work (one draw for the whole batch, or a constant instead of noise), so no ratio to it is given.")
    for part in result["parts"]:
        us, share = part["microseconds"], 100 * part["hashing_share"]
        print(
            f"{part['job']} {part['size']} {part['backend']}: hashing {us['hashing']:.0f} us ({share:.1f} %), "
            f"drawing {us['drawing']:.0f}, lowering {us['lowering']:.0f}, executing {us['executing']:.0f}, total {us['total']:.0f}"
        )
    for row in result["peak_memory"]:
        if row["relative_to_batch"] is not None:
            print(f"{row['job']} {row['size']} {row['backend']}: peak extra memory {row['relative_to_batch']:.2f} times the batch")
    for row in result["synchronisation"]:
        print(f"{row['job']} {row['size']} {row['backend']}: {row['synchronises'] or 'no host synchronisation'}")
    for state, seconds in (result["first_call_seconds"] or {}).items():
        print(f"first calls, {state}: " + ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
    for name in result["not_installed"]:
        print(f"{name} is not installed and was not measured (pip install 'augury[peers]')")
    for name in result["not_registered"]:
        print(f"{name} is not registered and was not measured")


def _peer(row: dict[str, Any]) -> str:
    return row["best_peer"] or "" if row["library"] == "augury" else ""
