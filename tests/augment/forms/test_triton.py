"""The Triton back end, interpreted on a CPU or compiled where there is a GPU, and the code that runs on accelerators."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from compiled import whole_graphs
from test_backends import NAMES, batch_of, chain

import augury
from augury.core import devices
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.explain.throughput.workloads import IN_PLACE, JOBS, Size, addressed, images_for

HERE = Path(__file__).parent
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def run(script: str, *arguments: str, **environment: str) -> Any:
    """The JSON output of a script in this folder; Triton chooses between interpreter and compiler once per process."""
    paths = os.pathsep.join(str(path) for path in (HERE.parents[2] / "src", HERE.parents[1], HERE))
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments], capture_output=True, text=True,
        env={**os.environ, **environment, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if "TRITON_INTERPRET" in environment and "only 0-dimensional arrays can be converted" in done.stderr:
        pytest.skip("the interpreter of this Triton (3.5 does) refuses this NumPy (from 2.4)")
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@needs_triton
def test_the_interpreted_kernels_are_plain() -> None:
    # Catches a kernel that rounds, orders or clips otherwise than the reference.
    assert run("triton_cases.py", "cpu", TRITON_INTERPRET="1") == []


@needs_triton
def test_the_kernels_build_for_a_gpu(tmp_path: Path) -> None:
    # Catches what the interpreter takes and a compiler refuses (a name used before it is bound, types that do not meet, an
    # argument a launch forgets), and a product fused with a sum, which would round once instead of twice.
    done = run("triton_builds.py", "90", TRITON_CACHE_DIR=str(tmp_path))
    assert done["faults"] == []
    assert set(done["built"]) == {"pixels", "statistics", "regions", "_absorb", "_draw"}


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_compiled_kernels_are_plain() -> None:
    assert run("triton_cases.py", "cuda") == []


@pytest.mark.parametrize("name", NAMES)
def test_the_accelerators_way_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # On an accelerator every row is computed and masked instead of picked. Catches a mask that leaks.
    monkeypatch.setenv("AUGURY_BACKEND", "plain")
    pipeline, batch = augury.pipeline(chain(name)), batch_of((6, 3, 17, 9))
    expected = pipeline.run(batch, Noise.of(5, batch.ids))[0].images
    monkeypatch.setattr(devices, "is_host", lambda device: False)
    assert pipeline.run(batch, Noise.of(5, batch.ids))[0].images.equal(expected)


def on_an_accelerator(job: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[torch.Tensor], Batch]:
    """The function from an epoch to augmented images, as it runs where rows are masked instead of picked."""
    monkeypatch.setenv("AUGURY_BACKEND", "plain")
    monkeypatch.setattr(devices, "is_host", lambda device: False)
    monkeypatch.setitem(JOBS, job, JOBS.get(job, job))
    torch._dynamo.reset()  # every job is the same function to the compiler, which gives up on one after eight graphs
    return addressed(job, images_for(Size(32, 16)))[1]


def same(compiled: Callable[[torch.Tensor], Batch], run: Callable[[torch.Tensor], Batch]) -> bool:
    """Whether both give the same; the compiled one goes first, so that nothing is there yet that it cannot make."""
    pairs = [(compiled(epoch), run(epoch)) for epoch in (torch.tensor(3), torch.tensor(4))]
    return all(one.images.equal(other.images) and one.targets.dense().equal(other.targets.dense()) for one, other in pairs)  # type: ignore[union-attr]


# The first one's saliency map comes with the call; the others differ from known ones in where the result goes.
WHOLE = sorted(set(JOBS) - {"chain_keep_cutout", *IN_PLACE})


@whole_graphs
@pytest.mark.parametrize("job", [*WHOLE, "mixup"])
def test_the_accelerators_way_never_asks_the_device(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Under fullgraph a value that is read back to the host breaks the graph, which is an error here.
    run = on_an_accelerator(job, monkeypatch)
    assert same(torch.compile(run, fullgraph=True, backend="eager"), run)


@whole_graphs
@pytest.mark.parametrize(("soft", "backend"), [(False, "plain"), (True, "plain"), (False, "numba")])
def test_a_compiled_pipeline_is_called_like_a_plain_one(soft: bool, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Float images and labels, call after call. Catches a check that reads a value, a graph per call and draws that stand still.
    if backend == "numba":
        pytest.importorskip("numba")
    monkeypatch.setenv("AUGURY_BACKEND", backend)
    images, labels = torch.rand(6, 3, 16, 16), torch.arange(6) % 3
    given = torch.eye(3)[labels] if soft else labels
    plain = augury.pipeline("solarize+cutmix", seed=3)
    graphs: list[int] = []

    def counted(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., Any]:
        graphs.append(len(graph.graph.nodes))
        return graph

    compiled = torch.compile(augury.pipeline("solarize+cutmix", seed=3), fullgraph=True, backend=counted)
    seen = []
    for _ in range(4):
        (one, its), (other, theirs) = compiled(images, given, classes=3), plain(images, given, classes=3)
        assert one.equal(other) and its.dense().equal(theirs.dense())
        seen.append(one)
    assert not seen[0].equal(seen[1]) and len(graphs) <= 2
    with pytest.raises(RuntimeError, match="labels"):
        compiled(images, given + 1, classes=3)


@whole_graphs
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch's compiler needs a C++ compiler")
def test_the_hash_compiled_by_pytorch_is_the_same() -> None:
    # Its compiler works integers of ranges out by itself. Catches a product of a counter that leaves 64 bits there.
    def draw(ids: torch.Tensor, epoch: torch.Tensor) -> list[torch.Tensor]:
        noise = Noise.of(2**63 + 5, ids, epoch=epoch).fold("stage")
        return [noise.bits(3), noise.uniform(2), noise.integers(2, 10)]

    ids = torch.arange(5)
    for one, other in zip(torch.compile(draw, fullgraph=True)(ids, ids[3]), draw(ids, ids[3]), strict=True):
        assert one.equal(other)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch's compiler needs a C++ compiler")
@pytest.mark.parametrize("job", WHOLE)
def test_a_pipeline_compiled_by_pytorch_is_the_same(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A minute or two each. Catches a step that its compiler refuses or works out otherwise.
    run = on_an_accelerator(job, monkeypatch)
    assert same(torch.compile(run, fullgraph=True), run)
