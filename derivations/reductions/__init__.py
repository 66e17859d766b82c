"""Reductions: models on what is left of their states where words, or positions, are alike."""

from derivations.reductions.copying import copying, copying_heads, copying_repeats, squared_length
from derivations.reductions.linear_attention import linear_attention
from derivations.reductions.topic_span import in_span
from derivations.reductions.topic_words import topic_words

__all__ = [
    "copying",
    "copying_heads",
    "copying_repeats",
    "in_span",
    "linear_attention",
    "squared_length",
    "topic_words",
]

READING_ORDER = ("topic_span", "topic_words", "copying", "linear_attention")
