"""Recipes: everything they name exists and builds, their numbers are possible, and what is misspelled is refused by name."""

import ast
import re
from pathlib import Path

import pytest
import torch

import augury
from augury.augment.names import build
from augury.core import registry
from augury.core.errors import InputError
from augury.core.options import bind, parse_chain, parse_list, parse_spec
from augury.jobs.patch.rows import patch_rows
from augury.jobs.patch.settings import PatchSettings
from augury.recipes.needs import DATA, absent, hours, needs, where_of
from augury.recipes.recipe import FOLDER, Recipe, RecipeRow, load, read, with_policies
from augury.recipes.scales import changes, key_of, patch_at, scale_named, settings_at
from augury.train.engine.settings import Settings
from augury.train.models import external
from augury.train.strategies.build import strategy

RECIPES = {name: load(name) for name in registry.names("recipe")}
RUNNABLE = [(recipe, row) for recipe in RECIPES.values() for row in recipe.rows if row.unavailable is None]
STATISTICS = ((0.5,), (0.5,))
EXPECTED = (
    [f"inaugment_table{n}" for n in (1, 2, 3, 4)] + [f"inaugment_figure{n}" for n in (3, 4)]
    + [f"refined_table{n}" for n in range(1, 7)] + [f"refined_figure{n}" for n in (1, 3, 4)] + ["refined_ablation"]
    + [f"keepaugment_table{n}" for n in range(1, 10)] + [f"keepaugment_figure{n}" for n in (2, 3)]
    + [f"adversarial_table{n}" for n in range(1, 8)] + ["adversarial_figure5"]
    + [f"patching_table1_{data}" for data in ("mnist", "celeba", "waterbirds")] + ["patching_isic"]
    + [f"ait_table{n}" for n in range(1, 6)] + [f"ait_figure{n}" for n in (3, 4, 5)]
    + ["reduced_cifar10", "reduced_cifar100", "reduced_mnist_correlation"]
)  # fmt: skip


def test_every_table_and_figure_has_its_recipe() -> None:
    assert sorted(RECIPES) == sorted(EXPECTED)
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(augury.names("recipe"))
    entry = next(e for e in registry.entries("recipe") if e.name == "inaugment_table3")
    assert entry.summary == RECIPES["inaugment_table3"].title and entry.source.endswith("Table 3")
    assert registry.get("recipe", "ait_table1").name == "ait_table1"


def test_recipes_of_patching_have_the_published_translations() -> None:
    """Catches a default of the command, made for a few small images, that replaces the paper's CycleGAN."""
    ours = {"reduced_mnist_correlation"}
    patching = [recipe for recipe in RECIPES.values() if recipe.job == "patch" and recipe.name not in ours]
    assert len(patching) >= 4
    for recipe in patching:
        made = PatchSettings.of(dict(recipe.patch), recipe.name)
        assert made.translate_generator == "published" and {"translate", "translate_augment"} <= set(recipe.patch)
        assert made.translation(0).lr == (2e-4 if "mnist" not in recipe.name else 1e-3)


def unique(key: str) -> list[str]:
    return sorted({str(row.settings[key]) for recipe, row in RUNNABLE if key in row.settings and recipe.job == "train"})


@pytest.mark.parametrize("augment", sorted({*unique("augment"), *unique("augment2")}))
def test_augmentations_build(augment: str) -> None:
    text = with_policies({"augment": augment})["augment"]
    assert build(parse_chain(text, "--augment"), STATISTICS).stages


@pytest.mark.parametrize("text", unique("strategy"))
def test_strategies_build(text: str) -> None:
    assert strategy(parse_spec(text, "--strategy")).streams


@pytest.mark.parametrize("model", sorted({str(m) for text in unique("model") for m in parse_list(text, "--model")}))
def test_networks_build(model: str) -> None:
    spec = parse_spec(model, "--model")
    if spec.name == "bnneck":
        spec = parse_spec(str(spec.first[0]), "--model")
    family, _, member = spec.name.partition(":")
    if family == "torchvision":
        assert external.torchvision_has(member)
    elif family == "timm":
        assert member in ("resnet50d", "resnet200")
    else:
        with torch.device("meta"):
            assert sum(p.numel() for p in augury.model(model, classes=100).parameters()) > 10**4


