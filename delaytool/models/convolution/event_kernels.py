"""Spikes through windows of taps, one event at a time: the loops behind `events.py`, compiled.

A synapse (i, o, m) holds `width` taps from delay `start` on, zero beyond the window. Taps lie side by side in memory
and so do the steps of one neuron's current, so an event adds a whole window with one or two vector instructions.
They are written out because no compiler can know that the two arrays do not overlap. Every width has its own loops.

Sums run in one order whatever the number of threads: batch entries are independent in the forward pass, inputs
in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

# A wider window is several of the widest.
WIDTHS = (1, 2, 4, 8, 16, 32, 64)


def laid_out_width(width: int) -> int:
    """Taps that a window of this width takes in memory."""
    return next((fixed for fixed in WIDTHS if fixed >= width), -(-width // WIDTHS[-1]) * WIDTHS[-1])


def add_scaled_of(width: int) -> Callable[..., None]:
    """into[at : at + width] += scale * values[first : first + width], on flat contiguous arrays, unchecked."""

    @intrinsic  # type: ignore[misc]
    def add_scaled(typing_context: Any, into: Any, at: Any, values: Any, first: Any, scale: Any) -> Any:
        if into.dtype != values.dtype:  # vectors of one would be read from the other's memory
            raise TypingError(f"into holds {into.dtype}, values {values.dtype}")

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_value_type(signature.args[0].dtype)
            vector = ir.VectorType(number, width)

            def address(which: int, offset: Any) -> Any:
                data = context.make_array(signature.args[which])(context, builder, arguments[which]).data
                return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())

            align = signature.args[0].dtype.bitwidth // 8
            target = address(0, arguments[1])
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), arguments[4], ir.IntType(32)(0))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
            spread = builder.shuffle_vector(one, one, mask)
            moved = builder.fmul(spread, builder.load(address(2, arguments[3]), align=align), flags=["contract"])
            sums = builder.fadd(builder.load(target, align=align), moved, flags=["contract"])
            builder.store(sums, target, align=align)
            return context.get_dummy_value()

        return types.void(into, types.intp, values, types.intp, into.dtype), generate

    return add_scaled


@cache
def forward_loop(width: int) -> Callable[..., None]:
    """add(x, taps, start, y, slack): y (n_steps, batch, n_out) becomes the current.

    x (time, batch, n_in); taps (n_in, n_out, m, width); start (n_in, n_out, m) int32; slack: width + the largest start.
    """
    add_scaled = add_scaled_of(width)

    @njit(parallel=True, nogil=True, error_model="numpy")
    def add(x, taps, start, y, slack):  # type: ignore[no-untyped-def]
        steps, batch, n_out = y.shape
        n_in, _, per_synapse, _ = taps.shape
        last = min(x.shape[0], steps)
        row = last + slack
        flat_taps = taps.reshape(-1)
        flat_start = start.reshape(-1)
        for b in prange(batch):
            current = np.zeros(n_out * row, dtype=y.dtype)
            for t in range(last):
                for i in range(n_in):
                    value = x[t, b, i]
                    if value != 0:
                        synapse = i * n_out * per_synapse
                        for o in range(n_out):
                            for _ in range(per_synapse):
                                add_scaled(
                                    current, o * row + t + flat_start[synapse], flat_taps, synapse * width, value
                                )
                                synapse += 1
            reached = min(steps, row)
            for t in range(reached):
                for o in range(n_out):
                    y[t, b, o] = current[o * row + t]
            for t in range(reached, steps):
                for o in range(n_out):
                    y[t, b, o] = 0

    return add


@cache
def backward_loop(width: int) -> Callable[..., None]:
    """gather(x, grad, start, grad_taps, last, share): adds to grad_taps (n_in, n_out, m, width).

    grad (batch, n_out, row): the gradient of the current, silent for `slack` steps beyond the `last` input step.
    share: inputs a thread takes at a time.
    """
    add_scaled = add_scaled_of(width)

    @njit(parallel=True, nogil=True, error_model="numpy")
    def gather(x, grad, start, grad_taps, last, share):  # type: ignore[no-untyped-def]
        batch, n_out, row = grad.shape
        n_in, _, per_synapse, _ = grad_taps.shape
        flat_grad = grad.reshape(-1)
        flat_start = start.reshape(-1)
        flat_taps = grad_taps.reshape(-1)
        for part in prange((n_in + share - 1) // share):
            for b in range(batch):
                for i in range(part * share, min(n_in, (part + 1) * share)):
                    for t in range(last):
                        value = x[t, b, i]
                        if value != 0:
                            synapse = i * n_out * per_synapse
                            neuron = b * n_out * row + t
                            for _ in range(n_out):
                                for _ in range(per_synapse):
                                    add_scaled(
                                        flat_taps, synapse * width, flat_grad, neuron + flat_start[synapse], value
                                    )
                                    synapse += 1
                                neuron += row

    return gather
