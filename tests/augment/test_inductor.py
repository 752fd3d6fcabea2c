"""PyTorch's compiler for CPUs takes seconds for a network that holds a pipeline."""

import operator
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from compiled import whole_graphs
from torch import Tensor

import augury

SCRIPT = """
import os, torch, augury
def spent():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
images = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
pipeline, other = augury.pipeline("crop+flip"), augury.pipeline("crop+flip")
torch.compile(lambda given: given + 1, fullgraph=True)(images)  # what a compiler costs once on a machine
begun = spent()
done = torch.compile(lambda given: pipeline(given), fullgraph=True)(images)
print(spent() - begun)
assert torch.equal(done, other(images))
"""


@whole_graphs
def test_the_compiler_does_not_look_into_the_hash() -> None:
    """Catches a step of it in the graph: each uses its value twice, so that inductor's code doubles with each."""
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    pipeline, eager = augury.pipeline("crop+flip+cutout"), augury.pipeline("crop+flip+cutout")
    images = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
    assert torch.equal(torch.compile(lambda given: pipeline(given), fullgraph=True, backend=backend)(images), eager(images))
    targets = [node.target for graph in graphs for node in graph.graph.nodes]
    assert torch.ops.augury.absorb.default in targets or torch.ops.augury.absorb in targets
    assert targets.count(operator.xor) == 0


@pytest.mark.slow
def test_crop_and_flip_compile_within_30_seconds_of_processor_time(tmp_path: Path) -> None:
    environment = {
        **os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "TORCHINDUCTOR_COMPILE_THREADS": "1", "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src"),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.splitlines()[-1]) < 30
