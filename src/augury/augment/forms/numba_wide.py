"""Moves of many numbers at once which the compiler does not find by itself.

Bytes are looked up 64 at a time where the processor has AVX-512 VBMI, and one by one elsewhere, with the same result.
"""

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from augury.core.jit import inlined, leaf

STEP = 64  # bytes that are moved at once
BYTES = ir.VectorType(ir.IntType(8), STEP)


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


def read(context, builder, kind, array, offset, vector=BYTES):
    return builder.load(_at(context, builder, kind, array, offset, vector), align=1)


def write(context, builder, kind, array, offset, numbers):
    builder.store(numbers, _at(context, builder, kind, array, offset, numbers.type), align=1)


def write_first(context, builder, kind, array, offset, count, numbers):
    """The first `count` of 64 bytes, or all where there are more."""
    pointer, number = _at(context, builder, kind, array, offset, BYTES), count.type
    some = builder.not_(builder.shl(ir.Constant(number, -1), count))
    mask = builder.select(builder.icmp_signed("<", count, ir.Constant(number, STEP)), some, ir.Constant(number, -1))
    mask = builder.bitcast(mask, ir.VectorType(ir.IntType(1), STEP))
    called(builder, f"llvm.masked.store.v{STEP}i8.p0", ir.VoidType(), numbers, pointer, ir.Constant(ir.IntType(32), 1), mask)


def called(builder, name, result, *values):
    """What one of LLVM's own functions makes of the values."""
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)


def splat(builder, number, vector):
    """A vector of one number."""
    start, order = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(builder.insert_element(start, number, ir.Constant(ir.IntType(32), 0)), start, order)


@intrinsic
def _permuted(typing, line, start, index, into, k):
    """into[k + j] = line[start + index[k + j]] for j < 64; indices below 64."""

    def made(context, builder, signature, arguments):
        line, start, index, into, k = arguments
        kinds = signature.args
        given = read(context, builder, kinds[0], line, start)
        order = read(context, builder, kinds[2], index, k)
        moved = called(builder, "llvm.x86.avx512.permvar.qi.512", BYTES, given, order)
        write(context, builder, kinds[3], into, k, moved)
        return context.get_dummy_value()

    return types.void(line, types.int64, index, into, types.int64), made


@intrinsic
def _looked_up(typing, levels, into, table, k):
    """into[k + j] = table[levels[k + j]] for j < 64; the table has 256 entries."""

    def made(context, builder, signature, arguments):
        levels, into, table, k = arguments
        kinds = signature.args
        quarters = [read(context, builder, kinds[2], table, ir.Constant(ir.IntType(64), 64 * q)) for q in range(4)]
        given = read(context, builder, kinds[0], levels, k)
        lower, upper = (  # of the table's halves, by the levels' lower seven bits
            called(builder, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, quarters[half], given, quarters[half + 1]) for half in (0, 2)
        )
        found = builder.select(builder.icmp_signed("<", given, ir.Constant(BYTES, None)), upper, lower)
        write(context, builder, kinds[1], into, k, found)
        return context.get_dummy_value()

    return types.void(levels, into, table, types.int64), made


@intrinsic
def _interleaved(typing, one, other, third, k, into, start):
    """into[start + 3 j + c] = (one, other, third)[c][k + j] for j < 16."""

    def made(context, builder, signature, arguments):
        kinds = signature.args
        entry = context.get_data_type(kinds[0].dtype)
        part = ir.VectorType(entry, 16)
        reads = [read(context, builder, kinds[c], arguments[c], arguments[3], part) for c in range(3)]
        number = ir.IntType(32)
        pair = builder.shuffle_vector(reads[0], reads[1], ir.Constant(ir.VectorType(number, 32), list(range(32))))
        last = builder.shuffle_vector(
            reads[2], ir.Constant(part, ir.Undefined), ir.Constant(ir.VectorType(number, 32), list(range(32)))
        )
        order = [j + 16 * c for j in range(16) for c in range(3)]
        mixed = builder.shuffle_vector(pair, last, ir.Constant(ir.VectorType(number, 48), order))
        write(context, builder, kinds[4], arguments[4], arguments[5], mixed)
        return context.get_dummy_value()

    return types.void(one, other, third, types.int64, into, types.int64), made


@intrinsic
def _streamed(typing, source, at, into, k):
    """into[k + j] = source[at + j] for as many entries as 64 bytes hold, past the caches; into[k] begins a line of memory."""

    def made(context, builder, signature, arguments):
        source, at, into, k = arguments
        kinds = signature.args
        entry = context.get_data_type(kinds[0].dtype)
        line = ir.VectorType(entry, STEP // context.get_abi_sizeof(entry))
        given = read(context, builder, kinds[0], source, at, line)
        stored = builder.store(given, _at(context, builder, kinds[2], into, k, line), align=STEP)
        one = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        stored.set_metadata("nontemporal", one)
        return context.get_dummy_value()

    return types.void(source, types.int64, into, types.int64), made


@intrinsic
def landed(typing):
    """Other threads see what was streamed: a kernel that streams ends so."""

    def made(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), made


@inlined
def streamed(source, into):
    """A copy of a flat array which is not read again soon: written past the caches, so that memory is not read before, and what
    they hold stays there."""
    step, beyond = STEP // into.itemsize, into.ctypes.data % STEP
    first = min((STEP - beyond) % STEP // into.itemsize, into.shape[0])
    last = first + (into.shape[0] - first) // step * step
    for k in range(first):
        into[k] = source[k]
    for k in range(first, last, step):
        _streamed(source, k, into, k)
    for k in range(last, into.shape[0]):
        into[k] = source[k]


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

    @inlined
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

    @inlined
    def looked_up(levels, into, table):
        """into[k] = table[levels[k]], all uint8."""
        whole = into.shape[0] // STEP * STEP
        for k in range(0, whole, STEP):
            _looked_up(levels, into, table, k)
        for k in range(whole, into.shape[0]):
            into[k] = table[levels[k]]

else:

    @inlined
    def permuted(flat, begin, start, index, into, count):
        """into[k] = flat[begin + start[k // 64] + index[k]] for k < count."""
        for k in range(count):
            into[k] = flat[min(begin + np.int64(start[k // STEP]) + np.int64(index[k]), flat.shape[0] - 1)]

    @inlined
    def looked_up(levels, into, table):
        """into[k] = table[levels[k]], all uint8."""
        for k in range(into.shape[0]):
            into[k] = table[levels[k]]
