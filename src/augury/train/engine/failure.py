"""Stops on a non-finite loss, saving the step for debugging, on running out of memory, or if another process dies."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from augury.core.errors import InputError, RunError
from augury.core.target_kind import TargetKind
from augury.core.targets import Targets
from augury.train.engine.checkpoint import write_atomically, write_json
from augury.train.engine.feed import Share
from augury.train.engine.refinement import clock_at
from augury.train.engine.step import NotFinite, views
from augury.train.engine.streams import Drawn
from augury.train.engine.training import Training

TENSORS, ABOUT = "failure.safetensors", "failure.json"
# On a GPU, reading a value waits for the device, so this many losses are checked together.
EVERY = 50


class Watch:
    """Watches an epoch's losses; at the first that is not finite, saves the step and raises RunError."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.seen: list[tuple[int, Share, dict[str, Drawn], Tensor]] = []
        self.now: tuple[int, Share, dict[str, Drawn]] | None = None

    @contextmanager
    def step(self, share: Share, streams: dict[str, Drawn]) -> Iterator[None]:
        self.now = (self.training.counts.steps, share, streams)
        try:
            yield
        except NotFinite as error:
            raise _stopped(self.training, *self.now, error.loss, before=True) from None

    def see(self, loss: Tensor) -> None:
        """Note a step's loss; on a GPU, check the noted ones from time to time."""
        if loss.device.type != "cpu" and self.now is not None:
            self.seen.append((*self.now, loss))
            if len(self.seen) >= EVERY:
                self.check()

    def check(self) -> None:
        """Check the losses noted since the last check."""
        if not self.seen:
            return
        finite = torch.stack([loss for *_, loss in self.seen]).isfinite()
        if not bool(finite.all()):
            step, share, streams, loss = self.seen[int((~finite).nonzero()[0])]
            raise _stopped(self.training, step, share, streams, loss.item(), before=False)
        self.seen.clear()


def _stopped(t: Training, step: int, share: Share, streams: dict[str, Drawn], loss: float, *, before: bool) -> RunError:
    """Save a step (0-based) and return its error. before: whether the weights are still those before the step."""
    ids = t.data.train.ids[share.rows].tolist()
    words = f"the training loss is {loss} at step {step + 1}, in epoch {t.epoch + 1}"
    few = "; ".join(map(t.dataset.called, ids[:3])) + ("; ..." if len(ids) > 3 else "")
    words += f", on images {few}"
    if t.output.directory is not None:
        _write(t, t.output.directory.path, step, share, streams, loss, before, ids)
        words += f"; the step is saved in {t.output.directory.path / TENSORS}"
    return RunError(f"{words}; a smaller --lr, --warmup-epochs or --clip-grad usually helps")


def _write(
    t: Training, folder: Path, step: int, share: Share, streams: dict[str, Drawn], loss: float, before: bool, ids: list[int]
) -> None:
    clock = clock_at(t.settings, t.epoch, step)
    with torch.no_grad():
        batch = views(t, share, clock, streams)()
    tensors = {"images": batch.images, "ids": batch.ids, "rows": share.rows, "visits": share.visits}
    if batch.targets is not None:
        tensors |= {"index": batch.targets.index, "weight": batch.targets.weight}
        tensors |= {} if batch.targets.positive is None else {"positive": batch.targets.positive}
    tensors |= {f"model.{name}": tensor for name, tensor in t.model.state_dict().items()}
    finite = all(bool(p.isfinite().all()) for p in t.model.parameters())
    about = {
        "loss": str(loss), "step": step + 1, "epoch": t.epoch + 1, "learning_rate": float(t.optimizer.param_groups[0]["lr"]),
        "ids": ids, "names": [t.dataset.name_of(number) for number in ids],
        "classes": len(t.dataset.classes), "labels": t.dataset.kind.value,
        "weights": "before the step" if before else "some steps later",
        "weights_finite": finite, "settings": t.settings.dict(),
    }  # fmt: skip
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(folder / TENSORS, save(packed))
    write_json(folder / ABOUT, about)


@dataclass(frozen=True)
class Failure:
    """A saved step: the images as the network saw them, float [B,C,H,W], their ids and targets, and the weights."""

    images: Tensor
    targets: Targets | None
    ids: Tensor
    weights: dict[str, Tensor]
    about: dict[str, Any]


def read_failure(folder: Path) -> Failure:
    """Read the step that a run saved when its loss became non-finite; InputError if there is none."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        with safe_open(folder / TENSORS, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, ValueError):
        raise InputError(f"{folder}: holds no saved failure") from None
    targets = None
    if "index" in tensors:
        kind = TargetKind(about.get("labels", "one"))
        targets = Targets(tensors["index"], tensors["weight"], about["classes"], kind, tensors.get("positive"))
    weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    return Failure(tensors["images"], targets, tensors["ids"], weights, about)


@contextmanager
def explained(batch_size: int | None) -> Iterator[None]:
    """Turns running out of memory, and the death of a needed process, into a RunError that says what is kept and what to do."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if isinstance(error, RunError):
            raise
        if isinstance(error, RuntimeError) and (ended := _ended(str(error))) is not None:
            raise RunError(f"{ended}; the last checkpoint is kept, and --resume continues from it") from None
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not _is_about_memory(str(error)):
            raise
        where = "the GPU is" if isinstance(error, torch.OutOfMemoryError) else "the computer is"
        raise RunError(
            f"{where} out of memory at --batch-size {batch_size}; --grad-accum-steps 2 keeps the batch and halves what is in "
            f"memory at once, or use --batch-size {max(2, (batch_size or 2) // 2)}, --precision bfloat16 or "
            "a smaller --image-size; changes that affect the result need --overwrite, which starts again"
        ) from None


def _ended(text: str) -> str | None:
    """A message on the process that died while this one waited for it; None if the text is about something else."""
    if worker := re.search(r"DataLoader worker \(pid(?:\(s\))? ([0-9, ]+)\)", text):
        numbers = worker[1].strip()
        return f"decoding process {numbers} was killed from outside, usually because memory ran out; use fewer --decode-workers"
    if any(words in text for words in _PARTED):
        return "another process of this training has died, and the others cannot continue without it; start all of them again"
    return None


# Parts of gloo's and NCCL's messages about a process that has died.
_PARTED = (
    "Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "Timed out waiting", "gloo/transport",
    "Socket Timeout", "Application timeout", "Gloo",
)  # fmt: skip
_MEMORY = (
    "can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory", "bad_alloc", "start new thread",
    "failed to map segment", "Unable to mmap", "Unable to allocate",
)  # fmt: skip


def _is_about_memory(text: str) -> bool:
    return any(words in text for words in _MEMORY)
