"""How attention learns: from equations to trajectories.

The names of this package are imported when they are first used, so that ``import dynamics`` is quick.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "CoOccurrence": "dynamics.counts.cooccurrence",
    "InputError": "dynamics.support.errors",
    "IntegrationError": "dynamics.support.errors",
    "simulate": "dynamics.train.simulation",
    "solve": "dynamics.problems.closure",
    "derive": "dynamics.problems.equations",
    "compare": "dynamics.compare.comparison",
    "distance": "dynamics.compare.comparison",
    "phase_diagram": "dynamics.phase.diagram",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dynamics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
