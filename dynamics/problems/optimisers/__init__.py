"""Optimisers of problems: their options, their schedules, and the flows that their steps follow."""
