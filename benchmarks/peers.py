"""Other software that solves the same problems, where it is installed.

A loss is written once for JAX and PyTorch, as ``loss(xp, data, *states)``: xp has ``softmax``, ``log_softmax`` and
``einsum`` of either. Gradients are theirs, by automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
Loss = Callable[..., Any]
Solve = Callable[[], Values]
"""Integrates, and returns the state at the end: all states one after the other."""
Prepare = Callable[[float, float], Solve]
"""An integration at a relative and an absolute tolerance; what is compiled is compiled once for all of them."""

PEERS = {
    "heyoka": "heyoka",
    "diffrax": "diffrax",
    "torchdiffeq": "torchdiffeq",
    "torch": "PyTorch",
    "scipy": "SciPy",
    "numpy": "NumPy",
    "numbalsoda": "numbalsoda",
    "sksundae": "scikit-sundae (CVODE)",
}
"""Peers by the name that is imported."""


def here(name: str) -> bool:
    return find_spec(name) is not None


def jax_namespace() -> Any:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    return SimpleNamespace(
        softmax=jax.nn.softmax, log_softmax=jax.nn.log_softmax, einsum=jnp.einsum, exp=jnp.exp,
        concatenate=jnp.concatenate, constant=jax.lax.stop_gradient,
    )  # fmt: skip


def with_diffrax(
    loss: Loss, data: Mapping[str, Values], start: Sequence[Values], rates: Sequence[float], tau: float,
    solver: str = "Tsit5",
) -> Prepare:  # fmt: skip
    """Gradient flow by a pair of diffrax with ``jax.grad``, jitted, in float64."""
    xp = jax_namespace()
    import diffrax
    import jax
    import jax.numpy as jnp

    known = {name: jnp.asarray(value) for name, value in data.items()}
    first = tuple(jnp.asarray(value) for value in start)

    def slope(t: Any, states: Any, args: Any) -> Any:
        found = jax.grad(lambda states: loss(xp, known, *states))(states)
        return tuple(-rate * value for rate, value in zip(rates, found, strict=True))

    @jax.jit
    def integrate(states: Any, rtol: Any, atol: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(slope), getattr(diffrax, solver)(), 0.0, tau, None, states, max_steps=100_000,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        ).ys  # fmt: skip

    def prepare(rtol: float, atol: float) -> Solve:
        tolerances = jnp.asarray(rtol), jnp.asarray(atol)
        return lambda: np.concatenate([np.asarray(value)[-1].ravel() for value in integrate(first, *tolerances)])

    return prepare


def with_torchdiffeq(
    loss: Loss, data: Mapping[str, Values], start: Sequence[Values], rates: Sequence[float], tau: float
) -> Prepare:  # fmt: skip
    """Gradient flow by dopri5 with ``torch.autograd``, in float64, on one thread."""
    import torch
    import torchdiffeq

    torch.set_num_threads(1)
    known = {name: torch.as_tensor(value) for name, value in data.items()}
    first, times = tuple(torch.as_tensor(value) for value in start), torch.tensor([0.0, tau], dtype=torch.float64)

    def slope(t: Any, states: Any) -> Any:
        with torch.enable_grad():
            leaves = [value.detach().requires_grad_(True) for value in states]
            found = torch.autograd.grad(loss(torch, known, *leaves), leaves)
        return tuple(-rate * value for rate, value in zip(rates, found, strict=True))

    def solve(rtol: float, atol: float) -> Values:
        with torch.no_grad():
            found = torchdiffeq.odeint(slope, first, times, rtol=rtol, atol=atol, method="dopri5")
        return np.concatenate([value[-1].numpy().ravel() for value in found])

    return lambda rtol, atol: partial(solve, rtol, atol)


def with_scipy(slope: Callable[[Values], Values], start: Sequence[Values], tau: float) -> Prepare:
    """``solve_ivp`` (RK45) alone, with a slope written by hand in NumPy."""
    from scipy.integrate import solve_ivp

    first = np.concatenate([np.ravel(value) for value in start])

    def solve(rtol: float, atol: float) -> Values:
        found = solve_ivp(lambda t, y: slope(y), (0.0, tau), first, rtol=rtol, atol=atol, t_eval=[tau])
        return np.asarray(found.y)[:, -1]

    return lambda rtol, atol: partial(solve, rtol, atol)


def with_cvode(
    into: Callable[[Values, Values], None], start: Values, t: Values, rtol: float, atol: float, method: str,
    counted: list[int],
) -> Values:  # fmt: skip
    """The states at some times by CVODE of SUNDIALS with matrix-free Newton steps, from time 0; evaluations counted."""
    from sksundae.cvode import CVODE

    calls = 0

    def slope(t: float, y: Values, out: Values) -> None:
        nonlocal calls
        calls += 1
        into(y.copy(), out)  # y cannot be written to, which compiled code would have to be told

    solver = CVODE(slope, method=method, linsolver="gmres", rtol=rtol, atol=atol, max_num_steps=1_000_000)
    found = solver.solve(np.concatenate([[0.0], t]), start)
    counted[:] = [calls]
    return np.asarray(found.y)[1:] if found.success else np.full((len(t), start.size), np.nan)


def gradient_flows(
    loss: Loss,
    data: Mapping[str, Values],
    start: Sequence[Values],
    rates: Sequence[float],
    tau: float,
    by_hand: Callable[[Values], Values],
) -> dict[str, Prepare]:
    """The same gradient flow by all peers that are here; ``by_hand`` is its slope in NumPy."""
    found = {"SciPy RK45, NumPy": with_scipy(by_hand, start, tau)}
    if here("diffrax"):
        found["diffrax Tsit5"] = with_diffrax(loss, data, start, rates, tau)
    if here("torchdiffeq"):
        found["torchdiffeq dopri5"] = with_torchdiffeq(loss, data, start, rates, tau)
    return found


def softmax(values: Values) -> Values:
    """Over the last axis, in NumPy."""
    found = np.exp(values - values.max(axis=-1, keepdims=True))
    return found / found.sum(axis=-1, keepdims=True)
