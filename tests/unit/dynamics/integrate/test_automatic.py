"""The method that is chosen: RK45 to the last bit where nothing is stiff, the root of the work where something is."""

from __future__ import annotations

import numpy as np
import pytest
from sympy import Expr

from derivations.program.language import indices, scalars, tensors
from derivations.program.program import Definition, Program
from dynamics.integrate.initial_value import integrate
from dynamics.lowering import Bound, lower
from dynamics.support.errors import InputError, IntegrationError

i, N = indices("i")[0], scalars("N", integer=True, positive=True)[0]
x, a, rate = tensors("x a rate")
(speed,) = scalars("speed")


def flow_of(name: str, change: Expr) -> Program:
    return Program(
        name=name, title=name, source="", extents={i: N}, data=(a[i],), states=(x[i],), parameters=(speed,),
        definitions=(Definition(rate[i], change),), flow={"x": "rate"},
    )  # fmt: skip


LOGISTIC = flow_of("logistic", speed * a[i] * x[i] * (1 - x[i]))
GROWING = flow_of("growing", speed * a[i] * x[i] ** 2)


def bound(program: Program, n: int, speed: float = 1.0) -> Bound:
    return lower(program).bind({"a": np.linspace(0.5, 2.0, n)}, {"speed": speed, "N": n})


RATES = np.array([300.0, 3.0, 0.01])


def decays(y: np.ndarray, out: np.ndarray) -> None:
    np.multiply(y, -RATES, out=out)


def shown(into, y0: np.ndarray, span: tuple[float, float], **options: object) -> tuple[list, list, tuple]:
    t, y = [], []
    end = integrate(into, y0, span, save=lambda at, now: (t.append(at), y.append(now.copy())), **options)  # type: ignore
    return t, y, (end.t, end.statistics.evaluations, end.statistics.steps)


@pytest.mark.parametrize("native", [False, True])
def test_what_is_not_stiff_is_that_of_rk45_to_the_last_bit(native: bool) -> None:
    flow, y0 = bound(LOGISTIC, 5), np.full(5, 0.1)
    into = flow if native else (lambda y, out: flow(y, out))
    given = {"at": [0.0, 1.0, 2.5, 9.0], "rtol": 1e-7}
    found, wanted = (shown(into, y0, (0, 9), method=method, **given) for method in ("auto", "RK45"))
    assert found[0] == wanted[0]
    np.testing.assert_array_equal(found[1], wanted[1])
    assert found[2] == wanted[2]


def test_work_grows_like_the_root_of_the_horizon() -> None:
    """Where it stays accurate: 300 times the time is 90,000 times the time scale of the fastest rate."""
    evaluations, horizons = [], (3.0, 30.0, 300.0)
    for end in horizons:
        at = np.linspace(0, end, 5)
        t, y, (reached, count, _) = shown(decays, np.ones(3), (0, end), at=at, method="auto", rtol=1e-5, atol=1e-8)
        assert (t, reached) == (at.tolist(), end)  # each once, whatever method comes by
        np.testing.assert_allclose(y, np.exp(-np.outer(at, RATES)), rtol=0, atol=1e-5)
        evaluations.append(count)
    explicit = 300 * horizons[-1] / 3.3 * 6
    assert evaluations[-1] < explicit / 10
    assert np.polyfit(np.log(horizons), np.log(evaluations), 1)[0] < 0.6


def test_backwards_and_from_a_later_time() -> None:
    t, y, (end, *_) = shown(lambda y, out: np.copyto(out, RATES * y), np.ones(3), (9, 2), at=[9, 5, 2], method="auto")
    assert (t, end) == ([9.0, 5.0, 2.0], 2.0)
    np.testing.assert_allclose(y[-1], np.exp(-7 * RATES), atol=1e-6)


def test_compiled_and_python_steps_change_over_at_the_same_step() -> None:
    flow = bound(LOGISTIC, 4, 200.0)
    found = [
        integrate(into, np.full(4, 0.05), (0, 30), method="RK45", leave=True, rtol=1e-4, atol=1e-7)
        for into in (flow, lambda y, out: flow(y, out))
    ]
    assert found[0].t == found[1].t < 30
    np.testing.assert_array_equal(found[0].y, found[1].y)


def test_failures_and_what_it_does_not_have() -> None:
    with pytest.raises(IntegrationError, match="RK45"):
        integrate(bound(GROWING, 3), np.ones(3), (0, 9), method="auto")
    for options in ({"events": lambda t, y: y[0]}, {"dense_output": True}):
        with pytest.raises(InputError, match="method='auto' has no events and no dense output"):
            integrate(decays, np.ones(3), (0, 1), method="auto", **options)  # type: ignore[arg-type]
