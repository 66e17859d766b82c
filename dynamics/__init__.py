"""How attention learns: from equations to trajectories.

The names of this package are imported when they are first used, so that ``import dynamics`` is quick.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "CoOccurrence": "dynamics.cooccurrence",
    "InputError": "dynamics.errors",
    "IntegrationError": "dynamics.errors",
    "simulate": "dynamics.simulation",
    "solve": "dynamics.predict",
    "derive": "dynamics.equations",
    "compare": "dynamics.comparison",
    "distance": "dynamics.comparison",
    "phase_diagram": "dynamics.phase",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dynamics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
