"""Exact models: attention heads on given examples."""

from derivations.models.keyword import keyword_classifier
from derivations.models.rows import row_model
from derivations.models.topic import CLASSIFIERS, topic_classifier
from derivations.models.translation import lexical_attention, positional_attention

__all__ = [
    "CLASSIFIERS",
    "keyword_classifier",
    "lexical_attention",
    "positional_attention",
    "row_model",
    "topic_classifier",
]

READING_ORDER = ("keyword", "translation", "topic", "uniform", "rows", "descent")
