"""What two integrations of the same equations promise about their difference."""

from __future__ import annotations

import numpy as np
import xarray as xr

STATES = ("W", "A")


def promised(*solutions: xr.Dataset, states: tuple[str, ...] = STATES) -> float:
    """The most by which an entry of two solutions may differ, if the flow does not spread what is near.

    A step is taken if the root mean square of its error, entry by entry over ``atol + rtol |y|``, is below 1. So one
    entry errs by up to the root of their number times that, and the errors of all steps of both solutions add up.

    Parameters
    ----------
    *solutions : Dataset
        As ``solve`` gives them, with ``rtol``, ``atol`` and the number of ``steps``.
    states : tuple of str
        What was integrated.
    """
    total = 0.0
    for found in solutions:
        values = [found[name] for name in states if name in found]
        entries = sum(value.isel(time=-1).size for value in values)
        largest = max(float(np.abs(value).max()) for value in values)
        total += np.sqrt(entries) * found.attrs["steps"] * (found.attrs["atol"] + found.attrs["rtol"] * largest)
    return total
