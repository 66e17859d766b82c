# ruff: noqa: F403, F405
"""Two tokens and a gate: the flow p' = beta1 - beta0, beta0' = -p, beta1' = p."""

from dynamics.program_file import *

p, beta0, beta1 = scalars("p beta0 beta1")

program = model("Two tokens and a gate", states=[p, beta0, beta1], loss=p * (beta0 - beta1))
