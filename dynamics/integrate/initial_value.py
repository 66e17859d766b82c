"""Initial-value problems over compiled right-hand sides, solved by SciPy.

``solve_ivp`` does the work. What is added: the state is looked at only at chosen times, while the integration runs
(memory does not grow with time); every failure is an error that says how far it came and what to try; and large
states take the compiled steps of :mod:`dynamics.integrate.runge_kutta`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from dynamics.integrate.arguments import (
    known_options,
    shown,
    span_of,
    state,
    step_sizes,
    times,
    tolerances,
    whole,
    within,
)
from dynamics.integrate.conserved import Conserved, allowed, drift
from dynamics.integrate.rotation import Rotation, rotated
from dynamics.integrate.stability import Limits
from dynamics.lowering.pairs import PAIRS
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.threads import blas_limited
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    from scipy.integrate import OdeSolver

__all__ = ["Integration", "Statistics", "integrate", "times"]

Into = Callable[[Vector, Vector], None]

METHODS = (*PAIRS, "Radau", "BDF", "LSODA")
"""Of ``solve_ivp``."""
LARGE = 10_000
"""States with more numbers than this take compiled steps, and BLAS would sum over them on several threads."""
SHARED = 100_000
"""Where the right-hand side is compiled, one loop takes all steps of smaller states; those of larger ones are shared by
threads, as such right-hand sides are."""
STEPPED = 1e-9
"""With relative tolerances below this, DOP853 steps to times within its steps. Its interpolant would err there by more
than the tolerance, up to some thousand times on decaying modes that steps at the limit of stability still contain."""
WIDEST = 12
"""Evaluations of an attempted step of DOP853, the most of an explicit pair: what a step may cost in ``max_steps``."""


@dataclass(frozen=True)
class Statistics:
    """What an integration took.

    Attributes
    ----------
    evaluations, steps : int
        Calls of the right-hand side, accepted steps.
    seconds : float
        Wall time.
    """

    evaluations: int = 0
    steps: int = 0
    seconds: float = 0.0

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(self.evaluations + other.evaluations, self.steps + other.steps, self.seconds + other.seconds)


@dataclass(frozen=True)
class Integration:
    """The end of an integration.

    Attributes
    ----------
    t : float
        The time reached: the end of the span, or the time of a terminal event.
    y : ndarray, shape (n,)
        The state there.
    statistics : Statistics
    t_events, y_events : list of ndarray or None
        As ``solve_ivp`` returns them.
    sol : callable or None
        Dense output, if asked for.
    """

    t: float
    y: Vector
    statistics: Statistics
    t_events: list[Vector] | None = None
    y_events: list[Vector] | None = None
    sol: Callable | None = None


class Held:
    """An event that is let go when the integration is over: SciPy's root finder keeps what it was given."""

    def __init__(self, event: Callable) -> None:
        self.event: Callable | None = event
        self.terminal, self.direction = getattr(event, "terminal", False), getattr(event, "direction", 0)

    def __call__(self, t: float, y: Vector) -> float:
        assert self.event is not None
        return float(self.event(t, y))