@pytest.mark.parametrize("name", RECIPES)
def test_settings_hold_at_every_scale(name: str) -> None:
    recipe = RECIPES[name]
    for row in recipe.rows:
        if row.unavailable is not None:
            continue
        assert {"data", "model", "epochs", "batch_size"} <= set(row.settings), row.id
        for scale in ("full", "short", "smoke"):
            settings = Settings.of(with_policies(settings_at(recipe, row, scale_named(scale))), f"{name} {row.id} {scale}")
            assert all(m < 1 or m <= settings.epochs for m in settings.decay_milestones)
            assert settings.refine_at is None or settings.refine_at < settings.epochs
            assert all(epoch <= settings.total_epochs for epoch in settings.risk_epochs)
        assert settings.data.startswith("digits") and settings.total_epochs <= 2
        if row.measure is not None:
            spec = parse_spec(row.measure, row.id)
            bind(registry.get("measurement", spec.name), spec, row.id)
        if recipe.job == "patch":
            assert len(patch_rows(row.settings["strategy"])) == 1
            for scale in ("full", "short", "smoke"):
                PatchSettings.of(patch_at(recipe, scale_named(scale)), name)
        elif not any(row.settings["data"] == folder for folder in ("voc2007", "coco2017")):
            assert (hours(recipe, row, row.settings, 1) or 0) > 0, f"{row.id}: no estimate for {row.settings['model']}"


@pytest.mark.parametrize("name", RECIPES)
def test_published_numbers_are_possible(name: str) -> None:
    recipe = RECIPES[name]
    printed = [row for row in recipe.rows if row.published is not None]
    assert (
        printed
        or "figure" in name
        or name.startswith("reduced_")
        or name in ("adversarial_table7", "refined_ablation", "patching_isic")
    )
    assert recipe.seeds in (1, 3, 5) and recipe.source and recipe.title
    for row in recipe.rows:
        assert row.settings["data"] in DATA, row.id
        assert re.fullmatch(r"[a-z0-9.-]+", row.id), row.id
        if row.published is None:
            continue
        percent = row.figure.startswith(
            ("accuracy", "stage_one/accuracy", "networks", "groups", "gaps", "worst", "retrieval", "error")
        )
        if percent and recipe.unit != "GPU h":
            assert 0 <= row.published <= 100, row.id
        if row.figure.startswith("error"):
            assert row.published < 30, row.id
        assert row.published >= 0 and (row.spread is None or 0 < row.spread < 10), row.id


def test_numbers_of_different_tables_agree() -> None:
    """What two tables print of the same training is the same number."""
    numbers: dict[tuple[str, str], dict[str, float]] = {}
    for name in ("inaugment_table2", "inaugment_table3", "ait_table1", "ait_table2", "adversarial_table1", "adversarial_table6"):
        for row in RECIPES[name].rows:
            if row.unavailable is None and row.published is not None:
                numbers.setdefault((key_of(row.settings), row.figure), {})[f"{name} {row.id}"] = row.published
    shared = [found for found in numbers.values() if len({text.split()[0] for text in found}) > 1]
    assert len(shared) >= 8
    for found in shared:
        assert max(found.values()) - min(found.values()) < 0.05, found


def test_a_refined_row_shares_its_training_with_the_plain_one() -> None:
    rows = {row.id: row for row in RECIPES["refined_table1"].rows}
    plain, refined = rows["cifar100-preact18-mixup"], rows["cifar100-preact18-mixup-refined"]
    assert key_of(plain.settings) == key_of(refined.settings) != key_of(rows["cifar100-preact18-cutmix"].settings)
    assert (plain.figure, plain.published) == ("stage_one/accuracy", 78.95) and (refined.figure, refined.published) == (
        "accuracy",
        80.85,
    )
    assert rows["cifar100-wrn-aa"].settings["model"] == "wrn_28_10(dropout=0.3)"


def recipe_of(settings: dict[str, object]) -> tuple[Recipe, RecipeRow]:
    row = RecipeRow("a", {"data": "cifar10", "model": "resnet20", **settings})
    return Recipe("r", "t", "s", (row,)), row


def test_a_shortened_schedule_keeps_its_shape() -> None:
    schedule = {"epochs": 400, "decay_milestones": [150, 275], "refine_epochs": 50, "warmup_epochs": 4, "risk_epochs": [400, 450]}
    recipe, row = recipe_of(schedule)
    short = settings_at(recipe, row, "short", {"epochs": 40, "model": "small_cnn"})
    assert short["decay_milestones"] == [0.375, 0.6875] and short["refine_epochs"] == 5 and short["warmup_epochs"] == 0.4
    assert short["risk_epochs"] == [40, 45] and short["model"] == "small_cnn"
    assert "epochs 400 -> 40" in changes(row.settings, short) and "model resnet20 -> small_cnn" in changes(row.settings, short)
    recipe, row = recipe_of({"epochs": 400, "refine_at": 275})
    assert settings_at(recipe, row, "short")["refine_at"] == 21 and settings_at(recipe, row, "full") == row.settings
    assert settings_at(recipe, row, "smoke")["epochs"] == 2 and settings_at(recipe, row, "smoke")["refine_at"] == 1


