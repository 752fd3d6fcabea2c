"""`augury search` as a whole, on bars: what it writes, that it is honest, and that a kill loses no finished child."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from search_helpers import FAST, bars

import augury
from augury.augment.names import read_policy_file
from augury.augment.policies.tanda import load as load_generator
from augury.cli import main
from augury.core.errors import InputError
from augury.jobs.search.report import noise_note, sentence
from augury.jobs.search.search import SearchOptions, policies_kept, search
from augury.jobs.search.settings import SearchSettings
from augury.jobs.search.setup import controller_lr, searcher_of, space_of
from augury.jobs.tables import search_table
from augury.jobs.train import train
from augury.train.engine.metrics import metric_of
from augury.train.pools.opened import Workers
from augury.train.search.budget import Budget
from augury.train.search.child import refined_from
from augury.train.search.searchers import ControllerSearch, GridSearch
from augury.train.search.spaces import AutoAugmentSpace


@pytest.fixture
def data(tmp_path: Path) -> str:
    return written(tmp_path / "data")


def written(folder: Path, test_seed: int | None = None) -> str:
    """Bars as npz files; with `test_seed`, another test part."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = bars(40)
    for name, part in (("train", dataset.train), ("test", dataset.test)):
        images, labels = part.images[:, 0].numpy(), part.labels.numpy()
        if name == "test" and test_seed is not None:
            random = np.random.default_rng(test_seed)
            images, labels = random.integers(0, 256, images.shape, dtype=np.uint8), random.permutation(labels)
        np.savez(folder / f"{name}.npz", x=images, y=labels)
    return str(folder)


def options(method: str, **more: Any) -> SearchSettings:
    return SearchSettings.of({"method": method, "budget": "3", "seeds": 2, "final_epochs": 1, **more}, "test")


FUNCTIONS = {"functions": "flip,translate_x(fraction=0.125),invert", "length": 2, "generator_steps": 4, "generator": "mean_field"}


