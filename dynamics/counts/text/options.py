"""The options of text: how lines become words, and which words and lines are kept."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict

from dynamics.counts.text.tokenizers import TOKENIZERS, is_file, of_file
from dynamics.support.errors import InputError
from dynamics.support.files import near


@dataclass(frozen=True)
class TextOptions:
    """How text is read and counted; everything that reads text takes them, as one object or by their names.

    Attributes
    ----------
    tokenizer : {"words", "whitespace"} or str
        "words" for running text, "whitespace" for text that is already tokenised; or the path of a ``tokenizer.json``
        of Hugging Face.
    lower : bool
        Lower-case everything.
    max_vocab : int, optional
        Keep so many words on either side, the most frequent ones.
    min_count : int
        Keep words that occur at least so often.
    max_pairs : int, optional
        Read only so many pairs from the beginning; frequencies are counted in these too.
    header : bool
        The first line of a file of labelled sentences is a heading.

    Raises
    ------
    InputError
        For an unknown tokenizer, numbers that are not whole or not positive, and switches that
        are neither True nor False.

    Examples
    --------
    >>> TextOptions(max_vocab=300)
    TextOptions(tokenizer='words', lower=True, max_vocab=300, min_count=1, max_pairs=None, header=False)
    >>> TextOptions(min_count=0)
    Traceback (most recent call last):
        ...
    dynamics.support.errors.InputError: min_count is 0: give a whole number from 1
    """

    tokenizer: str = "words"
    lower: bool = True
    max_vocab: int | None = None
    min_count: int = 1
    max_pairs: int | None = None
    header: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.tokenizer, str) and is_file(self.tokenizer):
            of_file(self.tokenizer)
        elif self.tokenizer not in TOKENIZERS:
            raise InputError(f"there is no tokenizer {self.tokenizer!r}: choose {' or '.join(map(repr, TOKENIZERS))}")
        for name in ("lower", "header"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {getattr(self, name)!r}: give True or False")
        for name in ("max_vocab", "min_count", "max_pairs"):
            if getattr(self, name) is not None or name == "min_count":
                object.__setattr__(self, name, positive(name, getattr(self, name)))

    @classmethod
    def of(
        cls,
        options: TextOptions | None,
        named: Mapping[str, Any],
        caller: str,
        also: Iterable[str] = (),
        header: bool = False,
    ) -> TextOptions:
        """Options from an object, changed by those that are given by name.

        Parameters
        ----------
        options : TextOptions, optional
        named : mapping of str to value
        caller : str
            The function that was called, for messages.
        also : iterable of str
            Its other keywords, which may have been meant.
        header : bool
            Whether it takes files with a heading.

        Raises
        ------
        TypeError
            For a name that is no option: the message has the nearest one.

        Examples
        --------
        >>> TextOptions.of(TextOptions(lower=False), {"min_count": 2}, "count").min_count
        2
        >>> TextOptions.of(None, {"max_vocb": 300}, "count")
        Traceback (most recent call last):
            ...
        TypeError: count() has no option 'max_vocb'; did you mean 'max_vocab'?
        """
        if options is not None and not isinstance(options, TextOptions):
            raise TypeError(f"{caller}(): options is {type(options).__name__}: give TextOptions, or options by name")
        known = [field.name for field in fields(cls) if header or field.name != "header"]
        for name in named:
            if name not in known:
                others = [*known, *also]
                nearest = near(name, others, 1)
                hint = f"did you mean {nearest[0]!r}?" if nearest else f"it has {', '.join(others)}"
                raise TypeError(f"{caller}() has no option {name!r}; {hint}")
        return replace(options or cls(), **named)

    @property
    def attrs(self) -> dict[str, str | int]:
        """As provenance: yes and no are 1 and 0, limits that are not set are absent.

        Examples
        --------
        >>> TextOptions(max_vocab=300).attrs
        {'tokenizer': 'words', 'lower': 1, 'max_vocab': 300, 'min_count': 1}
        """
        limits = {name: getattr(self, name) for name in ("max_vocab", "min_count", "max_pairs")}
        return {
            "tokenizer": self.tokenizer,
            "lower": int(self.lower),
            **{name: limit for name, limit in limits.items() if limit is not None},
        }


class ByName(TypedDict, total=False):
    """The options of parallel text by their names, for signatures."""

    tokenizer: str
    lower: bool
    max_vocab: int | None
    min_count: int
    max_pairs: int | None


class LabelledByName(ByName, total=False):
    """The options of labelled text by their names, for signatures."""

    header: bool


def positive(name: str, value: Any) -> int:
    """A whole number from 1, or an error that names the option.

    Examples
    --------
    >>> positive("max_pairs", 2.5)
    Traceback (most recent call last):
        ...
    dynamics.support.errors.InputError: max_pairs is 2.5: give a whole number from 1
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is {value!r}: give a whole number from 1")
    return int(value)
