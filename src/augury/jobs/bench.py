"""`augury bench`: images per second of Augury's back ends and of other libraries, measured in the same run."""

import os
import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augury.augment.forms.backends import available
from augury.core.errors import InputError
from augury.core.openmp import threads
from augury.explain.fidelity.libraries import using
from augury.explain.throughput import cost, graph
from augury.explain.throughput.chains import CHAINS
from augury.explain.throughput.peers import installed, peers_of
from augury.explain.throughput.timing import Rate, Task, rates
from augury.explain.throughput.workloads import JOBS, Size, batches, call_of, images_for, jobs, sizes
from augury.jobs.environment import ABSENT, environment, installed_version
from augury.jobs.outputs import open_output
from augury.jobs.progress import bar
from augury.train.engine.checkpoint import write_json
from augury.train.engine.setup import pick_device


@dataclass(frozen=True)
class Effort:
    """Rounds of about `seconds` for every task; peers run on at most `few` images (a quarter of them at 224 pixels)."""

    rounds: int
    seconds: float
    few: int


FULL, QUICK = Effort(9, 0.25, 128), Effort(2, 0.005, 8)


@dataclass(frozen=True)
class BenchRow:
    """One measured task: a library (or Augury's back end) and how it is used; `note`: why there is no rate."""

    job: str
    size: Size
    library: str
    how: str
    equal_work: bool
    rate: Rate | None
    note: str = ""


