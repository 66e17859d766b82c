"""What follows from the flows: theorems, each with a proof that sympy verifies step by step, and with its limits."""

READING_ORDER = (
    "descent",
    "adam_at_rest",
    "stage_one",
    "two_stages",
    "copying",
    "saturation",
    "score_and_norm",
    "topic_margin",
    "topic_competition",
    "sparse",
    "sparse_plateau",
    "linear_attention",
)
