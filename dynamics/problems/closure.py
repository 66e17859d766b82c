"""Theory's trajectories: from a co-occurrence matrix to W, A, KTIW and attention over time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from derivations import closures
from derivations.program.language import Program
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.integrate.initial_value import Statistics, integrate, times
from dynamics.lowering import Bound, lower
from dynamics.problems.exact import solve_exact
from dynamics.problems.models import Model
from dynamics.problems.rates import learning_rates
from dynamics.problems.reduction import Reduced, solve_reduced
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.memory import require
from dynamics.support.threads import WORTH_SHARING, limited
from dynamics.support.trajectory import provenance

if TYPE_CHECKING:
    import xarray as xr

Vector = NDArray[np.float64]

STAGES = ("joint", "two-stage", "frozen")
CLOSURES = ("conditional", "linear", "linear-bias", "marginal", "gram")
STATES_AT_WORK = 12
"""Copies of the state that a Runge-Kutta integration, its workspace and its results hold at one time."""


@dataclass(frozen=True)
class Phase:
    """A part of a prediction: until a time, each state flows at a rate of its own (0: held)."""

    until: float
    rates: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Problem:
    """A closure on a co-occurrence matrix: its flow and its observables, bound to data.

    ``weights`` turns the packed attention (if the closure has any) into a dense matrix for the chosen rows and columns.
    """

    flow: Bound
    observe: Bound
    y0: Vector
    chosen: tuple[NDArray[np.int64], NDArray[np.int64]]
    entries: NDArray[np.int64] | None = None
    columns: NDArray[np.int64] | None = None

    @property
    def program(self) -> Program:
        return self.flow.kernel.program

    @property
    def has_attention(self) -> bool:
        return "A" in self.program.state_names

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each output's entries begin, for sparse attention."""
        return np.concatenate([[0], np.cumsum(self.flow.arrays["count"])[:-1]])

    def per_output(self, ufunc: np.ufunc, values: NDArray) -> Vector:
        """A reduction over the input words of each output, of a tensor stored like A."""
        return ufunc.reduce(values, axis=0) if values.ndim == 2 else ufunc.reduceat(values, self.starts)

    def best(self, share: NDArray) -> tuple[NDArray[np.int64], Vector]:
        """The input word with the largest share of each chosen output's attention, and its share."""
        columns = self.chosen[1]
        if share.ndim == 2:
            words = share.argmax(axis=0)[columns]
            return words, share[words, columns]
        counts, starts = self.flow.arrays["count"], self.starts
        entries = np.array([starts[o] + share[starts[o] : starts[o] + counts[o]].argmax() for o in columns])
        return self.flow.arrays["word"][entries], share[entries]


