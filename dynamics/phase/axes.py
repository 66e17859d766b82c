"""Axes of a phase diagram as they are written: ``V=8:64``, ``sigma=0.01:1:40:log``, ``V=10,20,40``."""

from __future__ import annotations

import numpy as np

from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

MOST = 10_000
"""Points of an axis; a diagram has up to its square."""


def axis(text: str, option: str, whole: frozenset[str]) -> tuple[str, Vector]:
    """An axis from its description.

    Parameters
    ----------
    text : str
    option : str
        What messages call it.
    whole : frozenset of str
        Parameters that are whole numbers.

    Raises
    ------
    InputError
        It is not an axis; the message shows what is.

    Examples
    --------
    >>> axis("V=4:7", "--x", frozenset("V"))
    ('V', array([4., 5., 6., 7.]))
    >>> axis("sigma=0.01:1:3:log", "--y", frozenset())
    ('sigma', array([0.01, 0.1 , 1.  ]))
    """
    name, _, values = text.partition("=")
    wrong = InputError(f"{option} {text!r} is not an axis such as V=4:64, sigma=0.01:1:40:log or V=10,20,40")
    parts = values.split(":")
    logarithmic = len(parts) > 2 and parts[-1] == "log"
    parts = parts[: len(parts) - logarithmic]
    try:
        if len(parts) == 1:
            return name, np.array([float(value) for value in values.split(",")])
        low, high = float(parts[0]), float(parts[1])
        given = int(parts[2]) if len(parts) == 3 else None
    except ValueError:
        raise wrong from None
    if not name or len(parts) > 3 or not (np.isfinite([low, high]).all() and low < high):
        raise wrong
    if given is not None and given < 2:
        raise InputError(f"{option} {text!r}: an axis has two points or more")
    if name in whole and not all(float(part).is_integer() for part in parts[:2]):
        raise InputError(f"{option} {text!r}: {name} is a whole number; give whole ends, such as {name}=8:10")
    if logarithmic and low <= 0:
        raise InputError(f"{option} {text!r}: a logarithmic axis begins above 0")
    points = given or (round(high - low) + 1 if name in whole and not logarithmic else 41)
    if points > MOST:
        raise InputError(f"{option} {text!r}: {points} points are too many; an axis has up to {MOST}")
    found = np.geomspace(low, high, points) if logarithmic else np.linspace(low, high, points)
    return name, np.unique(np.round(found)) if name in whole else found
