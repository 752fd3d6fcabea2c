"""Results that are too large for the caches, written past them: memory is not read before it is overwritten, and what the caches
hold stays there. A kernel that writes so ends with `landed`."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from augury.augment.forms.numba_parts import copied, mixed_levels, normalised
from augury.augment.forms.numba_wide import STEP, pointer_at, read, splat
from augury.core.jit import inlined, leaf

LINE = STEP // 4  # values of float32 in a line of memory
_VALUES = ir.VectorType(ir.FloatType(), LINE)
_LEVELS = ir.VectorType(ir.IntType(8), LINE)


def _write_line(context, builder, kind, array, offset, numbers):
    stored = builder.store(numbers, pointer_at(context, builder, kind, array, offset, numbers.type), align=STEP)
    stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


def _normalised(context, builder, kind, levels, offset, by, add):
    """Levels from `offset` on times `by` and then plus `add`, both vectors."""
    given = builder.uitofp(read(context, builder, kind, levels, offset, _LEVELS), _VALUES)
    return builder.fadd(builder.fmul(given, by), add)


@intrinsic
def _streamed(typing, source, at, into, k):
    """into[k + j] = source[at + j] for as many entries as 64 bytes hold; into[k] begins a line of memory."""

    def made(context, builder, signature, arguments):
        source, at, into, k = arguments
        kinds = signature.args
        entry = context.get_data_type(kinds[0].dtype)
        line = ir.VectorType(entry, STEP // context.get_abi_sizeof(entry))
        _write_line(context, builder, kinds[2], into, k, read(context, builder, kinds[0], source, at, line))
        return context.get_dummy_value()

    return types.void(source, types.int64, into, types.int64), made


@intrinsic
def _streamed_values(typing, levels, by, add, into, k):
    """into[k + j] = levels[k + j] * by + add for j < 16."""

    def made(context, builder, signature, arguments):
        levels, by, add, into, k = arguments
        kinds, factors = signature.args, [splat(builder, number, _VALUES) for number in (by, add)]
        _write_line(context, builder, kinds[3], into, k, _normalised(context, builder, kinds[0], levels, k, *factors))
        return context.get_dummy_value()

    return types.void(levels, types.float32, types.float32, into, types.int64), made


@intrinsic
def _streamed_mix(typing, mine, theirs, by, add, share, rest, into, k):
    """into[k + j] = (mine[k + j] * by + add) * share + (theirs[k + j] * by + add) * rest for j < 16."""

    def made(context, builder, signature, arguments):
        mine, theirs, *numbers, into, k = arguments
        kinds, (by, add, share, rest) = signature.args, [splat(builder, number, _VALUES) for number in numbers]
        own = builder.fmul(_normalised(context, builder, kinds[0], mine, k, by, add), share)
        other = builder.fmul(_normalised(context, builder, kinds[1], theirs, k, by, add), rest)
        _write_line(context, builder, kinds[6], into, k, builder.fadd(own, other))
        return context.get_dummy_value()

    number = types.float32
    return types.void(mine, theirs, number, number, number, number, into, types.int64), made


@intrinsic
def landed(typing):
    """Other threads see what was streamed: a kernel that streams ends so."""

    def made(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), made


@inlined
def _whole_lines(into):
    """From where to where a flat array consists of whole lines of memory."""
    step, beyond = STEP // into.itemsize, into.ctypes.data % STEP
    first = min((STEP - beyond) % STEP // into.itemsize, into.shape[0])
    return first, first + (into.shape[0] - first) // step * step


@inlined
def streamed(source, into):
    """A copy of a flat array."""
    first, last = _whole_lines(into)
    copied(source[:first], into[:first])
    for k in range(first, last, STEP // into.itemsize):
        _streamed(source, k, into, k)
    copied(source[last:], into[last:])


@leaf
def streamed_values(levels, into, by, add):
    """`normalised`: uint8 to float32."""
    first, last = _whole_lines(into)
    normalised(levels[:first], into[:first], by, add)
    for k in range(first, last, LINE):
        _streamed_values(levels, by, add, into, k)
    normalised(levels[last:], into[last:], by, add)


@leaf
def streamed_mix(mine, theirs, into, by, add, share):
    """`mixed_levels`: uint8 to float32."""
    first, last = _whole_lines(into)
    mixed_levels(mine[:first], theirs[:first], into[:first], by, add, share)
    for k in range(first, last, LINE):
        _streamed_mix(mine, theirs, by, add, share, np.float32(1) - share, into, k)
    mixed_levels(mine[last:], theirs[last:], into[last:], by, add, share)
