"""What symbols stand for, in words: the glossary that the notation of every derivation is read from."""

from __future__ import annotations

from collections.abc import Mapping

from sympy import Expr, Symbol

from derivations.program.access import Access, name_of, subscript

__all__ = ["GLOSSARY", "SCALARS", "of_index", "of_scalar", "of_tensor"]

GLOSSARY: Mapping[str, str] = {
    # indices, with what they run over where a letter has two uses
    "n": "example",
    "l": "place in an example",
    "i": "word",
    "j < V": "another word",
    "w < V": "another word",
    "o": "output",
    "v < K": "any output, beside a target o",
    "k": "label",
    "t": "target of an example",
    "h": "head",
    "m < T": "position of the target",
    "p < L": "position of the input word",
    "p < K": "another label",
    "d": "coordinate of an embedding",
    "e < E": "coordinate of a key",
    "e": "word that occurs with output o, by its number",
    "j": "hidden unit",
    # data
    "length": "number of words",
    "x": "words",
    "y": "labels",
    "y[n,t]": "targets",
    "targets": "number of targets",
    "C": "co-occurrence: the mean over all examples of the share of word i, counted where the target is o",
    "c": "share of a word",
    "q": "share of an output",
    "R": "distribution of words given a target",
    "R[o,e]": "distribution of words given a target, of those that occur",
    "G": "Gram matrix of the bags of words",
    "count[o]": "number of words that occur with an output",
    "word": "which words they are",
    "U": "classifier",
    "share": "share of the examples that are alike",
    "times": "how often a word stands in an example",
    "coupling": "how the motion of one word's sum moves another's, by the metric of what was averaged",
    # states
    "W": "values of words: their logits",
    "A": "attention logits of words, by target",
    "s": "scores of words",
    "b": "bias",
    "P": "attention logits of positions",
    "v": "embeddings",
    "F": "weights of the hidden layer",
    "f": "bias of the hidden layer",
    "G[k,j]": "weights of the readout",
    "g": "bias of the readout",
    "key": "keys of words",
    "query": "the query",
}
"""Name -> meaning; ``name[indices]`` and ``index < size`` come before the name alone."""
SCALARS: Mapping[str, str] = {
    "u": "value of a word for its own copy, above that for others",
    "a": "attention logit of the right position, above that of others",
    "V": "number of words",
    "L": "number of words in an input",
    "K": "number of outputs",
    "H": "number of heads",
    "T": "number of positions",
    "tau": "time: learning rate times steps",
    "lr": "learning rate, which those of the states are relative to",
}
"""The same for what has no indices."""


def of_index(index: Symbol, extent: Expr, glossary: Mapping[str, str]) -> str:
    """What an index counts, or an empty string."""
    return glossary.get(f"{index} < {extent}") or glossary.get(index.name, "")


def of_tensor(access: Access, glossary: Mapping[str, str]) -> str:
    """What a tensor holds, by its name and its indices, or an empty string.

    Examples
    --------
    >>> from derivations.models import keyword_classifier
    >>> of_tensor(keyword_classifier().states[0], GLOSSARY)
    'scores of words'
    """
    name, subs = name_of(access), subscript(access)
    whole = f"{name}[{','.join(str(sub) for sub in subs)}]"
    own = glossary.get(whole) or glossary.get(name, "")
    return own or ("" if subs else of_scalar(name, SCALARS if glossary else {}))


def of_scalar(name: str, glossary: Mapping[str, str] = SCALARS) -> str:
    """What a scalar is; learning rates are named after what they move, and heads are numbered."""
    if name.startswith("eta_"):
        return f"learning rate of {name.removeprefix('eta_')}"
    return glossary.get(name) or glossary.get(name.rstrip("0123456789"), "")
