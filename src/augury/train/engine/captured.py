"""Runs whole steps as CUDA graphs: each is recorded once, then replayed by one launch.

Values that differ from step to step are in device buffers (rows, visits, streamed images, the epoch's number, the learning
rate). A change of the program selects another graph: the strategy's program, the batch size, the intensity of intensive
stages, whether a saliency map is computed and, if a policy was seen to read the clock, the epoch.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from augury.core.plan import Clock
from augury.train.engine.feed import Share
from augury.train.engine.settings import Settings
from augury.train.engine.setup import cuda_devices
from augury.train.engine.step import compute
from augury.train.engine.streams import Drawn
from augury.train.engine.training import Training
from augury.train.engine.world import World
from augury.train.method.counts import Counts

WARM_UP = 3
MOST_APART = 0.05
Outcome = tuple[Tensor, dict[str, Tensor]]


class WatchedClock(Clock):
    """A clock that notes whether the time was read from it, since a recorded step would keep that time."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("epoch", "epochs", "step", "fraction"):
            object.__getattribute__(self, "__dict__")["read"] = True
        return object.__getattribute__(self, name)


class Recorder(Protocol):
    """Records a function's work on the device: `record` runs it once without effect and returns its replay and outcome."""

    def eager(self, work: Callable[[], Outcome]) -> Outcome: ...
    def record(self, work: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]: ...


class CudaRecorder:
    """Records with torch.cuda.graph; all graphs of a training share one memory pool, since they never run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.pool: Any = None
        self.side = torch.cuda.Stream(device)

    def eager(self, work: Callable[[], Outcome]) -> Outcome:
        """Run a warm-up step on a side stream, as PyTorch requires before recording."""
        self.side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.side):
            done = work()
        torch.cuda.current_stream(self.device).wait_stream(self.side)
        return done

    def record(self, work: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            done = work()
        self.pool = self.pool or graph.pool()
        return graph.replay, done


@dataclass
class Recorded:
    """One graph with its buffers. counts: what one step adds to the training's counts."""

    replay: Callable[[], None]
    outcome: Outcome
    buffers: dict[str, Tensor]
    counts: Counts


