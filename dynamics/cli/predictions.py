"""Which prediction of a problem: a reduction, a closure, or the exact flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.options import OPTIMIZING, SOLVING, Observe, Threads, numbers, words_of
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dynamics.cli.system import Chosen
    from dynamics.problems.optimisers.optimizer import Optimizer
    from dynamics.problems.problem import Problem

THEORIES = ("reduction", "closure", "exact")


@dataclass(frozen=True)
class SolvingOptions:
    """How and until when it is solved."""

    theory: Annotated[
        str | None,
        typer.Option(
            help="closure (from co-occurrence alone; lexical), reduction (copying) or exact (the gradient flow)."
            " [default: the first that fits]",
            rich_help_panel=SOLVING,
        ),
    ] = None
    time: Annotated[
        float, typer.Option(help="End of training, tau = learning rate x steps.", rich_help_panel=SOLVING)
    ] = 10_000.0
    times: Annotated[
        int, typer.Option(help="How many times to keep, spaced logarithmically.", rich_help_panel=SOLVING)
    ] = 100
    at: Annotated[
        str | None, typer.Option(help="The times to keep instead, such as 0,10,100.", rich_help_panel=SOLVING)
    ] = None
    stages: Annotated[
        str | None,
        typer.Option(
            help="closure: the predictions joint, two-stage, frozen. [default: all three]", rich_help_panel=SOLVING
        ),
    ] = None
    switch: Annotated[
        float | None,
        typer.Option(help="closure: end of stage one; found from the flow if not given.", rich_help_panel=SOLVING),
    ] = None
    lr: Annotated[
        float | None,
        typer.Option(
            help="exact: follow descent at this learning rate to second order in it; else, of --optimizer.",
            rich_help_panel=SOLVING,
        ),
    ] = None
    momentum: Annotated[
        float | None,
        typer.Option(help="--optimizer momentum, nesterov: what is kept. [default: 0.9]", rich_help_panel=OPTIMIZING),
    ] = None
    batch: Annotated[
        int | None,
        typer.Option(
            help="--optimizer: examples of a step, whose noise enters adaptive normalisers. [default: all]",
            rich_help_panel=OPTIMIZING,
        ),
    ] = None
    top: Annotated[
        int | None,
        typer.Option(
            help="closure: keep this many of the most frequent words a side in the result. [default: 60]",
            rich_help_panel=SOLVING,
        ),
    ] = None
    rtol: Annotated[float, typer.Option(help="Relative tolerance of the integration.", rich_help_panel=SOLVING)] = 1e-6
    method: Annotated[
        str | None,
        typer.Option(
            help="RK45, RK23, DOP853, LSODA, BDF, Radau, RKC, ROCK4 or auto (late). [default: the problem's]",
            rich_help_panel=SOLVING,
        ),
    ] = None
    corners: Annotated[
        float | None,
        typer.Option(
            help="exact: round the corners of rectifiers within this width, where a flow slides along them.",
            rich_help_panel=SOLVING,
        ),
    ] = None
    observe: Observe = None
    threads: Threads = None

    @property
    def wanted(self) -> NDArray[Any]:
        """The times to keep."""
        import numpy as np

        from dynamics.integrate.initial_value import times as checked

        if self.at is not None:
            for name in ("time", "times"):
                if getattr(self, name) != getattr(type(self), name):
                    raise InputError(f"--at gives the times: leave out --{name}")
            return checked(numbers(self.at, "--at"))
        if self.times < 2:
            raise InputError(f"--times {self.times} must be 2 or more")
        checked([self.time])
        if self.time == 0:
            raise InputError("--time 0 is the start; give a later end")
        found = np.concatenate([[0.0], np.geomspace(1e-4 * self.time, self.time, self.times - 1)])
        found[-1] = self.time
        return found

    @property
    def control(self) -> dict[str, Any]:
        """The keywords of a solve that say how."""
        return {
            "rtol": self.rtol, "method": self.method, "threads": self.threads, "observe": words_of(self.observe),
        }  # fmt: skip


def theory_of(chosen: Chosen, wanted: str | None, optimizer: Optimizer | None = None) -> str:
    """Which prediction: the asked one if it fits, else the most reduced one that does."""
    whole = optimizer is not None and (optimizer.rule.is_adaptive or optimizer.decays != "none")
    fits = {"reduction": _reduced(chosen) is not None and not whole, "closure": _closed(chosen), "exact": True}
    if wanted is None:
        return next(name for name, fit in fits.items() if fit)
    if wanted not in fits:
        raise InputError(f"unknown theory {wanted!r}; use one of {', '.join(THEORIES)}")
    if not fits[wanted]:
        needs = {"reduction": "--task copying with fresh examples", "closure": "--model lexical with one head"}
        if wanted == "reduction" and whole and optimizer is not None:
            raise InputError(f"--optimizer {optimizer.name} needs the gradient of every state; use --theory exact")
        raise InputError(f"--theory {wanted} needs {needs[wanted]}; leave it out, or use --theory exact")
    return wanted


def predicted_by(chosen: Chosen, theory: str) -> Problem:
    """The problem whose solution is a prediction."""
    from dynamics.problems.kinds.closure import Closure
    from dynamics.problems.kinds.exact import Exact
    from dynamics.tasks import Task

    problem = chosen.problem
    if theory == "reduction":
        found = _reduced(chosen)
        assert found is not None
        return found
    if theory == "closure":
        assert isinstance(problem, Exact)
        counts = problem.data.population() if isinstance(problem.data, Task) else None
        return Closure(counts or problem.examples.cooccurrence())
    return problem


def start_of(problem: Problem, states: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a prediction starts, from the states of the model: of a reduction, the order parameters that they have."""
    from dynamics.problems.kinds.reduction import Reduction

    if not isinstance(problem, Reduction) or (states and set(states) <= set(problem.order)):
        return states
    return problem.project(states)


def _closed(chosen: Chosen) -> bool:
    """Whether the closure of both stages is that of the model: lexical attention with one head."""
    from derivations.models import lexical_attention

    return chosen.problem.program == lexical_attention()


def _reduced(chosen: Chosen) -> Any:
    """The reduction of copying, if that is what is learnt."""
    from derivations.models import positional_attention
    from dynamics.problems.kinds.exact import Exact
    from dynamics.problems.kinds.reduction import copying
    from dynamics.tasks import Copying

    problem = chosen.problem
    if not isinstance(problem, Exact) or not isinstance(problem.data, Copying):
        return None
    if problem.program not in (positional_attention(), positional_attention(heads=True)):
        return None
    data = problem.data
    return copying(data.vocab, data.length, next(iter(problem.model.sizes.values()), 1), data.replacement)