def integrate(
    into: Into,
    y0: Vector,
    span: tuple[float, float],
    *,
    save: Callable[[float, Vector], None] | None = None,
    at: ArrayLike = (),
    method: str | type[OdeSolver] = "RK45",
    rtol: float = 1e-6,
    atol: float = 1e-9,
    events: Callable | Sequence[Callable] | None = None,
    dense_output: bool = False,
    max_steps: int = 100_000,
    locate: Callable[[Vector], str] | None = None,
    conserved: Sequence[Conserved] = (),
    leave: bool = False,
    **options: Any,
) -> Integration:
    """Integrate dy/dt = f(y) over a span, showing the state to a function at chosen times.

    Parameters
    ----------
    into : callable
        ``into(y, out)`` writes f(y) into out. A :class:`dynamics.integrate.rotation.Rotation` of several takes the next
        at every accepted step (RK45 and RK23).
    y0 : ndarray, shape (n,)
        The state at ``span[0]``; not modified.
    span : (float, float)
        From, to, forwards or backwards. A span of length 0 shows the initial state.
    save : callable, optional
        ``save(t, y)`` at every time of ``at`` within the span, ends included (and to the end of the step in which a
        terminal event is met). The y is overwritten later.
    at : array_like, shape (times,)
        Times in the order in which they are met: increasing, or decreasing in a span that goes backwards.
    method : str or OdeSolver class
        A method of ``solve_ivp``, RKC, ROCK4 or auto. RK45 and RK23 take steps of their own beyond 10,000 numbers
        (100,000 where the right-hand side is compiled).
        DOP853 interpolates within its steps, where it errs by up to some thousand times the tolerance on decaying
        modes; with rtol below 1e-9 it steps to the times of ``at``, of events and of dense output, and holds there
        what it holds at the ends of its steps. ``auto`` takes the steps of RK45 until stability limits them, and then
        those of ROCK4 (:mod:`dynamics.integrate.automatic`).
    rtol, atol : float
        Relative and absolute tolerance of the step-size control: of the error of one step. Errors over a whole span add
        up where the flow does not forget them (a rotation is off by about one rtol a turn), and with RKC they go down
        as rtol^(2/3).
    events, dense_output, **options
        Passed to ``solve_ivp``: ``max_step``, ``first_step``, and what else the method takes.
    max_steps : int
        Accepted steps after which the integration counts as stalled; so do 12 times as many evaluations, as a step of
        some methods may take a thousand.
    locate : callable, optional
        ``locate(y)`` names the tensor that holds the first number of y that is not finite, for messages.
    leave : bool
        End at the end of a step where another method serves better: RK45 where stability limits its steps, ROCK4 where
        it would not limit those of RK45.
    conserved : sequence of Conserved
        What the flow keeps. It is looked at at every time of ``at``, before the state is shown, and at the end.

    Raises
    ------
    IntegrationError
        The integration failed or stalled, or lost what the flow keeps by more than rounding and the tolerances allow
        (:func:`dynamics.integrate.conserved.allowed`); the message names the time reached, up to which time the numbers
        hold, and what to try.
    InputError
        Unknown method, or a state, times, tolerances or steps that cannot be used.
    TypeError
        An option that the method does not have.

    Examples
    --------
    >>> def decay(y, out):
    ...     out[:] = -y
    >>> seen = {}
    >>> end = integrate(decay, np.ones(1), (0, 2), at=[1, 2], save=lambda t, y: seen.update({t: y[0]}), rtol=1e-8)
    >>> {float(t): round(float(y), 6) for t, y in seen.items()}
    {1.0: 0.367879, 2.0: 0.135335}
    """
    if method == "auto":
        from dynamics.integrate.automatic import automatic

        return automatic(
            integrate, into, y0, span, save=save, at=at, rtol=rtol, atol=atol, events=events, dense_output=dense_output,
            max_steps=max_steps, locate=locate, conserved=conserved, **options,
        )  # fmt: skip
    start, end = span_of(span)
    rtol, atol = tolerances(rtol, atol)
    max_steps = whole("max_steps", max_steps, "100000 is usual")
    y0, wanted = state(y0, locate), within(at, start, end)
    one_loop = None if events or dense_output else in_one_loop(method, into, y0.size, rtol, leave)
    function = None if one_loop is None else into.native  # type: ignore[attr-defined]
    solver_class, extra = (one_loop, {}) if one_loop is not None else choose(method, into, y0.size, rtol)
    options = checked(options, solver_class, start, end, max_steps)
    held = [Held(event) for event in listed(events)]
    began = perf_counter()
    if end == start:
        if save is not None and wanted.size:
            save(end, y0)
        return Integration(end, y0, Statistics())

    direction = 1.0 if end > start else -1.0
    found: dict[str, Any] = {"solver": None, "bad": None, "begun": False, "held": start}
    explicit = hasattr(solver_class, "error_estimator_order") or hasattr(solver_class, "estimate_radius")
    kept = [(quantity, np.array(quantity.values(y0), dtype=float)) for quantity in conserved]

    known: list[Vector] = []  # the slope at the start, if it was needed before

    def fun(t: float, y: Vector) -> Vector:
        if known:
            return known.pop()
        y = np.ascontiguousarray(y)  # Jacobians by differences come as columns of a matrix
        out = np.empty_like(y)
        into(y, out)
        if not np.isfinite(out.sum()) and not np.isfinite(out).all():
            found["bad"] = out
            if not found["begun"]:
                # SciPy would choose a first step that is not a number, which is never too small: a loop without end.
                raise fail(start, "met a slope that is not finite", out)
        found["begun"] = True
        return out

    def fail(t: float, why: str, y: Vector | None) -> IntegrationError:
        where = f" in {locate(y)}" if locate is not None and y is not None and not np.isfinite(y).all() else ""
        advice = "try a smaller rtol, method='LSODA' for a stiff tail, or an earlier end"
        if t == start and "slope" in why:
            advice = "there is no way on from the state it starts from: start from another one"
        how = f"{solver_class.__name__}, rtol {rtol:g}"
        return IntegrationError(f"the integration {why}{where} at tau = {t:.6g} of {end:g} ({how}); {advice}")

    def check(t: float, y: Vector, steps: int) -> None:
        for quantity, before in kept:
            lost = drift(quantity.values(y), before, quantity.scale(y), atol * (1 if quantity.linear else steps))
            if lost > allowed(steps, rtol, quantity.linear and explicit):
                raise IntegrationError(
                    f"the integration has lost the {quantity.name} at tau = {t:.6g} of {end:g}, by {lost:.1e} of its"
                    f" size ({solver_class.__name__}, rtol {rtol:g}): the numbers hold up to tau = {found['held']:.6g};"
                    " end there, or give smaller rates"
                )
        found["held"] = t

    def show(t: float, y: Vector, steps: int) -> None:
        check(t, y, steps)
        if save is not None:
            save(t, y)

    at_rest = 0
    if "first_step" not in options and hasattr(solver_class, "error_estimator_order") and not y0.any():
        with np.errstate(over="ignore", invalid="ignore"):
            slope = fun(start, y0)
            known.append(slope)
            first, at_rest = step_from_rest(fun, y0, atol, solver_class.error_estimator_order)
            known.append(slope)
            at_rest -= 1  # one slope at the start serves all
        options |= {"first_step": min(first, abs(end - start))} if first else {}

    if one_loop is not None:
        assert function is not None

        with np.errstate(over="ignore", invalid="ignore"), blas_limited(1) if y0.size > LARGE else nullcontext():
            run = one_loop.run(
                *(function, one_loop.tableau, (start, end), y0, fun(start, y0), wanted),
                rtol=rtol,
                atol=atol,
                max_step=options.get("max_step", np.inf),
                first=options.get("first_step"),
                max_steps=max_steps,
                max_evaluations=WIDEST * max_steps,
                leave=leave and one_loop.pair == "RK45",
            )
            if wanted.size and wanted[0] == start:
                show(start, run.y, 0)
            for t, y, steps in run:
                show(t, y, steps)
            if run.outcome not in ("finished", "left"):
                raise fail(*why(run, into, fun))
            if found["held"] != run.t:  # not looked at there already
                check(run.t, run.y, run.steps)
        statistics = Statistics(run.evaluations + at_rest, run.steps, perf_counter() - began)
        return Integration(run.t, run.done(), statistics)

    from scipy.integrate import solve_ivp

    class Watched(solver_class):  # type: ignore[misc, valid-type]
        """The solver, showing its state at the wanted times and refusing to stall in silence."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            found["solver"] = self
            self.steps, self.shown = 0, 0
            self.buffer = np.empty_like(self.y)
            self.limits = Limits() if leave else None
            if wanted.size and wanted[0] == start:
                show(start, self.y, 0)
                self.shown = 1

        def step(self) -> str | None:
            message = super().step()
            if self.status == "failed":
                return message
            self.steps += 1
            found["bad"] = None
            if not np.isfinite(self.y.sum()) and not np.isfinite(self.y).all():
                raise fail(self.t_old, "met a value that is not finite", self.y)
            if self.steps >= max_steps and self.status == "running":
                raise fail(self.t, f"stalled after {max_steps} steps", None)
            if self.nfev > WIDEST * max_steps and self.status == "running":
                raise fail(self.t, f"stalled after {self.nfev} evaluations in {self.steps} steps", None)
            reached = int(np.searchsorted(direction * wanted, direction * self.t, side="right"))
            if reached > self.shown:
                interpolant = None if hasattr(self, "at") else self.dense_output()
                for t in wanted[self.shown : reached]:
                    if t == self.t:
                        show(t, self.y, self.steps)
                    else:
                        between = interpolant(t) if interpolant is not None else self.at(t, self.buffer)
                        show(t, between, self.steps)
                self.shown = reached
            if self.limits is not None and self.status == "running" and self.limits.passed(self):
                raise Left
            return message

    result: Any = None
    try:
        # What overflows on the way is told by the error below, in words.
        with np.errstate(over="ignore", invalid="ignore"):
            result = solve_ivp(
                fun,
                (start, end),
                y0,
                method=Watched,
                t_eval=[],
                events=held or None,
                dense_output=dense_output,
                rtol=rtol,
                atol=atol,
                **extra,
                **options,
            )
    except Left:
        result = SimpleNamespace(status=0, t_events=None, y_events=None, sol=None)
    except ValueError as error:
        # Implicit methods hand a slope that is not finite to LAPACK, which refuses it.
        solver, bad = found["solver"], found["bad"]
        if solver is None or bad is None:
            raise
        raise fail(solver.t, "met a slope that is not finite", bad) from error
    solver = found["solver"]
    if result.status < 0:
        with np.errstate(over="ignore", invalid="ignore"):
            fun(solver.t, solver.y)
        # Compiled steps look at their slopes afterwards.
        bad = found["bad"] if found["bad"] is not None or not hasattr(solver, "bad_slope") else solver.bad_slope()
        small = getattr(solver, "why", "needs steps that are too small")
        raise fail(solver.t, small if bad is None else "met a slope that is not finite", bad)
    check(solver.t, solver.y, solver.steps)
    statistics = Statistics(int(solver.nfev) + at_rest, solver.steps, perf_counter() - began)
    t, y = solver.t, solver.y
    # SciPy's solvers refer to themselves, and so does any class: without this, what they hold would wait for the
    # garbage collector, which counts objects and not gigabytes.
    vars(solver).clear()
    found["solver"] = None
    if dense_output:  # which may evaluate slopes
        solver.nfev, solver.fun_single = 0, fun
    for event in held:
        event.event = None
    save, locate = None, None
    kept.clear()
    if result.status == 1:  # a terminal event: the last of all
        t, y = max(
            (
                (found[-1], values[-1])
                for found, values in zip(result.t_events, result.y_events, strict=True)
                if len(found)
            ),
            key=lambda event: event[0],
        )
    return Integration(float(t), y, statistics, result.t_events, result.y_events, result.sol)


class Left(Exception):
    """Ends an integration where another method serves better."""


@dataclass(frozen=True)
class OneLoop:
    """A pair of SciPy whose steps are taken by one compiled loop, in place of SciPy's class.

    Attributes
    ----------
    pair : str
    stepped : bool
        Whether states within a step are steps of the method.
    large : bool
        Whether its loops over the state run on several threads.
    """

    pair: str
    stepped: bool = False
    large: bool = False

    @property
    def __name__(self) -> str:
        return f"{'Compiled' * self.large}{'Stepped' * self.stepped}{self.pair}"

    @property
    def run(self) -> Any:
        """The class of an integration that is under way."""
        if self.large:
            from dynamics.integrate.large.run import LargeRun

            return LargeRun
        from dynamics.integrate.run import Run

        return Run

    @property
    def tableau(self) -> Any:
        from dynamics.integrate.run import tableau

        return tableau(self.pair, self.stepped)

    @property
    def error_estimator_order(self) -> int:
        return int(self.tableau.order)


def in_one_loop(method: Any, into: Into, size: int, rtol: float, leave: bool) -> OneLoop | None:
    """How to integrate in compiled code as a whole; None if the right-hand side or the method have no such code."""
    if isinstance(into, Rotation) or not hasattr(type(into), "native"):
        return None
    if isinstance(method, str):
        large = size > SHARED and method in ("RK45", "RK23")
        fits = method in PAIRS and not (large and leave)
        return OneLoop(method, method == "DOP853" and rtol < STEPPED, large) if fits else None
    if isinstance(method, type) and is_solver(method):
        import scipy.integrate

        name = next((name for name in PAIRS if method is getattr(scipy.integrate, name)), None)
        return OneLoop(name) if name else None
    return None


def is_solver(method: type) -> bool:
    """Whether a class is one of SciPy's kind."""
    from scipy.integrate import OdeSolver

    return issubclass(method, OdeSolver)


