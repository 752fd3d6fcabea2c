"""Moves of 64 bytes at a time by a table of positions, on processors that have an instruction for it.

Processors without AVX-512 VBMI take each byte by itself; the bytes are the same.
"""

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from augury.augment.forms.numba_jit import jit

STEP = 64
_BYTES = ir.VectorType(ir.IntType(8), STEP)


def _wide() -> bool:
    """Whether kernels are compiled for a processor that permutes 64 bytes at once."""
    if config.CPU_NAME or config.CPU_FEATURES:
        return "+avx512vbmi" in (config.CPU_FEATURES or "")
    return bool(llvm.get_host_cpu_features().get("avx512vbmi"))


WIDE = _wide()


def _at(context, builder, kind, array, offset):
    """The 64 bytes of a uint8 array from `offset` on."""
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [offset]), _BYTES.as_pointer())


def _load(context, builder, kind, array, offset):
    return builder.load(_at(context, builder, kind, array, offset), align=1)


def _call(builder, name, *vectors):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_BYTES, [_BYTES] * len(vectors)), name)
    return builder.call(function, vectors)


@intrinsic
def _permuted(typing, line, start, index, into, k):
    """into[k + j] = line[start + index[k + j]] for j < 64; indices below 64."""

    def made(context, builder, signature, arguments):
        line, start, index, into, k = arguments
        kinds = signature.args
        read = _load(context, builder, kinds[0], line, start)
        order = _load(context, builder, kinds[2], index, k)
        moved = _call(builder, "llvm.x86.avx512.permvar.qi.512", read, order)
        builder.store(moved, _at(context, builder, kinds[3], into, k), align=1)
        return context.get_dummy_value()

    return types.void(line, types.int64, index, into, types.int64), made


@intrinsic
def _entries(typing, table, source, into, k):
    """into[k + j] = table[source[k + j]] for j < 64, of 256 entries."""

    def made(context, builder, signature, arguments):
        table, source, into, k = arguments
        kinds = signature.args
        quarters = [_load(context, builder, kinds[0], table, ir.Constant(ir.IntType(64), 64 * q)) for q in range(4)]
        levels = _load(context, builder, kinds[1], source, k)
        low, high = (_call(builder, "llvm.x86.avx512.vpermi2var.qi.512", quarters[q], levels, quarters[q + 1]) for q in (0, 2))
        upper = builder.icmp_signed("<", levels, ir.Constant(_BYTES, [0] * STEP))
        builder.store(builder.select(upper, high, low), _at(context, builder, kinds[2], into, k), align=1)
        return context.get_dummy_value()

    return types.void(table, source, into, types.int64), made


if WIDE:

    @jit
    def looked_up(source, into, table):
        """Every byte of `source` through 256 entries; flat arrays of one length."""
        count = into.shape[0]
        for k in range(0, count - (STEP - 1), STEP):
            _entries(table, source, into, k)
        for k in range(count - count % STEP, count):
            into[k] = table[source[k]]

    @jit
    def permuted(line, start, index, into, count):
        """into[k] = line[start[k // 64] + index[k]] for k < count, `index` below 64.

        64 bytes are read from every start on, and `index` and `into` are as long as whole steps.
        """
        for k in range(0, count, STEP):
            _permuted(line, start[k // STEP], index, into, k)

else:

    @jit
    def looked_up(source, into, table):
        """Every byte of `source` through 256 entries; flat arrays of one length."""
        for k in range(into.shape[0]):
            into[k] = table[source[k]]

    @jit
    def permuted(line, start, index, into, count):
        """into[k] = line[start[k // 64] + index[k]] for k < count, `index` below 64."""
        for k in range(count):
            into[k] = line[start[k // STEP] + index[k]]
