"""One evaluation of a flow: the compiled kernel beside XLA, of the same definitions and of a gradient by ``jax.grad``.

Programs of ``examples/programs`` on random data. ``definitions by XLA`` is what ``rhs(..., backend="jax")`` gives, the
derived flow in whole arrays, compiled by ``jax.jit``; for the induction head a loss by hand and its gradient by JAX
stand beside. Errors are relative to the largest rate of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Case, Contender, Row, Setting, race
from benchmarks.peers import Values, here
from derivations.checks.small_data import random_values, small_sizes
from derivations.program import extent_symbols, name_of
from dynamics import on_arrays, rhs
from dynamics.problems.kinds.arrays import flow_of
from dynamics.program_file import load

PROGRAMS = Path(__file__).parents[1] / "examples" / "programs"
CASES: tuple[tuple[str, dict[str, int]], ...] = (
    ("deep_linear", {"K": 16, "I": 8, "A": 8, "B": 8}),
    ("two_layers", {"N": 32, "D": 16, "R": 8, "K": 16}),
    ("max_margin", {"N": 32, "T": 16, "D": 16}),
    ("scan_snap", {"N": 32, "L": 16, "M": 32, "K": 16}),
    ("linear_attention", {"N": 32, "V": 16, "D": 16, "T": 16, "L": 16}),
    ("block", {"N": 32, "L": 16, "V": 16, "D": 16, "H": 2, "R": 8, "J": 8}),
    ("block", {"N": 8, "L": 64, "V": 64, "D": 32, "H": 2, "R": 16, "J": 64}),
    ("induction", {"N": 32, "T": 16, "V": 16}),
    ("induction", {"N": 32, "T": 32, "V": 32}),
    ("induction", {"N": 16, "T": 64, "V": 64}),
)
CALLS = 20
"""Evaluations that are timed in one go."""


def induction(data: Mapping[str, Any], P: Any, A: Any, W: Any) -> Any:
    """The loss of the induction head in JAX, by hand."""
    import jax
    import jax.numpy as jnp

    x, y = data["x"], data["y"]
    before = jnp.tril(jnp.ones((x.shape[1], x.shape[1]), bool))
    places = jax.nn.softmax(jnp.where(before, P, -jnp.inf), axis=1)
    score = jnp.einsum("pl,nlq->nqp", places, A[x[:, :, None], x[:, None, :]])
    attention = jax.nn.softmax(jnp.where(before, score, -jnp.inf), axis=2)
    z = jnp.einsum("nqp,npo->nqo", attention, W[x])
    right = jnp.take_along_axis(z, y[:, :, None], axis=2)[:, :, 0]
    return (jax.nn.logsumexp(z, axis=2) - right).sum() / x.size


BY_HAND: dict[str, Callable[..., Any]] = {"induction": induction}


def contenders(name: str, sizes: dict[str, int]) -> tuple[int, dict[str, Contender]]:
    flow = flow_of(load(PROGRAMS / f"{name}.py"))
    sizes = small_sizes(flow) | sizes
    values = random_values(flow, 0, sizes, 1.0, 1.0)
    given = {name_of(access): values[name_of(access)] for access in flow.data}
    numbers = {p.name: values[p.name] for p in flow.parameters if p.name not in flow.rates.values()}
    problem = on_arrays(flow, given, numbers | {str(size): sizes[str(size)] for size in extent_symbols(flow)})
    kernel, _ = problem.bind(dict.fromkeys(problem.rates, 1.0))
    states = [np.asarray(values[each], float) for each in flow.state_names]
    y, out = np.concatenate([each.ravel() for each in states]), np.empty(kernel.output_size)

    def repeated(run: Callable[[], object]) -> Callable[[], None]:
        def timed() -> None:
            for _ in range(CALLS):
                run()

        return timed

    def off(found: Values) -> float:
        return float(np.abs(found - out).max() / np.abs(out).max())

    kernel(y, out)
    found = {"kernel": Contender(repeated(partial(kernel, y, out)), 0.0, CALLS)}
    if here("jax"):
        import jax

        jax.config.update("jax_enable_x64", True)
        traced, at = jax.jit(rhs(problem, backend="jax").run), jax.numpy.asarray(y)
        found["definitions by XLA"] = Contender(
            repeated(lambda: jax.block_until_ready(traced(at))), off(np.asarray(traced(at))), CALLS, peer=True
        )
        if name in BY_HAND:
            known = {word: jax.numpy.asarray(value) for word, value in given.items()}
            loss, start = partial(BY_HAND[name], known), tuple(map(jax.numpy.asarray, states))
            slope = jax.jit(jax.grad(lambda each: loss(*each)))
            by_hand = np.concatenate([-np.ravel(each) for each in slope(start)])
            found["by hand, jax.grad"] = Contender(
                repeated(lambda: jax.block_until_ready(slope(start))), off(by_hand), CALLS, peer=True
            )
    return y.size, found


def rows(setting: Setting) -> Iterator[Row]:
    for name, sizes in CASES[::3] if setting.quick else CASES:
        size, found = contenders(name, sizes)
        told = f"{name} ({', '.join(f'{word} {n}' for word, n in sizes.items())})"
        yield from race(size, {f"{told}: {who}": each for who, each in found.items()}, setting.rounds)


CASE = Case("kernels", "one evaluation of a flow", "states", rows, series=False)
