"""What follows from the flows: theorems, each with a proof that sympy verifies step by step, and with its limits."""

READING_ORDER = (
    "descent",
    "stage_one",
    "adam_at_rest",
    "two_stages",
    "copying",
    "noisy_saddle",
    "saturation",
    "score_and_norm",
    "topic_margin",
    "topic_competition",
    "sparse",
    "sparse_plateau",
    "linear_attention",
)
