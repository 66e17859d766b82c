"""Which steps of descent are kept."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dynamics.support.errors import InputError
from dynamics.train.arguments import whole_number


def record_steps(steps: int, records: int | Sequence[int]) -> NDArray[np.int64]:
    """The steps to keep: given ones, or this many in equal steps of log time with 0 and the last.

    Examples
    --------
    >>> record_steps(1000, 5), record_steps(3, 50)
    (array([   0,    1,   10,  100, 1000]), array([0, 1, 2, 3]))
    """
    if isinstance(records, numbers.Integral):
        left = min(whole_number("records", records), steps + 1) - 1
        if left < 1:
            raise InputError(f"records = {records} must be 2 or more: the first step and the last")
        found = [0]
        for k in range(left, 0, -1):
            last = found[-1]
            along = last * (steps / last) ** (1 / k) if last else (1 if k > 1 else steps)
            found.append(min(max(last + 1, round(along)), steps - k + 1))
        return np.array(found, dtype=np.int64)
    wanted = np.asarray(records)
    whole = wanted.ndim == 1 and wanted.size > 0 and wanted.dtype.kind in "iu"
    if not whole or wanted[0] < 0 or wanted[-1] > steps or (np.diff(wanted) <= 0).any():
        raise InputError(f"records must be increasing whole numbers of steps from 0 to {steps}")
    return wanted.astype(np.int64)
