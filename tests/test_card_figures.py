"""Figures on cards and pages that come from a file under results/ say what the file says."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def rate(job: str, size: str) -> float:
    rows = json.loads((ROOT / "results" / "bench_cpu.json").read_text())["rows"]
    return next(
        r["images_per_second"] for r in rows if (r["job"], r["size"], r["library"], r["how"]) == (job, size, "augury", "numba")
    )


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("docs/cards/preset/inaugment.md", r"Cost on a CPU: ([\d.]+) times AutoAugment alone at 32x32, ([\d.]+) times at 224x224"),
        ("docs/speed.md", r"InAugment costs ([\d.]+) times its policy at\s+32x32 and ([\d.]+) times at 224x224"),
    ],
)
def test_what_inaugment_costs_is_what_was_measured(page: str, words: str) -> None:
    """Catches 1.8 and 2.7 on the card beside 2.2 and 2.9 in its own file."""
    found = re.search(words, (ROOT / page).read_text(encoding="utf-8"))
    assert found is not None
    for said, size in zip(found.groups(), ("32x32", "224x224"), strict=True):
        assert float(said) == pytest.approx(rate("autoaugment", size) / rate("inaugment", size), abs=0.05)


def test_the_distances_of_translations_are_those_measured() -> None:
    rows = json.loads((ROOT / "results" / "translation_digits_cpu.json").read_text(encoding="utf-8"))["rows"]
    text = (ROOT / "docs" / "patch.md").read_text(encoding="utf-8")
    for row in rows[:2]:
        cells = [
            f"{each['flipped']} %, {each['kept']} %, {each['distance_to_true']:.1f}"
            for each in row["translations"]
            if each["to"] == "clean"
        ]
        assert f"| `--translate-generator published --translate {row['translate']}` | {cells[0]} | {cells[1]} |" in text
    found = json.loads((ROOT / "results" / "patch_digits_default_cpu.json").read_text(encoding="utf-8"))["qualities"]
    cells = [f"{q['flipped']:.0f} %, {q['kept']:.0f} %, {q['true_distance']:.1f}" for q in found if q["target"] == "clean"]
    assert f"| the default: `masked`, `all`, cropped images | {cells[0]} | {cells[1]} |" in text
    for quality in found:
        if quality["target"] == "clean":
            assert quality["true_distance"] < 0.75 * quality["untouched_distance"] and quality["flipped"] > 80


@pytest.mark.parametrize("page", ["docs/cards/strategy/uncertainty.md", "docs/measurements.md"])
def test_what_selecting_gains_is_what_was_measured(page: str) -> None:
    found = json.loads((ROOT / "results" / "uncertainty_cifar10.json").read_text(encoding="utf-8"))
    rows = [*found["rows"], *found["longer"]]
    text = (ROOT / page).read_text(encoding="utf-8")
    for row in rows:
        assert f"{row['mean']:.2f}" in text, row["strategy"]


def test_what_keeping_gains_is_what_was_measured() -> None:
    """Catches a card that credits the map where a foreign one did as well."""
    rows = json.loads((ROOT / "results" / "keep_rows_cifar10.json").read_text(encoding="utf-8"))["rows"]
    card = (ROOT / "docs" / "cards" / "preset" / "keep_cutout.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "measurements.md").read_text(encoding="utf-8")
    for row in rows:
        assert f"{row['mean']:.2f} | " in page and f"{100 * row['hidden']:.1f} %" in page, row["augment"]
        assert f"{row['mean']:.2f}" in card, row["augment"]


def test_guided_translations_are_those_measured() -> None:
    found = json.loads((ROOT / "results" / "translation_mnist_cpu.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "patch.md").read_text(encoding="utf-8")
    for q in found["qualities"]:
        shares = f"{q['images']:,} | {q['flipped']:.1f} % | {q['kept']:.1f} %"
        laws = f"{q['distance_before']:.2f}, {q['distance_after']:.2f}"
        pixels = f"{q['untouched_distance']:.1f}, {q['true_distance']:.1f}"
        assert f"| {q['label']}, {q['start']} to {q['target']} | {shares} | {laws} | {pixels} |" in text
        # What the text says of them: of the same law as real images, and what is taken away leaves the digit.
        assert abs(q["distance_after"]) < 0.1 < q["distance_before"] and q["flipped"] > 95 and q["kept"] > 90
        assert q["target"] == "zigzag" or q["true_distance"] < 0.5 * q["untouched_distance"]
    assert found["warnings"] == [] and f"{found['seconds_training'] / 60:.0f} minutes of one core" in text
