"""Exact models: attention heads on given examples."""

from derivations.models.keyword import keyword_classifier
from derivations.models.topic import CLASSIFIERS, topic_classifier
from derivations.models.translation import lexical_attention, positional_attention

__all__ = ["CLASSIFIERS", "keyword_classifier", "lexical_attention", "positional_attention", "topic_classifier"]

READING_ORDER = ("keyword", "translation", "topic", "descent")
