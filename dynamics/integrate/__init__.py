"""Initial-value problems over compiled right-hand sides: one at a time, or many small ones side by side."""

from dynamics.integrate.arguments import times
from dynamics.integrate.initial_value import Statistics, integrate

__all__ = ["Statistics", "integrate", "times"]
