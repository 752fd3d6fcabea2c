"""Jobs whose ends are known, importable from the processes that pools start."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from augury.core.errors import InputError
from augury.train.engine.settings import Settings
from augury.train.pools.pool import Shared, Tell, in_words


@dataclass(frozen=True)
class Task:
    """What is to be done, in a folder where tries leave a trace."""

    what: str
    folder: Path
    data: Shared[Tensor] | None = None

    @property
    def tries(self) -> int:
        return len(list(self.folder.glob(f"{self.what}-*")))


@dataclass(frozen=True)
class Doing:
    """Does tasks; its results are (task, text)."""

    settings: Settings = field(default_factory=lambda: Settings("digits", device="cpu"))

    def run(self, job: Task, tell: Tell) -> tuple[str, Any]:
        (job.folder / f"{job.what}-{job.tries}").touch()
        first = job.tries == 1
        if job.what == "raise" or (job.what == "raise once" and first):
            raise ValueError("no such\nthing")
        if job.what == "refuse":
            raise InputError("--lr: is not to be")
        if job.what == "die" or (job.what == "die once" and first):
            os._exit(7)
        if job.what == "tell":
            tell({"epoch": 1})
            tell({"epoch": 2})
        if job.what == "wait":
            while not (job.folder / "go-0").exists():
                time.sleep(0.01)
        if job.what == "faults":
            from page_faults import faults_of_a_step  # of Unix alone

            return "faults", faults_of_a_step()
        if job.what == "interrupts":
            return "interrupts", signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())
        if job.what == "gpu":
            return "gpu", os.environ.get("CUDA_VISIBLE_DEVICES")
        if job.what == "read":
            assert job.data is not None
            maps = Path("/proc/self/maps")
            shared = "augury-" in maps.read_text() if maps.exists() else True
            return "read", (int(job.data.value.long().sum()), shared)
        return job.what, "done"

    def broken(self, job: Task, error: Exception, seconds: float) -> tuple[str, str]:
        return job.what, in_words(error)
