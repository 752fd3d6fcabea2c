"""augury reproduce: rows beside published numbers, resumed, extended, shared, and said why where they did not run."""

import argparse
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from augury.cli import main
from augury.cli import reproduce as command
from augury.core import registry
from augury.core.errors import InputError, RunError
from augury.jobs.reproduce.page import cells_of, explained, overview, results_page
from augury.jobs.reproduce.plans import planned
from augury.jobs.reproduce.reproduce import Request, _row, _trained, compare, reproduce, within
from augury.jobs.reproduce.runs import RunContext, cost_of, figure_of
from augury.recipes.recipe import Recipe, RecipeRow, load
from augury.recipes.scales import settings_at
from augury.train.pools.training import Ended, TrainingJob, TrainingRunner

ROOT = Path(__file__).resolve().parents[3]
MIXUP = "cifar100-preact18-mixup*"


def smoke(recipe: str, output: Path, rows: str | None = None, seeds: int | None = None, **more: Any) -> dict[str, Any]:
    return reproduce(
        Request(recipe, rows, "smoke", seeds, command="augury ..."), RunContext(output, device="cpu"), quiet=True, **more
    )


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    output = tmp_path_factory.mktemp("refined")
    return output, smoke("refined_table1", output, MIXUP)


def test_a_plain_and_a_refined_row_are_one_training(refined: tuple[Path, dict[str, Any]]) -> None:
    output, result = refined
    plain, better = result["rows"]
    assert [row["status"] for row in result["rows"]] == ["measured", "measured"]
    assert plain["folders"] == better["folders"] and len(list((output / "runs").iterdir())) == 1
    found = json.loads((output / "runs" / plain["folders"][0] / "result.json").read_text())
    assert plain["ours"] == found["stage_one"]["accuracy"] and better["ours"] == found["accuracy"]
    assert better["difference"] == pytest.approx(better["ours"] - plain["ours"])
    assert better["published_difference"] == pytest.approx(80.85 - 78.95)
    assert found["counts"] == better["counts"] and found["seconds"]["device"] == better["seconds_device"][0]
    share = found["stage_one"]["epochs"] / found["epochs"]
    assert plain["counts"]["images"] == share * better["counts"]["images"], "what was trained before the refinement"
    assert plain["seconds_device"][0] < better["seconds_device"][0] and plain["precision"] == found["precision"] == "float32"
    assert better["within"] is None and "data cifar100 -> digits" in better["changed"]
    assert result["environment"]["torch"] and result["seeds"] == [0] and result["command"] == "augury ..."