def journal(output: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (output / "journal.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.parametrize(
    ("method", "more"), [("randaugment", {}), ("autoaugment", {"operations": "invert,rotate,flip"}), ("tanda", FUNCTIONS)]
)
def test_a_search_writes_what_it_found_beside_its_controls(method: str, more: dict[str, Any], data: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    more = {**more, "operations": "invert,rotate,shear_x"} if method == "autoaugment" else more
    settings = replace(FAST, data=data, augment="crop(1)")
    result = search(settings, options(method, **more), output, quiet=True)
    assert [row["name"] for row in result["rows"]] == ["random", "found", "trivialaugment"]
    assert result["rows"][0]["verdict"] == "reference" and all(row["n"] == 2 for row in result["rows"])
    assert {row["counts"]["steps"] for row in result["rows"]} == {result["rows"][0]["counts"]["steps"]}
    found, random = (result["search"][arm]["children"] for arm in ("found", "random"))
    # TANDA's children train a generator first, so random search has as much time instead of as many children.
    assert found == 3 and (random >= 3 if method == "tanda" else random == 3)
    assert all(len(result["search"][arm]["rewards"]) == result["search"][arm]["children"] for arm in ("found", "random"))
    assert json.loads((output / "result.json").read_text()) == result
    assert len(journal(output)) == found + random == len({(row["arm"], row["seed"]) for row in journal(output)})

    content = read_policy_file(output / "found.yaml")
    best = max((row for row in journal(output) if row["arm"] == "found"), key=lambda row: (row["accuracy"], -row["number"]))
    assert content.provenance["chosen"] == [best["number"]] == result["search"]["found"]["chosen"]
    assert content.provenance["method"] == method and content.provenance["validation_accuracy"] == [best["accuracy"]]
    images = bars().train.images
    changed = augury.pipeline(str(output / "found.yaml"))(images)
    assert changed.shape == images.shape and changed.dtype == torch.uint8
    assert train(replace(settings, augment=f"flip+{output / 'found.yaml'}"), tmp_path / "run", quiet=True)["accuracy"] >= 0
    page = (output / "report.html").read_text()
    assert "Reward of every child" in page and "batch None" not in page and "0 the seed" not in page and "seed 0" in page
    assert "random search" in page and "data:image/png;base64," in page
    if method == "tanda":
        generator = load_generator(output / "found.safetensors")
        assert generator.slots == 2 and len(generator.space) == 3
        assert all(len(row) == 2 for row in content.periods[0][1]) and len(content.periods[0][1]) == 200
        assert augury.pipeline(f"tanda(file='{output / 'found.safetensors'}')")(images).shape == images.shape


def test_a_choice_by_less_than_one_validation_image_is_said_to_be_noise() -> None:
    accuracy, labels = metric_of("accuracy"), torch.arange(50) % 2  # an image is 2 points
    assert noise_note([90.0, 88.0, 70.0], 1, accuracy, labels) is None, "one image behind is behind"
    assert "picked on noise: 2 of the other children are less than one of the 50" in (
        noise_note([90.0, 90.0, 88.5, 70.0], 1, accuracy, labels) or ""
    )
    assert "1 of the other children is" in (noise_note([95.0, 90.0, 90.0], 2, accuracy, labels) or "")
    assert noise_note([90.0], 1, accuracy, labels) is None, "a lone child was not picked among several"
    assert "(4 points)" in (noise_note([90.0, 87.0], 1, metric_of("worst_class"), labels) or "")


def test_a_search_names_what_its_children_are_rewarded_with(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = replace(FAST, data=data, metric="log_loss", lr=0.0)  # all children answer alike
    result = search(settings, options("randaugment", seeds=1), tmp_path / "out", quiet=True)
    search_table(result)
    page, said = (tmp_path / "out" / "report.html").read_text(), capsys.readouterr().out
    for text in (page, said):
        assert "geometric mean of the true class" in text and "picked on noise" in text


def test_the_search_never_sees_the_test_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another test part all but the final accuracies stays as it was, and each final training reads it once."""
    import augury.train.engine.outcome as outcome

    plain, sizes = outcome.evaluate, []

    def counted(model: Any, part: Any, *rest: Any, **more: Any) -> Any:
        sizes.append(len(part.ids))
        return plain(model, part, *rest, **more)

    monkeypatch.setattr(outcome, "evaluate", counted)
    found = []
    for number, seed in enumerate((None, 1)):
        output = tmp_path / f"out{number}"
        data = written(tmp_path / f"data{number}", seed)
        result = search(replace(FAST, data=data), options("randaugment", budget="2", seeds=1), output, quiet=True)
        found.append(
            (journal(output), read_policy_file(output / "found.yaml").periods, [row["accuracies"] for row in result["rows"]])
        )
    assert found[0][:2] == found[1][:2]
    assert found[0][2] != found[1][2]
    children, rows = 4, 3
    assert sizes.count(40) == 2 * rows and 40 not in sizes[:children], "children come first, and see no test part"


def test_a_finished_search_is_extended_by_a_larger_budget_other_controls_and_more_seeds(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from augury.train.search.child import ChildRunner

    settings, plain, trained = replace(FAST, data=data), ChildRunner.run, []
    monkeypatch.setattr(ChildRunner, "run", lambda self, job, tell: trained.append((job.arm, job.number)) or plain(self, job, tell))
    first = search(settings, options("randaugment", budget="3", seeds=1, controls="none"), tmp_path, quiet=True)
    before = len(trained)
    more = options("randaugment", budget="5", seeds=2, controls="none,flip")
    result = search(settings, more, tmp_path, resume=True, quiet=True)
    assert before == 6 and len(trained) == 10 and len(set(trained)) == 10
    assert result["search"]["found"]["rewards"][:3] == first["search"]["found"]["rewards"]
    assert [row["name"] for row in result["rows"]] == ["random", "found", "none", "flip"]
    assert all(row["n"] == 2 for row in result["rows"])
    control = next(row for row in first["rows"] if row["name"] == "none")["accuracies"]
    assert next(row for row in result["rows"] if row["name"] == "none")["accuracies"][:1] == control
    # The whole is what a search of that size gives at once, but for the grid, which goes on from the points it has.
    tried = [json.dumps(row["decisions"]) for row in journal(tmp_path) if row["arm"] == "found"]
    assert len(set(tried)) == 5
    assert search(settings, more, tmp_path, resume=True, quiet=True) == json.loads((tmp_path / "result.json").read_text())
    assert len(trained) == 10
    with pytest.raises(InputError, match="--budget 4: the search had 5 children"):
        search(settings, options("randaugment", budget="4", seeds=2, controls="none,flip"), tmp_path, resume=True, quiet=True)
    with pytest.raises(InputError, match="started with other settings: .*proxy"):
        search(settings, replace(more, proxy=7), tmp_path, resume=True, quiet=True)


def test_a_policy_that_changes_is_trained_anew(data: str, tmp_path: Path) -> None:
    settings = replace(FAST, data=data)
    search(settings, options("randaugment", budget="1", seeds=1, controls="none"), tmp_path, quiet=True)
    runs = {folder.name: (folder / "result.json").stat().st_mtime_ns for folder in (tmp_path / "retrained" / "runs").iterdir()}
    before = {arm: read_policy_file(tmp_path / f"{arm}.yaml").periods for arm in ("found", "random")}
    search(settings, options("randaugment", budget="6", seeds=1, controls="none"), tmp_path, resume=True, quiet=True)
    for number, arm in enumerate(("random", "found")):
        changed = read_policy_file(tmp_path / f"{arm}.yaml").periods != before[arm]
        (folder,) = (tmp_path / "retrained" / "runs").glob(f"{number}-*")
        assert ((folder / "result.json").stat().st_mtime_ns != runs[folder.name]) == changed


def test_refinement_is_a_dimension_of_the_search(data: str, tmp_path: Path) -> None:
    settings = replace(FAST, data=data, epochs=4)
    wanted = options("randaugment", budget="6", seeds=1, controls="none", refine_shares=[0, 0.5], final_epochs=6)
    result = search(settings, wanted, tmp_path, quiet=True)
    tried = [row["decisions"] for row in journal(tmp_path) if row["arm"] == "found"]
    assert {each["refine_share"] for each in tried} == {0, 0.5} and len({json.dumps(each) for each in tried}) == 6
    steps = {row["counts"]["steps"] for row in result["rows"]}
    assert len(steps) == 1, "refined or not, the trainings are of one budget"
    for row in result["rows"][:2]:
        share = read_policy_file(tmp_path / f"{row['name']}.yaml").provenance["refine_share"]
        assert ("before_refinement" in row) == (share > 0)
        assert ("without" in result["search"][row["name"]]["policy"][0]) == (share > 0)
    with pytest.raises(InputError, match="--refine-shares: applies to --method randaugment"):
        options("autoaugment", refine_shares=[0, 0.5])


def test_the_last_share_of_the_epochs_is_refined() -> None:
    assert refined_from(10, 0.2) == {"refine_at": 8} and refined_from(10, 0.0) == {} and refined_from(1, 0.5) == {}
    assert refined_from(3, 0.01) == {"refine_at": 2} and refined_from(3, 0.99) == {"refine_at": 1}


def test_a_search_resumes_without_training_a_finished_child_again(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from augury.train.search.child import ChildRunner

    settings, wanted = replace(FAST, data=data), options("autoaugment", budget="4", operations="invert,rotate", seeds=1)
    whole = search(settings, wanted, tmp_path / "whole", quiet=True)
    plain, trained = ChildRunner.run, []

    def interrupted(self: ChildRunner, job: Any, tell: Any) -> Any:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append((job.arm, job.number))
        return plain(self, job, tell)

    monkeypatch.setattr(ChildRunner, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(settings, wanted, tmp_path / "part", quiet=True)
    assert len(journal(tmp_path / "part")) == 3
    monkeypatch.setattr(ChildRunner, "run", lambda self, job, tell: trained.append((job.arm, job.number)) or plain(self, job, tell))
    resumed = search(settings, wanted, tmp_path / "part", resume=True, quiet=True)
    assert len(trained) == len(set(trained)) == 8
    assert journal(tmp_path / "part") == journal(tmp_path / "whole")
    assert [row["accuracies"] for row in resumed["rows"]] == [row["accuracies"] for row in whole["rows"]]


def test_a_search_killed_at_any_moment_resumes(data: str, tmp_path: Path) -> None:
    """kill -9 while children train in processes of their own."""
    output = tmp_path / "out"
    source = str(Path(__file__).resolve().parents[3] / "src")
    command = [
        sys.executable, "-m", "augury", "search", data, "--method", "randaugment", "--budget", "10", "--epochs", "2",
        "--final-epochs", "1", "--seeds", "1", "--model", "small_cnn(width=4)", "--batch-size", "8", "--lr", "0.05",
        "--output", str(output), "--quiet", "--device", "cpu",
    ]  # fmt: skip
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": source}, stderr=subprocess.PIPE)
    path, end = output / "journal.jsonl", time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None and not (path.exists() and path.read_text().count("\n") >= 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stderr is not None
    process.stderr.close()
    kept = journal(output)
    assert 3 <= len(kept) < 20
    assert not (output / "result.json").exists()
    assert main([*command[3:], "--resume"]) == 0
    assert journal(output)[: len(kept)] == kept and len(journal(output)) == 20


def test_workers_change_nothing_but_the_time(data: str, tmp_path: Path) -> None:
    settings, wanted = replace(FAST, data=data), options("randaugment", seeds=1)
    one = search(settings, wanted, tmp_path / "one", quiet=True)
    two = search(settings, wanted, tmp_path / "two", SearchOptions(Workers(2)), quiet=True)

    def order(row: dict[str, Any]) -> tuple[str, int]:
        return row["arm"], row["number"]

    assert sorted(journal(tmp_path / "one"), key=order) == sorted(journal(tmp_path / "two"), key=order)
    assert [row["accuracies"] for row in one["rows"]] == [row["accuracies"] for row in two["rows"]]


def test_optuna_searches_the_same_space(data: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed (the extra `search`)")
    result = search(
        replace(FAST, data=data), options("randaugment", sampler="tpe", seeds=1), tmp_path / "out",
        SearchOptions(storage=str(tmp_path / "shared")), quiet=True,
    )  # fmt: skip
    assert result["search"]["found"]["children"] == 3 and (tmp_path / "shared").exists()
    assert all(set(row["decisions"]) == {"num_ops", "magnitude"} for row in journal(tmp_path / "out"))


@pytest.mark.parametrize(
    ("verdict", "difference", "n", "said"),
    [
        ("better", 1.0, 3, "better than random search"), ("worse", -1.0, 3, "worse than random search"),
        ("no difference shown", 0.4, 3, "not shown to be better or worse than random search"),
        ("no difference shown", 5.0, 1, "one seed cannot tell"),
    ],
)  # fmt: skip
def test_the_sentence(verdict: str, difference: float, n: int, said: str) -> None:
    row = {"verdict": verdict, "difference": difference, "difference_low": -0.2, "difference_high": 1.0, "n": n}
    assert sentence(row).startswith(said)


def test_budgets_by_method() -> None:
    dataset = bars()
    tanda = options("tanda", **{**FUNCTIONS, "budget": "20m"})
    searcher, budget = searcher_of(tanda, space := space_of(tanda, dataset, "cpu")[0], FAST, {})
    assert budget == Budget(4) and isinstance(searcher, GridSearch) and getattr(space, "seconds", 0) == 300
    points = len(space.candidates())  # type: ignore[attr-defined]
    many = options("tanda", **{**FUNCTIONS, "budget": str(points + 2)})
    searcher, _ = searcher_of(many, space_of(many, dataset, "cpu")[0], FAST, {})
    asked = searcher.ask(0, points + 2)
    assert asked[points:] == asked[:2] and len({str(each) for each in asked}) == points
    auto = options("autoaugment", budget="1000")
    searcher, _ = searcher_of(auto, space_of(auto, dataset, "cpu")[0], FAST, {})
    assert (
        isinstance(searcher, ControllerSearch) and searcher.lr == 3.5e-4 == controller_lr(Budget(5000)) and searcher.moving_average
    )
    assert [policies_kept(auto, n) for n in (1, 4, 11, 20, 500)] == [1, 1, 2, 5, 5]
    space, _ = space_of(auto, dataset, "cpu")
    assert isinstance(space, AutoAugmentSpace) and space.policies.size == 1760**10


BANDS = [  # the published functions of TANDA for colour images that bands do not have
    ("randaugment", ("color", "contrast"), {}), ("autoaugment", ("contrast", "color"), {"round_size": 3}),
    ("tanda", ("hue", "contrast", "color"), {"generator_steps": 2, "generator": "mean_field", "length": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "colour", "more"), BANDS)
def test_images_of_five_bands_are_searched_without_operations_on_colours(
    method: str, colour: tuple[str, ...], more: dict[str, Any], tmp_path: Path
) -> None:
    dataset, folder = bars(24), tmp_path / "data"
    folder.mkdir()
    for name, part in (("train", dataset.train), ("test", dataset.test)):
        np.savez(folder / f"{name}.npz", x=part.images.expand(-1, 5, -1, -1).permute(0, 2, 3, 1).numpy(), y=part.labels.numpy())
    settings, asked = replace(FAST, data=str(folder)), options(method, **{**more, "seeds": 1})
    space, notes = space_of(asked, augury.dataset(str(folder)), "cpu")
    assert space.rgb == () and set(colour) == set(notes[0].split(": ")[1].removeprefix("the search leaves out ").split(", "))
    result = search(settings, asked, tmp_path / "out", quiet=True)
    assert [row["name"] for row in result["rows"]] == ["random", "found", "trivialaugment(channels=any)"]
    assert notes[0] in result["notes"] and not any(result["search"][arm]["failed"] for arm in ("random", "found"))
    flag = "functions" if method == "tanda" else "operations"
    value = "cifar10" if method == "tanda" else "color,contrast,invert"
    with pytest.raises(InputError, match=f"--{flag}: .*color.*5 channels; leave them out"):
        search(settings, options(method, **{**more, flag: value}), tmp_path / "refused", quiet=True)
    assert not (tmp_path / "refused").exists()


REFUSED = [
    (["--method", "tanda", "--budget", "0"], "--budget: 0"),
    (["--method", "tanda", "--budget", "soon"], "--budget"),
    ([], "--method"),
    (["--method", "autoaugmnt"], "--method"),
    (["--method", "autoaugment", "--operations", "rotate"], "at least two operations"),
    (["--method", "autoaugment", "--operations", "rotat,invert"], "rotat"),
    (["--method", "randaugment", "--operations", "rotate(degrees=5),invert"], "without options"),
    (["--method", "tanda", "--functions", "rotate(degrees=5)"], "at least two functions"),
    (["--method", "tanda", "--functions", "rotate(degrees=5),flop"], "'flip'"),
    (["--method", "tanda", "--functions", "flip+invert,invert"], "not a chain"),
    (["--method", "tanda", "--functions", "rotate(degrees=uniform(-5, 5)),invert"], "one value"),
    (["--method", "tanda", "--rule", "ppo2"], "--rule"),
    (["--method", "tanda", "--operations", "flip,invert"], "--operations: applies to"),
    (["--method", "randaugment", "--functions", "mnist"], "--functions: applies to"),
    (["--method", "randaugment", "--storage", "x"], "--storage"),
    (["--method", "randaugment", "--controls", "trivialaugmnt"], "trivialaugment"),
    (["--method", "randaugment", "--controls", "found"], "--controls"),
    (["--method", "randaugment", "--child-model", "resnet2"], "resnet"),
    (["--method", "randaugment", "--workers", "0"], "--workers"),
    (["--method", "randaugment", "--seeds", "0"], "--seeds"),
    (["--method", "randaugment", "--proxy", "1"], "--proxy"),
    (["--method", "randaugment", "--buget", "3"], "--budget"),
]


@pytest.mark.parametrize(("arguments", "named"), REFUSED, ids=[" ".join(a) or "nothing" for a, _ in REFUSED])
def test_refused_in_one_line_with_nothing_written(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    try:
        code = main(["search", "digits", *arguments, "--output", str(output)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    error = capsys.readouterr().err
    assert code == 2 and error.startswith("augury: ") and error.count("\n") == 1 and named in error
    assert not output.exists()


def test_missing_extras_are_one_line_with_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module, flags in (("optuna", ["--sampler", "tpe"]), ("ray", ["--ray", "local"])):
        monkeypatch.setitem(sys.modules, module, None)
        output = tmp_path / module
        assert main(["search", "digits", "--method", "randaugment", *flags, "--output", str(output)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "pip install 'augury[" in error
        assert not output.exists()


def test_a_search_can_be_run_again_from_its_config(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--budget", "2", "--epochs", "1", "--final-epochs", "1", "--seeds", "1", "--model", "small_cnn(width=4)", "--quiet"]
    first, second = tmp_path / "a", tmp_path / "b"
    assert main(["search", data, "--method", "randaugment", *flags, "--output", str(first)]) == 0
    out = capsys.readouterr().out
    assert "found.yaml" in out and "one seed cannot tell" in out and "trivialaugment" in out
    assert main(["search", "-c", str(first / "config.yaml"), "--quiet", "--output", str(second), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "randaugment"
    assert yaml.safe_load((first / "config.yaml").read_text()) == yaml.safe_load((second / "config.yaml").read_text())
    assert journal(first) == journal(second)
    assert main(["search", data, "--method", "randaugment", *flags, "--output", str(first)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["search", data, "--method", "autoaugment", *flags, "--output", str(first), "--overwrite"]) == 0
    assert {row["arm"] for row in journal(first)} == {"found", "random"} and len(journal(first)) == 4
