"""The numbers of this package's results, as peers return theirs: without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers import Values

if TYPE_CHECKING:
    import xarray as xr


def numbers(found: xr.Dataset, *names: str) -> tuple[Values, ...]:
    """Arrays of a dataset as they stand there; ``found.W`` would give each its coordinates first."""
    return tuple(found.variables[name].values for name in names)


def flat(found: xr.Dataset, *names: str) -> Values:
    """All states one after the other."""
    return np.concatenate([values.ravel() for values in numbers(found, *names)])