def test_resuming_adds_rows_and_seeds_and_trains_nothing_twice(refined: tuple[Path, dict[str, Any]]) -> None:
    output, before = refined
    folder = output / "runs" / before["rows"][0]["folders"][0]
    written = (folder / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(InputError, match="--resume"):
        smoke("refined_table1", output, MIXUP)
    with pytest.raises(InputError, match="other settings: recipe"):
        smoke("refined_table3", output, resume=True)
    result = smoke("refined_table1", output, "cifar100-preact18-cutmix", resume=True)
    assert [row["id"] for row in result["rows"]][-1] == "cifar100-preact18-cutmix" and len(result["rows"]) == 3
    result = smoke("refined_table1", output, MIXUP, 2, resume=True)
    rows = {row["id"]: row for row in result["rows"]}
    plain = rows["cifar100-preact18-mixup"]
    assert plain["n"] == 2 and plain["spread"] is not None and plain["values"][0] == before["rows"][0]["ours"]
    assert rows["cifar100-preact18-cutmix"]["n"] == 1
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


def test_a_later_seed_alone_is_that_of_all(tmp_path: Path) -> None:
    """Another first seed in the same folder is refused: its result.json counts all rows' seeds from one."""
    request = Request("refined_ablation", "mixup-statistics", "smoke", 1, command="augury ...", first_seed=1)
    both = reproduce(replace(request, seeds=2, first_seed=None), RunContext(tmp_path / "both", device="cpu"), quiet=True)
    alone = reproduce(request, RunContext(tmp_path / "alone", device="cpu"), quiet=True)
    assert alone["seeds"] == [1] and alone["rows"][0]["values"] == both["rows"][0]["values"][1:]
    with pytest.raises(InputError, match="first_seed .was None, now 1."):
        reproduce(request, RunContext(tmp_path / "both", device="cpu"), resume=True, quiet=True)


def test_seeds_side_by_side_are_those_in_turn(tmp_path: Path) -> None:
    rows, turns = "noise-20-*", []
    for together in (False, True):
        place = RunContext(tmp_path / str(together), device="cpu", parallel_seeds=together)
        result = reproduce(Request("ait_table3", rows, "smoke", 2), place, quiet=True)
        turns.append([row["values"] for row in result["rows"]])
    assert turns[0] == turns[1] and len(turns[0][0]) == 2


def test_measured_figures_are_read_from_the_trained_network(tmp_path: Path) -> None:
    result = smoke("ait_table5", tmp_path, "rh-*")
    rows = {row["id"]: row for row in result["rows"]}
    assert {row["status"] for row in rows.values()} == {"measured"} and len(rows) == 8
    own = rows["rh-baseline-original"]
    found = json.loads((tmp_path / "runs" / own["folders"][0] / "result.json").read_text())
    assert own["ours"] == pytest.approx(found["accuracy"], abs=1e-4)
    # Digits are grey: a grey test set is the original.
    assert rows["rh-baseline-grayscale"]["ours"] == own["ours"]


def test_rows_that_cannot_run_say_why(tmp_path: Path) -> None:
    request = Request("inaugment_table4", "resnet50-aa,resnet50-fast-aa", "full")
    for _ in range(2):  # nothing of the first try stands in the way of the second
        with pytest.raises(RunError) as raised:
            reproduce(request, RunContext(tmp_path / "a", str(tmp_path), "cpu"), quiet=True)
        said = str(raised.value)
        assert said.startswith("RECIPE inaugment_table4: no row could be run") and "\n" not in said
        assert "not run: needs ImageNet in --data-dir" in said and ": resnet50-aa" in said
        assert "not run: needs Fast AutoAugment's policies" in said
        assert not (tmp_path / "a").exists()
    result = smoke("inaugment_table4", tmp_path / "c", "resnet50-aa,resnet50-fast-aa")
    rows = {row["id"]: row for row in result["rows"]}
    assert rows["resnet50-aa"]["status"] == "measured" and rows["resnet50-fast-aa"]["ours"] is None
    assert rows["resnet50-fast-aa"]["n"] == 0 and any(line.endswith(": resnet50-fast-aa") for line in explained(result))
    assert any(line.startswith("Scale smoke") and "show only that the rows run" in line for line in explained(result))
    with pytest.raises(InputError, match="--epochs: changes the paper's training"):
        reproduce(replace(request, overrides={"epochs": 3}), RunContext(tmp_path / "b", device="cpu"))
    assert not (tmp_path / "b").exists()


def write_cifar10(folder: Path, train: int = 120, test: int = 40) -> None:
    """Random pixels in CIFAR-10's shape."""
    (folder / "cifar10").mkdir()
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        x = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        np.savez(folder / "cifar10" / f"{part}.npz", x=x, y=np.arange(count) % 10)


def test_part_of_the_data_is_not_judged_against_the_paper(tmp_path: Path) -> None:
    """Catches a full-scale row on a few images that is told to be within, or not, of the published number."""
    write_cifar10(tmp_path)
    tiny = RecipeRow("a", {"data": "cifar10", "model": "small_cnn", "epochs": 1, "batch_size": 32}, 10.0, spread=50.0)
    place = RunContext(tmp_path / "runs", str(tmp_path), "cpu")
    found = _trained([(tiny, tiny.settings)], [0], place, True)["a"]
    row = _row(RECIPE, tiny, tiny.settings, "full", found)
    assert row["status"] == "measured" and row["within"] is None and row["images"] == {"training": 120, "test": 40}
    assert row["changed"] == ["training images 50000 -> 120"]


def test_a_training_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = TrainingRunner.run, []

    def broken(self: TrainingRunner, job: TrainingJob, tell: Any) -> Ended:
        if "ait" in job.settings.strategy:
            tries.append(job.name)
            raise RunError("the training loss is nan")
        return real(self, job, tell)

    monkeypatch.setattr(TrainingRunner, "run", broken)
    result = smoke("ait_table3", tmp_path, "noise-80-*")
    assert [row["status"] for row in result["rows"]] == ["measured", f"failed: {tries[0]}: the training loss is nan"]
    assert len(tries) == 2, "it was tried once more"
    assert result["rows"][1]["difference"] is None


RECIPE = Recipe("r", "t", "s", ())


@pytest.mark.parametrize(
    ("published", "spread", "ours", "expected"),
    [
        (80.0, None, 80.5, True),
        (80.0, None, 79.4, False),
        (80.0, 0.5, 79.1, True),
        (80.0, 0.5, 78.9, False),
        (None, None, 80.0, None),
    ],
)
def test_within(published: float | None, spread: float | None, ours: float, expected: bool | None) -> None:
    assert within(RECIPE, RecipeRow("a", {}, published, spread), ours) is expected
    assert (
        within(RECIPE, RecipeRow("a", {}, 0.8, tolerance=0.03), 0.84) is False
        and within(RECIPE, RecipeRow("a", {}, 0.8), 0.84) is True
    )
    assert within(replace(RECIPE, tolerance=None), RecipeRow("a", {}, published, spread), ours) is None


def test_figures_are_found_where_the_row_says() -> None:
    settings = {"epochs": 4, "refine_epochs": 1}
    lines = [
        {"epoch": e, "risk": {"clean": e / 10}, "counts": {"images": e}, "seconds": 2.0 * e, "device_seconds": 1.0 * e}
        for e in range(1, 6)
    ]
    result = {
        "accuracy": 75.0,
        "counts": {"images": 5},
        "seconds": {"training": 10.0, "device": 7200.0},
        "networks": [{}, {"accuracy": 60.0}],
        "metrics": lines,
    }

    def at(figure: str, **more: Any) -> float | None:
        return figure_of(RecipeRow("a", settings, figure=figure, **more), settings, result)

    assert at("error") == 25 and at("seconds_per_epoch") == 2 and at("device_hours") == 2 and at("networks/1/accuracy") == 60
    assert at("metrics/stage_one/risk/clean", times=1000) == 400 and at("metrics/last/risk/clean") == 0.5
    for figure, cost in (("stage_one/accuracy", 4), ("metrics/stage_one/risk/clean", 4), ("metrics/last/risk/clean", 5)):
        took = cost_of(RecipeRow("a", settings, figure=figure), settings, result)
        assert (took.counts["images"], took.training) == (cost, 2 * cost), "of before the refinement, what was trained until then"
    assert at("networks/1/accuracy", over="accuracy") == 80 and at("retrieval/map") is None and at("networks/2/accuracy") is None


def test_times_are_compared_as_ratios() -> None:
    base = {"status": "measured", "figure": "seconds_per_epoch"}
    rows: list[dict[str, Any]] = [
        {**base, "id": "a", "reference": None, "published": 19.0, "values": [2.0, 4.0]},
        {**base, "id": "b", "reference": "a", "published": 38.0, "values": [3.0, 8.0]},
        {**base, "id": "c", "reference": "a", "published": 1.0, "values": [], "figure": "accuracy"},
    ]
    compare(rows)
    assert rows[1]["published_difference"] == 2 and rows[1]["difference"] == 1.75
    assert rows[0]["difference"] is None and rows[2]["difference"] is None and rows[2]["published_difference"] == -18


def test_equal_settings_are_planned_once() -> None:
    recipe = load("ait_table5")
    each = [(row, settings_at(recipe, row, "full")) for row in recipe.rows]
    assert len(planned(each)) == 19 and sum(len(plan.rows) for plan in planned(each)) == 76


def test_the_page_holds_every_recipe_and_every_measured_row(refined: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    output, result = refined
    (tmp_path / "reproduced").mkdir()
    (tmp_path / "reproduced" / "mine.json").write_text(json.dumps({**result, "remarks": ["The machine was busy."]}))
    (tmp_path / "other.json").write_text(json.dumps({"what": "something else", "command": "augury bench"}))
    page = results_page(tmp_path)
    assert all(f"`{name}`" in page for name in registry.names("recipe"))
    for cells in cells_of(result):
        assert "| " + " | ".join(cells) + " |" in page
    assert "- The machine was busy." in page and "| [other.json](../results/other.json) | something else | `augury bench` |" in page
    assert "scale smoke" in page and "At full scale 0 were measured" in page
    row = next(row for row in overview({"x": result}) if row["recipe"] == "refined_table1")
    assert row["measured"] == {"smoke": len(result["rows"])} and row["gpu_hours"] > 100
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="broken.json"):
        results_page(tmp_path)


def test_the_committed_page_is_that_of_the_committed_results() -> None:
    told = "run `augury reproduce --results results --page docs/results.md`"
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == results_page(ROOT / "results"), told


def test_documented_rows_exist() -> None:
    """Every `augury reproduce` in the guide names a recipe, rows and flags that are there."""
    text = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
    found = [shlex.split(line, comments=True) for line in re.findall(r"^augury reproduce .*$", text, re.MULTILINE)]
    parser = argparse.ArgumentParser()
    command.add(parser)
    parsed = [parser.parse_args(words[2:]) for words in found]
    assert len(parsed) > 12
    for options in parsed:
        if options.recipe not in (None, "RECIPE"):
            assert load(options.recipe).select(options.rows)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["reproduce", "keepaugment_table3", "--rows", "resnet18-*", "--scale", "smoke", "--device", "cpu", "--quiet"]
    assert main([*arguments, "--output", str(tmp_path / "a")]) == 0
    said = capsys.readouterr().out
    assert "resnet18-keep-cutout-early" in said and "x 2.00" in said and "Scale smoke" in said
    assert main(["reproduce", "--list", "--json", "--results", str(tmp_path)]) == 0
    assert {row["recipe"] for row in json.loads(capsys.readouterr().out)} == set(registry.names("recipe"))
    assert main(["reproduce", "ait_table1", "--list"]) == 0
    assert "69.83  cifar100 resnet32 crop+flip" in capsys.readouterr().out
    assert main(["list", "--json"]) == 0
    listed = [row["name"] for row in json.loads(capsys.readouterr().out) if row["kind"] == "recipe"]
    assert listed == registry.names("recipe")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reproduce"], "RECIPE: name one of"),
        (["reproduce", "ait_table1"], "--output: name a folder"),
        (["reproduce", "ait_tabel1"], "did you mean 'ait_table1'"),
        (["reproduce", "ait_tabel1", "--output", "x"], "did you mean 'ait_table1'"),
        (["reproduce", "ait_table1", "--scale", "shrt", "--output", "x"], "--scale: unknown scale 'shrt'; did you mean 'short'?"),
        (["reproduce", "ait_table1", "--seeds", "0", "--output", "x"], "--seeds"),
        (["reproduce", "--page", "x.md", "--results", "nowhere"], "--results nowhere: no such folder"),
        (["reproduce", "ait_table1", "--scale", "short", "--epochs", "many", "--output", "x"], "epochs"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_policies_learned_by_one_row_are_replayed_by_another(tmp_path: Path) -> None:
    # Catches a replay of other policies, of another seed's, and a row that is run without the one it learns from.
    command = ["reproduce", "adversarial_table6", "--rows", "cifar10-wrn-transfer", "--scale", "smoke", "--quiet"]
    assert main([*command, "--output", str(tmp_path / "out")]) == 0
    rows = {row["id"]: row for row in json.loads((tmp_path / "out" / "result.json").read_text())["rows"]}
    assert set(rows) == {"imagenet-resnet50-adversarial", "cifar10-wrn-transfer"}
    assert all(row["status"] == "measured" for row in rows.values())
    learned, replayed = (tmp_path / "out" / "runs" / rows[name]["folders"][0] for name in rows)
    config = yaml.safe_load((replayed / "config.yaml").read_text())
    assert str(learned / "policies.yaml") in config["augment"] and config["augment"].startswith("crop+flip+")
    assert config.get("strategy", "erm") == "erm"


def test_our_own_table_begins_as_its_page_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A flag that replaces a setting asks for short scale by itself; a row knows its cost, and its answers by their hash."""
    write_cifar10(tmp_path, 700)
    words = "reproduce reduced_cifar10 --rows standard,cutout --seeds 1 --epochs 2 --device cpu --quiet"
    assert main([*words.split(), "--data-dir", str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    assert "Scale short" in capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    standard, cutout = result["rows"]
    assert result["scale"] == "short" and "epochs 200 -> 2" in standard["changed"] and cutout["difference"] is not None
    assert standard["counts"]["forward"] == standard["counts"]["steps"] > 0 and standard["seconds_device"][0] > 0
    assert re.fullmatch("[0-9a-f]{16}", standard["predictions"][0]) and standard["predictions"] != cutout["predictions"]


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.names("recipe"))
def test_every_recipe_runs_at_smoke(name: str, tmp_path: Path) -> None:
    recipe = load(name)
    if all(row.unavailable for row in recipe.rows):
        with pytest.raises(RunError, match="no row ran"):
            smoke(name, tmp_path)
        return
    result = smoke(name, tmp_path)
    for row, found in zip(recipe.rows, result["rows"], strict=True):
        if row.unavailable is not None:
            assert found["status"] == f"not run: {row.unavailable}"
        elif row.figure.startswith("retrieval"):
            assert found["status"].startswith("not measured: a training on digits")
        elif row.figure.startswith(("groups", "gaps")) and not row.settings["data"].startswith("mnist"):
            assert found["status"].startswith("not measured: digits_correlation has no")
        else:
            assert found["status"] == "measured", f"{row.id}: {found['status']}"
