"""Jobs come to the same end in this process, in several and on Ray: what fails is tried once more, what dies is replaced."""

import os
import platform
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pool_helpers import Doing, Task

from augury.core.errors import InputError, RunError
from augury.train.pools import processes
from augury.train.pools.opened import Workers, pool_of
from augury.train.pools.packed import Files, dumped, loaded
from augury.train.pools.pool import SerialPool
from augury.train.pools.processes import gpus, threads_each
from augury.train.pools.training import Ended, failure_of

ENDS = {"done": "done", "raise once": "done", "raise": "ValueError: no such thing", "refuse": "--lr: is not to be"}
TRIES = {"done": 1, "raise once": 2, "raise": 2, "refuse": 1, "die once": 2, "die": 2}


def test_in_this_process_what_fails_is_tried_once_more(tmp_path: Path) -> None:
    told: list[Any] = []
    jobs = [Task(what, tmp_path) for what in (*ENDS, "tell")]
    found = dict(SerialPool(Doing()).run(jobs, lambda job, what: told.append((job.what, what["epoch"]))))
    assert found == {**ENDS, "tell": "done"}
    assert {job.what: job.tries for job in jobs[:-1]} == {what: TRIES[what] for what in ENDS}
    assert told == [("tell", 1), ("tell", 2)]


def test_processes_share_what_they_read_and_one_that_dies_is_replaced(tmp_path: Path) -> None:
    images = torch.arange(200_000, dtype=torch.uint8)
    told: list[Any] = []
    with pool_of(Doing(), Workers(2)) as pool:
        data = pool.share(images)
        # "wait" ends only after "go", which comes last: nobody waits for a round to be over.
        wanted = ["wait", *ENDS, "die once", "die", "tell", "go"]
        jobs = [*(Task(what, tmp_path) for what in wanted), Task("read", tmp_path, data)]
        found = dict(pool.run(jobs, lambda job, what: told.append((job.what, what["epoch"]))))
    ends = {**ENDS, "die once": "done", "die": "its process ended with exit code 7", "tell": "done", "go": "done", "wait": "done"}
    assert found == {**ends, "read": (int(images.long().sum()), True)}
    assert {what: Task(what, tmp_path).tries for what in TRIES} == TRIES
    assert told == [("tell", 1), ("tell", 2)]
    assert data.value.equal(images)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no masks of signals")
def test_an_interrupt_does_not_reach_processes_that_are_still_starting(tmp_path: Path) -> None:
    """They import for seconds before they can say that they ignore it, and would end with a traceback each."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    with pool_of(Doing(), Workers(2)) as pool:
        assert dict(pool.run([Task("interrupts", tmp_path)])) == {"interrupts": True}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, set()) == before


def test_ray_comes_to_the_same_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # Ray's processes must find this test's helpers
    images = torch.arange(200_000, dtype=torch.uint8)
    with pool_of(Doing(), Workers(2, "local")) as pool:
        jobs = [*(Task(what, tmp_path) for what in ENDS), Task("die", tmp_path), Task("read", tmp_path, pool.share(images))]
        found = dict(pool.run(jobs))
    assert "WorkerCrashedError" in found.pop("die") and Task("die", tmp_path).tries == 2
    assert found.pop("read")[0] == int(images.long().sum())
    assert found == ENDS


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is done")
@pytest.mark.parametrize("ray", [None, "local"])
def test_workers_keep_the_memory_that_a_step_frees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray: str | None) -> None:
    # Catches workers that map fresh pages at every step, a third of a small network's time, where the command itself does not.
    if ray:
        pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with pool_of(Doing(), Workers(2, ray)) as pool:
        ((_, faults),) = pool.run([Task("faults", tmp_path)])
    assert faults < 200, faults


def test_who_waits_for_workers_returns_what_he_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = []
    monkeypatch.setattr(processes, "release_freed_memory", lambda: released.append(True))
    with pool_of(Doing(), Workers(2)) as pool:
        assert not released
        assert dict(pool.run([Task("done", tmp_path)])) == {"done": "done"}
    assert released


def test_every_process_sees_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "gpus", lambda device, environment: ["3", "GPU-5"])
    with pool_of(Doing(), Workers(2)) as pool:
        found = [value for _, value in pool.run([Task("gpu", tmp_path) for _ in range(4)])]
    assert set(found) == {"3", "GPU-5"}


def test_gpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "pick_device", lambda name: torch.device("cuda" if name == "auto" else name))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert gpus("auto", {}) == ["0", "1", "2"]
    assert gpus("cuda", {"CUDA_VISIBLE_DEVICES": "2, GPU-7"}) == ["2", "GPU-7"]
    assert gpus("cuda:1", {}) == [] and gpus("cpu", {}) == []


def test_threads_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert [threads_each(count) for count in (1, 2, 3, 20)] == [8, 4, 2, 1]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert threads_each(2) == 1, "no more than the user allows this process"


def test_a_large_tensor_is_stored_once_and_small_ones_travel(tmp_path: Path) -> None:
    large, small = torch.arange(100_000), torch.arange(4)
    store = Files(tmp_path)
    content = dumped({"a": large, "b": [large, small], "c": large[::2]}, store)
    assert len(content) < 2000 and store.count == 2
    found = loaded(content)
    assert found["a"].equal(large) and found["b"][0] is found["a"] and found["b"][1].equal(small)
    assert found["c"].equal(large[::2])
    found["a"][0] = 7
    assert loaded(content)["a"][0] == 0, "who writes has a copy of his own"


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no room for images that processes share .*TMPDIR"):
        Files(tmp_path / "nowhere").keep(torch.arange(10))


@pytest.mark.parametrize("count", [0, -1, 1.5, "2"])
def test_a_number_of_workers_that_is_none_is_refused(count: Any) -> None:
    with pytest.raises(InputError, match="compare: workers=.*whole number"):
        Workers.of("compare", count, None)


def test_a_mistake_of_the_user_is_raised_before_other_failures(tmp_path: Path) -> None:
    died, refused = Ended("one", tmp_path, 1, "killed"), Ended("two", tmp_path, 1, "--lr: must be above 0", refused=True)
    for failed in ([died, refused], [refused, died]):
        error = failure_of(failed)
        assert isinstance(error, InputError) and str(error) == "--lr: must be above 0"
    assert str(failure_of([died, died])) == "2 trainings failed (one, one), the first with: killed"
