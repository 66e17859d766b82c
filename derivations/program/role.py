"""What a tensor is for: declared by a program, so that nothing has to be guessed from its name."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Role"]


class Role(StrEnum):
    """The part that a tensor plays in attention, in the papers' words.

    Examples
    --------
    >>> from derivations.models import lexical_attention
    >>> lexical_attention().with_role(Role.VALUES), lexical_attention().with_role(Role.WEIGHTS)
    (('W',), ('alpha',))
    """

    VALUES = "values"
    """A state: what an input word, attended to alone, says of every output."""
    ATTENTION = "attention logits"
    """A state: attention is a softmax of it; at zero, attention is uniform."""
    EMBEDDINGS = "embeddings"
    """A state: a vector for every input word."""
    KEYS = "keys"
    QUERY = "query"
    BIAS = "bias"
    READOUT = "readout"
    """A state, or data: the classifier behind the context."""
    WEIGHTS = "attention weights"
    """A definition: shares of attention, which sum to 1."""
    LOGITS = "logits"
    """A definition: the prediction before its softmax."""
    LOSS = "loss"
    """A definition: the loss of a flow that is not its gradient."""
    KTIW = "KTIW"
    """A definition: knowledge to translate individual words, the papers' beta."""
