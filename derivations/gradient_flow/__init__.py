"""Transforms, from program to program: from a loss to the flow that learns it."""

from derivations.gradient_flow.adjoints import accented, adjoints, descent_flow, gradient_flow
from derivations.gradient_flow.constraints import constrained, simplex, unit_norm
from derivations.gradient_flow.second_moments import second_moments
from derivations.gradient_flow.slopes import grad, with_slopes

__all__ = [
    "accented", "adjoints", "constrained", "descent_flow", "grad", "gradient_flow", "second_moments", "simplex",
    "unit_norm", "with_slopes",
]  # fmt: skip