def bench(
    output: Path | None = None, *, device: str = "auto", with_peers: bool = False, quick: bool = False, compiled: bool = False,
    quiet: bool = False, command: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Measure and, if `output` is given, write result.json there. On a CPU everything runs on one thread.

    compiled: on CUDA, also measure CUDA graphs of code compiled by torch.compile; InputError on other devices.
    """
    target = pick_device(device)
    if target.type not in ("cpu", "cuda"):
        target = pick_device("cpu")
    if compiled and target.type != "cuda":
        raise InputError(f"--compile: CUDA graphs need a GPU, and the device is {target.type}")
    if output is not None:
        open_output(output)
    effort, known = QUICK if quick else FULL, jobs()
    before = _load()
    measured: list[BenchRow] = []
    usual = sizes(target.type, quick)
    work = [(job, each) for size in usual for job in known[0] for each in batches(job, size, target.type, quick)]
    largest = {side: max(size.batch for _, size in work if size.side == side) for side in (size.side for size in usual)}
    images = {side: images_for(Size(side, batch)).to(target) for side, batch in largest.items()}
    with threads(1), bar(len(work) * effort.rounds, quiet, "rounds") as progress:
        for job, size in work:
            progress.label(f"{job} {size.name} x{size.batch}")
            measured += _measure(job, size, images[size.side][: size.batch], effort, with_peers, compiled, progress.advance)
        versions, absent = installed() if with_peers else ({}, [])
        result = {
            "version": 1,
            "command": command,
            "environment": {**environment(target), **{name: installed_version(name) or ABSENT for name in ("numba", "triton")}},
            "machine": {"cores": os.cpu_count(), "system": platform.platform(), "load_before": before, "load_after": _load()},
            "threads": torch.get_num_threads(),
            "clock": "wall time" if target.type == "cuda" else "processor time",
            "device": str(target),
            "quick": quick,
            "rounds": {"count": effort.rounds, "seconds_each": effort.seconds},
            "jobs": {job: JOBS[job] for job in known[0]},
            "not_registered": known[1],
            "peers": versions,
            "not_installed": absent,
            "rows": _table(measured),
            **_costs({size: images[size.side][: size.batch] for size in usual}, effort, quick),
        }
    if output is not None:
        write_json(output / "result.json", result)
    return result


def _names(device: torch.device) -> list[str]:
    fast = "triton" if device.type == "cuda" else "numba"
    return ["plain", *([fast] if available(fast) else [])]


def _measure(
    job: str, size: Size, images: Tensor, effort: Effort, with_peers: bool, compiled: bool, advance: Callable[[], None]
) -> list[BenchRow]:
    """Rates of all ways to do a job, in rounds that visit each of them in turn."""
    found: list[tuple[BenchRow, Task | None]] = []
    names = _names(images.device)
    for name in names[-1:] if job in CHAINS else names:  # the plain back end runs no chain in one pass
        row = BenchRow(job, size, "augury", name, True, None)
        call = _asking(name, call_of(job, images))
        found.append((row, Task(call, len(images), str(images.device))))
        if images.device.type == "cuda":
            found.append(_in_a_graph(row, images))
            if compiled and name == "triton":
                found.append(_in_a_graph(replace(row, how=f"{name}, compiled"), images, compiled))
    if with_peers:
        most = effort.few if size.side < 100 else max(2, effort.few // 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found += [(BenchRow(job, size, p.library, p.how, p.equal_work, None), p.task) for p in peers_of(job, images, most)]
    tasks = [task for _, task in found if task is not None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measured = iter(rates(tasks, effort.rounds, effort.seconds, advance))
    return [replace(row, rate=next(measured)) if task is not None else row for row, task in found]


def _asking(name: str, call: Callable[[], object]) -> Callable[[], object]:
    def asked() -> object:
        with using(name):
            return call()

    return asked


def _in_a_graph(row: BenchRow, images: Tensor, compiled: bool = False) -> tuple[BenchRow, Task | None]:
    row = replace(row, how=f"{row.how}, in a CUDA graph")
    try:
        with using(row.how.split(",")[0]):
            return row, Task(graph.captured(row.job, images, compiled), len(images), str(images.device))
    except RuntimeError as error:
        return replace(row, note=" ".join(str(error).split())[:200]), None


def _table(measured: list[BenchRow]) -> list[dict[str, Any]]:
    """Rows with the ratio to the best peer that does equal work, and to torchvision on PIL images."""
    rows = []
    for row in measured:
        same = [r for r in measured if (r.job, r.size) == (row.job, row.size) and r.library != "augury" and r.equal_work and r.rate]
        best = max(same, key=lambda r: r.rate.median if r.rate else 0.0, default=None)
        pil = next((r for r in same if (r.library, r.how) == ("torchvision", "PIL")), None)
        rows.append({
            "job": row.job, "size": row.size.name, "batch": row.size.batch, "library": row.library, "how": row.how,
            "equal_work": row.equal_work, "note": row.note, "images_per_second": row.rate and row.rate.median,
            "low": row.rate and row.rate.low, "high": row.rate and row.rate.high,
            "wall_images_per_second": row.rate and row.rate.wall, "n": row.rate.n if row.rate else 0,
            "best_peer": best and f"{best.library} ({best.how})", "to_best_peer": _ratio(row, best),
            "to_torchvision_pil": _ratio(row, pil),
        })  # fmt: skip
    return rows


def _ratio(row: BenchRow, other: BenchRow | None) -> float | None:
    return row.rate.median / other.rate.median if row.library == "augury" and row.rate and other and other.rate else None


def _costs(batches: dict[Size, Tensor], effort: Effort, quick: bool) -> dict[str, Any]:
    """Time by part of the engine, and peak memory; on a CPU the time of compilation, on CUDA whether anything synchronises."""
    known, _ = jobs()
    parts, memory, waits = [], [], []
    for size, images in batches.items():
        for name in _names(images.device):
            with using(name):
                if images.device.type == "cpu":
                    found = cost.shares("randaugment", images, effort.rounds, effort.seconds / 2)
                    shown = {"microseconds": found, "hashing_share": found["hashing"] / found["total"]}
                    parts.append({"job": "randaugment", "size": size.name, "batch": size.batch, "backend": name, **shown})
                for job in known:
                    where = {"job": job, "size": size.name, "batch": size.batch, "backend": name}
                    if images.device.type == "cuda":
                        memory.append({**where, "relative_to_batch": graph.peak_memory(call_of(job, images), images)})
                        waits.append({**where, "synchronises": graph.synchronises(job, images)})
                    elif not quick and job in ("randaugment", "cutout", "cutmix"):
                        memory.append({**where, "relative_to_batch": cost.peak_memory(job, size.side, size.batch, name)})
    compiled = None
    if not quick and available("numba") and all(images.device.type == "cpu" for images in batches.values()):
        compiled = cost.first_calls()
    return {"parts": parts, "peak_memory": memory, "synchronisation": waits, "first_call_seconds": compiled}


def _load() -> float | None:
    """The machine's load over the last minute: other processes disturb the measurement."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
