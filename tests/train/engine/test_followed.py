"""Trackers are told of a training by the real libraries, without a network, and read back; what they do alters nothing."""

import builtins
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import augury
from augury.core.errors import InputError
from augury.jobs.train import train
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.logs import followed
from augury.train.logs.followed import Followed, flat, openers
from augury.train.logs.logger import About

FAST = Settings("digits", augment="crop+cutout", model="small_cnn(width=4)", epochs=3, fraction=0.3, device="cpu", lr=0.05)


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_tensorboard_reads_what_the_run_has(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (the extra `logging`)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(replace(FAST, log="tensorboard"), tmp_path / "run", quiet=True)
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"images": 0, "tensors": 0})
    found.Reload()
    for key in ("train_loss", "validation_accuracy"):
        shown = [(event.step, event.value) for event in found.Scalars(key)]
        assert shown == [(row["epoch"], pytest.approx(row[key], rel=1e-6)) for row in lines(tmp_path / "run")]
    assert "first augmented batch" in " ".join(found.Tags()["images"])
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found.Scalars("test/accuracy")[0].value == pytest.approx(result["accuracy"], rel=1e-6)
    table = found.Tensors("classes/text_summary")[0].tensor_proto.string_val[0].decode()
    assert table.count("\n") == 11 and "| recall |" in table


def offline_records(file: Path) -> Iterator[bytes]:
    """The records of an offline run, in LevelDB's log format: blocks of 32 KiB, each piece with checksum, length and type."""
    data, place, whole = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or its last piece
            yield whole
            whole = b""


