"""The one way from a problem to its trajectory: bind, integrate, keep, label."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import Program
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.integrate.initial_value import Statistics, integrate, times
from dynamics.lowering import Bound
from dynamics.lowering.machine.team import standing_by
from dynamics.problems.kinds.arrays import flow_of, on_arrays, on_examples
from dynamics.problems.kinds.bags import BagsClosure
from dynamics.problems.kinds.closure import BAGS, BOTH_STAGES, Closure
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.models import Model
from dynamics.problems.kinds.reading import takes_examples
from dynamics.problems.problem import Problem, Variable
from dynamics.problems.settings.keep import Keep, kept
from dynamics.problems.settings.options import known
from dynamics.problems.settings.rates import learning_rates
from dynamics.problems.solving.errors import stated
from dynamics.problems.solving.observables import Observable, extents_of, observables, watched
from dynamics.problems.solving.plans import usual_plan
from dynamics.problems.solving.ready import ready
from dynamics.problems.solving.stages import Span, end_of_stage_one, stage_names
from dynamics.problems.solving.stages import schedule as stages_of
from dynamics.support import trajectory
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.threads import limited
from dynamics.support.typing import Vector
from dynamics.tasks import Task
from dynamics.tasks.examples import Examples

if TYPE_CHECKING:
    import xarray as xr

    from dynamics.problems.kinds.minibatches import Sampler
    from dynamics.problems.optimisers.optimizer import Optimizer

Progress = Callable[[float], None]

CLOCK = {"long_name": "tau = learning rate x steps", "units": "1"}

__all__ = ["as_problem", "solve"]


@overload
def solve(
    problem: Problem | CoOccurrence,
    t: ArrayLike,
    *,
    closure: str | None = None,
    stages: str | Sequence[str] | None = None,
    switch: float | None = None,
    initial: Mapping[str, ArrayLike | float] | None = None,
    rates: Mapping[str, float] | None = None,
    seed: int = 0,
    lr: float | None = None,
    optimizer: Optimizer | str | None = None,
    batch: int | None = None,
    schedule: Any = None,
    keep: Mapping[str, ArrayLike] | Sequence[str] | None = None,
    top: int | None = None,
    observe: str | Sequence[str] | None = None,
    stability: bool = False,
    corners: float | None = None,
    sensitivity: str | Sequence[str] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    threads: int | None = None,
    errors: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> xr.Dataset: ...


@overload
def solve(
    problem: Model | Program,
    data: Examples | Task | Mapping[str, ArrayLike] | Sampler | CoOccurrence | None = None,
    t: ArrayLike | None = None,
    *,
    values: Mapping[str, float] | None = None,
    stages: str | Sequence[str] | None = None,
    switch: float | None = None,
    initial: Mapping[str, ArrayLike | float] | None = None,
    rates: Mapping[str, float] | None = None,
    seed: int = 0,
    lr: float | None = None,
    optimizer: Optimizer | str | None = None,
    batch: int | None = None,
    schedule: Any = None,
    keep: Mapping[str, ArrayLike] | Sequence[str] | None = None,
    top: int | None = None,
    observe: str | Sequence[str] | None = None,
    stability: bool = False,
    corners: float | None = None,
    sensitivity: str | Sequence[str] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    threads: int | None = None,
    errors: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> xr.Dataset: ...


def solve(  # type: ignore[misc]  # the second place is the times where there are no data
    problem: Problem | CoOccurrence | Model | Program,
    data: Any = None,
    t: ArrayLike | None = None,
    *,
    values: Mapping[str, float] | None = None,
    closure: str | None = None,
    stages: str | Sequence[str] | None = None,
    switch: float | None = None,
    initial: Mapping[str, ArrayLike | float] | None = None,
    rates: Mapping[str, float] | None = None,
    seed: int = 0,
    lr: float | None = None,
    optimizer: Optimizer | str | None = None,
    batch: int | None = None,
    schedule: Any = None,
    keep: Mapping[str, ArrayLike] | Sequence[str] | None = None,
    top: int | None = None,
    observe: str | Sequence[str] | None = None,
    stability: bool = False,
    corners: float | None = None,
    sensitivity: str | Sequence[str] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    threads: int | None = None,
    errors: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> xr.Dataset:
    """The predicted trajectory of a problem.

    From counts, ``solve(counts, t)``, both stages of learning by the joint closure: the words of a sentence are
    replaced by their distribution R = C/q given the target, and values W and attention logits A flow down

        loss = -sum_o q[o] log softmax_v(sum_i Rt[i,o] W[i,v])[o],   Rt[i,o] = R[i,o] e^A[i,o] / sum_k R[k,o] e^A[k,o].

    From examples, ``solve(model, examples, t)``, the exact gradient flow of a model. Of a program of one's own,
    ``solve(program, arrays, t)``, its flow, or the gradient flow of its loss. Or of a problem that is at hand, such as
    a reduction, ``solve(problem, t)``.

    Parameters
    ----------
    problem : CoOccurrence, Model, Program or Problem
        What is solved.
    data : Examples, Task, mapping of str to array_like, sampler or CoOccurrence, optional
        What a model or a program learns from. Of a task, or of a sampler (``sampler(random, n)`` gives arrays of n
        examples, from a numpy Generator), a fixed set of 2,000 examples. A co-occurrence, of a program whose data are
        among ``C``, ``c``, ``q``, ``R`` and ``G``. A program without data needs none.
    t : array_like, shape (times,)
        Times tau = learning rate x steps, increasing, from 0 on. The trajectory has exactly these.
    values : mapping of str to float, optional
        For a program: its parameters, and the sizes that the data do not decide.
    closure : str, optional
        For counts: ``conditional`` (default, both stages); ``bags`` (both stages on sentences, near the exact flow; for
        counts that keep them, see :class:`~dynamics.problems.kinds.bags.BagsClosure`); or a closure of stage one, in
        which attention stays uniform: ``linear``, ``linear-bias``, ``marginal`` (needs the mean length) or ``gram``
        (needs the Gram matrix).
    stages : str or sequence of str, optional
        ``joint`` (default): everything flows together. ``two-stage``: attention logits are held until ``switch``, then
        all flow. ``frozen``: likewise, but values are held from then on. Several names give a dimension ``stages``.
    switch : float, optional
        The time at which stage one ends, for ``two-stage`` and ``frozen``. Default, for counts: see
        :func:`dynamics.problems.solving.stages.end_of_stage_one`.
    initial : mapping, optional
        States at time 0: arrays (a DataArray is aligned by its labels), or standard deviations of normal ones drawn
        with ``seed``. Zero if not given.
    rates : mapping, optional
        Learning rates of the states relative to tau; 1 if not given.
    seed : int
        Of what is drawn.
    lr : float, optional
        Follow full-batch gradient descent at this learning rate to second order in it: the flow of the modified loss
        (:func:`derivations.gradient_flow.descent_flow`). Without it, the gradient flow, its limit at small rates. With
        an optimizer, the learning rate of its steps.
    optimizer : str or Optimizer, optional
        Follow the steps of ``momentum``, ``nesterov``, ``rmsprop``, ``adam``, ``adamw``, ``sign`` or ``descent`` at the
        learning rate ``lr``; an :class:`~dynamics.Optimizer` has more options. The result has ``step`` beside time.
    batch : int, optional
        Examples of a step of the optimizer, whose noise enters its normaliser.
    schedule : str, Schedule or table, optional
        Of the optimizer's learning rate, such as ``warmup:1000,cosine:10000``; tau is the sum of learning rates.
    keep : mapping or sequence of str, optional
        For a dimension (``input``, ``output``, ...), the positions or labels that the result keeps; or labels of
        whichever dimensions have them. All take part in the flow. With ``top``, beside those.
    top : int, optional
        Keep only the most frequent inputs and outputs, this many of each.
    observe : str or sequence of str, optional
        Definitions of the program that the result has as well, such as an attention or a norm: computed at the times of
        ``t`` alone. Rows of different lengths have NaN behind their end.
    stability : bool
        Look at the largest curvature along the flow, ``curvature`` (time), and warn where the steps of ``lr`` or of the
        optimizer do not follow it; ``attrs["stability"]`` says it in a line.
    corners : float, optional
        Round the corners of rectifiers and absolute values (``Max``, ``Min``, ``abs`` of what moves) within this width
        of their arguments (:func:`derivations.reductions.rounding.rounded`). A flow that slides along corners is
        hard on any solver; rounded, it is within the order of the width, and takes a tenth of the steps or fewer. Halve
        the width to see what it does.
    sensitivity : str or sequence of str, optional
        Derivatives of all states and of the loss: ``d_W`` (parameter, time, ...) and ``d_loss`` (parameter, time) by
        ``rate W``, ``initial W`` (the size of an initial state), ``count INPUT OUTPUT`` (a relative change of a count),
        or a parameter such as ``lr``, by the tangents of the flow; each takes about twice a solve.
    rtol, atol, method : optional
        As for :func:`dynamics.integrate.integrate`; of a problem (:class:`~dynamics.problems.problem.Tolerances`) if
        not given: 1e-6, 1e-9 and RK45 for most.
    threads : int, optional
        Threads of compiled loops, products of large matrices among them. The result does not depend on it. By default
        one, and for large problems (closures of 100,000 numbers and more) as many as there are cores.
    errors : int, optional
        For the closure ``bags``: two errors beside the prediction, that of the method, from a second run with other,
        smaller groups of sentences, and that of the corpus, from this many bootstrap draws of its sentences (0: not
        that), a run each (:func:`dynamics.problems.solving.errors.with_errors`). Four tell how large it is, twenty what
        it is for each word.
    progress : callable, optional
        Called with the share of the time span that is done.
    **options
        ``first_step``, ``max_step``, ``max_steps``, as for :func:`dynamics.integrate.integrate`.

    Returns
    -------
    xarray.Dataset
        Every state over (time, ...) and ``loss`` (time). From counts, also ``beta`` (KTIW, softmax_o W) over (time,
        input, output); ``translation``, the output with the largest KTIW, over (time, input); ``attention``, the share
        of the best input word of each output, and ``attended``, that word, over (time, output). Stage-one closures have
        no A, attention and attended. Of a reduction, its order parameters and observables. ``attrs`` hold every
        parameter and what the integration took.

    Raises
    ------
    InputError
        Times out of order, unknown names, data that the problem cannot take, or a result that memory cannot hold.
    IntegrationError
        The integration failed; the message names the time reached.
    TypeError
        An option that does not exist; the message names the nearest one.

    References
    ----------
    Snell et al., arXiv 2103.07601; Lu et al., arXiv 2011.10036. The equations: ``dynamics derive``.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    >>> found = solve(lexicon, [0, 10, 100])
    >>> found.beta.sel(input="Hund", output="dog").values.round(3)
    array([0.5  , 0.896, 0.992])
    >>> from dynamics.problems.kinds.models import keyword
    >>> from dynamics.tasks.examples import Examples
    >>> examples = Examples.from_rows([[0, 2], [1, 2]], [0, 1], inputs=3, outputs=2)  # words 0 and 1 decide
    >>> bool(solve(keyword(), examples, [0, 1000]).s[-1, 0] > 0)  # attention goes to the words that decide
    True
    """
    known(options, solve, integrate, but=("save", "at", "locate", "dense_output", "events", "conserved", "leave"))
    if t is None:
        data, t = None, data
    if t is None:
        raise InputError("times are missing: solve(problem, t), or solve(model, data, t)")
    wanted = times(t)
    chosen = as_problem(problem, data, values=values, closure=closure, seed=seed)
    chosen = chosen if corners is None else chosen.rounded(corners)
    if errors is not None:
        if sensitivity:
            raise InputError("errors are stated without sensitivity; leave one of them out")
        how = {
            "stages": stages, "switch": switch, "initial": initial, "rates": rates, "seed": seed, "lr": lr,
            "optimizer": optimizer, "batch": batch, "schedule": schedule, "keep": keep, "top": top, "observe": observe,
            "rtol": rtol, "atol": atol, "method": method, "threads": threads, **options,
        }  # fmt: skip
        return stated(chosen, errors, lambda one, show: solve(one, wanted, **how, progress=show), progress)
    if lr is not None and not (np.isfinite(lr) and lr > 0):
        raise InputError(f"lr = {lr} is not a positive number; leave it out for the gradient flow")
    stepping = None
    if not (optimizer is None and schedule is None):
        from dynamics.problems.optimisers.optimizer import optimizer_of

        stepping = optimizer_of(optimizer, lr, batch, schedule)
    if stepping is not None and batch is not None:
        stepping.require_noise()
    plain, steps_of = chosen, stepping
    if stability:
        from dynamics.problems.optimisers.curvature import looks
        from dynamics.problems.optimisers.looking import LOOKS, looked, require_limit
        from dynamics.problems.optimisers.optimizer import Optimizer

        steps_of = stepping or (None if lr is None else Optimizer("descent", lr))
        require_limit(steps_of)
    if stepping is not None and stepping.is_modified_descent:
        chosen, lr = chosen.modified(), stepping.lr
    elif stepping is not None:
        from dynamics.problems.optimisers.optimised import under

        chosen, lr = under(chosen, stepping), None
    elif batch is not None:
        raise InputError("batch is of an optimizer; name one, optimizer='adam' for example, or leave it out")
    elif lr is not None:
        chosen = chosen.modified()
    options_of_plan = (stages, rates, keep, top, observe)
    plan = usual_plan(chosen) if all(option is None for option in options_of_plan) else None
    names = stage_names(chosen, stages) if plan is None else plan.names
    timed = bool(set(names) & {"two-stage", "frozen"})
    if switch is not None and stages is None:
        raise InputError("switch ends stage one, for stages='two-stage' or 'frozen'; name them, or leave it out")
    moved_by: tuple[str, ...] = ()
    if sensitivity is not None:
        from dynamics.problems.sensitivity.directions import Setting, names_of, require_tangents
        from dynamics.problems.sensitivity.halves import half_variables, halves_of
        from dynamics.problems.sensitivity.sensitivity import sensitivities
        from dynamics.problems.sensitivity.sensitivity import variables as derivatives

        moved_by = names_of(sensitivity)
    if moved_by:
        require_tangents(chosen, names, chosen.tolerances.method if method is None else method)
    seen: Sequence[Observable] = ()
    if plan is not None:
        speeds, keeping = dict(plan.speeds), plan.keeping
    else:
        speeds = learning_rates(tuple(chosen.rates), rates, chosen.described)
        seen = observables(chosen, watched(chosen, observe))
        extents = extents_of(chosen, seen, len(wanted) * len(names))
        keeping = kept(extents, chosen.labels, chosen.frequency, keep, top)
    chosen.require_memory(len(wanted) * len(names), keeping)
    usual = chosen.tolerances
    control: dict[str, Any] = {
        "rtol": usual.rtol if rtol is None else rtol,
        "atol": usual.atol if atol is None else atol,
        "method": usual.method if method is None else method,
    }
    y0 = chosen.initial(initial, seed)
    own = chosen.variables(keeping) if plan is None else plan.variables
    variables = beside(own, [one.variable(keeping) for one in seen])
    y0, ticks = chosen.begun(y0, speeds), chosen.clock(wanted)
    end = float(ticks[-1])
    shared = sys.maxsize if chosen.parallel else 0
    with (
        ready(chosen, speeds, lr, [one.name for one in seen]) as bound,
        limited(threads, shared, blas=False) as used,
        standing_by(used if chosen.parallel else 1),
    ):
        flow, shown, control["conserved"] = bound.flow, bound.shown, bound.conserved
        if chosen.is_own:
            from dynamics.lowering.verify import require_faithful

            require_faithful(chosen.program, flow.kernel, shown.kernel)
        if timed and switch is None:
            switch = end_of_stage_one(chosen, flow, y0, end, speeds, **control, **options)
        until = switch if switch is None or stepping is None else float(chosen.clock([switch])[0])
        parts, total = [], Statistics()
        for k, name in enumerate(names):
            record = Record(
                ticks, variables, chosen.shown_loss, looks(len(ticks), LOOKS) if stability and not k else ()
            )
            spans = stages_of(chosen, name, end, until, speeds)
            share = None if progress is None else (lambda x, k=k: progress((k + x) / len(names)))
            try:
                total += run(chosen, flow, shown, y0, spans, record, share, **control, **options)
            except IntegrationError as error:
                from derivations.reductions.rounding import has_corners

                if corners is not None or not has_corners(chosen.program):
                    raise
                raise IntegrationError(f"{error}; or round the corners of its flow, corners=1e-3") from None
            parts.append(record)
    if moved_by:
        setting = Setting.of(chosen, speeds, initial, seed, lr=lr)
        how = {**control, "conserved": (), **options}
        shown_inputs = keeping.positions.get("input", np.arange(0))
        halves = halves_of(setting, parts[0].end, shown_inputs) if end > 0 else None
        with limited(threads, shared, blas=False):
            moved, halved = sensitivities(setting, moved_by, wanted, ticks, halves, **how)
        moves = derivatives(chosen, moved, keeping) | ({} if halved is None else half_variables(chosen, halved))
    stable = None
    if stability:
        assert steps_of is not None
        stable = looked(plain, chosen, steps_of, speeds, wanted, steps_of.passed(wanted), parts[0].looked)
    attrs = {
        "equation": chosen.name,
        "title": chosen.program.title,
        "source": chosen.program.source,
        **({"loss": chosen.shown_loss} if chosen.loss else {}),
        **chosen.attrs,
        **{name: control[name] for name in ("rtol", "atol", "method")},
        "threads": used,
        "seed": seed,
        **{f"rate_{state}": rate for state, rate in speeds.items()},
        **({"lr": lr} if lr is not None else {}),
        **({"corners": corners} if corners is not None else {}),
        **({"switch": switch} if switch is not None else {}),
        **({"top": top} if top is not None else {}),
        **({"keep": ", ".join(map(str, keep))} if keep is not None and len(keep) else {}),
        **({"observe": ", ".join(one.name for one in seen)} if seen else {}),
        **({"initial": ", ".join(initial)} if initial else {}),
        **{key: str(value) for key, value in options.items()},
        "stages": ", ".join(names),
        **({"stability": str(stable)} if stable is not None else {}),
        "evaluations": total.evaluations,
        "steps": total.steps,
        "seconds": round(total.seconds, 3),
        **trajectory.provenance(),
    }
    several = None if isinstance(stages, str) or stages is None else names
    found = labelled(chosen, keeping, parts, attrs, several, wanted)
    if stepping is not None:
        passed = wanted / stepping.lr if stepping.is_modified_descent else ticks
        found = found.assign_coords(step=("time", passed, {"long_name": "steps"}))
    found = found if stable is None else found.assign(curvature=stable.along(wanted))
    return found if not moved_by else found.assign(moves).assign_coords(parameter=list(moved_by))


def beside(variables: Sequence[Variable], more: Sequence[Variable]) -> tuple[Variable, ...]:
    """Variables, and those more that they do not have under the same name."""
    taken = {v.name for v in variables}
    return (*variables, *(v for v in more if v.name not in taken))


def as_problem(
    problem: Any,
    data: Any = None,
    *,
    values: Mapping[str, float] | None = None,
    closure: str | None = None,
    seed: int = 0,
) -> Problem:
    """The problem that some parts make.

    Raises
    ------
    InputError
        Parts that make none; the message says what is missing.
    """

    def only(kind: str, **given: Any) -> None:
        for name, value in given.items():
            if value is not None:
                raise InputError(f"{name} is not for {kind}; leave it out")

    if isinstance(problem, Problem):
        only("a problem, which has all that it needs", data=data, values=values, closure=closure)
        return problem
    if isinstance(problem, CoOccurrence):
        only("counts", data=data, values=values)
        return BagsClosure(problem, seed=seed) if closure == BAGS else Closure(problem, closure or BOTH_STAGES)
    if isinstance(problem, Model):
        only("a model", values=values, closure=closure)
        if data is None:
            raise InputError(f"{problem.name} learns from examples: solve(model, examples, t)")
        return Exact(problem, data, seed)
    if isinstance(problem, Program):
        only("a program", closure=closure)
        flow = flow_of(problem)
        if isinstance(data, Examples | Task):
            return Exact(on_examples(flow, values), data, seed)
        if isinstance(data, CoOccurrence):
            from dynamics.problems.kinds.on_counts import on_counts

            return on_counts(flow, data, values)
        if callable(data) and not isinstance(data, Mapping):
            from dynamics.problems.kinds.minibatches import sampled

            return sampled(flow, data, values, seed)
        if data is not None and not isinstance(data, Mapping):
            raise InputError(
                "the data of a program are arrays by name, examples, a co-occurrence or a sampler; not"
                f" {type(data).__name__}"
            )
        if data is None and takes_examples(flow):
            raise InputError(f"{flow.name} learns from examples, or from arrays: solve(program, data, t)")
        return on_arrays(flow, data, values)
    if isinstance(problem, Examples | Task):
        raise InputError("give the model first, then the data: solve(model, examples, t)")
    raise InputError(f"cannot solve a {type(problem).__name__}; give a CoOccurrence, or a model, examples and times")


class Record:
    """What is kept of one prediction while it runs: an array for each variable, its first axis the times."""

    def __init__(self, wanted: Vector, variables: Sequence[Variable], loss: str, at: Sequence[int] = ()) -> None:
        self.wanted, self.variables, self.loss = wanted, variables, loss
        self.end: Vector = np.empty(0)  # the packed state at the last time
        self.looked: dict[int, Vector | None] = dict.fromkeys(at)
        self.kept = {
            v.name: np.empty((wanted.size, *v.shape), np.float64 if v.labels is None else np.int64) for v in variables
        }

    def save(self, t: float, states: Mapping[str, NDArray[Any]], seen: Mapping[str, NDArray[Any]]) -> None:
        k = int(np.searchsorted(self.wanted, t))
        for variable in self.variables:
            value = variable.read(states, seen)
            if variable.name == self.loss and not np.isfinite(value):
                raise IntegrationError(
                    f"the loss is {float(value)} at tau = {t:.6g}: its definition has no finite value there;"
                    " start from another state (initial=), or end before"
                )
            self.kept[variable.name][k] = value


def run(
    problem: Problem,
    flow: Bound,
    observe: Bound,
    y0: Vector,
    spans: Sequence[Span],
    record: Record,
    progress: Progress | None,
    **options: Any,
) -> Statistics:
    """Integrate span by span, keeping what is wanted at the times that are wanted."""
    out, end = np.empty(observe.output_size), record.wanted[-1]
    _ = observe.native  # from the cache, if it is there

    def save(t: float, y: Vector) -> None:
        observe(y, out)
        record.save(t, flow.states(y), observe.results(out))
        k = int(np.searchsorted(record.wanted, t)) if record.looked else -1
        if k in record.looked:
            record.looked[k] = y.copy()
        if progress is not None and end > 0:
            progress(t / end)

    def locate(y: Vector) -> str:
        return next((name for name, view in flow.states(y).items() if not np.isfinite(view).all()), "the state")

    start, y, total = 0.0, y0, Statistics()
    for span in spans:
        if span.until < start or (span.until == start and span is not spans[-1]):
            continue
        moving = flow.with_parameters(**{problem.rates[name]: rate for name, rate in span.rates.items()})
        reached = integrate(moving, y, (start, span.until), save=save, at=record.wanted, locate=locate, **options)
        start, y = reached.t, reached.y
        record.end = y
        total += reached.statistics
    return total


def labelled(
    problem: Problem, keep: Keep, parts: Sequence[Record], attrs: Mapping[str, Any], several: Sequence[str] | None,
    wanted: Vector,
) -> xr.Dataset:  # fmt: skip
    """Records as one labelled dataset."""
    coordinates: dict[str, Any] = {"time": (("time",), wanted, CLOCK)}
    for dim, at in keep.positions.items():
        coordinates[dim] = (dim,), problem.labels[dim][at] if dim in problem.labels else np.array(at)

    def of(record: Record) -> xr.Dataset:
        found = {}
        for v in record.variables:
            values = record.kept[v.name] if v.labels is None else v.labels[record.kept[v.name]]
            found[v.name] = (("time", *v.dims), values, v.attrs)
        return trajectory.labelled(found, coordinates, attrs)

    datasets = [of(record) for record in parts]
    if several is None:
        return datasets[0]
    import xarray as xr

    whole = xr.concat(datasets, xr.DataArray(list(several), dims="stages", name="stages"))
    whole.attrs = dict(attrs)
    return whole
