"""What happens when a run is killed, fills the disk, meets a damaged file, or a loss that is no number."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from augury.core.errors import InputError, RunError
from augury.train.data.dataset import Dataset, load
from augury.train.engine import checkpoint
from augury.train.engine.failure import explained, read_failure
from augury.train.engine.prepare import prepare
from augury.train.engine.resume import resume, save
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings

SHORT = Settings("digits", augment="crop+mixup", epochs=3, batch_size=50)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


class Killed(BaseException):
    """Stands for the moment at which a process is gone."""


@pytest.mark.parametrize("moment", range(1, 9))
def test_gone_at_any_moment_of_writing_it_resumes_bit_for_bit(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """The process ends at the n-th flush or rename from the second checkpoint on; what is on the disk then is what counts."""
    settings = replace(SHORT, augment="crop", model="small_cnn(width=2)")
    whole = prepare(settings, digits)
    expected = Trainer(whole).run()
    directory = RunDirectory.open(tmp_path, settings.dict())
    calls = 0
    plain = {name: getattr(os, name) for name in ("fsync", "replace")}

    def counted(name: str):  # type: ignore[no-untyped-def]
        def call(*given):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            if calls == 3 + moment:
                raise Killed
            return plain[name](*given)

        return call

    for name in plain:
        monkeypatch.setattr(os, name, counted(name))
    with pytest.raises(Killed):
        Trainer(prepare(settings, digits)).run(directory)
    monkeypatch.undo()
    resumed = prepare(settings, digits)
    found = Trainer(resumed).run(directory)
    assert found["accuracy"] == expected["accuracy"] and found["counts"] == expected["counts"]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])
    assert [row["epoch"] for row in directory.metrics()] == [1, 2, 3]


def test_wall_seconds_are_those_of_all_sessions(tmp_path: Path, digits: Dataset) -> None:
    """Catches a resumed training whose wall seconds are the last session's, and so less than its training seconds."""
    settings = replace(SHORT, augment="none", model="small_cnn(width=2)")
    directory = RunDirectory.open(tmp_path, settings.dict())
    first = prepare(settings, digits)
    Trainer(first).begin(directory)
    first.progress.clock.begun -= 100  # an hour would do as well
    Trainer(first).record(Trainer(first).train_epoch())
    seconds = Trainer(prepare(settings, digits)).run(directory)["seconds"]
    assert 100 + seconds["training"] - first.progress.seconds < seconds["wall"] < 200
    assert Trainer(prepare(settings, digits)).run(directory)["seconds"]["wall"] > 100, "a finished one, concluded again"


def test_a_full_disk_keeps_the_checkpoint_and_says_so(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = RunDirectory.open(tmp_path, SHORT.dict())
    training = prepare(SHORT, digits)
    Trainer(training).begin(directory)
    Trainer(training).record(Trainer(training).train_epoch())
    before = (tmp_path / checkpoint.NAME).read_bytes()
    Trainer(training).train_epoch()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left.*the previous file is kept; free some space, then --resume"):
        save(training, directory.path)
    monkeypatch.undo()
    assert (tmp_path / checkpoint.NAME).read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "gone"])
