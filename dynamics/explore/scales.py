"""Where values are shown and where axes have ticks: linear, or in decades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dynamics.support.typing import Vector


@dataclass(frozen=True)
class Scale:
    """From values to places on an axis, which is always linear in the page.

    Attributes
    ----------
    decades : bool
        Places are logarithms to base 10.
    """

    decades: bool = False

    @classmethod
    def of(cls, values: Vector) -> Scale:
        """Decades where values are spaced more evenly in their logarithms than in themselves.

        Examples
        --------
        >>> Scale.of(np.array([1.0, 10, 100])), Scale.of(np.array([1.0, 2, 3]))
        (Scale(decades=True), Scale(decades=False))
        """
        if values.size < 3 or values[0] <= 0:
            return cls()
        return cls(bool(np.ptp(np.diff(np.log(values))) < np.ptp(np.diff(values)) / values[-1]))

    def at(self, values: ArrayLike) -> Vector:
        """Places; not a number where a logarithm is of nothing."""
        numbers = np.asarray(values, dtype=float)
        if not self.decades:
            return numbers
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(numbers)

    def back(self, place: float) -> float:
        return float(10**place) if self.decades else float(place)

    def ticks(self, low: float, high: float, about: int = 6) -> Mapping[float, str]:
        """Places between two places that are good for ticks, and what to write there.

        Examples
        --------
        >>> Scale(decades=True).ticks(0, 3)
        {0.0: '1', 1.0: '10', 2.0: '100', 3.0: '1000'}
        >>> Scale().ticks(0, 1, 3)
        {0.0: '0', 0.5: '0.5', 1.0: '1'}
        """
        from dynamics.plot.frame import number

        if not high > low:
            return {float(low): number(self.back(low))}
        if self.decades and high - low > 0.6:
            factors = (1.0,) if high - low > 2.5 else (1.0, 3.0) if high - low > 1.2 else (1.0, 2.0, 5.0)
            every = max(1, int(np.ceil((high - low) / (2 * about))))
            powers = range(int(np.floor(low)), int(np.ceil(high)) + 1, every)
            places = [power + np.log10(factor) for power in powers for factor in factors]
        else:
            rough = (self.back(high) - self.back(low)) / about
            power = 10.0 ** np.floor(np.log10(rough))
            step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)
            first, last = np.ceil(self.back(low) / step - 1e-9) + 0.0, np.floor(self.back(high) / step + 1e-9)
            places = list(self.at(step * np.arange(first, last + 1)))
        return {float(place): number(self.back(place)) for place in places if low - 1e-9 <= place <= high + 1e-9}


def edges(places: Vector) -> Vector:
    """The edges of cells around places: halfway between neighbours.

    Examples
    --------
    >>> edges(np.array([1.0, 2, 4]))
    array([0.5, 1.5, 3. , 5. ])
    """
    middle = (places[1:] + places[:-1]) / 2
    return np.r_[2 * places[0] - middle[0], middle, 2 * places[-1] - middle[-1]]
