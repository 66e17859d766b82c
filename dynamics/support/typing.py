"""Types of arrays, by what they hold: what signatures of the numerical code are written with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "Indices", "Numbers", "Vector"]

Vector = NDArray[np.float64]
"""Numbers in double precision, of any shape that the signature says."""
Indices = NDArray[np.int64]
"""Whole numbers: words by their number, counts, where rows begin."""
Numbers = NDArray[Any]
"""Numbers of any kind, as they were given."""
Arrays = dict[str, Numbers]
"""Arrays by name."""
