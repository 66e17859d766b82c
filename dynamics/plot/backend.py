"""matplotlib, whatever backend the environment asks for.

A notebook sets MPLBACKEND for the processes that it starts; where its backend is not installed, the import of
matplotlib itself fails. Figures here need no backend, so one that does not exist is left out.
"""

import contextlib
import os


def _import_matplotlib() -> None:
    asked = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if asked is not None:
            os.environ["MPLBACKEND"] = asked
    if asked:
        with contextlib.suppress(ValueError):  # if there is none, pyplot chooses another when the user calls it
            matplotlib.rcParams["backend"] = asked


_import_matplotlib()
