"""The Triton back end, interpreted on a CPU or compiled where there is a GPU, and the code that runs on accelerators."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_backends import NAMES, batch_of, chain

import augury
from augury.core import devices
from augury.core.noise import Noise

HERE = Path(__file__).parent
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def differing(device: str, **environment: str) -> list[str]:
    paths = os.pathsep.join(str(path) for path in (HERE.parents[1] / "src", HERE.parent, HERE))
    done = subprocess.run(
        [sys.executable, str(HERE / "triton_cases.py"), device], capture_output=True, text=True,
        env={**os.environ, **environment, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    result: list[str] = json.loads(done.stdout)
    return result


@needs_triton
def test_the_interpreted_kernels_are_plain() -> None:
    # Catches a kernel that rounds, orders or clips otherwise than the reference.
    assert differing("cpu", TRITON_INTERPRET="1") == []


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_compiled_kernels_are_plain() -> None:
    assert differing("cuda") == []


@pytest.mark.parametrize("name", NAMES)
def test_the_accelerators_way_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # On an accelerator every row is computed and masked instead of picked. Catches a mask that leaks.
    monkeypatch.setenv("AUGURY_BACKEND", "plain")
    pipeline, batch = augury.pipeline(chain(name)), batch_of((6, 3, 17, 9))
    expected = pipeline.run(batch, Noise.of(5, batch.ids))[0].images
    monkeypatch.setattr(devices, "is_host", lambda device: False)
    assert pipeline.run(batch, Noise.of(5, batch.ids))[0].images.equal(expected)


@pytest.mark.parametrize("name", ["randaugment", "cutmix", "mixup"])
def test_the_accelerators_way_never_asks_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Under fullgraph a value that is read back to the host breaks the graph, which is an error here.
    monkeypatch.setenv("AUGURY_BACKEND", "plain")
    monkeypatch.setattr(devices, "is_host", lambda device: False)
    stage, batch = augury.pipeline(chain(name)).stages[0], batch_of((6, 3, 16, 16))

    def draw_and_apply(images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        made = augury.Batch(images, batch.targets, ids)
        return stage.apply(made, stage.sample(made, Noise.of(5, ids))).images

    expected = draw_and_apply(batch.images, batch.ids)
    compiled = torch.compile(draw_and_apply, fullgraph=True, backend="eager")
    assert compiled(batch.images, batch.ids).equal(expected)
