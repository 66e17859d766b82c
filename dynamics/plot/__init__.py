"""Every figure: drawn for print, for grey print and for readers who see colours differently.

A figure is a matplotlib ``Figure`` with no state behind it: it needs no display and nothing has to be closed. It is as
wide as a column (3.4 inches) or a page (7 inches). Colours are those of Okabe and Ito, and line styles differ too.
"""

import dynamics.plot.backend  # noqa: F401 first, as the others import matplotlib
from dynamics.comparison.learnt_words import best_scores, learnt
from dynamics.plot.comparisons import comparison, study
from dynamics.plot.exact import order, scores
from dynamics.plot.forecast import against, forecast
from dynamics.plot.frame import save
from dynamics.plot.maps import phase
from dynamics.plot.predictions import distance, ktiw, loss, words

__all__ = [
    "against",
    "best_scores",
    "comparison",
    "distance",
    "forecast",
    "ktiw",
    "learnt",
    "loss",
    "order",
    "phase",
    "save",
    "scores",
    "study",
    "words",
]
