# ruff: noqa: B018, E402  # as notebooks are written: values at the end of a cell are shown
"""
A first notebook
================

From a text to what is learnt of each word, to the equations behind it, to a phase diagram. This page is a notebook that
is run whenever the site is built; it can be downloaded at its end.
"""

# %%
# Counts of a text
# ----------------
#
# A prediction needs how often each input word stands in a sentence with each output word. Any two line-aligned texts
# will do; here the Universal Declaration of Human Rights, which comes with the package. In a notebook the counts show
# themselves, the most frequent words first.

from dynamics import CoOccurrence
from dynamics.counts.bundled import bundled

english, french = bundled("english-french")
counts = CoOccurrence.from_parallel_text(english, french, max_vocab=40, max_pairs=60)
counts

# %%
# Both stages of learning
# -----------------------
#
# ``solve`` integrates the closure on these counts: translation of single words (KTIW, beta) and attention, together.

import numpy as np

from dynamics import progress, solve
from dynamics.plot import save

t = np.concatenate([[0], np.geomspace(1, 1000, 40)])
found = solve(counts, t, stages=["joint", "two-stage"], progress=progress("solving"))
save(found.learning.plot(), "results/words.svg")

# %%
# When is each word learnt? The first five words, and the whole course of one of them.

found.learning.times(0.5).to_series().sort_values().head()

# %%

found.learning.words("rights").iloc[::8].round(3)

# %%
# The equations
# -------------
#
# What was solved is a derivation with a name; it shows its formulas. Here the flow alone.

from dynamics import derive

derivation = derive(found.attrs["equation"])
print(derivation.section("Flow").text())

# %%
# Where is what learnt?
# ---------------------
#
# Copying L of V words with one head comes down to two equations. A map of them takes a moment.

from dynamics import phase_diagram

diagram = phase_diagram("copying", {"L": range(4, 24, 2), "V": range(8, 40, 2)}, t_end=10_000)
save(diagram.learning.plot(), "results/map.svg")
