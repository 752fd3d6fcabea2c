"""Moves of many bytes at a time that compilers do not find by themselves.

Positions looked up 64 at a time take AVX-512 VBMI; processors without it take each byte by itself, and the bytes are the same.
"""

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from augury.augment.forms.numba_space import STEP
from augury.core.jit import leaf

_LONG = ir.IntType(64)
_BYTES = ir.VectorType(ir.IntType(8), STEP)


def _wide() -> bool:
    """Whether kernels are compiled for a processor that permutes 64 bytes at once."""
    asked = (getattr(config, "CPU_NAME", None), getattr(config, "CPU_FEATURES", None))
    if any(asked):
        return "+avx512vbmi" in (asked[1] or "")
    return bool(llvm.get_host_cpu_features().get("avx512vbmi"))


WIDE = _wide()


def _at(context, builder, kind, array, offset, vector):
    """A pointer to the entries of an array from `offset` on, as a vector."""
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _read(context, builder, kind, array, offset, vector=_BYTES):
    return builder.load(_at(context, builder, kind, array, offset, vector), align=1)


def _call(builder, name, *vectors):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_BYTES, [_BYTES] * len(vectors)), name)
    return builder.call(function, vectors)


@intrinsic
def load(typing, array, index):
    """array[index], by itself: instructions that gather many entries are slower than as many loads."""

    def made(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "monotonic", 4)

    return array.dtype(array, types.int64), made


@intrinsic
def _permuted(typing, line, start, index, into, k):
    """into[k + j] = line[start + index[k + j]] for j < 64; indices below 64."""

    def made(context, builder, signature, arguments):
        line, start, index, into, k = arguments
        kinds = signature.args
        read = _read(context, builder, kinds[0], line, start)
        order = _read(context, builder, kinds[2], index, k)
        moved = _call(builder, "llvm.x86.avx512.permvar.qi.512", read, order)
        builder.store(moved, _at(context, builder, kinds[3], into, k, _BYTES), align=1)
        return context.get_dummy_value()

    return types.void(line, types.int64, index, into, types.int64), made


@intrinsic
def _entries(typing, table, source, into, k):
    """into[k + j] = table[source[k + j]] for j < 64, of 256 entries."""

    def made(context, builder, signature, arguments):
        table, source, into, k = arguments
        kinds = signature.args
        quarters = [_read(context, builder, kinds[0], table, ir.Constant(_LONG, 64 * q)) for q in range(4)]
        levels = _read(context, builder, kinds[1], source, k)
        low, high = (_call(builder, "llvm.x86.avx512.vpermi2var.qi.512", quarters[q], levels, quarters[q + 1]) for q in (0, 2))
        upper = builder.icmp_signed("<", levels, ir.Constant(_BYTES, [0] * STEP))
        builder.store(builder.select(upper, high, low), _at(context, builder, kinds[2], into, k, _BYTES), align=1)
        return context.get_dummy_value()

    return types.void(table, source, into, types.int64), made


@intrinsic
def _interleaved(typing, one, other, third, k, into, start):
    """into[start + 3 j + c] = (one, other, third)[c][k + j] for j < 16."""

    def made(context, builder, signature, arguments):
        kinds = signature.args
        entry = context.get_data_type(kinds[0].dtype)
        part, whole = ir.VectorType(entry, 16), ir.VectorType(entry, 48)
        reads = [_read(context, builder, kinds[c], arguments[c], arguments[3], part) for c in range(3)]
        number = ir.IntType(32)
        pair = builder.shuffle_vector(reads[0], reads[1], ir.Constant(ir.VectorType(number, 32), list(range(32))))
        last = builder.shuffle_vector(
            reads[2], ir.Constant(part, ir.Undefined), ir.Constant(ir.VectorType(number, 32), list(range(32)))
        )
        order = [j + 16 * c for j in range(16) for c in range(3)]
        mixed = builder.shuffle_vector(pair, last, ir.Constant(ir.VectorType(number, 48), order))
        builder.store(mixed, _at(context, builder, kinds[4], arguments[4], arguments[5], whole), align=1)
        return context.get_dummy_value()

    return types.void(one, other, third, types.int64, into, types.int64), made


@leaf
def interleaved(one, other, third, into, start):
    """Three flat arrays of one length, entry by entry side by side from into[start] on."""
    count = one.shape[0]
    whole = count - count % 16
    for k in range(0, whole, 16):
        _interleaved(one, other, third, k, into, start + 3 * k)
    for k in range(whole, count):
        into[start + 3 * k], into[start + 3 * k + 1], into[start + 3 * k + 2] = one[k], other[k], third[k]


if WIDE:

    @leaf
    def looked_up(source, into, table):
        """Every byte of `source` through 256 entries; flat arrays of one length."""
        count = into.shape[0]
        whole = count - count % STEP
        for k in range(0, whole, STEP):
            _entries(table, source, into, k)
        for k in range(whole, count):
            into[k] = table[source[k]]

    @leaf
    def permuted(flat, begin, start, index, into, count):
        """into[k] = flat[begin + start[k // 64] + index[k]] for k < count; `index` is below 64, and both have room for whole steps.
        What would be read beyond the end is its last entry."""
        for k in range(0, count, STEP):
            first = begin + np.int64(start[k // STEP])
            if first + STEP <= flat.shape[0]:
                _permuted(flat, first, index, into, k)
            else:
                for x in range(k, min(k + STEP, count)):
                    into[x] = flat[min(first + np.int64(index[x]), flat.shape[0] - 1)]

else:

    @leaf
    def looked_up(source, into, table):
        """Every byte of `source` through 256 entries; flat arrays of one length."""
        for k in range(into.shape[0]):
            into[k] = table[source[k]]

    @leaf
    def permuted(flat, begin, start, index, into, count):
        """into[k] = flat[begin + start[k // 64] + index[k]] for k < count."""
        for k in range(count):
            into[k] = flat[min(begin + np.int64(start[k // STEP]) + np.int64(index[k]), flat.shape[0] - 1)]
