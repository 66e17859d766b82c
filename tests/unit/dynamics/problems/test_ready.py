"""Bound flows that are kept: no problem sees the data of another, and data that change are seen."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

from dynamics import CoOccurrence, copying, on_arrays, solve
from dynamics.problems.solving import plans, ready
from dynamics.program_file import Definition, SumOver, indices, model, sizes, tensors

N, D = sizes("N D")
n, d, e = indices("n d e")
x, w, corr, z = tensors("x w corr z")
PROGRAM = model(
    "Quadratic form of what data alone decide",
    extents={n: N, d: D, e: D},
    data=x[n, d],
    states=w[d],
    definitions=[
        Definition(corr[d, e], SumOver(x[n, d] * x[n, e] / N, n), "second moments"),
        Definition(z[d], SumOver(corr[d, e] * w[e], e) - 1, "residuals"),
    ],
    loss=SumOver(z[d] ** 2, d),
)
DATA = [np.random.default_rng(seed).normal(size=(6, 3)) for seed in range(4)]
TIMES = [0.0, 1.0, 5.0]


def alone(problem) -> xr.Dataset:
    """A solution by a flow that was bound for it."""
    ready._kept.clear()
    found = solve(problem, TIMES)
    ready._kept.clear()
    return found


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    xr.testing.assert_identical(one.drop_attrs(), other.drop_attrs())
    assert one.attrs["evaluations"] == other.attrs["evaluations"]


def problems() -> list:
    return [on_arrays(PROGRAM, {"x": values}) for values in DATA]


def test_problems_of_one_kind_have_solutions_of_their_own() -> None:
    expected = [alone(problem) for problem in problems()]
    for _ in range(2):
        for problem, wanted in zip(problems(), expected, strict=True):
            same(solve(problem, TIMES), wanted)
    assert len(ready._kept) == 1


def test_a_problem_shows_what_it_shows_whatever_another_of_its_program_does() -> None:
    """A reduction that shows less, as the explorer has them, leaves no flow that shows less."""
    problem = copying(8, 8)
    start, less = {"u": 0.1, "a": 0.1}, dataclasses.replace(problem, shown={"loss": "loss"})
    assert set(solve(less, TIMES, initial=start).data_vars) == {"u", "a", "loss"}
    assert set(solve(problem, TIMES, initial=start).data_vars) == {"u", "a", "loss", "p_t", "attention"}


def test_counts_of_one_shape_have_solutions_of_their_own() -> None:
    counts = [CoOccurrence.from_counts(np.random.default_rng(seed).random((3, 4))) for seed in range(3)]
    expected = [alone(one) for one in counts]
    for one, wanted in zip(counts, expected, strict=True):
        same(solve(one, TIMES), wanted)
        same(solve(one, TIMES, stages="two-stage", switch=2.0), alone_stages(one))


def alone_stages(counts: CoOccurrence) -> xr.Dataset:
    kept = ready._kept.copy()
    ready._kept.clear()
    found = solve(counts, TIMES, stages="two-stage", switch=2.0)
    ready._kept.clear()
    ready._kept.update(kept)
    return found


def test_data_that_are_changed_in_place_are_seen() -> None:
    problem = problems()[0]
    solve(problem, TIMES)
    problem.arrays["x"][:] = DATA[1]
    same(solve(problem, TIMES), alone(problems()[1]))


def test_rates_and_parameters_are_not_shared() -> None:
    problem = problems()[0]
    slow = solve(problem, TIMES, rates={"w": 0.5})
    same(solve(problem, TIMES), alone(problem))
    np.testing.assert_allclose(solve(problem, [2.0], rates={"w": 0.5}).w, solve(problem, [1.0]).w, rtol=1e-5)
    assert not np.array_equal(slow.w, solve(problem, TIMES).w)


def test_a_solve_within_a_solve_has_a_flow_of_its_own() -> None:
    first, second = problems()[:2]
    within = []
    found = solve(first, TIMES, progress=lambda share: within.append(solve(second, TIMES)))
    same(found, alone(first))
    for one in within:
        same(one, alone(second))


def test_threads_do_not_share_a_flow() -> None:
    expected = [alone(problem) for problem in problems()]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: solve(problems()[k % 4], TIMES), range(32)))
    for k, one in enumerate(found):
        same(one, expected[k % 4])


def test_a_solve_that_fails_leaves_nothing_behind() -> None:
    problem = problems()[0]
    expected = alone(problem)

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(problem, TIMES, progress=stop)
    same(solve(problem, TIMES), expected)


def test_few_are_kept() -> None:
    for size in range(2, 2 + 2 * ready.KNOWN):
        solve(on_arrays(PROGRAM, {"x": np.ones((size, 1))}), [1.0])
    assert len(ready._kept) <= ready.KNOWN
    assert sum(map(len, ready._kept.values())) <= ready.KNOWN


def test_plans_are_of_one_problem_each() -> None:
    """Labels and what is shown are a problem's own, also where another one had its place in memory."""
    for names in (("a", "b"), ("c", "d"), ("e", "f", "g")):
        counts = CoOccurrence.from_counts(np.eye(len(names)) + 0.1, inputs=names, outputs=names[::-1])
        for _ in range(2):
            found = solve(counts, [0, 5.0])
            assert found.input.values.tolist() == list(names)
            assert found.attended.values[-1].tolist() == list(names)
            found.input.values[:] = "spoilt"
            found.W.attrs["units"] = "spoilt"
        assert "A" not in solve(counts, [0, 5.0], closure="linear")
        counts.C[:] = counts.C[::-1].copy()
        assert solve(counts, [0, 5.0]).attended.values[-1].tolist() == list(names)[::-1]
    assert len(plans._known) <= plans.KNOWN


def test_plans_of_large_problems_are_not_kept() -> None:
    before = dict(plans._known)
    solve(CoOccurrence.from_counts(np.eye(101) + 0.01), [0.0])
    assert plans._known == before