@dataclass
class Capture:
    """Records a training's steps and replays them; if that is impossible, runs them eagerly and gives the cause in `reason`.

    checked: whether the first recorded step was compared with an eager one.
    """

    device: torch.device
    recorder: Recorder | None = None
    reason: str | None = None
    graphs: dict[tuple[Hashable, ...], Recorded] = field(default_factory=dict)
    seen: dict[tuple[Hashable, ...], int] = field(default_factory=dict)
    reads_clock: bool = False
    checked: bool = False
    replayed: int = 0
    epoch: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.epoch = torch.zeros((), dtype=torch.int64, device=self.device)
        if self.recorder is None:
            self.recorder = CudaRecorder(self.device)

    @staticmethod
    def wanted(settings: Settings, device: torch.device, world: World) -> bool:
        """Whether to capture steps: on CUDA, in one process (gradients of several are summed outside the graph)."""
        return settings.capture and device.type == "cuda" and world.size == 1

    @property
    def note(self) -> str | None:
        return None if self.reason is None else f"steps were not captured in a CUDA graph: {self.reason}"

    def step(self, training: Training, share: Share, streams: dict[str, Drawn], clock: Clock, program: Hashable) -> Outcome:
        """Run one step: eagerly the first WARM_UP times, then recorded, then replayed."""
        t = training
        self.epoch.fill_(clock.epoch)

        def eager() -> Outcome:
            return compute(t, share, streams, clock, program, self.epoch)

        refusal = self.reason or _refusal(t, streams)
        key = self._key(t, share, clock, program)
        if refusal is not None:
            self.reason = refusal
            return eager()
        assert self.recorder is not None
        if key not in self.graphs:
            self.seen[key] = self.seen.get(key, 0) + 1
            if self.seen[key] <= WARM_UP:
                return self.recorder.eager(eager)
            if not self._record(t, key, share, clock, program):
                return eager()
            if not self.checked:
                return self._check(t, key, share, eager)
        return self._replay(t, key, share)

    def _check(self, t: Training, key: tuple[Hashable, ...], share: Share, eager: Callable[[], Outcome]) -> Outcome:
        """Replay the step, undo it and run it eagerly; if the two results differ, no step is replayed again."""
        self.checked = True
        state = _state(t)
        before, counts = [tensor.clone() for tensor in state], replace(t.counts)
        with torch.random.fork_rng(devices=cuda_devices(self.device)):
            loss, _ = self._replay(t, key, share)
        replayed = [tensor.clone() for tensor in state]
        self.replayed -= 1
        _put_back(t.counts, counts)
        for tensor, kept in zip(state, before, strict=True):
            tensor.copy_(kept)
        done = eager()
        if not (_near([loss], [done[0]], [torch.zeros_like(loss)]) and _near(replayed, state, before)):
            self.reason = "replaying a step gave a different result from computing it; `augury doctor` compares the two"
        return done

    def _key(self, t: Training, share: Share, clock: Clock, program: Hashable) -> tuple[Hashable, ...]:
        mapped = None if t.method.saliency is None else clock.step % t.method.saliency.every == 0
        return program, len(share.rows), share.count, clock.intensity, mapped, clock.epoch if self.reads_clock else None

    def _record(self, t: Training, key: tuple[Hashable, ...], share: Share, clock: Clock, program: Hashable) -> bool:
        """Record a step on copies of its buffers; False if that fails, with the cause in `reason`."""
        buffers = {"rows": share.rows.clone(), "visits": share.visits.clone()}
        if share.images is not None:
            buffers["images"] = share.images.clone()
        still = Share(buffers["rows"], buffers["visits"], share.weight, share.count, buffers.get("images"))
        watched = WatchedClock(*(getattr(clock, f.name) for f in fields(Clock)))
        watched.__dict__["read"] = False
        before = replace(t.counts)
        assert self.recorder is not None
        try:
            replay, outcome = self.recorder.record(lambda: compute(t, still, {}, watched, program, self.epoch))
        except RuntimeError as error:
            self.reason = str(error).strip().splitlines()[0]
            _put_back(t.counts, before)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            return False
        added = Counts(*(getattr(t.counts, f.name) - getattr(before, f.name) for f in fields(Counts)))
        _put_back(t.counts, before)
        if watched.__dict__["read"] and not self.reads_clock:
            self.reads_clock = True
            self.graphs.clear()
            key = self._key(t, share, clock, program)
        if self.reads_clock:
            # Graphs of earlier epochs will not be used again.
            self.graphs = {old: graph for old, graph in self.graphs.items() if old[-1] == clock.epoch}
            self.seen = {old: WARM_UP for old in self.seen}
        self.graphs[key] = Recorded(replay, outcome, buffers, added)
        return True

    def _replay(self, t: Training, key: tuple[Hashable, ...], share: Share) -> Outcome:
        graph = self.graphs.get(key) or self.graphs[(*key[:-1], int(self.epoch))]
        graph.buffers["rows"].copy_(share.rows)
        graph.buffers["visits"].copy_(share.visits)
        if share.images is not None:
            graph.buffers["images"].copy_(share.images, non_blocking=True)
        graph.replay()
        self.replayed += 1
        for f in fields(Counts):
            setattr(t.counts, f.name, getattr(t.counts, f.name) + getattr(graph.counts, f.name))
        loss, logs = graph.outcome
        return loss.clone(), {name: value.clone() for name, value in logs.items()}


def _state(t: Training) -> list[Tensor]:
    """The tensors that a step changes, not copied: weights, statistics and the optimiser's state."""
    kept = [value for each in t.optimizer.state.values() for value in each.values() if isinstance(value, Tensor)]
    return [*t.model.state_dict().values(), *t.method.extra.state_dict().values(), *kept]


@torch.no_grad()
def _near(found: list[Tensor], wanted: list[Tensor], before: list[Tensor]) -> bool:
    """Whether two changes differ by at most MOST_APART of the wanted one; sums may be rounded in another order."""

    def length(one: list[Tensor], other: list[Tensor]) -> Tensor:
        return torch.stack([(a.double() - b.double()).norm() for a, b in zip(one, other, strict=True)]).norm()

    return bool(length(found, wanted) <= MOST_APART * length(wanted, before))


def _put_back(counts: Counts, before: Counts) -> None:
    for f in fields(Counts):
        setattr(counts, f.name, getattr(before, f.name))


def _refusal(t: Training, streams: dict[str, Drawn]) -> str | None:
    """Why the strategy's steps cannot be recorded; None if they may be."""
    if streams or t.data.further:
        return f"the strategy {t.settings.strategy} reads further streams of images"
    if t.strategy.turns > 1:
        return f"the strategy {t.settings.strategy} keeps values between the turns of a step"
    if t.strategy.needs_groups:
        return f"the strategy {t.settings.strategy} changes its weights on the host"
    if t.strategy.state_dict():
        return f"the strategy {t.settings.strategy} learns on the host"
    return None
