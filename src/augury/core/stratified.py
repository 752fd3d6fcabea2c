"""Stratified draws: over the epochs, a sample's uniform numbers fall into every part of [0, 1) equally often.

Independent draws repeat themselves by chance: of 8 flips with probability one half, 4 are expected and 2 are not unusual. Here,
over any 2^m epochs that begin at a multiple of 2^m, the numbers that one sample gets for one purpose fall one into each of 2^m
equal parts of [0, 1), in random order: a (0,1)-sequence in base 2 whose digits and order are scrambled by hashes (Owen 1995,
"Randomly permuted (t,m,s)-nets and (t,s)-sequences"). Each number by itself is uniform; numbers of different samples, stages,
slots and parameters are independent. Flips alternate as in Jordan (2024, arXiv:2404.00498, section 3.6), but in pairs of random
order.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from augury.core.mixing import GOLDEN, mix_tensor, shift, signed

LEVELS = 10  # balanced binary digits, enough for 1,024 epochs; finer digits are drawn independently


class Walk(NamedTuple):
    """key: int64 [B], the address without the epoch. epoch: an int or a 0-dimensional integer tensor."""

    key: Tensor
    epoch: int | Tensor


def stratified(walk: Walk, base: Tensor) -> Tensor:
    """float32 [B,k] in [0, 1), multiples of 2^-24. base: int64 [B,k], 64 random bits that identify each number's sequence."""
    epoch = torch.as_tensor(walk.epoch, dtype=torch.int64, device=base.device)
    prefix = torch.zeros_like(base)
    for level in range(1, LEVELS + 1):
        # This epoch's half within its block of 2^level epochs, among the epochs with the same leading digits.
        drawn = mix_tensor(base + (((epoch >> level) << 20) | (prefix << 5) | level) * signed(GOLDEN))
        prefix = prefix * 2 + (((epoch >> (level - 1)) & 1) ^ shift(drawn, 63))
    rest = shift(mix_tensor(base + ((epoch << 20) | 31) * signed(GOLDEN)), 64 - 24 + LEVELS)
    return ((prefix << (24 - LEVELS)) | rest).to(torch.float32) * 2.0**-24
