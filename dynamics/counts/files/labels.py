"""Words as labels: what any word must be that results are labelled with, whatever the way in."""

import numbers
import unicodedata
from typing import Any

from dynamics.counts.text.lines import beginning
from dynamics.support.errors import InputError

LONGEST_WORD = 1000
"""Characters. Arrays of labels take the room of the longest for each."""


def checked_word(word: str, what: str) -> str:
    """A word in the composed form NFC, so that one word is one label however it was typed.

    Parameters
    ----------
    word : str
    what : str
        It is, for messages.

    Raises
    ------
    InputError
        If it has a NUL character (arrays of strings would lose it at the end of a word, and two words would be one),
        has code points that are no characters, or is longer than `LONGEST_WORD`.

    Examples
    --------
    >>> len("e\\u0301"), len(checked_word("e\\u0301", "a label"))
    (2, 1)
    >>> checked_word("a\\0", "input label 1")
    Traceback (most recent call last):
        ...
    dynamics.support.errors.InputError: input label 1 ('a\\x00') has a NUL character in it: remove it
    """
    if word.isascii():
        found = word
    else:
        found = unicodedata.normalize("NFC", word)
        if any("\ud800" <= character <= "\udfff" for character in found):
            raise InputError(f"{what} ({beginning(word)}) is not Unicode text: half of a surrogate pair is in it")
    if "\0" in found:
        raise InputError(f"{what} ({beginning(word)}) has a NUL character in it: remove it")
    if len(found) > LONGEST_WORD:
        raise InputError(
            f"{what} ({beginning(word)}) has {len(found):,} characters, where words have at most {LONGEST_WORD:,}: "
            "is the text divided into words?"
        )
    return str(found)  # NumPy's str_ is a str, but prints otherwise


def checked_labels(labels: Any, size: int | None, kind: str, axis: str, where: str) -> tuple[str, ...]:
    """Labels of an axis: unique words, one for each place; whole numbers become words.

    Parameters
    ----------
    labels : iterable of str or int, optional
        By default the numbers of the places.
    size : int, optional
        How many are needed; any number if it is not given.
    kind : {"input", "output"}
    axis : {"rows", "columns"}
    where : str
        They come from, for messages.

    Raises
    ------
    InputError
        If they are one string, no strings, too many or too few, or repeat; and as `checked_word`.

    Examples
    --------
    >>> checked_labels(["Hund", 7], 2, "input", "rows", "counts")
    ('Hund', '7')
    """
    if labels is None and size is not None:
        return tuple(map(str, range(size)))
    if isinstance(labels, str):
        raise InputError(f"{where}: the {kind} labels are one string ({beginning(labels)}): give a sequence of strings")
    try:
        given = tuple(str(label) if isinstance(label, numbers.Integral) else label for label in labels)
    except TypeError:
        raise InputError(
            f"{where}: the {kind} labels are {type(labels).__name__}: give a sequence of strings"
        ) from None
    for number, label in enumerate(given):
        if not isinstance(label, str):
            raise InputError(f"{where}: {kind} label {number} is {type(label).__name__}: labels are strings")
    if size is not None and len(given) != size:
        raise InputError(f"{where}: {len(given)} {kind} labels for {size} {axis}: give one for each")
    found = tuple(checked_word(label, f"{where}: {kind} label {number}") for number, label in enumerate(given))
    first: dict[str, int] = {}
    for number, label in enumerate(found):
        if first.setdefault(label, number) != number:
            raise InputError(
                f"{where}: {beginning(label)} is the {kind} label of {axis} {first[label]} and {number} (from 0): "
                "make the labels unique"
            )
    return found