def why(run: Any, into: Into, slope: Callable[[float, Vector], Any]) -> tuple[float, str, Vector | None]:
    """Why a compiled integration did not come to its end: the time reached, in words, and the vector that shows it."""
    if run.outcome == "not finite":
        return run.t_old, "met a value that is not finite", run.y
    if run.outcome == "too many steps":
        return run.t, f"stalled after {run.steps} steps", None
    if run.outcome == "too many evaluations":
        return run.t, f"stalled after {run.evaluations} evaluations in {run.steps} steps", None
    if run.outcome == "raised":  # and does so again
        into(run.trial, np.empty_like(run.trial))
    bad = run.bad_slope
    if bad is None:
        bad = slope(run.t, run.y)
        bad = None if np.isfinite(bad).all() else bad
    return run.t, "needs steps that are too small" if bad is None else "met a slope that is not finite", bad


def step_from_rest(
    fun: Callable[[float, Vector], Vector], y0: Vector, atol: float, order: int
) -> tuple[float | None, int]:
    """The first step from the state zero, and how many evaluations it took to find.

    SciPy has no scale there: it tries the second derivative at a step of 1e-6, whatever the unit of time, and starts no
    faster than 1e-4. Here it is tried where the state has come to the tolerance. Slope over bend is then the time scale
    of the flow, and (step/scale)^(order + 1) of the way that the slope goes in it is a hundredth of the tolerance. None
    where nothing moves.
    """
    slope = fun(0.0, y0)
    size = rms(slope) / atol
    if not (np.isfinite(size) and size > 1e-5):
        return None, 1
    bend = rms(fun(1 / size, slope / size) - slope) / atol * size
    if not np.isfinite(bend):
        return None, 2
    scale = size / bend if bend > 0 else np.inf
    return (scale * (0.01 / size / scale) ** (1 / (order + 1)) if np.isfinite(scale) else np.inf), 2


