"""Right-hand sides in turn: one alone is the plain method, many follow their mean, and every order is reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

from dynamics.integrate.initial_value import integrate
from dynamics.integrate.rotation import Rotation
from dynamics.integrate.runge_kutta import CompiledRK23
from dynamics.support.errors import InputError
from dynamics.support.threads import limited

SLOPES = np.random.default_rng(0).normal(size=(5, 3, 3)) - 2 * np.eye(3)
Y0 = np.array([1.0, -0.5, 0.25])


def linear(a, calls=None, name=None):
    def part(y, out):
        if calls is not None:
            calls.append(name)
        out[:] = a @ y

    return part


def end(into, span=1.0, **options):
    seen = []
    found = integrate(into, Y0, (0, span), at=[span / 3, span], save=lambda t, y: seen.append(y.copy()), **options)
    return np.array(seen), found.statistics


@pytest.mark.parametrize("method", ["RK23", "RK45"])
def test_one_part_is_the_method_itself(method: str) -> None:
    """To the bit; the slope at the end of a step is computed again, and that is all."""
    from dynamics.integrate.runge_kutta import COMPILED

    plain, took = end(linear(SLOPES[0]), method=COMPILED[method])
    turned, again = end(Rotation([linear(SLOPES[0])]), method=method)
    np.testing.assert_array_equal(turned, plain)
    assert again.steps == took.steps
    assert again.evaluations == took.evaluations + took.steps


def test_parts_follow_their_mean_as_steps_shrink() -> None:
    """Matrices that do not commute: the error of a round is of the order of its length."""
    exact = expm(1.25 * SLOPES.mean(axis=0)) @ Y0
    errors = []
    for h in (1 / 16, 1 / 64, 1 / 256):  # whole rounds of five
        step = {"max_step": h, "first_step": h}
        ends = [
            end(Rotation([linear(a) for a in SLOPES], seed), 1.25, method="RK23", rtol=0.1, **step)[0][-1]
            for seed in range(20)
        ]
        errors.append(np.sqrt(np.mean([np.sum((y - exact) ** 2) for y in ends])))
    ratios = np.array(errors[:-1]) / errors[1:]
    assert errors[0] > 1e-3  # the parts do differ
    # h^1, or h^3/2 where the orders of rounds average
    assert ratios.min() > 3.4
    assert ratios.max() < 9


def test_every_part_once_before_one_comes_again() -> None:
    calls: list[int] = []
    _, took = end(
        Rotation([linear(a, calls, k) for k, a in enumerate(SLOPES)], seed=3),
        span=30 / 32, method="RK23", rtol=0.1, max_step=1 / 32, first_step=1 / 32,
    )  # fmt: skip
    order = [k for n, k in enumerate(calls[-4 * took.steps :]) if n % 4 == 0]
    assert took.steps == 30
    for start in range(0, 30, 5):
        assert sorted(order[start : start + 5]) == list(range(5))
    assert len({tuple(order[start : start + 5]) for start in range(0, 30, 5)}) > 1  # not always the same order


def test_a_rejected_step_keeps_its_part() -> None:
    """Much too long a first step is rejected several times: all its evaluations are of one part."""
    calls: list[int] = []
    rotation = Rotation([linear(-300 * np.eye(3), calls, k) for k in range(4)], seed=0)
    _, took = end(rotation, span=0.1, method="RK23", first_step=0.1)
    assert took.evaluations > 4 * took.steps + 3
    assert rotation.turns == took.steps
    first = calls[1 : 1 + 7]  # behind the slope at the beginning, which no step begins with
    assert len(set(first)) == 1


def test_the_seed_decides_and_threads_do_not() -> None:
    rotation = Rotation([linear(a) for a in SLOPES], seed=5)
    with limited(1, 1):
        once, _ = end(rotation, method="RK23")
    with limited(2, 1):
        again, _ = end(rotation, method="RK23")  # the same object: it begins anew
    other, _ = end(Rotation([linear(a) for a in SLOPES], seed=6), method="RK23")
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_steps_are_a_share_of_the_time() -> None:
    times: list[float] = []
    rotation = Rotation([linear(0.0 * a) for a in SLOPES], share=0.1, free=0.25)
    integrate(
        rotation, Y0, (2.0, 12.0), method="RK23", first_step=0.25,
        events=lambda t, y: times.append(t) or 1.0,
    )  # fmt: skip
    since = np.unique(times) - 2.0
    steps = np.diff(since)
    assert (steps <= np.maximum(0.25, 0.1 * since[:-1]) + 1e-12).all()
    assert steps.max() > 0.8  # and they grow with the time


def test_what_it_refuses() -> None:
    with pytest.raises(InputError, match="at least one"):
        Rotation([])
    with pytest.raises(InputError, match="RK45 or RK23"):
        end(Rotation([linear(SLOPES[0])]), method="LSODA")
    with pytest.raises(InputError, match="RK45 or RK23"):
        end(Rotation([linear(SLOPES[0])]), method=CompiledRK23)


def test_steps_without_the_slope_at_their_end() -> None:
    """Third order still, three evaluations a step, an error that is estimated as by four; second order within steps."""
    exact = [expm(t * SLOPES[0]) @ Y0 for t in (1 / 3, 1.0)]
    errors = []
    for h in (1 / 8, 1 / 16, 1 / 32):  # 1/3 is two thirds, one third, two thirds of the way through a step
        step = {"method": "RK23", "rtol": 0.5, "max_step": h, "first_step": h}
        plain, _ = end(Rotation([linear(SLOPES[0])]), **step)
        found, took = end(Rotation([linear(SLOPES[0])], ends=False), **step)
        np.testing.assert_allclose(found[1], plain[1], rtol=1e-14)
        assert took.evaluations == 3 * took.steps + 1  # one at the beginning
        errors.append([np.linalg.norm(a - b) for a, b in zip(found, exact, strict=True)])
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert slopes[:, 1].min() > 2.8
    assert slopes[:, 0].min() > 2.2
    plain, took = end(Rotation([linear(SLOPES[0])]), method="RK23", rtol=1e-6)
    found, again = end(Rotation([linear(SLOPES[0])], ends=False), method="RK23", rtol=1e-6)
    assert abs(again.steps - took.steps) <= 0.05 * took.steps
    assert np.linalg.norm(found[1] - exact[1]) < 1.1 * np.linalg.norm(plain[1] - exact[1])