def test_a_damaged_checkpoint_is_recognised_and_the_one_before_is_used(tmp_path: Path, digits: Dataset, harm: str) -> None:
    directory = RunDirectory.open(tmp_path, SHORT.dict())
    training = prepare(SHORT, digits)
    Trainer(training).begin(directory)
    for _ in range(2):
        Trainer(training).record(Trainer(training).train_epoch())
    newest = tmp_path / checkpoint.NAME
    data, before = newest.read_bytes(), checkpoint.read(tmp_path / checkpoint.PREVIOUS)
    assert before is not None
    match harm:
        case "cut":
            newest.write_bytes(data[: len(data) // 2])
        case "flipped":
            newest.write_bytes(data[:-100] + bytes(255 - b for b in data[-100:]))
        case "empty":
            newest.write_bytes(b"")
        case "gone":
            newest.unlink()
    resumed = prepare(SHORT, digits)
    resume(resumed, directory)
    assert resumed.epoch == before.state["epoch"] == 1 and resumed.counts.dict() == before.state["counts"]
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, before.tensors[f"model.{name}"]), name
    assert harm == "gone" or checkpoint.NAME in resumed.progress.notes[0]
    (tmp_path / checkpoint.PREVIOUS).write_bytes(b"junk")
    newest.write_bytes(b"junk")
    with pytest.raises(RunError, match="--overwrite"):
        resume(prepare(SHORT, digits), directory)


def test_harmless_settings_may_change_and_others_are_named(tmp_path: Path) -> None:
    RunDirectory.open(tmp_path, SHORT.dict())
    RunDirectory.open(tmp_path, replace(SHORT, decode_workers=3, data_dir="elsewhere", checkpoint_seconds=9).dict(), resume=True)
    assert RunDirectory(tmp_path).config()["decode_workers"] == 3  # type: ignore[index]
    with pytest.raises(InputError, match=r"batch_size \(was 50, now 60\), lr \(was 0.1, now 0.2\)"):
        RunDirectory.open(tmp_path, replace(SHORT, batch_size=60, lr=0.2, decode_workers=1).dict(), resume=True)


def test_settings_that_an_older_run_did_not_know_had_their_defaults(tmp_path: Path) -> None:
    older = {key: value for key, value in SHORT.dict().items() if key not in ("opt", "refine_epochs")}
    RunDirectory.open(tmp_path, older)
    RunDirectory.open(tmp_path, SHORT.dict(), resume=True)
    with pytest.raises(InputError, match=r"refine_epochs \(was 0, now 2\)"):
        RunDirectory.open(tmp_path, replace(SHORT, refine_epochs=2).dict(), resume=True)


def test_other_data_than_the_checkpoints_are_refused(tmp_path: Path, digits: Dataset) -> None:
    directory = RunDirectory.open(tmp_path, SHORT.dict())
    training = prepare(SHORT, digits)
    Trainer(training).begin(directory)
    Trainer(training).record(Trainer(training).train_epoch())
    changed = replace(digits, train=replace(digits.train, images=digits.train.images.flip(0)))
    with pytest.raises(InputError, match="training images of digits"):
        resume(prepare(SHORT, changed), directory)


def test_a_loss_that_is_no_number_leaves_its_step(tmp_path: Path, digits: Dataset) -> None:
    """The saved images, labels and weights give that very loss again."""
    settings = replace(SHORT, lr=1e6, precision="float32")
    directory = RunDirectory.open(tmp_path, settings.dict())
    training = prepare(settings, digits)
    with pytest.raises(
        RunError, match=r"the training loss is (nan|inf) at step \d+, in epoch \d+, on images id \d+; .*--lr"
    ) as error:
        Trainer(training).run(directory)
    found = read_failure(tmp_path)
    assert f"step {found.about['step']}," in str(error.value) and str(tmp_path) in str(error.value)
    assert len(found.ids) == len(found.about["ids"]) == 50
    model = training.model
    model.load_state_dict(found.weights)
    model.train()
    assert found.targets is not None
    assert not torch.isfinite(found.targets.loss(model(found.images)).mean())
    assert found.about["settings"]["lr"] == 1e6
    # What was saved before is whole, so that the run can be looked at; its own files go with it.
    directory.clear()
    assert not list(tmp_path.glob("failure*"))
    with pytest.raises(InputError, match="no saved failure"):
        read_failure(tmp_path)


def test_the_weights_are_not_touched_by_the_step_that_fails(digits: Dataset) -> None:
    training = prepare(replace(SHORT, precision="float32"), digits)
    tally = Trainer(training).open_epoch()
    steps = Trainer(training).steps(tally)
    next(steps)
    before = [p.detach().clone() for p in training.model.parameters()]

    def poisoned(module: nn.Module, given: object, made: torch.Tensor) -> torch.Tensor:
        return made * torch.nan

    hook = training.model.register_forward_hook(poisoned)
    with pytest.raises(RunError, match="nan at step 2"):
        next(steps)
    hook.remove()
    assert all(torch.equal(a, b) for a, b in zip(before, training.model.parameters(), strict=True))


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_out_of_memory_says_what_to_change(error: Exception) -> None:
    with pytest.raises(RunError, match="--batch-size 96; --grad-accum-steps 2 .* --batch-size 48"), explained(96):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), explained(96):
        raise RuntimeError("shapes do not fit")


def test_checkpoints_may_be_written_less_often(tmp_path: Path, digits: Dataset) -> None:
    settings = replace(SHORT, checkpoint_seconds=1000)
    directory = RunDirectory.open(tmp_path, settings.dict())
    training = prepare(settings, digits)
    Trainer(training).begin(directory)
    epochs = []
    for _ in range(3):
        Trainer(training).record(Trainer(training).train_epoch())
        found = checkpoint.newest(tmp_path)
        assert found is not None
        epochs.append(found.state["epoch"])
    assert epochs == [1, 1, 3]  # the first, and the last whatever the time


def test_a_line_of_metrics_cut_within_a_mapping_is_left_out(tmp_path: Path) -> None:
    directory = RunDirectory.open(tmp_path, SHORT.dict())
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"epoch": 1}) + '\n{"epoch": 2, "counts": {"images": 3}')
    assert directory.metrics() == [{"epoch": 1}]
