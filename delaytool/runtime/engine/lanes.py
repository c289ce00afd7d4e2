"""Vectors for the bit-sliced engine: numba types and operations that stand for LLVM's own vectors.

Numba vectorizes loops where it can prove that it may; full adders on words and lanes of membranes are written here
outright instead. LLVM maps the vectors to whatever the machine has (AVX-512, AVX2, NEON), so no result depends on
it. Addresses are byte or element offsets into numpy arrays, unchecked.

    Word    1024 bits, one lane per bit
    Lanes   32 lanes of 32-bit integers
    Sums    32 lanes of 16-bit integers

Words and lanes are twice what AVX-512 holds: two independent halves keep its adders busy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

WORD_BITS = 1024
WORD_BYTES = WORD_BITS // 8
N_LANES = 32

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_WORD = ir.VectorType(_I64, WORD_BITS // 64)
_LANES = ir.VectorType(_I32, N_LANES)
_SUMS = ir.VectorType(_I16, N_LANES)
_MASK = ir.VectorType(ir.IntType(1), N_LANES)


ANY = None  # a type that is as it is given


def _operation(returned: types.Type, **taken: types.Type | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """numba's `intrinsic` of a function that makes LLVM's code, by the types of what it returns and takes, in order."""

    def decorate(codegen: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(codegen)
        def typed(typing_context, *given):
            kinds = (as_given if kind is ANY else kind for as_given, kind in zip(given, taken.values(), strict=True))
            return returned(*kinds), coded

        def coded(context, builder, signature, args):
            value = codegen(context, builder, signature, args)
            return context.get_dummy_value() if returned is types.void else value

        # numba reads the arguments of a call from it.
        arguments = (Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("typing_context", *taken))
        typed.__signature__ = Signature(list(arguments))  # type: ignore[attr-defined]
        return intrinsic(typed)

    return decorate


class _Vector(types.Type):
    """A numba type that is one LLVM vector."""


class WordType(_Vector):
    def __init__(self) -> None:
        super().__init__(name="Word")


class LanesType(_Vector):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


class SumsType(_Vector):
    def __init__(self) -> None:
        super().__init__(name="Sums")


word_type, lanes_type, sums_type = WordType(), LanesType(), SumsType()


def _model(vector: ir.Type) -> type:
    class Model(models.PrimitiveModel):
        def __init__(self, manager, fe_type) -> None:
            super().__init__(manager, fe_type, vector)

    return Model


register_model(WordType)(_model(_WORD))
register_model(LanesType)(_model(_LANES))
register_model(SumsType)(_model(_SUMS))


def _address(context, builder, array_type, array, offset, vector):
    """Pointer to `vector` at an element offset of a one-dimensional contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _splat(builder, scalar, vector):
    """Every lane the scalar."""
    empty = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(empty, scalar, ir.Constant(_I32, 0))
    mask = ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, empty, mask)


def _constant(vector, value):
    return ir.Constant(vector, [value] * vector.count)


def _with_plane_added(context, builder, signature, args, number, vector):
    """The lanes of args[0], args[3] added to those whose bit is set in the 32 bits at offset args[2] of args[1]."""
    pointer = _address(context, builder, signature.args[1], args[1], args[2], _I32)
    mask = builder.bitcast(builder.load(pointer, align=1), _MASK)
    value = _splat(builder, builder.trunc(args[3], number), vector)
    return builder.add(args[0], builder.select(mask, value, _constant(vector, 0)))


@_operation(word_type, array=ANY, offset=types.int64)
def word_load(context, builder, signature, args):
    """The word at a byte offset of a uint8 array; it need not be aligned."""
    pointer = _address(context, builder, signature.args[0], args[0], args[1], _WORD)
    return builder.load(pointer, align=1)


@_operation(types.void, word=ANY, array=ANY, offset=types.int64)
def word_store(context, builder, signature, args):
    pointer = _address(context, builder, signature.args[1], args[1], args[2], _WORD)
    builder.store(args[0], pointer, align=1)


@_operation(word_type, bit=types.int64)
def word_fill(context, builder, signature, args):
    """Every bit of the word equal to `bit` (0 or 1)."""
    return _splat(builder, builder.neg(args[0]), _WORD)


