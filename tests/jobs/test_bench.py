"""`augury bench`: what it writes, that ratios are to peers of equal work, and that it leaves the process as it was."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from augury.cli import main
from augury.core import registry
from augury.explain.throughput import cost, timing
from augury.explain.throughput.chains import CHAINS, outcome
from augury.explain.throughput.peers import Peer, peers_of
from augury.explain.throughput.timing import Rate, Task, rates
from augury.explain.throughput.workloads import IN_PLACE, JOBS, Size, addressed, batches, call_of, images_for, jobs
from augury.jobs import bench as job

KEYS = {
    "job", "size", "batch", "library", "how", "equal_work", "note", "images_per_second", "low", "high",
    "wall_images_per_second", "n", "best_peer", "to_best_peer", "to_torchvision_pil",
}  # fmt: skip

ALONE = ("inaugment", "elastic", "swirl", "dilate", "chain_keep_cutout")  # what no other library has, or does the same way


def test_quick_writes_what_it_prints_in_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads, backend = torch.get_num_threads(), os.environ.get("AUGURY_BACKEND")
    start = time.perf_counter()
    assert main(["bench", "--quick", "--device", "cpu", "--json", "--output", str(tmp_path / "out")]) == 0
    assert time.perf_counter() - start < 90, "seconds on a quiet machine; compiling may come first"
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((tmp_path / "out" / "result.json").read_text())
    assert torch.get_num_threads() == threads and os.environ.get("AUGURY_BACKEND") == backend
    assert result["version"] == 1 and result["quick"] and result["device"] == "cpu" and result["threads"] == 1
    assert {"torch", "numpy", "numba", "device", "threads"} <= set(result["environment"])
    assert {(r["job"], r["size"], r["how"]) for r in result["rows"]} >= {
        (name, size, "plain") for name in result["jobs"] if name not in CHAINS for size in ("32x32", "224x224")
    }
    for row in result["rows"]:
        assert set(row) == KEYS
        assert 0 < row["low"] <= row["images_per_second"] <= row["high"] and row["n"] == result["rounds"]["count"]
        assert row["to_best_peer"] is None, "no peers were measured"
    for part in result["parts"]:
        us = part["microseconds"]
        assert part["hashing_share"] == us["hashing"] / us["total"]


def test_the_table_names_every_job(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "sizes", lambda device, quick: (Size(16, 4),))
    assert main(["bench", "--quick", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for name in jobs()[0]:
        assert f"\n {name} " in out
    assert "16x16 x4" in out and "hashing" in out


def test_jobs_that_are_not_registered_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry.has
    monkeypatch.setattr(registry, "has", lambda kind, name: name != "cutmix" and known(kind, name))
    assert "cutmix" not in jobs()[0] and "cutmix" in jobs()[1]
    assert set(jobs()[0]) | set(jobs()[1]) == set(JOBS)


def test_ratios_are_to_the_fastest_peer_that_does_equal_work(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {("augury", "numba"): 600.0, ("a", "PIL"): 100.0, ("b", "x"): 200.0, ("c", "batch"): 900.0}
    size = Size(32, 8)
    rows = [job.BenchRow("cutout", size, *key, key[0] != "c", Rate(v, v, v, 3, v)) for key, v in made.items()]
    rows.append(job.BenchRow("cutout", size, "augury", "numba, in a CUDA graph", True, None, "failed"))
    rows.append(job.BenchRow("cutmix", size, "d", "x", True, Rate(1e6, 1e6, 1e6, 3, 1e6)))
    rows.append(job.BenchRow("cutout", size, "torchvision", "PIL", True, Rate(150.0, 1.0, 2.0, 3, 1.0)))
    table = job._table(rows)
    assert table[0]["to_best_peer"] == 3 and table[0]["best_peer"] == "b (x)" and table[0]["to_torchvision_pil"] == 4
    assert table[4]["to_best_peer"] is None and table[4]["note"] == "failed"
    assert all(row["to_best_peer"] is None for row in table if row["library"] != "augury")


def test_rounds_visit_every_task_in_turn() -> None:
    seen: list[str] = []
    tasks = [Task(lambda name=name: (seen.append(name), time.sleep(0.001)), 10) for name in "ab"]  # type: ignore[misc]
    found = rates(tasks, 3, 0.0)
    assert seen[4:] == ["a", "b"] * 3, "after two calls each to warm up"
    assert all(rate.n == 3 and rate.low <= rate.median <= rate.high and rate.wall <= 10 / 0.001 for rate in found)


@pytest.mark.parametrize("name", list(JOBS))
def test_workloads_draw_anew_and_keep_the_input(name: str) -> None:
    if name in jobs()[1]:
        pytest.skip("not registered")
    images = images_for(Size(32, 16))
    before = images.clone()
    call = call_of(name, images)
    first, second = outcome(call()).clone(), outcome(call())
    values = name in CHAINS or name == "random_erasing_in_place"
    assert first.dtype == (torch.float32 if values else torch.uint8) and first.shape == images.shape
    assert not first.equal(second) and images.equal(before)
    if name == "chain_keep_cutout":
        return  # its saliency is handed over by the call
    _, run = addressed(name, images)
    assert not run(torch.tensor(0)).images.equal(run(torch.tensor(1)).images)
    assert run(torch.tensor(1)).images.equal(run(torch.tensor(1)).images)


def test_cutout_and_erasure_fire_on_every_image() -> None:
    images = torch.full((64, 3, 32, 32), 77, dtype=torch.uint8)
    for name in ("cutout", "random_erasing"):
        assert bool((call_of(name, images)() != images).flatten(1).any(1).all())  # type: ignore[attr-defined]


def test_chains_are_measured_at_the_batches_that_people_train_with() -> None:
    assert [size.batch for size in batches("chain_mixup", Size(224, 64), "cpu", False)] == [64, 256, 1024]
    assert batches("randaugment", Size(224, 64), "cpu", False) == (Size(224, 64),)
    assert [size.batch for size in batches("cutout_in_place", Size(224, 64), "cpu", False)] == [64, 256]
    assert batches("chain", Size(32, 64), "cpu", True) == (Size(32, 64),)


@pytest.mark.parametrize("side", [32, 224])
@pytest.mark.filterwarnings("ignore")
def test_chains_of_others_end_in_the_same_kind_of_batch(side: int) -> None:
    """Catches a peer that leaves out the normalisation, the crop or the stacking: less work than ours."""
    images = images_for(Size(side, 16))  # with few, all may happen to be drawn grey
    for peer in peers_of("chain", images, 16):
        made = peer.task.call()
        assert isinstance(made, torch.Tensor) and made.shape == (peer.task.images, 3, side, side), peer
        assert made.dtype == torch.float32 and made.min() < -1 and made.max() > 1, peer


@pytest.mark.parametrize("name", [n for n in JOBS if n not in ALONE])
@pytest.mark.filterwarnings("ignore")
def test_peers_run_and_leave_the_images_alone(name: str) -> None:
    images = images_for(Size(32, 4))
    before = images.clone()
    found = list(peers_of(name, images, 4))
    assert any(peer.library == ("timm" if name in IN_PLACE else "torchvision") for peer in found)
    for peer in found:
        assert isinstance(peer, Peer) and 0 < peer.task.images <= 4
        peer.task.call()
    assert images.equal(before)
    assert [p.equal_work for p in found if p.how == "one box for the batch"] == ([False] if name == "cutmix" else [])


@pytest.mark.parametrize("name", ALONE)
def test_what_no_other_library_has_has_no_peer(name: str) -> None:
    assert not list(peers_of(name, images_for(Size(32, 4)), 4))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux' /proc")
def test_peak_memory_sees_the_result() -> None:
    found = cost.peak_memory("cutout", 224, 32, "plain")
    assert found is None or 0.9 < found < 20, "at least the returned batch"


def test_rates_include_what_some_calls_do_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # Catches a number of calls that is taken from one of them, which may be the one that draws for the next hundred.
    clock, calls = [0.0], [0]

    def call() -> None:
        calls[0] += 1
        clock[0] += 1e-3 + (0.1 if calls[0] % 100 == 2 else 0.0)

    monkeypatch.setattr(timing, "time", SimpleNamespace(process_time=lambda: clock[0], perf_counter=lambda: clock[0]))
    (found,) = rates([Task(call, 1)], 9, 1.0)
    assert found.median == pytest.approx(500, rel=0.05), "a millisecond each, and another for the draw"