def rms(x: Vector) -> float:
    """Root mean square; the same bits on any number of threads."""
    return float(np.sqrt(np.square(x).sum() / x.size))


def listed(events: Any) -> tuple[Callable, ...]:
    """Events as solve_ivp takes them: none, one, or several."""
    found = (events,) if callable(events) else () if events is None else events
    if not isinstance(found, Sequence) or not all(map(callable, found)):
        raise InputError(f"events must be a function of t and y, or a list of them, not {shown(events)}")
    return tuple(found)


@cache
def options_of(method: Any) -> frozenset[str]:
    """The options that a method has beside the problem and the tolerances."""
    if isinstance(method, OneLoop):
        return frozenset({"max_step", "first_step"})
    from scipy.integrate import OdeSolver

    ours = {"self", "fun", "t0", "y0", "t_bound", "vectorized", "into", "rtol", "atol", "args", "kwargs"}
    taken: dict[str, Parameter] = {}
    for kind in method.__mro__[: method.__mro__.index(OdeSolver)]:
        taken |= dict(signature(vars(kind)["__init__"]).parameters) if "__init__" in vars(kind) else {}
    return frozenset(name for name, each in taken.items() if each.kind is not Parameter.VAR_KEYWORD) - ours


def checked(
    options: Mapping[str, Any], method: type[OdeSolver] | OneLoop, start: float, end: float, max_steps: int
) -> dict[str, Any]:
    """The options of a method: those that it has, with steps that can come to the end."""
    if not options:
        return {}
    solver: Any = method
    named = options_of(solver)
    known_options(options, named, method.__name__)
    steps = {name: options[name] for name in ("max_step", "first_step") if options.get(name) is not None}
    largest, first = step_sizes(start, end, **steps, max_steps=max_steps)
    rest = {name: value for name, value in options.items() if name not in ("max_step", "first_step")}
    return rest | ({"max_step": largest} if "max_step" in steps else {}) | ({"first_step": first} if first else {})


def choose(method: str | type[OdeSolver], into: Into, size: int, rtol: float) -> tuple[type[OdeSolver], dict[str, Any]]:
    """The solver class, with the options that a compiled one takes."""
    if isinstance(into, Rotation):
        return rotated(str(method), into.ends), {"into": into}
    if isinstance(method, type) and is_solver(method):
        return method, {"into": into} if "into" in signature(method.__init__).parameters else {}
    if method == "RKC":
        from dynamics.integrate.chebyshev import RKC

        return RKC, {"into": into}
    if method == "ROCK4":
        from dynamics.integrate.stabilised.rock4 import ROCK4

        return ROCK4, {"into": into}
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}; use one of {', '.join(METHODS)}, RKC, ROCK4, auto")
    if size > LARGE and method in ("RK45", "RK23"):
        from dynamics.integrate.runge_kutta import COMPILED

        return COMPILED[method], {"into": into}
    if method == "DOP853" and rtol < STEPPED:
        from dynamics.integrate.runge_kutta import SteppedDOP853

        return SteppedDOP853, {}
    import scipy.integrate  # here: it takes its time

    return getattr(scipy.integrate, method), {}
