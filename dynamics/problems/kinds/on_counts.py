"""A program of one's own on counts: its data are the co-occurrence of inputs with outputs, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivations.program import Program, name_of, subscript
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.problems.kinds.arrays import OnArrays, checked, flow_of
from dynamics.support.errors import InputError

__all__ = ["on_counts", "takes_counts"]

AXES = {"C": ("input", "output"), "c": ("input",), "q": ("output",), "R": ("input", "output"), "G": ("input", "input")}
"""What a program may call its data, and what their axes are: see :class:`dynamics.CoOccurrence`."""


def takes_counts(program: Program) -> bool:
    """Whether counts alone give all the data of a program.

    Examples
    --------
    >>> from derivations.closures import both_stages
    >>> from derivations.models import keyword_classifier
    >>> takes_counts(both_stages()), takes_counts(keyword_classifier())
    (True, False)
    """
    fits = [name_of(access) in AXES and len(subscript(access)) == len(AXES[name_of(access)]) for access in program.data]
    return bool(fits) and all(fits)


def on_counts(program: Program, counts: CoOccurrence, values: Mapping[str, float] | None = None) -> OnArrays:
    """A program whose data are called ``C[i, o]``, ``c[i]``, ``q[o]``, ``R[i, o]`` or ``G[i, j]``, on counts.

    Parameters
    ----------
    program : Program
    counts : CoOccurrence
        Its labels and frequencies are those of the result.
    values : mapping of str to float, optional
        Parameters, and the sizes that counts do not decide.

    Raises
    ------
    InputError
        Other data, counts without the Gram matrix where a program has it; as for :func:`dynamics.on_arrays`.

    Examples
    --------
    >>> from dynamics import solve
    >>> from derivations.closures import both_stages
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    >>> solve(both_stages(), lexicon, [0, 10, 100]).loss.round(3).values
    array([0.693, 0.147, 0.011])
    """
    flow = flow_of(program)
    if not takes_counts(flow):
        other = next((str(access) for access in flow.data if name_of(access) not in AXES), None)
        told = f"has {other}" if other else "has no such data"
        raise InputError(
            f"{flow.name} {told}: counts give C[i, o], c[i], q[o], R[i, o] and G[i, j]; give arrays by name"
        )
    names = [name_of(access) for access in flow.data]
    if "G" in names and counts.gram is None:
        raise InputError(f"{flow.name} has the Gram matrix G; count the text with gram=True")
    dense = counts.dense()
    given: dict[str, Any] = {"C": dense.C, "c": dense.c, "q": dense.q, "R": dense.conditional(), "G": dense.gram}
    arrays, sizes, parameters = checked(flow, {name: given[name] for name in names}, values or {})
    return OnArrays(flow, arrays, sizes, parameters, *along_axes(flow, counts))


def along_axes(
    program: Program, counts: CoOccurrence
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.float64]]]:
    """What stands along the dimensions of a program on counts, and how frequent it is.

    Axes of the size of inputs (or outputs) have inputs (outputs) along them. Where both have one size, only those that
    the data have themselves are known.
    """
    labels = {"input": np.array(counts.inputs), "output": np.array(counts.outputs)}
    often = {"input": np.asarray(counts.c), "output": np.asarray(counts.q)}
    side_of: dict[Any, str] = {}
    sides: dict[str, set[str]] = {}
    for access in program.data:
        for index, side in zip(subscript(access), AXES[name_of(access)], strict=True):
            side_of.setdefault(index, side)
            sides.setdefault(str(program.extents[index]), set()).add(side)
    for index, extent in program.extents.items():
        known = sides.get(str(extent), set())
        if len(known) == 1:
            side_of.setdefault(index, *known)
    called = {program.dimensions.get(index, index.name): side for index, side in side_of.items()}
    return {dim: labels[side] for dim, side in called.items()}, {dim: often[side] for dim, side in called.items()}
