"""Closures: flows that need the co-occurrence matrix instead of the data."""

from derivations.closures.bags import bags
from derivations.closures.both_stages import both_stages, both_stages_sparse
from derivations.closures.stage_one import gram, linear, linear_bias, marginal

__all__ = ["bags", "both_stages", "both_stages_sparse", "gram", "linear", "linear_bias", "marginal"]

READING_ORDER = ("both_stages", "stage_one", "bags")
