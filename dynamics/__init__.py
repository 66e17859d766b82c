"""How attention learns: from equations to trajectories.

The names of this package are imported when they are first used, so that ``import dynamics`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynamics.comparison.compare import compare
    from dynamics.comparison.noise import noise
    from dynamics.comparison.odds import noise_odds
    from dynamics.comparison.oscillating import central_flow
    from dynamics.comparison.side_by_side import distance
    from dynamics.counts.context import ContextCounts
    from dynamics.counts.cooccurrence import CoOccurrence
    from dynamics.explore.notebook import progress
    from dynamics.integrate.batches import batch
    from dynamics.integrate.sweeps import Event
    from dynamics.phase.diagram import phase_diagram
    from dynamics.phase.quantity import Quantity, Simulation
    from dynamics.problems.equations import derive
    from dynamics.problems.forecast.forecast import forecast
    from dynamics.problems.kinds.arrays import OnArrays, on_arrays, on_examples
    from dynamics.problems.kinds.closure import Closure
    from dynamics.problems.kinds.exact import Exact
    from dynamics.problems.kinds.models import Model, keyword, lexical, positional, topic
    from dynamics.problems.kinds.reduction import Reduction, copying
    from dynamics.problems.optimisers.optimizer import Optimizer
    from dynamics.problems.problem import Problem
    from dynamics.problems.right_hand_sides import rhs
    from dynamics.problems.sensitivity.fit import fit
    from dynamics.problems.sensitivity.sensitivity import passing
    from dynamics.problems.solve import solve
    from dynamics.program_file import load as load_program
    from dynamics.support.errors import DataWarning, InputError, IntegrationError
    from dynamics.support.trajectory import half_time, load, save
    from dynamics.tasks import Copying, SparseBoolean, Task, TopicSentences, ToyLexicon
    from dynamics.tasks.examples import Examples
    from dynamics.train.simulate import simulate

_HOMES = {
    # what a prediction needs
    "CoOccurrence": "counts.cooccurrence",
    "ContextCounts": "counts.context",
    "Examples": "tasks.examples",
    "Task": "tasks",
    "Copying": "tasks",
    "ToyLexicon": "tasks",
    "TopicSentences": "tasks",
    "SparseBoolean": "tasks",
    "Model": "problems.kinds.models",
    "keyword": "problems.kinds.models",
    "lexical": "problems.kinds.models",
    "positional": "problems.kinds.models",
    "topic": "problems.kinds.models",
    "load_program": "program_file",
    # problems
    "Problem": "problems.problem",
    "Closure": "problems.kinds.closure",
    "Exact": "problems.kinds.exact",
    "Reduction": "problems.kinds.reduction",
    "OnArrays": "problems.kinds.arrays",
    "on_arrays": "problems.kinds.arrays",
    "on_examples": "problems.kinds.arrays",
    "copying": "problems.kinds.reduction",
    "rhs": "problems.right_hand_sides",
    "Optimizer": "problems.optimisers.optimizer",
    # what is done with them
    "derive": "problems.equations",
    "solve": "problems.solve",
    "passing": "problems.sensitivity.sensitivity",
    "fit": "problems.sensitivity.fit",
    "central_flow": "comparison.oscillating",
    "noise": "comparison.noise",
    "noise_odds": "comparison.odds",
    "forecast": "problems.forecast.forecast",
    "batch": "integrate.batches",
    "Event": "integrate.sweeps",
    "simulate": "train.simulate",
    "compare": "comparison.compare",
    "distance": "comparison.side_by_side",
    "phase_diagram": "phase.diagram",
    "Quantity": "phase.quantity",
    "Simulation": "phase.quantity",
    # results
    "progress": "explore.notebook",
    "load": "support.trajectory",
    "save": "support.trajectory",
    "half_time": "support.trajectory",
    "InputError": "support.errors",
    "IntegrationError": "support.errors",
    "DataWarning": "support.errors",
}
_RENAMED = {"load_program": "load"}

__all__ = [
    "Closure",
    "CoOccurrence",
    "ContextCounts",
    "Copying",
    "DataWarning",
    "Event",
    "Exact",
    "Examples",
    "InputError",
    "IntegrationError",
    "Model",
    "OnArrays",
    "Optimizer",
    "Problem",
    "Quantity",
    "Reduction",
    "Simulation",
    "SparseBoolean",
    "Task",
    "TopicSentences",
    "ToyLexicon",
    "batch",
    "central_flow",
    "compare",
    "copying",
    "derive",
    "distance",
    "fit",
    "forecast",
    "half_time",
    "keyword",
    "lexical",
    "load",
    "load_program",
    "noise",
    "noise_odds",
    "on_arrays",
    "on_examples",
    "passing",
    "phase_diagram",
    "positional",
    "progress",
    "rhs",
    "save",
    "simulate",
    "solve",
    "topic",
]


_MAKERS = {"solve", "simulate", "compare", "distance", "phase_diagram", "forecast", "load", "derive"}
"""What results come from: they have the accessor ``learning``, and are shown in notebooks."""


def __getattr__(name: str) -> Any:
    if name in _MAKERS:
        import_module("dynamics.explore.learning")
    if name in _HOMES:
        return getattr(import_module(f"dynamics.{_HOMES[name]}"), _RENAMED.get(name, name))
    if name == "__version__":
        from importlib.metadata import version

        return version("attention-dynamics")
    raise AttributeError(f"module 'dynamics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
