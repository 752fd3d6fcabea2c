"""Compares the Triton back end with the plain one; run by test_triton.py in a process of its own.

Triton decides when it is imported whether its kernels are interpreted, so the interpreter needs a process. Prints the names
that differ as JSON. Argument: cpu (with TRITON_INTERPRET=1) or cuda.
"""

import json
import os
import sys

import torch
from test_backends import NAMES, batch_of, chain

import augury
from augury.augment.forms import selfcheck, triton_backend
from augury.core import hash_triton, noise, registry
from augury.core.batch import Batch
from augury.core.noise import Noise

# Operations and policies that take red, green and blue do not take other channels.
POLICIES = (*registry.names("policy"), "inaugment")
RGB = {"color", "contrast", "grayscale", "hue", *(name for name in NAMES if name.split("(")[0] in POLICIES)}
BANDS = [(4, 5, 17, 9), (3, 2, 16, 16)]
SHAPES = [(5, 3, 32, 32), (4, 1, 17, 9), (2, 3, 1, 1), (2, 3, 1, 7), (0, 3, 8, 8), (2, 3, 40, 40)]


def outcome(name: str, backend: str, batch: Batch, device: str) -> torch.Tensor:
    os.environ["AUGURY_BACKEND"] = backend
    run = augury.pipeline(chain(name)).run
    placed = moved(batch, device if backend == "triton" else "cpu")
    return run(placed, Noise.of(5, placed.ids))[0].images.cpu()


def moved(batch: Batch, device: str) -> Batch:
    assert batch.targets is not None
    size = None if batch.size is None else batch.size.to(device)
    return Batch(batch.images.to(device), batch.targets.to(device), batch.ids.to(device), size=size)


def differing(name: str, device: str) -> list[str]:
    found = []
    for shape in SHAPES if name in RGB else [*SHAPES, *BANDS]:
        batch = batch_of(shape)
        if not outcome(name, "plain", batch, device).equal(outcome(name, "triton", batch, device)):
            found.append(f"{name} {shape}")
    size = torch.tensor([[20, 24], [1, 1], [2, 24], [20, 5], [7, 9]])
    batch = batch_of((5, 3, 20, 24)).replace(size=size)
    plain, fast = (outcome(name, backend, batch, device) for backend in ("plain", "triton"))
    for row, (height, width) in enumerate(size.tolist()):
        if not plain[row, :, :height, :width].equal(fast[row, :, :height, :width]):
            found.append(f"{name} {height}x{width} of 20x24")
    return found


def differing_hash(device: str) -> list[str]:
    """The compiled hash against PyTorch's: numbers and tensors as parts, ends of the range, several blocks, no rows."""
    os.environ["AUGURY_BACKEND"] = "plain"
    low, high = -(2**63), 2**63 - 1
    found = []
    for ids in ([], [0], [7, low, high, -1], list(range(1000))):
        rows = torch.tensor(ids, dtype=torch.int64)
        placed, one = rows.to(device), torch.tensor(5, device=device)
        for state, part in [(3, rows), (low, rows), (rows, 2**40), (rows, -1), (rows, rows), (rows, torch.tensor(5)), (9, one)]:
            at = [placed if a is rows else one if isinstance(a, torch.Tensor) else a for a in (state, part)]
            if not hash_triton.absorbed(*at).cpu().equal(noise._absorb(state, part if part is not one else torch.tensor(5))):
                found.append(f"absorbed {len(ids)} {state} {part}")
        for count in (0, 1, 5):
            bits, uniform = hash_triton.bits(placed, count).cpu(), hash_triton.uniform(placed, count).cpu()
            if not (bits.equal(Noise(rows).bits(count)) and uniform.equal(Noise(rows).uniform(count))):
                found.append(f"draws {len(ids)} {count}")
    return found


def disagreements(device: str) -> list[str]:
    """What the checks say that come before a first use."""
    found = selfcheck.disagreement(triton_backend, torch.device(device)), noise.disagreement(hash_triton, torch.device(device))
    return [each for each in found if each is not None]


if __name__ == "__main__":
    wanted = sys.argv[2].split(",") if len(sys.argv) > 2 else NAMES
    print(
        json.dumps(
            disagreements(sys.argv[1])
            + differing_hash(sys.argv[1])
            + [line for name in wanted for line in differing(name, sys.argv[1])]
        )
    )
