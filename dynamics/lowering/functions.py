"""Functions that generated code calls beside the exponential: without branches, so that loops over them vectorise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from dynamics.lowering.machine import runtime
from dynamics.lowering.machine.runtime import select

__all__ = ["acos", "asin", "atan", "erf", "larger", "sigmoid", "smaller", "softplus"]

# Re-association could undo the orders in which small terms are added; without branches on NaN, which passes through.
INLINE: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "forceinline": True}

exp = njit(**INLINE)(runtime.exp.py_func)

PI_4, PI_2, PI = math.pi / 4, math.pi / 2, math.pi
REST = 6.123233995736766e-17
"""What pi/2 lacks as a number of double precision."""


@njit(**INLINE)
def larger(one, other):
    """The larger of two numbers; NaN if one of them is."""
    return one if (one > other) | (one != one) else other


@njit(**INLINE)
def smaller(one, other):
    """The smaller of two numbers; NaN if one of them is."""
    return one if (one < other) | (one != one) else other


@njit(**INLINE)
def sigmoid(x):
    """``1 / (1 + exp(-x))``: also where it is 1e-308, to a few units in the last place."""
    return 1.0 / (1.0 + exp(-x))


@njit(**INLINE)
def softplus(x):
    """``log(1 + exp(x))``, as ``max(x, 0) + log(1 + u)`` with ``u = exp(-|x|)``, of which 1 + u is not rounded.

    ``log(1 + u) = 2 artanh(s)`` with ``s = u/(2 + u)``, at most 1/3; its series ends where a term is below 1e-18.
    """
    u = exp(-abs(x))
    s = u / (2.0 + u)
    z = s * s
    tail = 1.0 / 35.0
    tail = tail * z + 1.0 / 33.0
    tail = tail * z + 1.0 / 31.0
    tail = tail * z + 1.0 / 29.0
    tail = tail * z + 1.0 / 27.0
    tail = tail * z + 1.0 / 25.0
    tail = tail * z + 1.0 / 23.0
    tail = tail * z + 1.0 / 21.0
    tail = tail * z + 1.0 / 19.0
    tail = tail * z + 1.0 / 17.0
    tail = tail * z + 1.0 / 15.0
    tail = tail * z + 1.0 / 13.0
    tail = tail * z + 1.0 / 11.0
    tail = tail * z + 1.0 / 9.0
    tail = tail * z + 1.0 / 7.0
    tail = tail * z + 1.0 / 5.0
    tail = tail * z + 1.0 / 3.0
    tail = tail * z + 1.0
    return select(x > 0.0, x, 0.0 * x) + 2.0 * s * tail


@njit(**INLINE)
def arc(w):
    """asin(w) for w from 0 to 1/2: the rational function of fdlibm (Sun Microsystems, 1993)."""
    z = w * w
    above = 7.91534994289814532176e-04 + z * 3.47933107596021167570e-05
    above = 2.01212532134862925881e-01 + z * (-4.00555345006794114027e-02 + z * above)
    above = z * (1.66666666666666657415e-01 + z * (-3.25565818622400915405e-01 + z * above))
    below = -6.88283971605453293030e-01 + z * 7.70381505559019352791e-02
    below = 1.0 + z * (-2.40339491173441421878e00 + z * (2.02094576023350569471e00 + z * below))
    return w + w * (above / below)


@njit(**INLINE)
def asin(x):
    """The arcsine; NaN beyond 1."""
    size = abs(x)
    wide = size > 0.5
    found = arc(select(wide, np.sqrt(0.5 * (1.0 - size)), size))
    return math.copysign(select(wide, PI_2 - (2.0 * found - REST), found), x)


@njit(**INLINE)
def acos(x):
    """The arccosine, exact also where it is small; NaN beyond 1."""
    size = abs(x)
    wide = size > 0.5
    found = arc(select(wide, np.sqrt(0.5 * (1.0 - size)), size))
    far = select(x > 0.0, 2.0 * found, PI - (2.0 * found - 2.0 * REST))
    return select(wide, far, PI_2 - (math.copysign(found, x) - REST))


@njit(**INLINE)
def atan(x):
    """The arctangent, by the rational function of Cephes (S. L. Moshier, 1989) on three intervals."""
    size = abs(x)
    large, middle = size > 2.414213562373095, size > 0.66
    part = select(large, -1.0 / size, select(middle, (size - 1.0) / (size + 1.0), size))
    start = select(large, PI_2, select(middle, PI_4, 0.0))
    rest = select(large, REST, select(middle, 0.5 * REST, 0.0))
    z = part * part
    above = -1.615753718733365076637e1 + z * -8.750608600031904122785e-1
    above = -6.485021904942025371773e1 + z * (-1.228866684490136173410e2 + z * (-7.500855792314704667340e1 + z * above))
    below = 1.650270098316988542046e2 + z * (2.485846490142306297962e1 + z)
    below = 1.945506571482613964425e2 + z * (4.853903996359136964868e2 + z * (4.328810604912902668951e2 + z * below))
    return math.copysign(start + (part * (z * above / below) + rest + part), x)


@njit(**INLINE)
def erf(x):
    """The error function, by the rational functions of Cephes (S. L. Moshier, 1989) within 1 and beyond."""
    size = abs(x)
    z = size * size
    above = 9.60497373987051638749e0
    above = above * z + 9.00260197203842689217e1
    above = above * z + 2.23200534594684319226e3
    above = above * z + 7.00332514112805075473e3
    above = above * z + 5.55923013010394962768e4
    below = 1.0
    below = below * z + 3.35617141647503099647e1
    below = below * z + 5.21357949780152679795e2
    below = below * z + 4.59432382970980127987e3
    below = below * z + 2.26290000613890934246e4
    below = below * z + 4.92673942608635921086e4
    far = select(size > 6.0, 6.0 + 0.0 * size, size)  # from where it is 1
    up = 2.46196981473530512524e-10
    up = up * far + 5.64189564831068821977e-1
    up = up * far + 7.46321056442269912687e0
    up = up * far + 4.86371970985681366614e1
    up = up * far + 1.96520832956077098242e2
    up = up * far + 5.26445194995477358631e2
    up = up * far + 9.34528527171957607540e2
    up = up * far + 1.02755188689515710272e3
    up = up * far + 5.57535335369399327526e2
    down = 1.0
    down = down * far + 1.32281951154744992508e1
    down = down * far + 8.67072140885989742329e1
    down = down * far + 3.54937778887819891062e2
    down = down * far + 9.75708501743205489753e2
    down = down * far + 1.82390916687909736289e3
    down = down * far + 2.24633760818710981792e3
    down = down * far + 1.65666309194161350182e3
    down = down * far + 5.57535340817727675546e2
    tail = 1.0 - exp(-far * far) * up / down
    return select(size <= 1.0, x * (above / below), math.copysign(tail, x))
