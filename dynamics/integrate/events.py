"""What sweeps and batches have in common: events of cells, how cells end, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral
from typing import Literal

import numpy as np

from dynamics.integrate.arguments import shown, why_not_real
from dynamics.lowering.cells.cell import Crossing, Status
from dynamics.lowering.pairs import PAIRS
from dynamics.support.errors import InputError
from dynamics.support.threads import available, used

__all__ = ["Event", "Status", "check_known", "check_method", "number_of"]


@dataclass(frozen=True)
class Event:
    """An observable passes a threshold.

    Attributes
    ----------
    observable : str
        A state or a definition of the system, such as ``p_t``.
    threshold : float
        The value that it passes.
    direction : {"rising", "falling", "either"}
        From which side. A cell that starts beyond the threshold has not passed it; one that starts on it and moves in
        this direction passes it at 0.
    terminal : bool
        Whether the cell ends there.

    Examples
    --------
    >>> Event("p_t", 0.5)
    Event(observable='p_t', threshold=0.5, direction='rising', terminal=False)
    """

    observable: str
    threshold: float
    direction: Literal["rising", "falling", "either"] = "rising"
    terminal: bool = False

    def __post_init__(self) -> None:
        if self.direction not in ("rising", "falling", "either"):
            raise InputError(f"unknown direction {self.direction!r} of an event; use rising, falling or either")
        if why_not_real(self.threshold) or np.ndim(self.threshold) or not np.isfinite(float(self.threshold)):
            raise InputError(f"the threshold {self.threshold} of {self.observable} is not a number; give a finite one")

    @property
    def crossing(self) -> Crossing:
        """What of it is compiled: all but the threshold."""
        return Crossing(self.observable, self.direction != "falling", self.direction != "rising", self.terminal)


def check_known(kind: str, given: Iterable[str], known: Sequence[str], system: str) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(str(name), known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known) or 'none'}"
            raise InputError(f"{system} has no {kind} {name!r}; {hint}")


def check_method(method: str) -> None:
    if not isinstance(method, str) or method not in PAIRS:
        raise InputError(f"unknown method {method!r}; use one of {', '.join(PAIRS)}")


def number_of(threads: int | None) -> int:
    """How many threads to use."""
    most = available()
    if threads is None:
        return used()
    if isinstance(threads, bool) or not isinstance(threads, Integral) or not 1 <= threads <= most:
        raise InputError(
            f"threads = {shown(threads)} is not between 1 and the {most} that there are (cores, or NUMBA_NUM_THREADS)"
        )
    return int(threads)