GOOD = 'title = "t"\nsource = "s"\nrows = [{ id = "a", data = "cifar10", published = 90.0 }, { id = "b", data = "cifar10" }]\n'


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("published", "publshed", "row 'a': unknown key 'publshed'; did you mean 'published'?"),
        ("title", "titel", "unknown key 'titel'; did you mean 'title'?"),
        ('id = "b"', 'id = "a"', "row 'a' occurs twice"),
        ('id = "b"', 'id = "b", reference = "c"', "row 'b': unknown reference 'c'"),
        ('id = "b"', 'id = "b", use = ["x"]', "row 'b': unknown part 'x'"),
        ("90.0", '"90"', "row 'a': published must be a number"),
        ('source = "s"\n', "", "source is missing"),
        ("rows = [", "rows = [[", "not readable as TOML"),
        ("]\n", "]\n[settings]\nepoch = 3\n", "[settings]: unknown key 'epoch'; did you mean 'epochs'?"),
        ("]\n", "]\n[smoke]\nmodle = 'x'\n", "[smoke]: unknown key 'modle'; did you mean 'model'?"),
    ],
)  # fmt: skip
def test_what_is_misspelled_is_refused_by_name(tmp_path: Path, before: str, after: str, said: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD)
    assert [row.id for row in read(file).rows] == ["a", "b"]
    file.write_text(GOOD.replace(before, after, 1) if before != "]\n" else GOOD.removesuffix("]\n") + after)
    with pytest.raises(InputError) as refused:
        read(file)
    assert str(refused.value).startswith("mine.toml") and said in str(refused.value)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'ait_table1'"):
        load("ait_tabel1")
    with pytest.raises(InputError, match="--rows cifar100-resnet32-aitt: unknown row .* did you mean 'cifar100-resnet32-ait'"):
        RECIPES["ait_table1"].select("cifar100-resnet32-aitt")
    assert [row.id for row in RECIPES["ait_table1"].select("cifar10-*-ait, cifar100-resnet32-baseline")] == [
        "cifar10-resnet32-ait", "cifar10-mobilenet-ait", "cifar10-wrn-ait", "cifar100-resnet32-baseline",
    ]  # fmt: skip


def test_data_that_are_a_folder_are_looked_for(tmp_path: Path) -> None:
    assert absent("cifar10", None) is None
    assert "needs ImageNet in --data-dir" in (absent("imagenet", str(tmp_path)) or "")
    (tmp_path / "imagenet").mkdir()
    assert absent("imagenet", str(tmp_path)) is None and absent("imagenet", None) is not None


def test_the_index_reads_only_the_heads() -> None:
    """`augury list` parses no rows: a head must stand before them."""
    for path in FOLDER.glob("*.toml"):
        head = path.read_text(encoding="utf-8").split("\nrows")[0]
        assert "title" in head and "source" in head, path.name
    source = ast.parse((FOLDER / "recipe.py").read_text(encoding="utf-8"))
    assert not any(isinstance(node, ast.Import) and node.names[0].name == "torch" for node in ast.walk(source))


def test_a_folder_with_a_manifest_is_read_by_it(tmp_path: Path) -> None:
    assert absent("isic", str(tmp_path)) == needs("isic")
    (tmp_path / "isic").mkdir()
    assert where_of("isic", str(tmp_path)) == str(tmp_path / "isic")
    (tmp_path / "isic" / "manifest.csv").write_text("path,label,group,split\n")
    assert where_of("isic", str(tmp_path)) == str(tmp_path / "isic" / "manifest.csv")
    assert absent("isic", str(tmp_path)) is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('{ id = "b", augment = "crop+{learned}", learned = "c" }', "row 'b': learned names no row before it"),
        ('{ id = "b", augment = "crop", learned = "a" }', "row 'b': write both or neither"),
        ('{ id = "b", augment = "crop+{learned}" }', "row 'b': write both or neither"),
    ],
)
def test_a_row_that_replays_policies_names_the_row_that_learns_them(rows: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f'title = "t"\nsource = "s"\nrows = [{{ id = "a" }}, {rows}]\n')
    with pytest.raises(InputError, match=re.escape(said)):
        read(file)
