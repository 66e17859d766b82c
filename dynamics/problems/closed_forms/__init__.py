"""The theorems' closed forms on numbers and arrays, and the quadratures that they leave."""

from dynamics.problems.closed_forms.copying import (
    attention_logit,
    branch_odds,
    early_time,
    escape_time,
    growth_rate,
    log_escape_constant,
    unstable_coordinate,
)
from dynamics.problems.closed_forms.evaluation import evaluated
from dynamics.problems.closed_forms.linear_attention import merged_time, staircase_levels, staircase_times
from dynamics.problems.closed_forms.stages import delay, departure_rate, margin_alone, time_to_margin
from dynamics.problems.closed_forms.topic import (
    embeddings_fixed_time,
    keys_fixed_loss,
    norm_squared,
    score_of_margin,
    time_to_score,
)

__all__ = [
    "attention_logit",
    "branch_odds",
    "delay",
    "departure_rate",
    "early_time",
    "embeddings_fixed_time",
    "escape_time",
    "evaluated",
    "growth_rate",
    "keys_fixed_loss",
    "log_escape_constant",
    "margin_alone",
    "merged_time",
    "norm_squared",
    "score_of_margin",
    "staircase_levels",
    "staircase_times",
    "time_to_margin",
    "time_to_score",
    "unstable_coordinate",
]
