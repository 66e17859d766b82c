"""The kinds of problems: closures on counts, models on examples, reductions, programs on arrays."""
