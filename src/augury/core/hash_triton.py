"""The hash of augury.core.noise compiled by Triton: one kernel per draw where PyTorch needs a dozen.

It uses the same wrapping 64-bit arithmetic and therefore gives the same bits. Fusing matters because each of these small
kernels takes longer to launch than to run, and a captured step launches many of them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

FIRST, SECOND = tl.constexpr(0xBF58476D1CE4E5B9), tl.constexpr(0x94D049BB133111EB)  # as in augury.core.noise
GOLDEN = tl.constexpr(0x9E3779B97F4A7C15)
BLOCK = 256


def absorbed(state: int | Tensor, part: int | Tensor) -> Tensor:
    """int64: each state after absorbing one more part of the address.

    At least one of the two is a tensor, 0-dimensional or [B]; ints are signed 64-bit numbers.
    """
    tensors = [a for a in (state, part) if isinstance(a, Tensor)]
    out = torch.empty(torch.broadcast_shapes(*(t.shape for t in tensors)), dtype=torch.int64, device=tensors[0].device)
    _run(_absorb, out, *_address(state), *_address(part))
    return out


def bits(key: Tensor, count: int) -> Tensor:
    """int64 [B, count]."""
    out = torch.empty(len(key), count, dtype=torch.int64, device=key.device)
    _run(_draw, out, *_address(key)[:2], count)
    return out


def uniform(key: Tensor, count: int) -> Tensor:
    """float32 [B, count]: the upper 24 of the bits."""
    out = torch.empty(len(key), count, device=key.device)
    _run(_draw, out, *_address(key)[:2], count)
    return out


def _run(kernel: "triton.JITFunction", out: Tensor, *arguments: object) -> None:
    total = out.numel()
    if total:
        with torch.cuda.device_of(out):
            kernel[(-(-total // BLOCK),)](out, *arguments, total, BLOCK=BLOCK, enable_fp_fusion=False)


def _address(address: int | Tensor) -> tuple[int | Tensor, int, bool]:
    """The kernel's arguments for an address: the number or the tensor, the stride between rows, whether it is a tensor."""
    if isinstance(address, int):
        return address, 0, False
    whole = address.to(torch.int64)
    return whole, whole.stride(0) if whole.ndim and len(whole) > 1 else 0, True


@triton.jit
def mixed(v):
    """The splitmix64 finaliser of unsigned 64-bit numbers."""
    v = (v ^ (v >> 30)) * FIRST
    v = (v ^ (v >> 27)) * SECOND
    return v ^ (v >> 31)


@triton.jit(do_not_specialize=["state", "state_step", "part", "part_step", "total"])
def _absorb(
    out, state, state_step, STATE_IN_MEMORY: tl.constexpr, part, part_step, PART_IN_MEMORY: tl.constexpr, total,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    before = _loaded(state, state_step, row, total, STATE_IN_MEMORY)
    more = _loaded(part, part_step, row, total, PART_IN_MEMORY)
    tl.store(out + row, mixed(mixed(before + GOLDEN) ^ more).to(tl.int64, bitcast=True), row < total)


@triton.jit
def _loaded(address, step, row, total, IN_MEMORY: tl.constexpr):
    """The address as uint64, one per row."""
    if IN_MEMORY:
        signed = tl.load(address + row * step, row < total, 0)
    else:
        signed = address.to(tl.int64) + tl.zeros_like(row).to(tl.int64)
    return signed.to(tl.uint64, bitcast=True)


@triton.jit(do_not_specialize=["key_step", "count", "total"])
def _draw(out, key, key_step, count, total, BLOCK: tl.constexpr):
    """Draws bits if `out` is int64, uniform numbers if it is float32."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = place // count
    start = tl.load(key + row * key_step, place < total, 0).to(tl.uint64, bitcast=True)
    drawn = mixed(start + (place - row * count + 1).to(tl.uint64) * GOLDEN)
    if out.dtype.element_ty == tl.float32:
        tl.store(out + place, (drawn >> 40).to(tl.int32).to(tl.float32) * 5.9604644775390625e-08, place < total)
    else:
        tl.store(out + place, drawn.to(tl.int64, bitcast=True), place < total)