@singledispatch
def solve(
    system: CoOccurrence,
    t: ArrayLike,
    *,
    stages: str | Sequence[str] | None = None,
    closure: str = "conditional",
    switch: float | None = None,
    rates: Mapping[str, float] | None = None,
    initial: Mapping[str, ArrayLike] | None = None,
    top: int | None = None,
    keep: Sequence[str] = (),
    rtol: float = 1e-6,
    atol: float = 1e-9,
    method: str = "RK45",
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Predicted trajectories for a co-occurrence matrix; ``solve(model, data, t)`` for an exact model.

    For a model of :mod:`dynamics.problems.models` on examples, see :func:`dynamics.problems.exact.solve_exact`.

    Both stages of learning from C alone: words of a sentence are replaced by their distribution R = C/q given the
    target, and the values W and attention logits A flow down the loss

        loss = -sum_o q[o] log softmax_v(sum_i Rt[i,o] W[i,v])[o],   Rt[i,o] = R[i,o] e^A[i,o] / sum_k R[k,o] e^A[k,o].

    Parameters
    ----------
    system : CoOccurrence
        The co-occurrence of V inputs with K outputs.
    t : array_like, shape (times,)
        Times tau = learning rate x steps, increasing, from 0 on. The trajectory has exactly these.
    stages : str or sequence of str, optional
        ``joint`` (default): W and A flow together. ``two-stage``: A is held at 0 until ``switch``, then both flow.
        ``frozen``: likewise, but W is held from then on. Several names give a dimension ``stages``.
    closure : str
        ``conditional`` (default, both stages), or a closure of stage one, in which attention stays uniform: ``linear``,
        ``linear-bias``, ``marginal`` (needs the mean length) or ``gram`` (needs the Gram matrix).
    switch : float, optional
        The time at which stage one ends, for ``two-stage`` and ``frozen``. Default: see :func:`end_of_stage_one`.
    rates : mapping, optional
        Learning rates of ``W`` and ``A`` relative to tau; 1 if not given.
    initial : mapping, optional
        ``W`` of shape (V, K) and ``A`` of shape (V, K) at time 0; zero if not given.
    top : int, optional
        Keep only the most frequent inputs and outputs, this many of each, in the result. All take part in the flow.
    keep : sequence of str
        Inputs and outputs to keep beside those of ``top``.
    rtol, atol, method, **options
        As for :func:`dynamics.integrate.initial_value.integrate`.
    threads : int, optional
        Threads of compiled loops and, for states of a million numbers, of BLAS. The result does not depend on it, save
        for rounding in products of dense matrices of that size.
    progress : callable, optional
        Called with the share of the time span that is done.

    Returns
    -------
    xarray.Dataset
        ``W``, ``A`` and ``beta`` (KTIW, softmax_o W) over (time, input, output); ``loss`` over (time); ``translation``,
        the output with the largest KTIW, over (time, input); ``attention``, the share of the best input word of each
        output, and ``attended``, that word, over (time, output). Stage-one closures have no A, attention and attended.
        ``attrs`` hold every parameter and what the integration took.

    Raises
    ------
    InputError
        Times out of order, unknown names, a closure that lacks its statistic, or a result that memory cannot hold.
    IntegrationError
        The integration failed; the message names the time reached.

    References
    ----------
    Snell et al., arXiv 2103.07601. The equations: ``dynamics derive joint``.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    >>> found = solve(lexicon, [0, 10, 100])
    >>> found.beta.sel(input="Hund", output="dog").values.round(3)
    array([0.5  , 0.896, 0.992])
    """
    if not isinstance(system, CoOccurrence):
        raise InputError(f"cannot solve a {type(system).__name__}; give a CoOccurrence, or a model, examples and times")
    wanted = times(t)
    names = _stages(stages, closure)
    rates = _rates(rates, closure)
    problem = _problem(system, closure, initial, _chosen(system, top, keep), len(wanted) * len(names), rates)
    results = []
    with limited(threads, problem.y0.size) as used:
        if switch is None and set(names) & {"two-stage", "frozen"}:
            switch = end_of_stage_one(problem, float(wanted[-1]), rates, rtol=rtol, atol=atol, method=method, **options)
        for k, name in enumerate(names):
            share = None if progress is None else (lambda x, k=k: progress((k + x) / len(names)))
            phases = _phases(name, float(wanted[-1]), switch, rates)
            results.append(_run(problem, wanted, phases, share, rtol=rtol, atol=atol, method=method, **options))
    attrs = {
        "equation": problem.program.name,
        "title": problem.program.title,
        "source": problem.program.source,
        "closure": closure,
        "method": method,
        "rtol": rtol,
        "atol": atol,
        "threads": used,
        **{f"rate_{state}": rate for state, rate in rates.items()},
        **({"switch": switch} if switch is not None else {}),
        **({"length": system.length} if system.length is not None else {}),
        **({"top": top} if top is not None else {}),
        **({"keep": ", ".join(keep)} if keep else {}),
        **({"initial": ", ".join(initial)} if initial else {}),
        **{f"cooccurrence_{key}": value for key, value in system.attrs.items()},
        **{key: str(value) for key, value in options.items()},
    }
    return _dataset(system, problem, wanted, names, results, attrs, squeeze=isinstance(stages, str) or stages is None)


solve.register(Model, solve_exact)
solve.register(Reduced, solve_reduced)


def _stages(stages: str | Sequence[str] | None, closure: str) -> tuple[str, ...]:
    if closure not in CLOSURES:
        raise InputError(f"unknown closure {closure!r}; use one of {', '.join(CLOSURES)}")
    if closure != "conditional":
        if stages is not None:
            raise InputError(f"closure={closure!r} is stage one only; leave stages out, or use closure='conditional'")
        return ("stage-one",)
    names = (stages,) if isinstance(stages, str) else tuple(stages) if stages is not None else ("joint",)
    for name in names:
        if name not in STAGES:
            raise InputError(f"unknown stages {name!r}; use one of {', '.join(STAGES)}")
    if not names or len(set(names)) < len(names):
        raise InputError(f"stages = {names!r} must name one or more different predictions of {', '.join(STAGES)}")
    return names


def _rates(rates: Mapping[str, float] | None, closure: str) -> dict[str, float]:
    states = ("W", "A") if closure == "conditional" else ("W",)
    return learning_rates(states, rates, f"the closure {closure!r}")


def _phases(name: str, end: float, switch: float | None, rates: Mapping[str, float]) -> list[Phase]:
    """What flows until when."""
    if name in ("joint", "stage-one"):
        return [Phase(end, rates)]
    if switch is None or not (np.isfinite(switch) and switch >= 0):
        raise InputError(f"switch = {switch} must be a time from 0 on: the end of stage one")
    then = dict(rates) if name == "two-stage" else {**rates, "W": 0.0}
    return [Phase(min(switch, end), {**rates, "A": 0.0}), Phase(end, then)]


def _problem(
    system: CoOccurrence,
    closure: str,
    initial: Mapping[str, ArrayLike] | None,
    chosen: tuple[NDArray[np.int64], NDArray[np.int64]],
    n_times: int,
    rates: Mapping[str, float],
) -> Problem:
    """The closure's kernels bound to the statistics that they need."""
    inputs, outputs = system.shape
    rows, columns = chosen
    sparse = closure == "conditional" and system.is_sparse
    entries = (system.nnz if sparse else inputs * outputs) if closure == "conditional" else 0
    size = inputs * outputs + entries
    kept = n_times * rows.size * columns.size * (3 if closure == "conditional" else 2)
    _fits(system, entries, kept, n_times)

    parameters = {f"eta_{state}": rate for state, rate in rates.items()}
    data: dict[str, Any]
    pattern: Any = None
    if closure == "conditional":
        program = closures.both_stages_sparse() if sparse else closures.both_stages()
        conditional = system.conditional()
        data = {"q": system.q}
        if sparse:
            pattern = scipy.sparse.csc_array(conditional)
            pattern.sort_indices()
            data |= {"count": np.diff(pattern.indptr), "word": pattern.indices, "R": pattern.data}
            parameters["V"] = inputs
        else:
            data["R"] = conditional
        observables = ["loss", "beta", "Rtilde"]
    else:
        program = {
            "linear": closures.linear,
            "linear-bias": closures.linear_bias,
            "marginal": closures.marginal,
            "gram": closures.gram,
        }[closure]()
        data = {"C": system.dense().C, "c": system.c, "q": system.q}
        if closure == "marginal":
            if system.length is None:
                raise InputError("the marginal closure needs the mean input length; give length= with the counts")
            parameters["L"] = system.length
        if closure == "gram":
            if system.gram is None:
                raise InputError("the Gram closure needs the Gram matrix; count the text with gram=True")
            data["G"] = system.gram
        observables = ["loss", "beta"]

    parallel = size >= WORTH_SHARING
    flow = lower(program, parallel=parallel).bind(data, parameters)
    observe = lower(program, observables, parallel=parallel).bind(data, parameters, workspace=flow.workspace)
    problem = Problem(
        flow, observe, np.zeros(flow.state_size), (rows, columns), *(_entries(pattern, rows, columns) if sparse else ())
    )
    _start(problem, system, initial, pattern)
    return problem


def _entries(pattern: Any, rows: NDArray, columns: NDArray) -> tuple[NDArray, NDArray]:
    """For a sparse pattern: the column of every entry, and the entry at each chosen cell (-1: none)."""
    column_of = np.repeat(np.arange(pattern.shape[1]), np.diff(pattern.indptr))
    numbered = scipy.sparse.csr_array(
        (np.arange(1, pattern.nnz + 1), (pattern.indices, column_of)), shape=pattern.shape, dtype=np.int64
    )
    return numbered[rows][:, columns].toarray() - 1, column_of


def _start(problem: Problem, system: CoOccurrence, initial: Mapping[str, ArrayLike] | None, pattern: Any) -> None:
    """Put the initial state into y0."""
    views = problem.flow.states(problem.y0)
    for name, value in (initial or {}).items():
        if name not in views:
            raise InputError(f"initial {name!r}: the states are {' and '.join(views)}")
        array = np.asarray(value, dtype=float)
        if array.shape != system.shape or not np.isfinite(array).all():
            raise InputError(f"initial {name} must be finite and of shape {system.shape}, not {array.shape}")
        views[name][...] = array[pattern.indices, problem.columns] if views[name].ndim == 1 else array


def _chosen(system: CoOccurrence, top: int | None, keep: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the inputs and outputs that the result keeps: all, or the most frequent and those asked for."""
    if top is not None and top < 1:
        raise InputError(f"top = {top} must be 1 or more")
    missing = [word for word in keep if word not in system.inputs and word not in system.outputs]
    if missing:
        hint = did_you_mean(missing[0], (*system.inputs, *system.outputs))
        raise InputError(f"keep: {missing[0]!r} is neither an input nor an output{hint}")

    def positions(weights: Vector, labels: Sequence[str]) -> NDArray[np.int64]:
        if top is None:
            return np.arange(weights.size)
        first = np.argsort(-weights, kind="stable")[:top]
        asked = np.array([k for k, label in enumerate(labels) if label in set(keep)], dtype=np.int64)
        return np.concatenate([first, asked[~np.isin(asked, first)]])

    return positions(system.c, system.inputs), positions(system.q, system.outputs)


def _fits(system: CoOccurrence, entries: int, kept: int, n_times: int) -> None:
    """Refuse what memory cannot hold, before anything is allocated; ``entries`` is the size of A."""
    inputs, outputs = system.shape

    def needed(rows: int, columns: int, entries: int) -> int:
        return 8 * (STATES_AT_WORK * (rows * columns + entries) + columns * columns)

    def with_vocabulary(most: int) -> int:
        # The most frequent words have the fewest zeros, and are soon stored dense.
        rows, columns = min(inputs, most), min(outputs, most)
        return needed(rows, columns, rows * columns if entries else 0)

    work = needed(inputs, outputs, entries)

    def fitting(budget: float) -> str:
        fits = bisect_right(range(1, max(inputs, outputs)), budget, key=with_vocabulary)
        return f"max_vocab={fits} would fit" if fits else "no vocabulary would fit"

    require(work, f"the flow of {inputs} x {outputs} words", fitting)
    require(
        work + 8 * kept,
        f"the result, {n_times} times the chosen words,",
        lambda budget: (
            f"top={max(1, int(((budget - work) / (24 * n_times)) ** 0.5))} keeps the most frequent words only"
        ),
    )


class _Reached(Exception):
    """Ends an integration whose answer is known."""


def end_of_stage_one(problem: Problem, end: float, rates: Mapping[str, float], **options: Any) -> float:
    """When uniform attention stops being a good description: a time from the flow itself, without the second stage.

    Attention is given a rate so small that it stays uniform; divided by that rate, its logits are what the drive on
    attention has added up to. Stage one ends when they would have favoured the best word of an average target by 1 (a
    factor e of attention), or at the end if they never do.
    """
    if end == 0:
        return 0.0
    slow = 1e-6
    grid = end * np.concatenate([[0.0], np.geomspace(1e-4, 1, 190)])
    q = problem.flow.arrays["q"]
    logits = np.zeros(grid.size)
    start = problem.flow.states(problem.y0)["A"]

    def save(t: float, y: Vector) -> None:
        k = int(np.searchsorted(grid, t))
        logits[k] = q @ problem.per_output(np.maximum, problem.flow.states(y)["A"] - start) / slow
        if logits[k] >= 1:
            raise _Reached

    flow = problem.flow.with_parameters(eta_W=rates["W"], eta_A=slow * rates["A"])
    options["atol"] = slow * options["atol"]
    try:
        integrate(flow, problem.y0, (0.0, end), save=save, at=grid, **options)
    except _Reached:
        k = int(np.argmax(logits >= 1))
        return float(np.interp(1.0, logits[k - 1 : k + 1], grid[k - 1 : k + 1]))
    return end


@dataclass
class Record:
    """What is kept of one prediction while it runs."""

    states: dict[str, NDArray]
    loss: Vector
    beta: NDArray
    translation: NDArray
    attention: NDArray
    attended: NDArray
    statistics: Statistics = field(default_factory=Statistics)


def _run(
    problem: Problem,
    wanted: Vector,
    phases: Sequence[Phase],
    progress: Callable[[float], None] | None,
    **options: Any,
) -> Record:
    """Integrate phase by phase, keeping the chosen words at the chosen times."""
    rows, columns = problem.chosen
    shape = (wanted.size, rows.size, columns.size)
    record = Record(
        states={name: np.zeros(shape) for name in problem.program.state_names},
        loss=np.empty(wanted.size),
        beta=np.empty(shape),
        translation=np.empty(shape[:2], dtype=np.int64),
        attention=np.empty((wanted.size, columns.size)),
        attended=np.empty((wanted.size, columns.size), dtype=np.int64),
    )
    out = np.empty(problem.observe.output_size)
    cells = np.ix_(rows, columns)
    inputs, outputs = problem.flow.states(problem.y0)["W"].shape
    in_order = np.array_equal(rows, np.arange(inputs)) and np.array_equal(columns, np.arange(outputs))
    whole = in_order and problem.entries is None

    def save(t: float, y: Vector) -> None:
        k = int(np.searchsorted(wanted, t))
        problem.observe(y, out)
        seen, states = problem.observe.results(out), problem.flow.states(y)
        record.loss[k] = seen["loss"]
        record.beta[k] = seen["beta"] if whole else seen["beta"][cells]
        record.states["W"][k] = states["W"] if whole else states["W"][cells]
        record.translation[k] = seen["beta"].argmax(axis=1)[rows]
        if problem.has_attention:
            if problem.entries is None:
                record.states["A"][k] = states["A"] if whole else states["A"][cells]
            else:
                record.states["A"][k] = np.where(problem.entries >= 0, states["A"][problem.entries], 0.0)
            record.attended[k], record.attention[k] = problem.best(seen["Rtilde"])
        if progress is not None and wanted[-1] > 0:
            progress(t / wanted[-1])

    start, y = 0.0, problem.y0
    for phase in phases:
        if phase.until < start or (phase.until == start and phase is not phases[-1]):
            continue
        flow = problem.flow.with_parameters(**{f"eta_{state}": rate for state, rate in phase.rates.items()})
        end = integrate(flow, y, (start, phase.until), save=save, at=wanted, locate=_locator(flow), **options)
        start, y = end.t, end.y
        record.statistics += end.statistics
    return record


def _locator(flow: Bound) -> Callable[[Vector], str]:
    def locate(y: Vector) -> str:
        return next((name for name, view in flow.states(y).items() if not np.isfinite(view).all()), "the state")

    return locate


def _dataset(
    system: CoOccurrence,
    problem: Problem,
    wanted: Vector,
    names: Sequence[str],
    results: Sequence[Record],
    attrs: Mapping[str, Any],
    squeeze: bool,
) -> xr.Dataset:
    """The records as a labelled dataset."""
    import xarray as xr

    rows, columns = problem.chosen
    inputs, outputs = np.array(system.inputs), np.array(system.outputs)
    cells, per_output = ("time", "input", "output"), ("time", "output")
    described = {
        "W": (cells, "value of an input word for an output", "logits"),
        "A": (cells, "attention logit of an input word while the target is the output", "logits"),
        "beta": (cells, "KTIW: probability of the output given the input word alone", "1"),
        "loss": (("time",), "mean cross-entropy", "nats"),
        "translation": (("time", "input"), "output with the largest KTIW, among all outputs", ""),
        "attention": (per_output, "share of attention on the best input word, given the output", "1"),
        "attended": (per_output, "input word with the largest share of attention, given the output", ""),
    }

    def variables(record: Record) -> dict[str, tuple]:
        values = {**record.states, "beta": record.beta, "loss": record.loss}
        values["translation"] = outputs[record.translation]
        if problem.has_attention:
            values |= {"attention": record.attention, "attended": inputs[record.attended]}
        return {
            name: (described[name][0], value, {"long_name": described[name][1], "units": described[name][2]})
            for name, value in values.items()
        }

    coordinates = {
        "time": ("time", wanted, {"long_name": "tau = learning rate x steps", "units": "1"}),
        "input": inputs[rows],
        "output": outputs[columns],
    }
    parts = [xr.Dataset(variables(record), coordinates) for record in results]
    whole = parts[0] if squeeze else xr.concat(parts, xr.DataArray(list(names), dims="stages", name="stages"))
    total = sum((record.statistics for record in results), Statistics())
    whole.attrs = {
        **attrs,
        "stages": ", ".join(names),
        "evaluations": total.evaluations,
        "steps": total.steps,
        "seconds": round(total.seconds, 3),
        **provenance(),
    }
    return whole
