"""What a check found: what was compared with what, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Check", "largest"]


@dataclass(frozen=True)
class Check:
    """What was compared with what, and how far apart they are.

    Attributes
    ----------
    what : str
        In words.
    error : float
        The largest difference, relative to the largest value.
    tolerance : float
        What it may be.
    how : str
        By what, in words.
    exact : bool
        Shown by algebra: no error was measured.
    """

    what: str
    error: float = 0.0
    tolerance: float = 0.0
    how: str = ""
    exact: bool = False

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance  # false for NaN

    @property
    def figure(self) -> str:
        """The outcome in a few words."""
        if self.exact:
            return self.how
        verdict = "" if self.passed else "FAILS: "
        return " ".join(filter(None, [f"{verdict}{self.error:.1e}", self.how, f"(at most {self.tolerance:.0e})"]))


def largest(pairs: list[tuple[Any, Any]]) -> float:
    """The largest difference of pairs of arrays, relative to the largest entry of each pair."""
    import numpy as np

    return max(
        float(np.max(np.abs(np.subtract(a, b)), initial=0) / max(np.max(np.abs(a), initial=0), 1e-300))
        for a, b in pairs
    )
