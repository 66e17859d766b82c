"""What the generated loops over lanes call: functions that vectorise, and the queue that threads share."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from dynamics.lowering.cells.cell import LANES
from dynamics.lowering.machine import runtime
from dynamics.lowering.machine.runtime import bits_to_float, float_to_bits

__all__ = ["INLINE", "LANEWISE", "exp", "larger", "log", "next_cells"]

LANEWISE = {"contract", "nsz", "arcp"}
"""What a lane may be spared: no re-association, which differs between the parts of a loop that is unrolled, so that a
cell's last bits would depend on its lane."""
INLINE: dict[str, Any] = {"error_model": "numpy", "fastmath": LANEWISE, "forceinline": True}

exp = njit(**INLINE)(runtime.exp.py_func)

SMALLEST_NORMAL = 2.2250738585072014e-308
SQRT_HALF = 0.7071067811865476


@njit(**INLINE)
def log(x):
    """log without branches, so that loops over it vectorise; at most 2 units in the last place off."""
    small = x < SMALLEST_NORMAL
    bits: Any = float_to_bits(x * 18014398509481984.0 if small else x)  # type: ignore[call-arg]
    # x = 2^n m with m from sqrt(1/2) on: there log(m) has no cancellation with n log(2)
    shifted = bits - 4604544271217802189
    n = shifted >> 52
    m: Any = bits_to_float(bits - (n << 52))
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332))
    even = z * (
        0.6666666666666735130 + w * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591))
    )
    half = 0.5 * f * f
    power = float(n) - (54.0 if small else 0.0)
    value = power * runtime.LN2_HIGH - ((half - (s * (half + (odd + even)) + power * runtime.LN2_LOW)) - f)
    value = value if x < np.inf else x
    value = -np.inf if x == 0.0 else value
    return value if x >= 0.0 else np.nan


@njit(**INLINE)
def larger(one, other):
    """The larger of two numbers; NaN if one of them is."""
    return one if (one > other) | (one != one) else other


@intrinsic
def next_cells(typingctx, queue):
    """The number at the head of a queue shared by threads, which moves on by a block of lanes."""

    def codegen(context, builder, signature, args):
        head = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", head, ir.Constant(ir.IntType(64), LANES), "monotonic")

    return types.int64(queue), codegen
