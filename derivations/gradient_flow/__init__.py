"""Transforms, from program to program: from a loss to the flow that learns it."""

from derivations.gradient_flow.adjoints import accented, adjoints, descent_flow, gradient_flow
from derivations.gradient_flow.second_moments import second_moments

__all__ = ["accented", "adjoints", "descent_flow", "gradient_flow", "second_moments"]
