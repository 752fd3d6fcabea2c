"""Runs jobs in several processes of this machine, each on its share of the CPU cores or on its own GPU."""

import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic

import torch

from augury.core.errors import RunError
from augury.core.memory import prepare_for_training, release_freed_memory
from augury.core.openmp import threads
from augury.core.processes import cores
from augury.train.engine.setup import pick_device
from augury.train.pools.packed import Files, dumped, loaded, packed, unpacked
from augury.train.pools.pool import J, OnTold, R, Runner, Shared, T, attempted, unheard

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass
class Worker:
    """A process that runs one job at a time. slot: its number among the concurrent processes."""

    process: Any
    connection: Connection
    slot: int
    job: Any = None


@dataclass
class ProcessPool(Generic[J, R]):
    """Runs jobs in `count` processes, each with its share of the CPU threads and, if the runner uses them, of the GPUs.

    A process that dies (out of memory, a crash in a library) is replaced and its job started once more; if that process dies too,
    that is the job's result.
    """

    runner: Runner[J, R]
    count: int
    workers: list[Worker] = field(default_factory=list)
    waiting: list[J] = field(default_factory=list)
    retried: list[J] = field(default_factory=list)
    folder: Any = field(default_factory=lambda: tempfile.TemporaryDirectory(prefix="augury-", ignore_cleanup_errors=True))

    def __post_init__(self) -> None:
        self._files = Files(Path(self.folder.name))
        self._content = packed(self.runner, "--workers", self._files)
        self._gpu_names = gpus(self.runner.settings.device, os.environ)

    def run(self, jobs: Iterable[J], told: OnTold = unheard) -> Iterator[R]:
        release_freed_memory()
        upcoming = iter(jobs)
        while True:
            while sum(worker.job is not None for worker in self.workers) < self.count:
                job = self.waiting.pop() if self.waiting else next(upcoming, None)
                if job is None:
                    break
                worker = self._free()
                worker.job = job
                worker.connection.send_bytes(dumped(job, self._files))
            if not any(worker.job is not None for worker in self.workers):
                return
            for connection in wait([worker.connection for worker in self.workers if worker.job is not None]):
                yield from self._heard(next(w for w in self.workers if w.connection is connection), told)

    def share(self, value: T) -> Shared[T]:
        """The value with its large tensors in files; a caller that keeps only this value shares memory with the workers."""
        path = Path(self.folder.name) / f"shared-{self._files.count}.pickle"
        path.write_bytes(dumped(value, self._files))
        return Shared(_read(str(path)), str(path))

    def close(self) -> None:
        """End the processes and remove the shared files."""
        for worker in self.workers:
            worker.connection.close()
            worker.process.terminate()
            worker.process.join()
        self.workers.clear()
        _read.cache_clear()
        self.folder.cleanup()

    def _free(self) -> Worker:
        """A worker without a job; a new one if all are busy."""
        for worker in self.workers:
            if worker.job is None:
                return worker
        slot = min(set(range(self.count)) - {worker.slot for worker in self.workers})
        gpu = self._gpu_names[slot % len(self._gpu_names)] if self._gpu_names else None
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._content, threads_each(self.count), gpu)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        with _interrupts_held_back():
            process.start()
        theirs.close()
        self.workers.append(Worker(process, ours, slot))
        return self.workers[-1]

    def _heard(self, worker: Worker, told: OnTold) -> Iterator[R]:
        """A worker's result, or nothing if it only reported progress, or if it died and its job is started once more."""
        job: J = worker.job
        try:
            kind, what = pickle.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            worker.process.join()
            worker.connection.close()
            self.workers.remove(worker)
            if any(job is each for each in self.retried):
                yield self.runner.broken(job, RunError(f"its process ended with exit code {worker.process.exitcode}"), 0.0)
            else:
                self.retried.append(job)
                self.waiting.append(job)
            return
        if kind == "told":
            told(job, what)
            return
        worker.job = None
        yield what


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process that is started meanwhile does not hear Ctrl-C, which a terminal sends to all of them: this process ends by it,
    and ends the others. Until they are told to ignore it they import modules for seconds, and would end with a traceback each."""
    if sys.platform == "win32":  # has no masks
        yield
        return
    resource_tracker.ensure_running()  # when it is first started it lets interrupts through, whatever was asked for
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def threads_each(count: int) -> int:
    """PyTorch's threads in each of `count` processes: its share of the cores, and no more than this process uses."""
    return max(1, min(torch.get_num_threads(), cores() // count))


def threads_as_in(count: int) -> AbstractContextManager[None]:
    """PyTorch's threads as each of `count` processes has them, for measuring how fast those will be; 1 is this process."""
    return threads(torch.get_num_threads() if count == 1 else threads_each(count))


def gpus(device: str, environment: Mapping[str, str]) -> list[str]:
    """The GPUs to distribute to processes, as `CUDA_VISIBLE_DEVICES` names them; none if one GPU is named or none is used."""
    found = pick_device(device)
    if found.type != "cuda" or found.index is not None:
        return []
    named = environment.get(VISIBLE)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]


@lru_cache(2)
def _read(path: str) -> Any:
    """A shared value; the last two are cached, so that successive jobs load them once."""
    return loaded(Path(path).read_bytes())


def _serve(connection: Connection, content: bytes, threads: int, gpu: str | None) -> None:
    """A worker's loop: runs jobs until the connection is closed. gpu: the only one that it can see."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_for_training()
    if gpu is not None:
        os.environ[VISIBLE] = gpu
    runner = unpacked(content)
    torch.set_num_threads(threads)

    def tell(what: Any) -> None:
        connection.send_bytes(pickle.dumps(("told", what)))

    while True:
        try:
            job = loaded(connection.recv_bytes(), shared_at=_read)
            connection.send_bytes(pickle.dumps(("done", attempted(runner, job, tell))))
        except (EOFError, OSError):
            return
