"""A checkpoint goes on with the training it is of, or not at all; what a run was told stands in its folder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, load
from augury.train.engine import checkpoint
from augury.train.engine.policy_files import by_content, contents, refuse_edited
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings

SETTINGS = Settings("digits", epochs=2, batch_size=100)
POLICY = "augury_policy: 1\nname: mine\npolicies:\n  - - {op: rotate, probability: 0.5, values: {degrees: 9}}\n"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture
def begun(tmp_path: Path, digits: Dataset) -> Path:
    """The folder of a training whose first epoch is done."""
    directory = RunDirectory.open(tmp_path / "run", SETTINGS.dict())
    trainer = Trainer(prepare(SETTINGS, digits))
    trainer.begin(directory)
    trainer.record(trainer.train_epoch())
    return tmp_path / "run"


def resumed(folder: Path, digits: Dataset, **changes: object) -> int:
    """The epoch that a training with these settings goes on from."""
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    trainer = Trainer(prepare(settings, digits))
    trainer.begin(RunDirectory(folder))
    return trainer.training.epoch


def test_the_right_one_goes_on(begun: Path, digits: Dataset) -> None:
    assert resumed(begun, digits) == 1


OTHERS = {
    "seed": ({"seed": 1}, "of another training (seed 0 instead of 1)"),
    "model": ({"model": "resnet20"}, "of another training (model small_cnn instead of resnet20)"),
    "rate": ({"lr": 0.2}, "lr 0.1 instead of 0.2"),
    "augmentation": ({"augment": "crop"}, "augment none instead of crop"),
}


@pytest.mark.parametrize(("changes", "line"), list(OTHERS.values()), ids=list(OTHERS))
def test_one_of_another_training_is_refused(begun: Path, digits: Dataset, changes: dict[str, object], line: str) -> None:
    with pytest.raises(InputError) as refusal:
        resumed(begun, digits, **changes)
    assert line in str(refusal.value) and "\n" not in str(refusal.value)


def rewritten(folder: Path, change: object) -> None:
    """The checkpoint with another state, and a checksum that is right."""
    with safe_open(folder / checkpoint.NAME, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = json.loads(file.metadata()["state"])
    text = json.dumps(change(state))  # type: ignore[operator]
    about = {"state": text, "checksum": str(checkpoint._checksum(tensors, text))}
    save_file(tensors, folder / checkpoint.NAME, metadata=about)


def test_one_of_a_newer_version_is_refused(begun: Path, digits: Dataset) -> None:
    rewritten(begun, lambda state: state | {"version": 99})
    with pytest.raises(InputError, match=r"written by a newer version of Augury \(format 99\)"):
        resumed(begun, digits)


@pytest.mark.parametrize("key", ["counts", "epoch", "strategy", "selection"])
def test_a_state_that_is_not_as_written_is_refused(begun: Path, digits: Dataset, key: str) -> None:
    rewritten(begun, lambda state: {name: value for name, value in state.items() if name != key})
    with pytest.raises(InputError, match="^--resume: the checkpoint is not one of this training"):
        resumed(begun, digits)


def test_one_without_its_settings_goes_on_as_before(begun: Path, digits: Dataset) -> None:
    rewritten(begun, lambda state: {name: value for name, value in state.items() if name not in ("settings", "version")})
    assert resumed(begun, digits) == 1


def test_no_flipped_bit_of_the_header_is_taken(begun: Path) -> None:
    # Catches a checksum over the tensors alone: the state's text could say another epoch.
    path = begun / checkpoint.NAME
    data, random = bytearray(path.read_bytes()), np.random.default_rng(0)
    header = 8 + int.from_bytes(data[:8], "little")
    small = bytes(data[:header])
    assert checkpoint.read(path) is not None
    taken = []
    for place, bit in zip(random.integers(0, len(small), 150).tolist(), random.integers(0, 8, 150).tolist(), strict=True):
        data[place] ^= 1 << bit
        path.write_bytes(data)
        try:
            found = checkpoint.read(path)
        except InputError:
            found = None
        if found is not None:
            taken.append((place, bit))
        data[place] ^= 1 << bit
    assert not taken


def test_a_policy_files_content_stands_in_config_yaml(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(POLICY)
    settings = Settings("digits", augment=f"crop+{file}")
    RunDirectory.open(tmp_path / "run", settings.dict())
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["policy_files"] == {str(file): POLICY}
    assert Settings.of(config, "config.yaml") == settings


@pytest.mark.parametrize("harm", ["edited", "removed"])
def test_an_edited_policy_file_is_refused_by_name(harm: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(POLICY)
    settings = Settings("digits", augment=str(file))
    RunDirectory.open(tmp_path / "run", settings.dict())
    kept = yaml.safe_load((tmp_path / "run/config.yaml").read_text())["policy_files"]
    file.write_text("# A comment is no edit.\n\n" + POLICY)
    refuse_edited(kept, "x")
    RunDirectory.open(tmp_path / "run", settings.dict(), resume=True).release()
    if harm == "removed":
        file.unlink()
        with pytest.raises(InputError, match="mine.yaml is missing; restore its text"):
            refuse_edited(kept, "x")
        return
    file.write_text(POLICY.replace("9", "90"))
    with pytest.raises(InputError, match="mine.yaml was edited since .* was started; restore its text"):
        RunDirectory.open(tmp_path / "run", settings.dict(), resume=True)
    with pytest.raises(InputError, match="mine.yaml was edited since"):
        refuse_edited(kept, "x")


def test_a_policy_file_that_moved_with_its_run_is_the_same_setting(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "found.yaml").write_text(POLICY)
    RunDirectory.open(tmp_path / "run", Settings("digits", augment=f"crop+{tmp_path}/old/found.yaml").dict())
    RunDirectory.open(tmp_path / "run", Settings("digits", augment=f"crop+{tmp_path}/new/found.yaml").dict(), resume=True)
    with pytest.raises(InputError, match="augment"):
        RunDirectory.open(tmp_path / "run", Settings("digits", augment=f"flip+{tmp_path}/new/found.yaml").dict(), resume=True)


def test_names_of_policy_files_are_found_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(POLICY)
    config = {"augment": f"none,keep({tmp_path}/a.yaml)", "augment2": None}
    assert contents(config) == {f"{tmp_path}/a.yaml": POLICY}
    assert "a.yaml" not in by_content(config, contents(config))["augment"]
