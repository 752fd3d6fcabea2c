"""Writes a training's checkpoints and resumes from them."""

import json
import time
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.dataset import Split
from augury.train.engine import checkpoint
from augury.train.engine.identity import keep_identity
from augury.train.engine.nested import flatten_state, unflatten_state
from augury.train.engine.policy_files import by_content, contents
from augury.train.engine.pretrained_files import by_hash, hashes
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import HARMLESS, Settings
from augury.train.engine.training import Training

_PARTS = ("model.", "extra.", "optimizer.", "selected.", "average.")


def save(training: Training, folder: Path) -> None:
    """Write a checkpoint of the epochs done so far, after flushing their metrics, so that it never has more epochs than they."""
    RunDirectory(folder).flush_metrics()
    checkpoint.save_checkpoint(folder, *_contents(training))


def _contents(t: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The content of a checkpoint: tensors by name, and the other state."""
    tensors = {f"model.{k}": v for k, v in t.model.state_dict().items()}
    tensors |= {f"extra.{k}": v for k, v in t.method.extra.state_dict().items()}
    tensors |= {f"optimizer.{k}": v for k, v in checkpoint.optimizer_tensors(t.optimizer).items()}
    tensors |= {f"selected.{k}": v for k, v in t.selection.weights.items()}
    if t.average is not None:
        tensors |= {f"average.{k}": v for k, v in t.average.model.state_dict().items()}
    state = {
        "epoch": t.epoch, "seconds": t.progress.seconds, "device_seconds": t.progress.device_seconds,
        "wall": t.progress.clock.read(), "counts": t.counts.dict(),
        "strategy": flatten_state(t.strategy.state_dict(), "strategy", tensors), "selection": t.selection.state(),
        "data": fingerprint(t.data.train), "threads": torch.get_num_threads(),
        "bfloat16": t.bfloat16, "processes": t.world.size, "averaged": 0 if t.average is None else t.average.updates,
        "settings": deciding(t.settings),
    }  # fmt: skip
    return tensors, state


def record_epoch(training: Training, row: dict[str, Any]) -> None:
    """Write an epoch's metrics and, if one is due, a checkpoint; end stage one if it is over.

    Stage one's result is the network that it chose; the refinement continues from its last weights, as in the paper. If
    patience ended stage one early, the refinement's epochs keep their numbers, and so their learning rates and draws.
    """
    t = training
    ends = t.settings.refined and t.selection.ended is None and _stage_one_over(t)
    if ends:
        t.progress.stage_one = _chosen(t)
    if t.output.directory is not None:
        t.output.directory.append_metrics(row)
        if ends:
            # Written before the checkpoint that continues from it: a kill between the two would otherwise lose it for good.
            checkpoint.save_as(t.output.directory.path / checkpoint.STAGE_ONE, *_contents(t))
    if ends:
        t.selection.end_stage_one(t.epoch)
        t.progress.epoch = t.settings.stage_one
    due = ends or t.done or time.monotonic() - t.output.saved_at >= t.settings.checkpoint_seconds
    if t.output.directory is not None and due:
        save(t, t.output.directory.path)
        t.output.saved_at = time.monotonic()


def _chosen(t: Training) -> dict[str, Tensor]:
    """The weights of stage one's result."""
    chosen = t.selection.weights or t.shown.state_dict()
    return {name: tensor.detach().cpu().clone() for name, tensor in chosen.items()}


def _stage_one_over(t: Training) -> bool:
    return t.epoch == t.settings.stage_one or (t.epoch < t.settings.stage_one and t.selection.stopped(t.epoch))


def resume(training: Training, directory: RunDirectory | None) -> list[dict[str, Any]]:
    """Restore the folder's checkpoint and return the metrics of its epochs; without one, start from the beginning.

    The first process reads the file and sends it to the others. Raises InputError if the data are not those of the checkpoint.
    """
    t = training
    if directory is None and t.world.size == 1:
        return []
    found = t.world.from_first(t.world.first(lambda: _kept(t, directory)))
    if found is None:
        if directory is not None and t.world.leads:
            directory.write_metrics([])
        return []
    _restore(t, found)
    rows = [row for row in directory.metrics() if row["epoch"] <= t.epoch] if directory is not None and t.world.leads else []
    if directory is not None and t.world.leads:
        directory.write_metrics(rows)
        _note_missing(t, len(rows))
        if t.settings.refined and t.epoch >= t.settings.stage_one and not _at_its_end(t, directory.path):
            t.progress.stage_one = _stage_one(directory.path, t.average is not None)
    rows = t.world.from_first(rows)
    if t.settings.refined and t.selection.ended is None and (t.epoch >= t.settings.stage_one or t.selection.stopped(t.epoch)):
        # Stage one was taken over from another run (`StageOne`), or the checkpoint is of an older version, in which the stages did
        # not choose separately or stage one's end was written after it.
        if directory is not None and t.world.leads and not t.progress.stage_one and t.epoch <= t.settings.stage_one:
            t.progress.stage_one = _chosen(t)
            checkpoint.save_as(directory.path / checkpoint.STAGE_ONE, *_contents(t))
        t.selection.end_stage_one(min(t.epoch, t.settings.stage_one))
        t.progress.epoch = max(t.epoch, t.settings.stage_one)
    t.progress.stage_one = t.world.from_first(t.progress.stage_one)  # which all processes evaluate together at the end
    return rows


def _kept(t: Training, directory: RunDirectory | None) -> checkpoint.Found | None:
    """The folder's newest checkpoint, after what the training reads was compared with what it was begun with."""
    if directory is None:
        return None
    keep_identity(directory.path, t.dataset, t.settings)
    return checkpoint.newest(directory.path)


def _at_its_end(t: Training, folder: Path) -> bool:
    """Whether stage one has just ended and is not yet kept."""
    return t.selection.ended is None and t.epoch == t.settings.stage_one and not (folder / checkpoint.STAGE_ONE).exists()


def _note_missing(t: Training, rows: int) -> None:
    """Add a note if metrics.jsonl has fewer epochs than the checkpoint."""
    left_out = 0 if t.selection.ended is None else t.settings.stage_one - t.selection.ended[0]  # patience ended stage one early
    known = t.epoch - left_out
    if rows < known:
        t.progress.notes.append(
            f"metrics.jsonl held {rows} of the {known} epochs of the checkpoint: curves and figures over epochs lack "
            f"{known - rows}; the network is complete"
        )


def _restore(t: Training, found: checkpoint.Found) -> None:
    state, parts = found.state, {name: _part(found.tensors, name) for name in _PARTS}
    _refuse_another(t, state)
    if state.get("data", fingerprint(t.data.train)) != fingerprint(t.data.train):
        raise InputError(f"--resume: the training images of {t.settings.data} are not those it was started with; put them back")
    if (before := state.get("processes", t.world.size)) != t.world.size:  # older checkpoints do not say
        raise InputError(
            f"--resume: the run was started in {before} process{'es' if before > 1 else ''} and would draw and average differently "
            f"in {t.world.size}; the checkpoint of epoch {state['epoch']} is kept; start it {launch(before)}"
        )
    try:
        _load(t, found, parts)
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        said = (str(error) or type(error).__name__).splitlines()[0][:150]
        raise InputError(f"--resume: the checkpoint is not one of this training ({said}); put the right one back") from None


def launch(processes: int) -> str:
    """How a training in so many processes is started, in words."""
    return "without torchrun" if processes == 1 else f"by `torchrun --nproc-per-node {processes}`"


def deciding(settings: Settings, *, as_written: bool = False) -> dict[str, Any]:
    """The settings that determine a training's result, as plain values, to recognise its checkpoints. See `by_content`."""
    plain = json.loads(json.dumps(settings.dict()))
    plain = by_content(plain, contents(plain), as_written=as_written)  # a search's policy files may have been moved with it
    plain = by_hash(plain, hashes(plain))
    return {key: value for key, value in plain.items() if key not in (*HARMLESS, "data", "device")}


def _refuse_another(t: Training, state: dict[str, Any]) -> None:
    """InputError if the checkpoint is of another training, for example with another seed or network."""
    found = changed(t.settings, state.get("settings") or {})  # older checkpoints do not have them
    if found:
        raise InputError(f"--resume: the checkpoint is of another training ({', '.join(found[:3])}); put the right one back")


def changed(settings: Settings, known: dict[str, Any], besides: Collection[str] = ()) -> list[str]:
    """How a checkpoint's settings differ from these, in words for each; those in `besides` may."""
    own, older = deciding(settings), deciding(settings, as_written=True)
    keys = sorted((own.keys() & known.keys()) - set(besides))
    return [f"{key} {known[key]} instead of {own[key]}" for key in keys if known[key] not in (own[key], older[key])]


def _load(t: Training, found: checkpoint.Found, parts: dict[str, dict[str, Tensor]]) -> None:
    state = found.state
    t.model.load_state_dict(parts["model."])
    t.method.extra.load_state_dict(parts["extra."])
    checkpoint.restore_optimizer(t.optimizer, parts["optimizer."])
    if t.average is not None:
        t.average.model.load_state_dict(parts["average."])
        t.average.updates = state["averaged"]
    t.progress.epoch, t.progress.seconds, t.progress.device_seconds = state["epoch"], state["seconds"], state["device_seconds"]
    t.progress.clock.before = state.get("wall", t.progress.seconds)  # older checkpoints do not have it
    t.counts.load(state["counts"])
    t.strategy.load_state_dict(unflatten_state(state["strategy"], found.tensors))
    t.selection.load(state["selection"], parts["selected."])
    if (begun := state.get("bfloat16", t.bfloat16)) != t.bfloat16:  # older checkpoints do not have it
        t.bfloat16 = begun
        t.progress.notes.append(f"started in {'bfloat16' if begun else 'float32'} and continued in it, whatever a probe finds now")
    if found.damaged:
        t.progress.notes.append(f"{found.damaged} was damaged; resumed from the checkpoint before it, of epoch {t.epoch}")
    if state.get("threads", torch.get_num_threads()) != torch.get_num_threads():
        t.progress.notes.append(
            f"resumed with {torch.get_num_threads()} threads, started with {state['threads']}: sums round differently, so that the "
            "result is not bit for bit that of an uninterrupted run"
        )


def _stage_one(folder: Path, averaged: bool) -> dict[str, Tensor]:
    found = checkpoint.read(folder / checkpoint.STAGE_ONE)
    if found is None:
        return {}
    return _part(found.tensors, "selected.") or _part(found.tensors, "average." if averaged else "model.")


def _part(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def fingerprint(split: Split) -> int:
    """A checksum of the training part's ids, labels and, if they are in memory, images."""
    parts = [split.ids, split.labels] + ([split.images] if isinstance(split.images, Tensor) and split.images.is_cpu else [])
    value = 0
    for part in parts:
        value = zlib.crc32(part.cpu().contiguous().numpy().data, value)
    return value
