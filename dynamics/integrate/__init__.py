"""Initial-value problems over compiled right-hand sides: one at a time, or many small ones side by side."""

from dynamics.integrate.initial_value import Statistics, integrate, times

__all__ = ["Statistics", "integrate", "times"]
