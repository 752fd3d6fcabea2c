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


def pointer_at(context, builder, kind, array, offset, vector):
    """A pointer to the entries of an array from `offset` on, as a vector."""
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def read(context, builder, kind, array, offset, vector=BYTES):
    return builder.load(pointer_at(context, builder, kind, array, offset, vector), align=1)


def write(context, builder, kind, array, offset, numbers):
    builder.store(numbers, pointer_at(context, builder, kind, array, offset, numbers.type), align=1)


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
            called(builder, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, quarters[half], given, quarters[half + 1])
            for half in (0, 2)
        )
        found = builder.select(builder.icmp_signed("<", given, ir.Constant(BYTES, None)), upper, lower)
        write(context, builder, kinds[1], into, k, found)
        return context.get_dummy_value()

    return types.void(levels, into, table, types.int64), made


@intrinsic
def _moved(typing, flat, begin, into, at, count):
    """into[at + j] = flat[begin + j] for j < count, a literal."""

    def made(context, builder, signature, arguments):
        flat, begin, into, at, _ = arguments
        kinds = signature.args
        vector = ir.VectorType(ir.IntType(8), kinds[4].literal_value)
        write(context, builder, kinds[2], into, at, read(context, builder, kinds[0], flat, begin, vector))
        return context.get_dummy_value()

    if isinstance(count, types.IntegerLiteral):
        return types.void(flat, types.int64, into, types.int64, count), made
    return None


@intrinsic
def _moved_ends(typing, flat, begin, into, at, count, step, times, size):
    """The first and the last `size` bytes, a literal, of `times` stretches of `count` bytes: from flat[begin] and every `step` on,
    to into[at] and every `step` on."""

    def made(context, builder, signature, arguments):
        flat, begin, into, at, count, step, times, _ = arguments
        kinds = signature.args
        vector = ir.VectorType(ir.IntType(8), kinds[7].literal_value)
        last = builder.sub(count, ir.Constant(count.type, vector.count))
        with cgutils.for_range(builder, times) as loop:
            beyond = builder.mul(loop.index, step)
            for place in (beyond, builder.add(beyond, last)):
                given = read(context, builder, kinds[0], flat, builder.add(begin, place), vector)
                write(context, builder, kinds[2], into, builder.add(at, place), given)
        return context.get_dummy_value()

    if isinstance(size, types.IntegerLiteral):
        place = types.int64
        return types.void(flat, place, into, place, place, place, place, size), made
    return None


@intrinsic
def _filled(typing, into, at, count, level):
    """into[at + j] = level for j < count, a literal."""

    def made(context, builder, signature, arguments):
        into, at, _, level = arguments
        kinds = signature.args
        write(context, builder, kinds[0], into, at, splat(builder, level, ir.VectorType(ir.IntType(8), kinds[2].literal_value)))
        return context.get_dummy_value()

    if isinstance(count, types.IntegerLiteral):
        return types.void(into, types.int64, count, types.uint8), made
    return None


@intrinsic
def _separated(typing, packed, shift, into, k):
    """into[k + j] = the lowest byte of packed[k + j] >> shift for j < 64."""

    def made(context, builder, signature, arguments):
        packed, shift, into, k = arguments
        kinds, quarters = signature.args, []
        for quarter in range(4):
            place = builder.add(k, ir.Constant(k.type, 16 * quarter))
            numbers = read(context, builder, kinds[0], packed, place, ir.VectorType(ir.IntType(32), 16))
            quarters.append(builder.bitcast(builder.lshr(numbers, splat(builder, shift, numbers.type)), BYTES))
        order = ir.Constant(ir.VectorType(ir.IntType(32), STEP // 2), list(range(0, 2 * STEP, 4)))
        halves = [builder.shuffle_vector(quarters[first], quarters[first + 1], order) for first in (0, 2)]
        whole = builder.shuffle_vector(*halves, ir.Constant(ir.VectorType(ir.IntType(32), STEP), list(range(STEP))))
        write(context, builder, kinds[2], into, k, whole)
        return context.get_dummy_value()

    return types.void(packed, types.uint32, into, types.int64), made


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


@leaf
def interleaved(one, other, third, into, start):
    """Three flat arrays of one length, entry by entry side by side from into[start] on."""
    count = one.shape[0]
    whole = count - count % 16
    for k in range(0, whole, 16):
        _interleaved(one, other, third, k, into, start + 3 * k)
    for k in range(whole, count):
        into[start + 3 * k], into[start + 3 * k + 1], into[start + 3 * k + 2] = one[k], other[k], third[k]


@leaf
def moved(flat, begin, into, at, count, step, times):
    """into[at + k + step * j] = flat[begin + k + step * j] for k < count, j < times, of bytes. For short stretches, of which a loop
    would move the last bytes one by one: what is left of a stretch is moved together with some that were moved before."""
    if count >= 32:
        for j in range(times):
            first, target = begin + step * j, at + step * j
            for k in range(0, count - 31, 32):
                _moved(flat, first + k, into, target + k, 32)
            _moved(flat, first + count - 32, into, target + count - 32, 32)
    elif count >= 16:
        _moved_ends(flat, begin, into, at, count, step, times, 16)
    elif count >= 8:
        _moved_ends(flat, begin, into, at, count, step, times, 8)
    elif count >= 4:
        _moved_ends(flat, begin, into, at, count, step, times, 4)
    elif count >= 2:
        _moved_ends(flat, begin, into, at, count, step, times, 2)
    elif count == 1:
        _moved_ends(flat, begin, into, at, count, step, times, 1)


@inlined
def filled(into, at, count, level):
    """into[at + k] = level for k < count, of bytes, as `moved` goes about it."""
    if count >= 16:
        for k in range(0, count - 15, 16):
            _filled(into, at + k, 16, level)
        _filled(into, at + count - 16, 16, level)
    else:
        for k in range(at, at + count):
            into[k] = level


@inlined
def _singly_separated(packed, into, shift):
    for k in range(into.shape[0]):
        into[k] = np.uint8(packed[k] >> shift)


if WIDE:

    @inlined
    def separated(packed, into, byte):
        """into[k] = a byte of uint32 packed[k]: 0 is the lowest, 3 the highest."""
        count, shift = into.shape[0], np.uint32(8 * byte)
        if count < STEP:
            _singly_separated(packed, into, shift)
            return
        for first in range(0, count, STEP):
            _separated(packed, shift, into, min(first, count - STEP))  # the last step begins earlier

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
    def separated(packed, into, byte):
        """into[k] = a byte of uint32 packed[k]: 0 is the lowest, 3 the highest."""
        _singly_separated(packed, into, np.uint32(8 * byte))

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
