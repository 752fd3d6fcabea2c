"""Stage one, taken over from another run: the same training as with a stage one of its own, to the last bit, or a refusal."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from data_files import image_folder
from safetensors.torch import load_file

import augury
from augury.core.errors import InputError
from augury.jobs.reproduce.reproduce import Request, reproduce
from augury.jobs.reproduce.runs import RunContext
from augury.jobs.train import train
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings

PLAIN = Settings("digits", augment="crop+flip+mixup", epochs=3, batch_size=16, fraction=0.3, device="cpu")
REFINED = replace(PLAIN, refine_epochs=2)


def run(settings: Settings, folder: Path, **more: Any) -> dict[str, Any]:
    result = train(settings, folder, quiet=True, **more)
    assert result is not None
    return {key: value for key, value in result.items() if key not in ("seconds", "environment")}


def interrupt(row: dict[str, Any]) -> None:
    raise KeyboardInterrupt


def trained_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs (1-based) that are trained from here on."""
    seen: list[int] = []
    plain = Trainer.train_epoch

    def noted(self: Trainer, **more: Any) -> Any:
        row = plain(self, **more)
        seen.append(self.training.epoch)
        return row

    monkeypatch.setattr(Trainer, "train_epoch", noted)
    return seen


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("other", "changes"),
    [
        (PLAIN, {}),
        (REFINED, {"refine_epochs": 1, "refine_mode": "statistics"}),
        (REFINED, {"refine_epochs": 3, "refine_mode": "gradual", "refine_lr": 0.01, "refine_sched": "cosine"}),
        (replace(REFINED, risk_epochs=(3,)), {"risk_epochs": (3,), "refine_mode": "nothing"}),
    ],
)
@pytest.mark.parametrize("how", [{}, {"select": "validation", "patience": 1, "model_ema_decay": 0.9}])
def test_it_is_the_training_that_trains_stage_one_itself(
    other: Settings, changes: dict[str, Any], how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if the momentum, the average, the chosen weights, the clock or an epoch's number is not carried over."""
    if changes.get("refine_mode") == "statistics":
        how = {key: value for key, value in how.items() if key != "model_ema_decay"}
    other, settings = replace(other, **how), replace(REFINED, **changes, **how)
    train(other, tmp_path / "other", quiet=True)
    whole = run(settings, tmp_path / "whole")
    seen = trained_epochs(monkeypatch)
    taken = run(settings, tmp_path / "taken", refine_from=tmp_path / "other")
    assert min(seen) > settings.epochs, "stage one is not trained again"
    assert taken == whole
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "taken")[name])
    kept = [RunDirectory(tmp_path / name).metrics() for name in ("whole", "taken")]
    untimed = [[{k: v for k, v in row.items() if "seconds" not in k and k != "risk"} for row in rows] for rows in kept]
    assert untimed[0] == untimed[1]


def test_it_is_resumed_as_any_other(tmp_path: Path) -> None:
    train(PLAIN, tmp_path / "other", quiet=True)
    whole = run(REFINED, tmp_path / "whole")

    with pytest.raises(KeyboardInterrupt):
        run(REFINED, tmp_path / "taken", refine_from=tmp_path / "other", on_epoch=interrupt)
    assert run(REFINED, tmp_path / "taken", resume=True) == whole
    assert run(REFINED, tmp_path / "taken", resume=True, refine_from=tmp_path / "other")["accuracy"] == whole["accuracy"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1}, "other settings .seed 0 instead of 1."),
        ({"augment": "crop"}, "other settings .augment"),
        ({"epochs": 4}, "other settings .epochs 3 instead of 4"),
        ({"refine_epochs": 0, "refine_at": 2}, "other settings .refine_at None instead of 2"),
        ({"refine_epochs": 0}, "nothing is refined; add --refine-epochs N"),
        ({"risk_every": 1}, "the risk was not measured there after epoch 1"),
    ],
)
def test_another_stage_one_is_refused_and_nothing_written(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    train(REFINED, tmp_path / "other", quiet=True)
    with pytest.raises(InputError, match=f"--refine-from.*{said}"):
        train(replace(REFINED, **changes), tmp_path / "taken", quiet=True, refine_from=tmp_path / "other")
    assert not (tmp_path / "taken").exists()


def test_other_images_are_refused_and_nothing_written(tmp_path: Path) -> None:
    """Images of a folder were exchanged since: the settings are the same."""
    plain = Settings(str(image_folder(tmp_path / "data")), augment="flip", epochs=1, batch_size=4, device="cpu")
    train(plain, tmp_path / "other", quiet=True)
    image_folder(tmp_path / "data", parts=["train"], classes=["dog", "cat"])  # the other way round
    with pytest.raises(InputError, match=f"--refine-from .*other: was trained on other images than are now in {plain.data}"):
        train(replace(plain, refine_epochs=1), tmp_path / "taken", quiet=True, refine_from=tmp_path / "other")
    assert not (tmp_path / "taken").exists()


def test_what_is_no_finished_stage_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run here"):
        train(REFINED, tmp_path / "taken", quiet=True, refine_from=tmp_path)

    with pytest.raises(KeyboardInterrupt):
        train(PLAIN, tmp_path / "other", quiet=True, on_epoch=interrupt)
    with pytest.raises(InputError, match="is unfinished; finish it with --resume first"):
        augury.fit(REFINED, output=tmp_path / "taken", quiet=True, refine_from=tmp_path / "other")
    assert not (tmp_path / "taken").exists()


def smoke(output: Path, rows: str, **more: Any) -> dict[str, dict[str, Any]]:
    context = RunContext(output, device="cpu")
    result = reproduce(Request("refined_ablation", rows, "smoke", 1, {}, "augury ..."), context, quiet=True, **more)
    return {row["id"]: row for row in result["rows"]}


def test_refinements_of_one_network_train_stage_one_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one call, and where a row is added later; with the figures of a row that is trained alone."""
    alone = smoke(tmp_path / "alone", "mixup-statistics")["mixup-statistics"]
    seen = trained_epochs(monkeypatch)
    rows = smoke(tmp_path / "all", "mixup-refined,mixup-nothing")
    assert sorted(seen) == [1, 2, 2]
    rows = smoke(tmp_path / "all", "mixup-statistics", resume=True)
    assert sorted(seen) == [1, 2, 2, 2] and len(rows) == 3
    for key in ("values", "counts", "predictions"):
        assert rows["mixup-statistics"][key] == alone[key]
