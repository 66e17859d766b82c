"""The right-hand side of a flow as a plain function, for other solvers, other libraries and other devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from derivations.program import Program, name_of
from dynamics.lowering import lower
from dynamics.lowering.arrays.functional import functional_kernel
from dynamics.lowering.arrays.kernel import array_kernel
from dynamics.lowering.c_code import c_function
from dynamics.problems.problem import Problem
from dynamics.problems.settings.rates import learning_rates
from dynamics.problems.solve import as_problem
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean

__all__ = ["BACKENDS", "RightHandSide", "rhs"]

BACKENDS = ("numba", "numpy", "jax", "c")


@dataclass(frozen=True)
class RightHandSide:
    """``f(t, y)``: the rates of all states, packed one after the other as they are in y.

    Attributes
    ----------
    problem : Problem
    backend, source : str
        What it is printed for, and the code.
    """

    problem: Problem
    backend: str
    source: str
    run: Callable[[Any], Any]

    def __call__(self, t: Any, y: Any) -> Any:
        """The rates at a packed state. A flow that reads the time has it among its states, and t is not looked at."""
        return self.run(y)

    def pack(self, states: Mapping[str, ArrayLike]) -> Any:
        """States by name as one vector, in the order of the program."""
        return np.concatenate([np.ravel(states[name]) for name in self.problem.program.state_names])

    def unpack(self, y: Any) -> dict[str, Any]:
        """A vector as states by name."""
        return unpacked(y, self.problem.shapes, self.problem.program)


def unpacked(y: Any, shapes: Mapping[str, tuple[int, ...]], program: Program) -> dict[str, Any]:
    found, at = {}, 0
    for name in program.state_names:
        size = int(np.prod(shapes[name], dtype=int))
        found[name] = y[at : at + size].reshape(shapes[name])
        at += size
    return found


def _places(
    program: Program, shapes: Mapping[str, tuple[int, ...]], outputs: tuple[str, ...], wanted: list[str]
) -> Any:
    """Where the rates of all states are among the computed ones and, behind them, the states themselves."""
    shape_of = {rate: shapes[state] for state, rate in program.flow.items()}
    at, start = {}, 0
    for name in (*outputs, *program.state_names):
        size = int(np.prod(shape_of[name] if name in outputs else shapes[name], dtype=int))
        at[name] = np.arange(start, start + size)
        start += size
    return np.concatenate([at[name] for name in wanted])


def rhs(
    problem: Any,
    data: Any = None,
    backend: str = "numba",
    *,
    values: Mapping[str, float] | None = None,
    rates: Mapping[str, float] | None = None,
) -> RightHandSide:
    """The right-hand side of a flow on its data as a plain function ``f(t, y)``.

    Parameters
    ----------
    problem : Program, Problem or Model
        What :func:`dynamics.solve` takes.
    data : mapping of str to array_like, or Examples, optional
        Its data.
    backend : {"numba", "numpy", "jax", "c"}
        ``numba``: the compiled code that is solved. ``numpy``: whole arrays. ``jax``: the same, traced: it can be
        differentiated, batched, compiled for other devices and given to diffrax; double precision is JAX's
        ``jax_enable_x64``. ``c``: C99 that needs no library, compiled by ``cc``; ``source`` can be taken elsewhere.
    values : mapping of str to float, optional
        Parameters, and sizes that no array has.
    rates : mapping of str to float, optional
        Learning rates by state; 1 if not given.

    Raises
    ------
    InputError
        Data that do not fit, a backend that does not exist or is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.integrate import solve_ivp
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (V,), (i,), (w, y) = sizes("V"), indices("i"), tensors("w y")
    >>> squares = model("Squares", extents={i: V}, data=y[i], states=w[i], loss=SumOver((w[i] - y[i]) ** 2 / 2, i))
    >>> f = rhs(squares, {"y": [1.0, 2.0]}, backend="numpy")
    >>> f(0, np.zeros(2)), solve_ivp(f, (0, 30), np.zeros(2), rtol=1e-8).y[:, -1].round(3)
    (array([1., 2.]), array([1., 2.]))
    """
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r}: there are {', '.join(BACKENDS)}{did_you_mean(backend, BACKENDS)}")
    chosen = as_problem(problem, data, values=values)
    speeds = learning_rates(tuple(chosen.rates), rates, chosen.described)
    if backend == "numba":
        bound, _ = chosen.bind(speeds)
        size = bound.output_size

        def compiled(y: Any) -> Any:
            out = np.empty(size)
            bound(np.ascontiguousarray(y, dtype=float), out)
            return out

        return RightHandSide(chosen, backend, bound.kernel.source, compiled)
    program, shapes = chosen.program, chosen.shapes
    numbers = {**chosen.sizes, **chosen.parameters, **{chosen.rates[name]: rate for name, rate in speeds.items()}}
    known = {name_of(access) for access in (*program.data, *program.states, *program.parameters)}
    wanted = [program.flow[name] for name in program.state_names]
    outputs = tuple(dict.fromkeys(name for name in wanted if name not in known))
    given = {**numbers, **chosen.arrays}
    if backend == "c":
        source, function = c_function(lower(program, outputs), given)
        places = _places(program, shapes, outputs, wanted)
        return RightHandSide(chosen, backend, source, lambda y: np.concatenate([function(y), np.ravel(y)])[places])
    if backend == "numpy":
        kernel = array_kernel(program, outputs)

        def by_arrays(y: Any) -> Any:
            states = unpacked(np.asarray(y, dtype=float), shapes, program)
            found = {**given, **states, **kernel(**given, **states)}
            return np.concatenate([np.ravel(found[name]) for name in wanted])

        return RightHandSide(chosen, backend, kernel.source, by_arrays)
    source, traced = functional_kernel(program, outputs)
    import jax.numpy as jnp  # type: ignore[import-not-found,unused-ignore]

    def by_jax(y: Any) -> Any:
        y = jnp.asarray(y)
        states = unpacked(y, shapes, program)
        found = {**given, **states, **traced(y.dtype.type, **given, **states)}
        return jnp.concatenate([jnp.ravel(jnp.asarray(found[name], y.dtype)) for name in wanted])

    return RightHandSide(chosen, backend, source, by_jax)
