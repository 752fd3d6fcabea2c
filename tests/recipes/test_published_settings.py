"""Settings of the papers that a recipe must have, though a default of the command is another."""

import pytest

from augury.core import registry
from augury.jobs.patch.settings import PatchSettings
from augury.recipes.recipe import RecipeRow, load

ROWS: list[tuple[str, RecipeRow]] = [
    (name, row) for name in registry.names("recipe") for row in load(name).rows if row.unavailable is None
]


def test_networks_that_are_to_agree_are_trained_with_plain_momentum() -> None:
    """Catches Nesterov's, under which the text's weight of 3 falls to chance."""
    rows = [(name, row) for name, row in ROWS if name.startswith("ait_")]
    assert len(rows) > 50 and all(row.settings["nesterov"] is False for _, row in rows), rows
    assert load("ait_table2").rows and all(
        any(other.id == f"{row.id.removesuffix(f'-net{k}')}-released-net{k}" for other in load("ait_table2").rows)
        for row in load("ait_table2").rows
        for k in (1, 2)
        if row.settings.get("strategy") == "multi_ait(weight=3)" and row.id.endswith(f"-net{k}")
    )


def test_people_are_seen_from_head_to_foot() -> None:
    """Catches 128x64 scaled to 512x256 and cut to a square, and a network without the paper's centre loss and stride."""
    rows = [row for name, row in ROWS if name == "keepaugment_table8"]
    for row in rows:
        assert list(row.settings["image_size"]) == [256, 128] and row.settings["opt"] == "adam"
        assert "last_stride=1" in str(row.settings["model"]) and str(row.settings["strategy"]).startswith("reid")


@pytest.mark.parametrize("number", [1, 2, 4, 7, 8])
def test_kept_rows_have_their_controls_beside_them(number: int) -> None:
    ids = {row.id for row in load(f"keepaugment_table{number}").rows}
    foreign = {name.removesuffix("-foreign") for name in ids if name.endswith("-foreign")}
    constant = {name.removesuffix("-constant") for name in ids if name.endswith("-constant")}
    assert foreign and foreign == constant and foreign <= ids


def test_patching_compares_eight_seeds() -> None:
    """Three seeds show a difference of the size at hand with a chance of 16 %."""
    assert PatchSettings().seeds == 8
