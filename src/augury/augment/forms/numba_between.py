"""Levels between two neighbours of a row, or of a column: what a bilinear resize writes.

A result is near + (far - near) * weight, the weight having 22 binary digits, rounded half up. On processors with AVX-512 VBMI
32 are computed at once in words of 16 bits, with the same result. The weight is negated, so that its upper 14 digits h fit a
word when it is one, and so do its lower 8, l, which are taken as a number from -128 to 127. With d = 4 * (near - far),

    near + (d * h * 256 + d * l + 2^23) >> 24  =  near + (d * h + ((d * l) >> 8) + 2^15) >> 16:

the upper half of d * h, and a carry from its lower half. (d * l) >> 8 is the upper half of d * (l * 256).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from augury.augment.forms.numba_wide import BYTES, STEP, WIDE, called, read, splat, write
from augury.core.jit import inlined, leaf

ONE = 1 << 22  # of the weights
HALF = STEP // 2
_WORDS = ir.VectorType(ir.IntType(16), HALF)
_NUMBER = ir.IntType(32)
# Two registers' bytes in turn, as words that are packed into the bytes of one register again come out in order: the first half
# holds those whose place within 16 is below 8.
_PAIRS = [[16 * line + 8 * half + k + STEP * side for line in range(4) for k in range(8) for side in (0, 1)] for half in (0, 1)]


def _all(number):
    return ir.Constant(_WORDS, [number] * HALF)


def _between(builder, pairs, upper, lower):
    """32 words: the levels between pairs of bytes. upper, lower: h and l * 256."""
    difference = called(builder, "llvm.x86.avx512.pmaddubs.w.512", _WORDS, pairs, ir.Constant(BYTES, [4, -4] * HALF))
    fine = called(builder, "llvm.x86.avx512.pmulh.w.512", _WORDS, difference, lower)
    fine = builder.add(fine, _all(-(1 << 15)))  # 2^15, as a word without a sign
    rest = builder.add(builder.mul(difference, upper), fine)
    carry = builder.zext(builder.icmp_unsigned("<", rest, fine), _WORDS)
    whole = called(builder, "llvm.x86.avx512.pmulh.w.512", _WORDS, difference, upper)
    near = builder.and_(builder.bitcast(pairs, _WORDS), _all(255))
    return builder.add(builder.add(whole, near), carry)


def _packed(builder, halves):
    return called(builder, "llvm.x86.avx512.packuswb.512", BYTES, *halves)


@intrinsic
def _across(typing, flat, first, second, order, upper, lower, k, into, at):
    """into[at : at + 64] between the pairs that `order` names, counted from flat[first] for one half, from flat[second] for
    the other."""

    def made(context, builder, signature, arguments):
        flat, first, second, order, upper, lower, k, into, at = arguments
        kinds, halves = signature.args, []
        for number, start in enumerate((first, second)):
            place = builder.add(k, ir.Constant(k.type, number * HALF))
            chosen = read(context, builder, kinds[3], order, builder.shl(place, ir.Constant(k.type, 1)))
            near = read(context, builder, kinds[0], flat, start)
            pairs = called(builder, "llvm.x86.avx512.permvar.qi.512", BYTES, near, chosen)
            parts = (read(context, builder, kind, one, place, _WORDS) for kind, one in ((kinds[4], upper), (kinds[5], lower)))
            halves.append(_between(builder, pairs, *parts))
        write(context, builder, kinds[7], into, at, _packed(builder, halves))
        return context.get_dummy_value()

    place = types.int64
    return types.void(flat, place, place, order, upper, lower, place, into, place), made


@intrinsic
def _down(typing, flat, near, far, upper, lower, into, at):
    """into[at + j] between flat[near + j] and flat[far + j] for j < 64."""

    def made(context, builder, signature, arguments):
        flat, near, far, upper, lower, into, at = arguments
        kinds = signature.args
        rows = [read(context, builder, kinds[0], flat, start) for start in (near, far)]
        parts = [splat(builder, number, _WORDS) for number in (upper, lower)]
        mixed = [builder.shuffle_vector(*rows, ir.Constant(ir.VectorType(_NUMBER, STEP), order)) for order in _PAIRS]
        packed = _packed(builder, [_between(builder, pairs, *parts) for pairs in mixed])
        write(context, builder, kinds[5], into, at, packed)
        return context.get_dummy_value()

    place = types.int64
    return types.void(flat, place, place, types.int16, types.int16, into, place), made


@inlined
def _step(near, far, weight):
    """near * (ONE - weight) + far * weight, rounded, by one product."""
    first = np.int32(near)
    total = np.int32(np.int32(np.int32(far) - first) * weight) + np.int32(ONE // 2)
    return np.uint8(first + (np.int32(total) >> np.int32(22)))


@inlined
def _stepwise(flat, near, far, weight, into, at, count):
    line, above, below = into[at : at + count], flat[near : near + count], flat[far : far + count]
    for x in range(line.shape[0]):
        line[x] = _step(above[x], below[x], weight)


@inlined
def _upper(weight):
    return np.int16((np.int32(128) - weight) >> np.int32(8))


@inlined
def _lower(weight):
    return np.int16((-weight - (np.int32(_upper(weight)) << np.int32(8))) << np.int32(8))


if WIDE:

    @leaf
    def arranged(place, weight, count, words, order, start):
        """What `across` reads: the weights' parts (words int16 [2,n]), pairs of bytes (order uint8 [2n]), counted from start int32
        [n // 32], for results between place int32 [count] and the next; n is `count` in whole steps at least."""
        for k in range(0, count, STEP):
            first, second = place[k], place[min(k + 8, count - 1)]
            start[k // HALF], start[k // HALF + 1] = first, second
            for x in range(k, min(k + STEP, count)):
                half, at = (x & 15) >> 3, ((x & 48) >> 1) + (x & 7)
                slot = k + half * HALF + at
                words[0, slot], words[1, slot] = _upper(weight[x]), _lower(weight[x])
                near = place[x] - (second if half else first)
                order[2 * slot], order[2 * slot + 1] = np.uint8(near), np.uint8(near + 1)

    @inlined
    def across(flat, begin, place, weight, count, words, order, start, into, at):
        """into[at + x] between flat[begin + place[x]] and the next, for x < count; whole steps are written. Places rise by one at
        most, so that those of half a step lie within 64."""
        for k in range(0, count, STEP):
            first, second = begin + np.int64(start[k // HALF]), begin + np.int64(start[k // HALF + 1])
            if second + STEP <= flat.shape[0]:
                _across(flat, first, second, order, words[0], words[1], k, into, at + k)
            else:
                for x in range(k, min(k + STEP, count)):
                    near = begin + np.int64(place[x])
                    into[at + x] = _step(flat[near], flat[min(near + 1, flat.shape[0] - 1)], weight[x])

    @inlined
    def down(flat, near, far, weight, into, at, count):
        """into[at + x] between flat[near + x] and flat[far + x] for x < count."""
        if count < STEP:
            _stepwise(flat, near, far, weight, into, at, count)
            return
        upper, lower = _upper(weight), _lower(weight)
        for first in range(0, count, STEP):
            k = min(first, count - STEP)  # the last step begins earlier
            _down(flat, near + k, far + k, upper, lower, into, at + k)

else:

    @leaf
    def arranged(place, weight, count, words, order, start):
        """Nothing to arrange."""

    @inlined
    def across(flat, begin, place, weight, count, words, order, start, into, at):
        """into[at + x] between flat[begin + place[x]] and the next, for x < count."""
        line, last = into[at : at + count], flat.shape[0] - 1
        for x in range(count):
            near = begin + np.int64(place[x])
            order[2 * x], order[2 * x + 1] = flat[near], flat[min(near + 1, last)]
        for x in range(line.shape[0]):
            line[x] = _step(order[2 * x], order[2 * x + 1], weight[x])

    @inlined
    def down(flat, near, far, weight, into, at, count):
        """into[at + x] between flat[near + x] and flat[far + x] for x < count."""
        _stepwise(flat, near, far, weight, into, at, count)
