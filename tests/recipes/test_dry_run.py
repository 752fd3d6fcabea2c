"""Every row of every recipe can be put together at every scale; what could not be is found before anything is trained."""

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

from augury.cli import main
from augury.core import registry
from augury.jobs.reproduce.dry_run import DryRun
from augury.recipes.recipe import load
from augury.recipes.scales import SCALES
from augury.recipes.stand_in import SHAPES, stand_in


@pytest.fixture(scope="module")
def dry_run() -> DryRun:
    return DryRun()


@pytest.mark.parametrize("name", registry.names("recipe"))
def test_no_row_is_refused_at_any_scale(dry_run: DryRun, name: str) -> None:
    recipe = load(name)
    rows = [row for row in recipe.rows if find_spec("timm") or not str(row.settings.get("model", "")).startswith("timm:")]
    assert {scale: dry_run.refused(recipe, rows, scale) for scale in SCALES} == dict.fromkeys(SCALES, {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sched": "cosine"}, "--decay-milestones: --sched cosine has none"),
        ({"refine_lr": 0.001}, "nothing is refined"),
        ({"strategy": "nothing_like_it"}, "--strategy"),
        ({"augment": "crop+nonsense"}, "--augment"),
        ({"model": "timm:no_such_network"}, "--model"),
        ({"model": "torchvision:vit_b_16(image_size=30)"}, "--model"),
        ({"labels": 10}, "--labels 10"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_what_prepare_would_refuse_is_said(changes: dict[str, object], said: str) -> None:
    recipe = load("refined_figure4")
    row = replace(recipe.rows[0], settings={**recipe.rows[0].settings, **changes})
    assert said in DryRun().refused(recipe, [row], "full")[row.id]


def test_a_stand_in_has_the_size_of_the_data_and_takes_no_memory() -> None:
    made = stand_in({"data": "imagenet", "image_size": 300, "validation": 0.01})
    assert made.train.images.shape == (1_268_355, 3, 300, 300) and made.train.images.untyped_storage().nbytes() == 1
    assert len(made.classes) == 1000 and len(torch.unique(made.train.ids[:5])) == 5
    people = stand_in({"data": "market1501", "image_size": [256, 128]})
    assert people.retrieval is not None and people.train.images.shape[2:] == (256, 128)
    rows = [row for name in registry.names("recipe") for row in load(name).rows if row.unavailable is None]
    assert {row.settings["data"] for row in rows} <= set(SHAPES)


def test_the_command_says_which_rows_would_be_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["reproduce", "refined_table6", "--dry-run"]) == 0
    assert "0 of 5 rows can be trained at full scale" in capsys.readouterr().out
    monkeypatch.setattr(DryRun, "refused", lambda *given, **more: {"never": "no such thing"})
    assert main(["reproduce", "refined_figure4", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "never: REFUSED: no such thing" in told and "8 of 9 rows can be trained" in told
    assert main(["reproduce", "refined_figure4", "--list"]) == 0
    assert "REFUSED: no such thing" in capsys.readouterr().out
    assert main(["reproduce", "refined_figure4", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == {"id": "never", "unavailable": None, "refused": "no such thing"}
