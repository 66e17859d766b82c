"""How products with a sparse matrix are cut: panels of columns of the dense operand, which stay in cache."""

__all__ = ["PANELS", "TILE"]

TILE = 32
"""Columns of a panel: 6,000 rows of 32 numbers are 1.5 MB. Wider rows amortise the walk over the entries."""
PANELS = 8
"""Panels that may be at work at one time; more threads than this do not help."""
