"""Stochastic gradient descent on what can be solved, many seeds side by side.

A step is ``state += lr * flow``, with the same compiled flow that :func:`dynamics.solve` integrates, taken on a
minibatch; k steps are the time tau = lr * k. What a seed does depends on nothing but the seed: not on the number of
threads, the other seeds, or whether the run was interrupted and resumed.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import Program
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.lowering.verify import require_faithful
from dynamics.problems.kinds.arrays import OnArrays
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.minibatches import InPart, Sampled, Sampler, in_part
from dynamics.problems.kinds.models import Model
from dynamics.problems.optimisers.optimised import require_slopes
from dynamics.problems.optimisers.optimizer import Optimizer, optimizer_of
from dynamics.problems.problem import Problem, by_state, real
from dynamics.problems.settings.keep import Keep, kept
from dynamics.problems.settings.options import named
from dynamics.problems.settings.rates import learning_rates
from dynamics.problems.solve import as_problem
from dynamics.problems.solving.observables import Observable, along, extents_of, observables, watched
from dynamics.support.errors import InputError
from dynamics.support.memory import require
from dynamics.support.threads import limited
from dynamics.support.trajectory import provenance
from dynamics.tasks import Task
from dynamics.tasks.examples import Examples
from dynamics.train.arguments import number, seed_list, whole_number
from dynamics.train.checkpoint import Keeper, merged, read_checkpoint
from dynamics.train.descent import Descent, descend
from dynamics.train.looking import of_run
from dynamics.train.records import record_steps
from dynamics.train.snapshot import Snapshot
from dynamics.train.source import REFERENCE, Source, checked_batch
from dynamics.train.streams import EVALUATED, stream

if TYPE_CHECKING:
    import xarray as xr

EVALUATION = 256
"""Examples of a task on which the loss is measured."""


@named
def simulate(
    problem: Problem | Model | Program,
    data: Task | Examples | Mapping[str, ArrayLike] | Sampler | CoOccurrence | None = None,
    lr: float = math.nan,
    batch: int | None = None,
    steps: int = 1000,
    seeds: int | Sequence[int] = 1,
    *,
    values: Mapping[str, float] | None = None,
    records: int | Sequence[int] = 50,
    rates: Mapping[str, float] | None = None,
    momentum: float = 0.0,
    optimizer: Optimizer | str | None = None,
    schedule: Any = None,
    initial: Mapping[str, ArrayLike | float] | None = None,
    epochs: bool = False,
    replacement: bool = False,
    evaluation: int | Examples | None = None,
    keep: Mapping[str, ArrayLike] | Sequence[str] | None = None,
    top: int | None = None,
    observe: str | Sequence[str] | None = None,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 30.0,
    resume: str | os.PathLike[str] | None = None,
    keep_partial: bool = False,
    stability: bool = True,
) -> xr.Dataset:
    """Gradient descent on an exact model, from several seeds.

    Parameters
    ----------
    problem : Model, Program or Problem
        What is trained: a model, or a program of one's own.
    data : Task, Examples or mapping of str to array_like, optional
        What it learns from; not of a problem, which has its data. A task gives fresh examples for every minibatch. Of
        given examples, each step takes all (``batch`` is None), or the next ``batch`` of an endless series of shuffles:
        every example once, then every example once more in a new order, and so on. So of arrays, whose examples are
        those of the index that the program declares (``examples=n``). A sampler, ``sampler(random, n)``, gives fresh
        arrays of n examples for every minibatch, from a numpy Generator of the seed.
    lr : float
        Learning rate, above 0. Time is tau = lr * steps.
    batch : int, optional
        Examples per step; needed for a task and a sampler.
    steps : int
        Steps of descent, or passes over the examples with ``epochs``.
    seeds : int or sequence of int
        How many runs (seeds 0, 1, ...), or their seeds. Each draws its own initial state and its own minibatches.
    records : int or sequence of int
        How many states to keep, in equal steps of log time, the first and the last among them; or the steps to keep.
    rates : mapping, optional
        Learning rates of the states relative to lr; 1 if not given.
    momentum : float
        m of the heavy ball, ``velocity = m * velocity + flow; state += lr * velocity``, from 0 to below 1. Time stays
        lr * steps; the flow that it follows is 1/(1 - m) times as fast.
    optimizer : str or Optimizer, optional
        As for :func:`dynamics.solve`; its own steps are taken, with ``lr`` if it does not say one. Time is the sum of
        the learning rates of steps, and the flow of the optimiser goes by the same time.
    schedule : str, Schedule or table, optional
        Of the optimizer's learning rate.
    initial : mapping, optional
        States to start from: arrays, or standard deviations of normal ones, which each seed draws. Zero if not given;
        zero is a saddle of positional attention on permutations.
    epochs : bool
        Count ``steps`` in passes over the examples.
    replacement : bool
        Draw each minibatch of given examples afresh from all of them, instead of from shuffles.
    evaluation : int or Examples, optional
        What the loss is measured on: this many examples of the task (default 256; the same for all seeds, and for none
        of them a minibatch), or given ones. Default for given data: all of them.
    threads : int, optional
        Runs at one time; as many as there are processors if not given. The result does not depend on it.
    progress : callable, optional
        Called with the share of all steps that is done.
    checkpoint : path, optional
        A file that keeps the state of every seed, replaced about every ``checkpoint_every`` seconds and at the end,
        also when the run is interrupted.
    resume : path, optional
        Go on from this checkpoint, to the same bits as without the interruption. Seeds that it does not hold start
        from the beginning; ``steps`` may be more than before.
    values : mapping of str to float, optional
        As for :func:`dynamics.solve`.
    keep : mapping or sequence of str, optional
    top : int, optional
        What the result keeps, as for :func:`dynamics.solve`.
    observe : str or sequence of str, optional
        Definitions that the result has as well, as for :func:`dynamics.solve`: computed at the records alone, on the
        examples on which the loss is measured.
    keep_partial : bool
        If a run diverges, give back what there is (NaN from then on; ``attrs["diverged"]`` says where) and finish the
        others, instead of raising.
    stability : bool
        Look at the curvature at some records of the first run, and warn if steps are too long for it;
        ``attrs["stability"]`` says it in a line. It takes about a twentieth of the gradients of the run at most, and
        two looks at the least. Of adaptive optimisers it looks at the end alone, at the curvature over the root of
        their average of squares.

    Returns
    -------
    xarray.Dataset
        Every state over (seed, time, ...), and ``loss`` (seed, time), the mean cross-entropy on the evaluation
        examples; coordinates ``time`` = lr * ``step``, and labels or ids as in :func:`dynamics.solve`.
        ``attrs`` hold every parameter.

    Raises
    ------
    InputError
        A rate, batch or number of steps that is not positive, a batch larger than the examples, seeds that repeat,
        unknown states, data that the model cannot take, a checkpoint of another run.
    IntegrationError
        A run diverged; the message names seed, step and a learning rate that would have been stable.

    Notes
    -----
    The loss of a minibatch is its mean over targets, so the expectation of its gradient is that of the whole loss
    where all examples have the same number of targets, and close to it otherwise. In a program on arrays, each sum over
    examples is estimated from those of the minibatch: :func:`derivations.gradient_flow.minibatches.on_minibatches`.

    References
    ----------
    Snell et al., arXiv 2103.07601; Lu et al., arXiv 2011.10036.

    Examples
    --------
    >>> from dynamics.problems.kinds.models import keyword
    >>> examples = Examples.from_rows([[0, 2], [1, 2]], [0, 1], inputs=3, outputs=2)  # words 0 and 1 decide
    >>> run = simulate(keyword(), examples, lr=1.0, steps=1000, records=[0, 100, 1000])
    >>> run.loss.sel(seed=0).values.round(3)
    array([0.693, 0.011, 0.001])
    >>> from dynamics.tasks import Copying
    >>> from dynamics.problems.kinds.models import positional
    >>> start = {"W": 0.01, "P": 0.01}
    >>> run = simulate(positional(), Copying(12, 8), lr=2.0, batch=16, steps=20, seeds=3, records=4, initial=start)
    >>> dict(run.P.sizes), run.step.values
    ({'seed': 3, 'time': 4, 'target': 8, 'position': 8}, array([ 0,  1,  4, 20]))
    """
    told = None if isinstance(lr, float) and math.isnan(lr) else lr
    stepping = optimizer_of(optimizer, told, batch, schedule)
    if stepping is not None:
        lr, batch = stepping.lr, stepping.batch
        if momentum:
            raise InputError("momentum is of optimizer='momentum'; say it there, or leave optimizer out")
    lr = number("lr", lr, lambda value: value > 0, "above 0")
    momentum = number("momentum", momentum, lambda value: 0 <= value < 1, "from 0 to below 1")
    seeds = seed_list(seeds)
    chosen = _trainable(as_problem(problem, data, values=values), batch)
    source = Source(chosen, checked_batch(chosen, batch), replacement)
    steps = whole_number("steps", steps)
    if epochs:
        if source.fresh:
            raise InputError("epochs counts passes over given examples; a task has no end: leave epochs out")
        steps = -(-steps * source.count // (source.batch or source.count))
    if threads is not None:
        threads = whole_number("threads", threads)
    descent = Descent(
        source,
        _evaluation(chosen, evaluation),
        chosen.kernel(parallel=False),
        chosen.kernel(chosen.observed, parallel=False),
        learning_rates(tuple(chosen.rates), rates, chosen.name),
        lr,
        momentum,
        steps,
        record_steps(steps, records),
        stepping,
    )
    if stepping is not None:
        require_slopes(chosen, stepping)
    if chosen.is_own:
        require_faithful(chosen.program, descent.flow, descent.loss)
    seen = observables(descent.evaluation, watched(chosen, observe))
    extents = extents_of(descent.evaluation, seen, len(seeds) * len(descent.records))
    keeping = kept(extents, chosen.labels, chosen.frequency, keep, top)
    settings = _settings(descent, initial)
    begun: dict[int, Snapshot] = {}
    if resume is not None:
        before, begun = read_checkpoint(resume, settings, steps)
        descent = replace(descent, records=merged(before, descent.records, begun.values()))
    size = sum(math.prod(shape) for shape in chosen.shapes.values())
    require(
        16 * len(seeds) * len(descent.records) * size,
        f"the result, {len(descent.records)} records of {len(seeds)} runs,",
        lambda budget: f"records={max(2, int(budget / (16 * len(seeds) * size)))} would fit",
    )

    clock = time.perf_counter()
    starts = [begun.get(seed) or descent.start(seed, initial) for seed in seeds]
    keeper = Keeper(checkpoint, settings, descent.records, checkpoint_every, begun)
    workers = min(threads or os.cpu_count() or 1, len(seeds))
    with limited(1, 0):
        found, diverged = descend(descent, starts, workers, keeper, progress, keep_partial)
        stable = of_run(descent, found[0], len(found)) if stability else None
    described = {
        **settings,
        "title": chosen.program.title,
        "source": chosen.program.source,
        "loss": chosen.shown_loss,
        "data": _described(chosen),
        "steps": steps,
        **(
            {"evaluation": f"{len(descent.evaluation.examples)} examples"}
            if isinstance(descent.evaluation, Exact)
            else {"evaluation": f"{len(descent.evaluation)} examples"}
            if isinstance(descent.evaluation, InPart)
            else {}
        ),
        "threads": workers,
        "seconds": round(time.perf_counter() - clock, 3),
        **({"diverged": "; ".join(diverged)} if diverged else {}),
        **({"stability": str(stable)} if stable is not None else {}),
        **provenance(),
    }
    measured = _measured(descent, found, keeping, seen)
    attrs = {k: v for k, v in described.items() if not isinstance(v, dict)}
    return _dataset(descent, found, keeping, attrs).assign(measured)


def _trainable(problem: Problem, batch: int | None) -> Problem:
    """A problem whose loss descent goes down, with as many examples of a task as stand for its sizes."""
    if problem.program.loss is None:
        raise InputError(f"{problem.name} has no loss to descend; give it one, or solve its flow")
    if isinstance(problem, Sampled) or (batch is not None and isinstance(problem, OnArrays)):
        return in_part(problem)
    if isinstance(problem, Exact) and not isinstance(problem.data, Examples):
        return replace(problem, seed=0, population=REFERENCE)
    return problem


def _evaluation(problem: Problem, wanted: int | Examples | None) -> Problem:
    """The problem on the examples on which its loss is measured."""
    if isinstance(problem, InPart) and problem.fresh:
        if isinstance(wanted, Examples):
            raise InputError("evaluation counts fresh examples of a sampler; give a number")
        count = whole_number("evaluation", EVALUATION if wanted is None else wanted)
        return problem.of(problem.draw(stream(0, EVALUATED), count), count)
    if not isinstance(problem, Exact):
        if wanted is not None:
            raise InputError(f"evaluation is of examples, and {problem.name} has arrays; leave it out")
        return problem
    if isinstance(wanted, Examples):
        chosen = wanted
    elif isinstance(problem.data, Examples):
        if wanted is not None:
            raise InputError("evaluation counts fresh examples of a task; for given data, give the examples")
        return problem
    else:
        count = whole_number("evaluation", EVALUATION if wanted is None else wanted)
        chosen = problem.data.sample(count, stream(0, EVALUATED))
    own = problem.examples
    if (chosen.inputs, chosen.outputs) != (own.inputs, own.outputs):
        raise InputError(
            f"evaluation has {chosen.inputs} inputs and {chosen.outputs} outputs, the data {own.inputs} "
            f"and {own.outputs}; give examples of the same vocabulary"
        )
    return replace(problem, data=chosen)


def _evaluated(problem: Problem) -> dict[str, str]:
    return {"evaluation": f"{len(problem.examples)} examples"} if isinstance(problem, Exact) else {}


def _described(problem: Problem) -> str:
    """What it learns from, in a few words."""
    if not isinstance(problem, Exact):
        arrays = list(problem.arrays)
        if isinstance(problem, InPart):
            return f"{'fresh' if problem.fresh else len(problem)} examples, arrays {', '.join(arrays)}"
        return f"arrays {', '.join(arrays)}" if arrays else "no data"
    return f"{len(problem.examples)} examples" if isinstance(problem.data, Examples) else repr(problem.data)


def _settings(descent: Descent, initial: Mapping[str, ArrayLike | float] | None) -> dict[str, Any]:
    """What a run is: two with the same settings and seed agree bit for bit, step by step."""
    problem, source = descent.problem, descent.source
    starts = {
        name: float(value) if value.ndim == 0 else f"array, sha256 {_digest(value)}"
        for name, value in ((name, real(name, value)) for name, value in by_state(initial).items())
    }
    fixed = problem.model.fixed if isinstance(problem, Exact) else descent.evaluation.arrays
    definitions = (problem.program.model or problem.program).definitions
    return {
        "equation": problem.name,
        "lr": descent.lr,
        "batch": source.batch or "all",
        "momentum": descent.momentum,
        **({} if descent.optimizer is None else descent.optimizer.attrs),
        "replacement": str(source.replacement),
        **{f"rate_{name}": rate for name, rate in descent.rates.items()},
        **{f"size_{name}": int(n) for name, n in problem.sizes.items()},
        **{f"parameter_{name}": float(value) for name, value in problem.parameters.items()},
        **{f"initial_{name}": value for name, value in sorted(starts.items())},
        **{f"sha256_{name}": _digest(value) for name, value in fixed.items()},
        "sha256_program": hashlib.sha256("\n".join(map(str, definitions)).encode()).hexdigest()[:16],
        **(
            {
                "sha256_data": _digest_of(problem.examples),
                "sha256_evaluation": _digest_of(descent.evaluation.examples),
            }
            if isinstance(problem, Exact) and isinstance(descent.evaluation, Exact)
            else {}
        ),
    }


def _digest(*arrays: ArrayLike) -> str:
    whole = hashlib.sha256()
    for array in arrays:
        value = np.ascontiguousarray(array)
        whole.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
    return whole.hexdigest()[:16]


def _digest_of(e: Examples) -> str:
    return _digest(e.x, e.length, e.y, e.targets, [e.inputs, e.outputs, *(e.positions or ())])


def _measured(
    descent: Descent, found: Sequence[Snapshot], keep: Keep, seen: Sequence[Observable]
) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64], dict[str, str]]]:
    """What is observed at the records of every seed, NaN where there are none."""
    if not seen:
        return {}
    bound = descent.evaluated(descent.evaluation.kernel(tuple(one.name for one in seen), parallel=False))
    records, variables = len(descent.records), [one.variable(keep) for one in seen]
    whole = {v.name: np.full((len(found), records, *v.shape), np.nan) for v in variables}
    for k, run in enumerate(found):
        for name, values in along(bound, seen, keep, run.states).items():
            whole[name][k, : len(values)] = values
    return {v.name: (("seed", "time", *v.dims), whole[v.name], dict(v.attrs)) for v in variables}


def _dataset(descent: Descent, found: Sequence[Snapshot], keep: Keep, attrs: Mapping[str, Any]) -> xr.Dataset:
    """The records as a labelled dataset, NaN where there are none."""
    import xarray as xr

    problem, records = descent.problem, descent.records
    shapes, dims = problem.shapes, problem.dims
    loss = np.full((len(found), len(records)), np.nan)
    states = {
        name: np.full((*loss.shape, *(len(keep.positions[dim]) for dim in dims[name])), np.nan) for name in shapes
    }
    for k, run in enumerate(found):
        loss[k, : len(run.loss)] = run.loss
        before = 0
        for name, shape in shapes.items():
            size = math.prod(shape)
            part = run.states[:, before : before + size].reshape(-1, *shape)
            states[name][k, : len(part)] = part if keep.everything(dims[name]) else keep.of(part, dims[name])
            before += size
    described = {variable.name: dict(variable.attrs) for variable in problem.variables(keep)}
    labels = problem.labels
    return xr.Dataset(
        {name: (("seed", "time", *dims[name]), value, described.get(name, {})) for name, value in states.items()}
        | {problem.shown_loss: (("seed", "time"), loss, described[problem.shown_loss])},
        {
            "seed": [run.seed for run in found],
            "time": ("time", descent.times, {"long_name": "tau = learning rate x steps", "units": "1"}),
            "step": ("time", records),
            **{dim: labels[dim][at] if dim in labels else at for dim, at in keep.positions.items()},
        },
        attrs,
    )
