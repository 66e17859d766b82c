"""Exact models: attention heads on given examples."""

from derivations.models.attention import (
    keyword_classifier,
    lexical_attention,
    positional_attention,
    topic_classifier,
)

__all__ = ["keyword_classifier", "lexical_attention", "positional_attention", "topic_classifier"]