@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases_writes_offline(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="Weights & Biases is not installed (the extra `logging`)")
    from wandb.proto import wandb_internal_pb2

    train(replace(FAST, log="wandb(mode=offline,project=mine)"), tmp_path / "run", quiet=True)
    (file,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    rows = []
    for data in offline_records(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            rows.append(items)
    epochs = [row for row in rows if "train_loss" in row]
    told = lines(tmp_path / "run")
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    assert [row["validation_accuracy"] for row in epochs] == [row["validation_accuracy"] for row in told]
    pictures = list(file.parent.glob("files/media/images/*.png"))
    assert len(pictures) == 8 and list(file.parent.glob("files/media/table/classes*.json"))


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_what_the_run_has_and_goes_on_with_it(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed (the extra `logging`)")
    pytest.importorskip("sqlalchemy", reason="MLflow's database is not installed")
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/runs.db"
    settings = replace(FAST, log=f"mlflow(uri='{uri}',experiment=mine)")
    train(settings, tmp_path / "run", quiet=True)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("mine")
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "validation_accuracy")
    assert [(m.step, m.value) for m in history] == [(row["epoch"], row["validation_accuracy"]) for row in lines(tmp_path / "run")]
    assert run.info.run_name == "run" and run.info.status == "FINISHED" and run.data.params["augment"] == "crop+cutout"
    artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"classes.csv", "confusion.csv", "first augmented batch"} <= artifacts
    (tmp_path / "run" / "result.json").unlink()
    train(settings, tmp_path / "run", quiet=True, resume=True)
    assert len(client.search_runs([experiment.experiment_id])) == 1, "a resumed training is the same run"


class Listening:
    """A tracker that keeps what it is told, and breaks off at a call."""

    def __init__(self, breaks_at: int = 10**9) -> None:
        self.told: list[tuple[str, Any]] = []
        self.left = breaks_at

    def _note(self, what: str, value: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("no\nnetwork")
        self.told.append((what, value))

    def scalars(self, epoch: int, values: Any) -> None:
        self._note("scalars", (epoch, values))

    def pictures(self, name: str, images: Any) -> None:
        self.name = name
        self._note("pictures", images)

    def table(self, name: str, columns: Any, rows: Any) -> None:
        self._note("table", (name, columns, rows))

    def close(self, summary: Any) -> None:
        self._note("close", summary)


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Listening:
    made = Listening()
    monkeypatch.setattr(followed, "openers", lambda text: {"mine": lambda about: made} if text else {})
    monkeypatch.setattr("augury.train.engine.prepare.openers", lambda text: {})
    return made


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_who_is_told_alters_nothing(tmp_path: Path, listening: Listening) -> None:
    plain = train(FAST, tmp_path / "plain", quiet=True)
    told = train(replace(FAST, log="mine"), tmp_path / "told", quiet=True)
    assert plain is not None and told is not None
    assert weights(tmp_path / "plain") == weights(tmp_path / "told") and plain["counts"] == told["counts"]
    kinds = [what for what, _ in listening.told]
    assert kinds == ["pictures", "scalars", "scalars", "scalars", "table", "table", "close"]
    assert listening.told[-1][1]["accuracy"] == told["accuracy"]


def test_the_pictures_are_what_the_network_sees(tmp_path: Path, listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    from augury.train.method.views import StepViews

    plain, seen = StepViews.__call__, []

    def kept(self: StepViews, *rest: Any, **more: Any) -> Any:
        batch = plain(self, *rest, **more)
        seen.append(batch.images.clone())
        return batch

    monkeypatch.setattr(StepViews, "__call__", kept)
    train(replace(FAST, log="mine", epochs=1), tmp_path / "run", quiet=True)
    pictures = dict(listening.told)["pictures"]
    assert seen[0].equal(seen[1]), "the first step drew what was shown before it"
    assert pictures.dtype == torch.uint8 and pictures.shape[0] == min(32, len(seen[1]))
    assert (pictures[:, 0] == 0).any(dim=(1, 2)).all() and len(pictures.unique()) > 20


@pytest.mark.parametrize(("channels", "shown", "said"), [(1, 1, ""), (2, 1, ", channel 1 of 2"), (6, 3, ", channels 1-3 of 6")])
def test_pictures_of_other_channels_say_which_they_show(
    channels: int, shown: int, said: str, tmp_path: Path, listening: Listening
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 16, channels), dtype=np.uint8)
    labels = np.arange(60) % 3
    parts = {"x_train": images, "y_train": labels, "x_test": images[:12], "y_test": labels[:12]}
    np.savez(tmp_path / "bands.npz", **parts)
    train(replace(FAST, data=str(tmp_path / "bands.npz"), augment="flip", log="mine", epochs=1), tmp_path / "run", quiet=True)
    assert listening.name == f"first augmented batch{said}"
    assert dict(listening.told)["pictures"].shape[1:] == (shown, 16, 16)


def test_a_tracker_that_breaks_off_costs_nothing_but_its_own(tmp_path: Path, listening: Listening) -> None:
    plain = train(FAST, tmp_path / "plain", quiet=True)
    listening.left = 2
    told = train(replace(FAST, log="mine"), tmp_path / "told", quiet=True)
    assert plain is not None and told is not None and weights(tmp_path / "plain") == weights(tmp_path / "told")
    assert [n for n in told["notes"] if n.startswith("--log mine: failed (ConnectionError: no network)")]


def test_a_training_that_breaks_off_is_closed_as_such(tmp_path: Path, listening: Listening) -> None:
    def stop(row: Any) -> None:
        raise KeyboardInterrupt

    trainer = Trainer(prepare(replace(FAST, log="mine"), augury.dataset("digits")))
    from augury.train.engine.rundir import RunDirectory

    with pytest.raises(KeyboardInterrupt):
        trainer.run(RunDirectory.open(tmp_path / "run", FAST.dict()), stop)
    assert listening.told[-1] == ("close", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tensorbord", "--log: unknown logger 'tensorbord'.*tensorboard"),
        ("wandb(mode=sometimes)", "--log.*mode"),
        ("tensorboard+wandb", "separate several by commas"),
    ],
)
def test_a_tracker_that_is_none_is_refused_before_anything_is_written(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        train(replace(FAST, log=text), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_library_that_is_missing_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def absent(module: str, *rest: Any, **more: Any) -> Any:
        if module in (name, "torch.utils.tensorboard") and not module.startswith("augury"):
            raise ImportError(module)
        return plain(module, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=rf"--log {name}: needs the package {name}; pip install 'augury\[logging\]'"):
        openers(name)


def test_one_that_cannot_begin_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(about: About) -> Any:
        raise ConnectionError("no\nanswer")

    monkeypatch.setattr(followed, "openers", lambda text: {"wandb": unreachable})
    with pytest.raises(InputError, match=r"--log wandb: cannot start \(ConnectionError: no answer\); wandb\(mode=offline\)"):
        Followed.open("wandb", About(tmp_path, {}))


def test_numbers_are_found_by_their_path() -> None:
    row = {"a": 1, "b": {"c": 2.5, "d": None}, "e": [3, 4], "f": float("nan"), "g": True, "h": "text"}
    assert flat(row) == {"a": 1.0, "b/c": 2.5, "e/1": 3.0, "e/2": 4.0}
    assert np.isfinite(list(flat(row).values())).all()
