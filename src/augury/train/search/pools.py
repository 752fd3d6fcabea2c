"""Pools that train children: one after another, in several processes, or on a Ray cluster."""

import logging
import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

import torch

from augury.core import plugins
from augury.core.errors import InputError
from augury.core.registry import SESSION
from augury.train.engine.settings import Settings
from augury.train.engine.setup import pick_device
from augury.train.search.outcome import Job, Outcome


class Runner(Protocol):
    """Trains one job at a time, in whatever process it is carried to: picklable, with the settings whose plug-ins it needs.
    threads: for PyTorch in the process that trains, None to leave them."""

    @property
    def settings(self) -> Settings: ...

    @property
    def threads(self) -> int | None: ...

    def with_threads(self, threads: int) -> "Runner": ...

    def run(self, job: Job) -> Outcome: ...


class Pool(Protocol):
    """`run` trains children and gives each outcome as soon as it is there; a child that breaks is an outcome too. The next job
    is taken only when somebody is free to train it, so that it can be decided on late."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]: ...


@dataclass(frozen=True)
class SerialPool:
    """One after another in this process."""

    runner: Runner

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        yield from map(self.runner.run, jobs)


@dataclass
class Worker:
    """A process that trains one child at a time."""

    process: Any
    connection: Connection
    job: Job | None = None


@dataclass
class ProcessPool:
    """`count` processes, each with its share of the processor's threads.

    One that dies (out of memory, a crash in a library) is its child's outcome, and another takes its place.
    """

    runner: Runner
    count: int
    workers: list[Worker] = field(default_factory=list)

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        upcoming = iter(jobs)
        while True:
            while sum(worker.job is not None for worker in self.workers) < self.count:
                job = next(upcoming, None)
                if job is None:
                    break
                worker = self._free()
                worker.job = job
                worker.connection.send_bytes(pickle.dumps(job))
            if not any(worker.job for worker in self.workers):
                return
            for connection in wait([worker.connection for worker in self.workers if worker.job]):
                yield self._result(next(w for w in self.workers if w.connection is connection))

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.connection.close()
            worker.process.terminate()
            worker.process.join()
        self.workers.clear()

    def _free(self) -> Worker:
        """A worker without a job; a new one while there are fewer than `count`."""
        for worker in self.workers:
            if worker.job is None:
                return worker
        threads = max(1, len(os.sched_getaffinity(0)) // self.count) if hasattr(os, "sched_getaffinity") else 1
        content = packed(self.runner.with_threads(threads), "--workers")
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, content), daemon=True)
        process.start()
        theirs.close()
        self.workers.append(Worker(process, ours))
        return self.workers[-1]

    def _result(self, worker: Worker) -> Outcome:
        job = worker.job
        assert job is not None
        try:
            outcome: Outcome = pickle.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            worker.process.join()
            self.workers.remove(worker)
            return _broken(job, f"its process ended with exit code {worker.process.exitcode}")
        worker.job = None
        return outcome


def packed(runner: Runner, where: str) -> bytes:
    """A workshop for another process, with the plug-ins that it may use; InputError where one cannot be handed on."""
    plugins.portable(plugins.used_in(runner.settings.dict()), where)
    loaded = [plugin for plugin in plugins.loaded() if plugin.module != SESSION]
    return pickle.dumps((loaded, pickle.dumps(runner)))


def unpacked(content: bytes) -> Runner:
    """What was packed, its plug-ins loaded first."""
    loaded, inner = pickle.loads(content)
    plugins.restore(loaded)
    runner: Runner = pickle.loads(inner)
    return runner


def _serve(connection: Connection, content: bytes) -> None:
    """A worker's loop: trains jobs until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner = unpacked(content)
    torch.set_num_threads(runner.threads or 1)
    while True:
        try:
            job: Job = pickle.loads(connection.recv_bytes())
            connection.send_bytes(pickle.dumps(runner.run(job)))
        except (EOFError, OSError):
            return


@dataclass(frozen=True)
class RayPool:
    """Children as tasks of a Ray cluster, `count` at a time; one that fails is its child's outcome."""

    ray: Any
    task: Any
    runner: Any
    count: int

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        upcoming = iter(jobs)
        pending: dict[Any, Job] = {}
        while True:
            while len(pending) < self.count and (job := next(upcoming, None)) is not None:
                pending[self.task.remote(self.runner, pickle.dumps(replace(job)))] = job
            if not pending:
                return
            ready, _ = self.ray.wait(list(pending), num_returns=1)
            job = pending.pop(ready[0])
            try:
                yield pickle.loads(self.ray.get(ready[0]))
            except self.ray.exceptions.RayError as error:
                yield _broken(job, " ".join(f"{type(error).__name__}: {error}".split())[:300])


def _remote(content: bytes, job: bytes) -> bytes:
    runner = unpacked(content)
    torch.set_num_threads(runner.threads or 1)
    return pickle.dumps(runner.run(pickle.loads(job)))


def _broken(job: Job, error: str) -> Outcome:
    return Outcome(job.arm, job.number, job.decisions, job.seed, None, 0.0, error=error)


@contextmanager
def pool_of(runner: Runner, workers: int = 1, ray: str | None = None) -> Iterator[Pool]:
    """One process, several, or a Ray cluster: `local` starts one here, `auto` or an address joins one.

    Raises InputError where Ray is wanted and missing, or its cluster cannot be reached.
    """
    if ray is not None:
        cluster, started = _connected(runner, workers, ray)
        try:
            yield cluster
        finally:
            if started:
                cluster.ray.shutdown()
    elif workers == 1:
        yield SerialPool(runner)
    else:
        processes = ProcessPool(runner, workers)
        try:
            yield processes
        finally:
            processes.close()


def _connected(runner: Runner, workers: int, address: str) -> tuple[RayPool, bool]:
    try:
        import ray
    except ImportError:
        raise InputError("--ray: needs the package ray; pip install 'augury[ray]', or use --workers N instead") from None
    started = not ray.is_initialized()
    if started:
        local: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **local)
        except Exception as error:  # Ray raises plain Exception where it does not start
            raise InputError(f"--ray {address}: cannot be reached ({' '.join(str(error).split())[:200]})") from None
    gpus = 1 if pick_device(runner.settings.device).type == "cuda" else 0
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_remote)
    # As many as the cluster has room for: more would only wait there, decided on too early.
    room = int(ray.cluster_resources().get("GPU" if gpus else "CPU", 1))
    count = workers if address == "local" else max(workers, room)
    return RayPool(ray, task, ray.put(packed(runner.with_threads(1), "--ray")), count), started
