"""Closures: flows that need the co-occurrence matrix instead of the data."""

from derivations.closures.cooccurrence import both_stages, both_stages_sparse, gram, linear, linear_bias, marginal

__all__ = ["both_stages", "both_stages_sparse", "gram", "linear", "linear_bias", "marginal"]
