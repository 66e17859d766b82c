"""Reduced systems: a few scalars in place of a model's tensors, on the manifold that symmetry keeps."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program.program import Program
from dynamics.problems.problem import Problem, Tolerances, Variable, computed
from dynamics.problems.settings.keep import Keep
from dynamics.support.errors import InputError
from dynamics.support.recipes import made

Tensors = Mapping[str, ArrayLike]


@dataclass(frozen=True, eq=False)
class Reduction(Problem):
    """A reduced system with its sizes; made by :func:`copying`.

    Attributes
    ----------
    flow : Program
        Its flow: states, parameters and definitions are scalars.
    given : mapping of str to float
        Sizes, such as V and L, which are parameters of the flow.
    order : mapping of str to tuple of str
        The order parameters, and the scalar states that are their entries: one, or one a head.
    learning : mapping of str to str
        The tensors of the model, and the parameters of the flow that are their learning rates.
    shown : mapping of str to str
        What else a solution has: its name, and that of the flow's scalar.
    tensors : mapping of str to str
        The tensor of the model that an order parameter is read from: mean diagonal minus mean off-diagonal.

    Examples
    --------
    >>> two_heads = copying(vocab=8, length=4, heads=2)
    >>> two_heads.order, two_heads.parameters
    ({'u': ('u1', 'u2'), 'a': ('a1', 'a2')}, {'V': 8.0, 'L': 4.0})
    """

    flow: Program
    given: Mapping[str, float]
    order: Mapping[str, tuple[str, ...]]
    learning: Mapping[str, str]
    shown: Mapping[str, str]
    tensors: Mapping[str, str]

    tolerances = Tolerances(1e-8, 1e-11, "DOP853")

    @property
    def program(self) -> Program:
        return self.flow

    @property
    def arrays(self) -> Mapping[str, Any]:
        return {}

    @property
    def sizes(self) -> Mapping[str, int]:
        return {}

    @property
    def parameters(self) -> Mapping[str, float]:
        return self.given

    @property
    def rates(self) -> Mapping[str, str]:
        return self.learning

    @property
    def observed(self) -> tuple[str, ...]:
        return tuple(self.shown.values())

    @property
    def attrs(self) -> Mapping[str, Any]:
        return dict(self.given)

    @property
    def heads(self) -> int:
        """The number of heads."""
        return max(map(len, self.order.values()))

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        own = ("head",) if self.heads > 1 else ()
        return dict.fromkeys(self.order, own)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        own = (self.heads,) if self.heads > 1 else ()
        return dict.fromkeys(self.order, own)

    def initial(self, values: Mapping[str, ArrayLike | float] | None = None, seed: int = 0) -> NDArray[np.float64]:
        """The packed state to start from: a number for each order parameter, or one for every head; else zero.

        Raises
        ------
        InputError
            An unknown order parameter, or values that are not finite or not one for each head.
        """
        start = dict.fromkeys(self.program.state_names, 0.0)
        for name, value in (values or {}).items():
            if name not in self.order:
                raise InputError(f"initial {name!r}: the order parameters of {self.name} are {', '.join(self.order)}")
            entries = self.order[name]
            given = np.asarray(value, dtype=float)
            if given.ndim > 1 or (given.ndim == 1 and given.size != len(entries)) or not np.isfinite(given).all():
                raise InputError(f"initial {name} = {value!r} must be finite: a number, or {len(entries)} of them")
            start |= dict(zip(entries, np.broadcast_to(given, len(entries)).tolist(), strict=True))
        return np.array([start[name] for name in self.program.state_names])

    def variables(self, keep: Keep) -> tuple[Variable, ...]:
        dims = self.dims
        order = [
            Variable(
                name,
                dims[name],
                tuple(len(keep.positions[dim]) for dim in dims[name]),
                over_heads(entries, keep.cells(dims[name])),
            )
            for name, entries in self.order.items()
        ]
        loss = self.scalars()[0]
        shown = [
            replace(loss, read=computed(own)) if name == loss.name else Variable(name, (), (), computed(own))
            for name, own in self.shown.items()
        ]
        return (*order, *shown)

    def project(self, tensors: Tensors) -> dict[str, NDArray[np.float64]]:
        """From the tensors of the model to the order parameters."""
        return {name: excess(tensors[tensor]) for name, tensor in self.tensors.items()}


def copying(vocab: int, length: int, heads: int = 1, replacement: bool = False) -> Reduction:
    """Copying with positional attention on its symmetric manifold: order parameters u and a, of each head.

    ``u`` is the mean diagonal minus the mean off-diagonal of W, ``a`` that of P.

    Parameters
    ----------
    vocab, length : int
        V and L, at least 2 each; L at most V unless words may repeat.
    heads : int
        H, with averaged contexts.
    replacement : bool
        Words are drawn with replacement, so that they may repeat (one head).

    Raises
    ------
    InputError
        Sizes that make no task, or several heads with repeated words.

    References
    ----------
    The equations: :func:`derivations.reductions.copying`. Snell et al., arXiv 2103.07601.

    Examples
    --------
    >>> from dynamics import solve
    >>> found = solve(copying(vocab=8, length=8), [0, 200, 400], initial={"u": 0.01, "a": 0.01})
    >>> found.p_t.values.round(2)
    array([0.13, 0.13, 0.92])
    """
    for name, size, least in (("vocab", vocab, 2), ("length", length, 2), ("heads", heads, 1)):
        if not isinstance(size, numbers.Integral) or size < least:
            raise InputError(f"{name} = {size!r} must be a whole number from {least}")
    if length > vocab and not replacement:
        raise InputError(
            f"length = {length} distinct words cannot be drawn from vocab = {vocab}; give a smaller length"
        )
    if replacement and heads > 1:
        raise InputError("several heads are reduced for distinct words only; leave out heads or replacement")
    sizes = {"V": float(vocab), "L": float(length)}
    if replacement:
        program = made("derivations.reductions:copying_repeats", length)
        observables = {name: name for name in ("loss",)}
    elif heads > 1:
        program, observables = made("derivations.reductions:copying_heads", heads), {"loss": "loss", "p_t": "p_t"}
    else:
        program = made("derivations.reductions:copying")
        observables = {"loss": "loss", "p_t": "p_t", "attention": "alpha"}
    numbered = [""] if heads == 1 else [str(h + 1) for h in range(heads)]
    return Reduction(
        program,
        {name: value for name, value in sizes.items() if name in program.parameter_names},
        {name: tuple(name + number for number in numbered) for name in ("u", "a")},
        {"W": "eta_W", "P": "eta_A"},
        observables,
        {"u": "W", "a": "P"},
    )


def over_heads(entries: tuple[str, ...], cells: Any) -> Callable[[Tensors, Tensors], Any]:
    """Reads an order parameter: the scalar states that are its entries, one or one a head."""
    shape = (-1,) if len(entries) > 1 else ()
    return lambda states, _: np.reshape([states[entry] for entry in entries], shape)[cells]


def excess(matrices: ArrayLike) -> NDArray[np.float64]:
    """Mean diagonal minus mean off-diagonal of square matrices, shape (..., n, n) to (...).

    Examples
    --------
    >>> float(excess([[3.0, 1.0], [0.0, 5.0]]))
    3.5
    """
    values = np.asarray(matrices, dtype=float)
    n = values.shape[-1]
    diagonal = np.trace(values, axis1=-2, axis2=-1)
    return diagonal / n - (values.sum((-2, -1)) - diagonal) / (n * (n - 1))