def _table(context, builder, table, words):
    """Any function of three bits as AVX-512's one instruction, or None on other machines.

    LLVM does not find it for a majority by itself, and the adders are most of the engine's time. `table` holds the
    result for the bits (a, b, c) at position 4 a + 2 b + c.
    """
    if "+avx512f" not in str(getattr(context.codegen(), "_tm_features", "")):
        return None
    register = ir.VectorType(_I64, 8)
    kind = ir.FunctionType(register, [register, register, register, _I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.pternlog.q.512")
    parts = []
    for first in range(0, _WORD.count, 8):
        part = ir.Constant(ir.VectorType(_I32, 8), list(range(first, first + 8)))
        registers = [builder.shuffle_vector(word, word, part) for word in words]
        parts.append(builder.call(function, [*registers, ir.Constant(_I32, table)]))
    while len(parts) > 1:
        both = ir.Constant(ir.VectorType(_I32, 2 * parts[0].type.count), list(range(2 * parts[0].type.count)))
        parts = [builder.shuffle_vector(a, b, both) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


@_operation(word_type, a=ANY, b=ANY, c=ANY)
def sum_bit(context, builder, signature, args):
    """The sum bit of a full adder: a ^ b ^ c."""
    return builder.xor(builder.xor(args[1], args[2]), args[0])


@_operation(word_type, a=ANY, b=ANY, c=ANY)
def carry_bit(context, builder, signature, args):
    """The carry bit of a full adder: the majority of a, b and c."""
    a, b, c = args
    ready = _table(context, builder, 0b11101000, args)
    return ready or builder.or_(builder.and_(b, c), builder.and_(a, builder.or_(b, c)))


@_operation(word_type, a=ANY, b=ANY, c=ANY)
def carry_bit_of_complements(context, builder, signature, args):
    """The majority of a, not b and not c. (The sum bit is that of a, b and c.)"""
    a, b, c = args
    ready = _table(context, builder, 0b01110001, args)
    if ready:
        return ready
    neither, both = builder.not_(builder.or_(b, c)), builder.not_(builder.and_(b, c))
    return builder.or_(neither, builder.and_(a, both))


@_operation(types.int64, array=ANY, index=types.int64)
def offset_at(context, builder, signature, args):
    """An entry of an array of integers as int64; no index may be negative (numpy's wrap from the end costs time)."""
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    widened = builder.sext if signature.args[0].dtype.signed else builder.zext
    return widened(builder.load(builder.gep(data, [args[1]])), _I64)


@_operation(sums_type)
def sums_zero(context, builder, signature, args):
    return _constant(_SUMS, 0)


@_operation(sums_type, sums=ANY, planes=ANY, offset=types.int64, value=types.int64)
def sums_add_plane(context, builder, signature, args):
    """Add `value` to the lanes whose bit is set in the 32 bits at a byte offset of `planes`, modulo 2^16."""
    return _with_plane_added(context, builder, signature, args, _I16, _SUMS)


@_operation(types.void, sums=ANY, array=ANY, offset=types.int64)
def sums_store(context, builder, signature, args):
    """Write 32 sums to an int32 array, sign extended."""
    pointer = _address(context, builder, signature.args[1], args[1], args[2], _LANES)
    builder.store(builder.sext(args[0], _LANES), pointer, align=4)


@_operation(lanes_type)
def lanes_zero(context, builder, signature, args):
    return _constant(_LANES, 0)


@_operation(lanes_type, lanes=ANY, planes=ANY, offset=types.int64, value=types.int64)
def lanes_add_plane(context, builder, signature, args):
    """Add `value` to the lanes whose bit is set in the 32 bits at a byte offset of `planes`."""
    return _with_plane_added(context, builder, signature, args, _I32, _LANES)


@_operation(lanes_type, array=ANY, offset=types.int64)
def lanes_load(context, builder, signature, args):
    """32 values of an int32 or int16 array."""
    narrow = signature.args[0].dtype == types.int16
    kind = _SUMS if narrow else _LANES
    values = builder.load(_address(context, builder, signature.args[0], args[0], args[1], kind), align=2)
    return builder.sext(values, _LANES) if narrow else values


@_operation(types.void, lanes=ANY, array=ANY, offset=types.int64)
def lanes_store(context, builder, signature, args):
    pointer = _address(context, builder, signature.args[1], args[1], args[2], _LANES)
    builder.store(args[0], pointer, align=4)


@_operation(lanes_type, a=ANY, b=ANY)
def lanes_add(context, builder, signature, args):
    return builder.add(args[0], args[1])


@_operation(lanes_type, lanes=ANY, scalar=types.int64)
def lanes_add_scalar(context, builder, signature, args):
    return builder.add(args[0], _splat(builder, builder.trunc(args[1], _I32), _LANES))


@_operation(lanes_type, lanes=ANY)
def lanes_times_64(context, builder, signature, args):
    """lanes << 6: from a sum of weights to units of the current."""
    return builder.shl(args[0], _constant(_LANES, 6))


def _decayed(builder, lanes, kept, small):
    """lanes * kept / 4096 toward zero. `small`: one product, for magnitudes below 2^23 and kept below 2^9."""
    sign = builder.ashr(lanes, _constant(_LANES, 31))
    size = builder.sub(builder.xor(lanes, sign), sign)
    twelve = _constant(_LANES, 12)
    kept = _splat(builder, builder.trunc(kept, _I32), _LANES)
    if small:
        result = builder.lshr(builder.mul(size, kept), twelve)
    else:
        # size = high * 4096 + low, so the product / 4096 is high * kept + low * kept / 4096: neither leaves 32 bits.
        high = builder.mul(builder.lshr(size, twelve), kept)
        low = builder.mul(builder.and_(size, _constant(_LANES, 4095)), kept)
        result = builder.add(high, builder.lshr(low, twelve))
    return builder.sub(builder.xor(result, sign), sign)


@_operation(lanes_type, lanes=ANY, kept=types.int64)
def lanes_decayed(context, builder, signature, args):
    """lanes * kept / 4096, rounded toward zero; kept in 0..4096."""
    return _decayed(builder, args[0], args[1], small=False)


@_operation(lanes_type, lanes=ANY, kept=types.int64)
def lanes_decayed_small(context, builder, signature, args):
    """As `lanes_decayed`, for lanes within 2^23 and kept below 512."""
    return _decayed(builder, args[0], args[1], small=True)


@_operation(lanes_type, lanes=ANY)
def lanes_wrapped(context, builder, signature, args):
    """One wrap into (-2^23, 2^23], as the contract has it."""
    (lanes,) = args
    limit, turn, zero = (_constant(_LANES, value) for value in (1 << 23, 1 << 24, 0))
    above = builder.icmp_signed(">", lanes, limit)
    lanes = builder.sub(lanes, builder.select(above, turn, zero))
    below = builder.icmp_signed("<=", lanes, _constant(_LANES, -(1 << 23)))
    return builder.add(lanes, builder.select(below, turn, zero))


@_operation(lanes_type, lanes=ANY)
def lanes_clipped(context, builder, signature, args):
    """Clip into -2^23 + 1 .. 2^23 - 1."""
    (lanes,) = args
    for compare, bound in (("<", -(1 << 23) + 1), (">", (1 << 23) - 1)):
        bound = _constant(_LANES, bound)
        lanes = builder.select(builder.icmp_signed(compare, lanes, bound), bound, lanes)
    return lanes


@_operation(types.uint32, lanes=ANY, threshold=types.int64)
def lanes_above(context, builder, signature, args):
    """32 bits, set where a lane is strictly above the threshold."""
    bound = _splat(builder, builder.trunc(args[1], _I32), _LANES)
    return builder.bitcast(builder.icmp_signed(">", args[0], bound), _I32)


@_operation(lanes_type, lanes=ANY, mask=types.uint32)
def lanes_cleared(context, builder, signature, args):
    """Zero where a bit of the mask is set."""
    mask = builder.bitcast(args[1], _MASK)
    return builder.select(mask, _constant(_LANES, 0), args[0])


@_operation(lanes_type, lanes=ANY, mask=types.uint32)
def lanes_counted(context, builder, signature, args):
    """One more where a bit of the mask is set."""
    mask = builder.bitcast(args[1], _MASK)
    return builder.add(args[0], builder.zext(mask, _LANES))


@_operation(types.void, bits=types.uint32, array=ANY, offset=types.int64)
def store_bits(context, builder, signature, args):
    """32 bits at a byte offset of a uint8 array."""
    pointer = _address(context, builder, signature.args[1], args[1], args[2], _I32)
    builder.store(args[0], pointer, align=1)


@_operation(types.void, bits=types.uint32, array=ANY, offset=types.int64)
def store_flags(context, builder, signature, args):
    """32 bits as 32 bytes of 0 or 1."""
    flags = ir.VectorType(_I8, N_LANES)
    pointer = _address(context, builder, signature.args[1], args[1], args[2], flags)
    builder.store(builder.zext(builder.bitcast(args[0], _MASK), flags), pointer, align=1)


@_operation(types.uint64, array=ANY, offset=types.int64)
def eight_bytes(context, builder, signature, args):
    """Eight bytes of a uint8 array as a uint64, the first one lowest on little-endian machines."""
    pointer = _address(context, builder, signature.args[0], args[0], args[1], _I64)
    return builder.load(pointer, align=1)
