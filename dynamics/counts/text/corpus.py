"""Real text as it lies on disk: pairs of sentences.

A corpus here is anything that iterates over pairs (input words, output words): `ParallelText` pairs the sentences of
two languages, `LabelledText` a sentence with its label. Files are not held in memory: they are read again each time the
corpus is iterated over.
"""

import itertools
import numbers
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from dynamics.counts.text.columns import cells
from dynamics.counts.text.lines import beginning, lines
from dynamics.counts.text.options import TextOptions
from dynamics.counts.text.tables import rows, separator_hint, table_suffix
from dynamics.counts.text.tokenizers import tokenize
from dynamics.support.errors import InputError
from dynamics.support.files import column_of, existing

Text = str | os.PathLike[str] | Iterable[str]
"""A path to a text file, or its lines."""


class Corpus(Protocol):
    """What can be counted: pairs (input words, output words), read anew by each iteration."""

    def __iter__(self) -> Iterator[tuple[Sequence[str], Sequence[str]]]: ...


@dataclass(frozen=True)
class ParallelText:
    """Sentences and their translations, line by line.

    Parameters
    ----------
    source, target : path-like or iterable of str
        Two text files (UTF-8, plain or gzip, told apart by content) or two sequences of lines. Line n of one goes with
        line n of the other. Files are read in a stream; lines end at the line feed only, with or without a carriage
        return before it, and a byte order mark at the beginning is skipped.
    tokenizer : {"words", "whitespace"}
        See `dynamics.counts.text.tokenizers.TOKENIZERS`.
    lower : bool
        Lower-case everything.
    max_pairs : int, optional
        Read only so many pairs from the beginning.

    Raises
    ------
    InputError
        At once if a file does not exist; while iterating if a file is empty, is not UTF-8 (the message has line and
        byte), is a damaged gzip file, or has more lines than the other (the message has both counts).

    Examples
    --------
    >>> text = ParallelText(["A dog.", "Two dogs."], ["Ein Hund.", "Zwei Hunde."])
    >>> list(text)
    [(['a', 'dog'], ['ein', 'hund']), (['two', 'dogs'], ['zwei', 'hunde'])]
    """

    source: Text
    target: Text
    tokenizer: str = "words"
    lower: bool = True
    max_pairs: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", _checked(self.source, "source"))
        object.__setattr__(self, "target", _checked(self.target, "target"))
        TextOptions(self.tokenizer, self.lower, max_pairs=self.max_pairs)  # checks them

    @classmethod
    def with_options(cls, source: Text, target: Text, options: TextOptions) -> "ParallelText":
        """Those that concern how it is read.

        Raises
        ------
        InputError
            If there are headings: the lines of two texts are sentences.
        """
        if options.header:
            raise InputError("header=True goes with a file that has labels and sentences in it: leave it out")
        return cls(source, target, options.tokenizer, options.lower, options.max_pairs)

    def __iter__(self) -> Iterator[tuple[list[str], list[str]]]:
        words_of = tokenize(self.tokenizer, self.lower)
        for source, target in _line_by_line((self.source, "source"), (self.target, "target"), self.max_pairs):
            yield words_of(source), words_of(target)


@dataclass(frozen=True)
class LabelledText:
    """Sentences with their labels.

    Parameters
    ----------
    texts : path-like or iterable of str
        The sentences; or, without `labels`, a file that has a label and a sentence in each line, divided by a tab in
        ``.tsv`` files (no quoting), as comma-separated values in ``.csv`` files (quoted where needed), by white space
        in all others. Blank lines of such a file are skipped. As for `ParallelText`, files are UTF-8, plain or gzip.
    labels : path-like or iterable of str or int, optional
        The labels of the sentences, in the same order.
    tokenizer, lower, max_pairs
        As for `ParallelText`; they do not touch the labels.
    header : bool
        The file's first line is a heading and skipped.

    Raises
    ------
    InputError
        As for `ParallelText`, and for lines without a label or with more than two columns.

    Examples
    --------
    >>> list(LabelledText(["A fine film.", "Dull."], [1, 0]))
    [(['a', 'fine', 'film'], ['1']), (['dull'], ['0'])]
    """

    texts: Text
    labels: str | os.PathLike[str] | Iterable[str | int] | None = None
    tokenizer: str = "words"
    lower: bool = True
    max_pairs: int | None = None
    header: bool = False

    def __post_init__(self) -> None:
        if self.labels is None and not isinstance(self.texts, str | os.PathLike):
            raise InputError("the sentences have no labels: give labels=, one for each sentence")
        if self.labels is None and column_of(cast(str, self.texts)) is not None:
            raise InputError(f"{self.texts} is a column of sentences: give that of their labels as labels=")
        object.__setattr__(self, "texts", _checked(self.texts, "texts"))
        if self.labels is not None:
            object.__setattr__(self, "labels", _checked(_as_text(self.labels), "labels"))
            if self.header:
                raise InputError("header=True goes with a file that has labels and sentences in it: drop labels=")
        TextOptions(self.tokenizer, self.lower, max_pairs=self.max_pairs, header=self.header)  # checks them

    @classmethod
    def with_options(
        cls, texts: Text, labels: str | os.PathLike[str] | Iterable[str | int] | None, options: TextOptions
    ) -> "LabelledText":
        """Those that concern how it is read."""
        return cls(texts, labels, options.tokenizer, options.lower, options.max_pairs, options.header)

    def __iter__(self) -> Iterator[tuple[list[str], list[str]]]:
        words_of = tokenize(self.tokenizer, self.lower)
        pairs: Iterator[tuple[str, str]]
        if self.labels is None:
            assert isinstance(self.texts, Path)
            pairs = itertools.islice(_labelled_lines(self.texts, self.header), self.max_pairs)
        else:
            labels = cast(Text, self.labels)
            pairs = _line_by_line((self.texts, "texts"), (labels, "labels"), self.max_pairs)
        for number, (text, label) in enumerate(pairs, start=1):
            if not label.strip():
                raise InputError(f"sentence {number} ({beginning(text)}) has an empty label")
            yield words_of(text), [unicodedata.normalize("NFC", label.strip())]


def _line_by_line(left: tuple[Text, str], right: tuple[Text, str], limit: int | None) -> Iterator[tuple[str, str]]:
    """Line n of one text with line n of the other."""
    (a, a_name), (b, b_name) = left, right
    both = [_lines_of(a), _lines_of(b)]
    for number, (x, y) in enumerate(itertools.islice(itertools.zip_longest(*both), limit)):
        if x is None or y is None:
            total = number + 1 + sum(1 for _ in both[x is None])
            counts = (number, total) if x is None else (total, number)
            longer, line = (_name(b, b_name), y) if x is None else (_name(a, a_name), x)
            raise InputError(
                f"{_name(a, a_name)} has {counts[0]:,} lines and {_name(b, b_name)} has {counts[1]:,}: the first "
                f"without a partner is line {number + 1:,} of {longer} ({beginning(line)})"
            )
        yield x, y


def _labelled_lines(path: Path, header: bool) -> Iterator[tuple[str, str]]:
    """(text, label) of each line of a file that holds both."""
    # A label alone is a label whose sentence has no words.
    spaced = ((number, [*line.split(maxsplit=1), ""][:2]) for number, line in enumerate(lines(path), start=1))
    found = rows(path) if table_suffix(path) else spaced
    filled = ((number, row) for number, row in found if any(cell.strip() for cell in row))
    for number, row in itertools.islice(filled, int(header), None):
        if len(row) != 2:
            raise InputError(
                f"{path}, line {number:,}: {len(row)} columns where a label and a sentence were expected "
                f"({beginning(','.join(row))}){separator_hint(path)}"
            )
        label, text = row
        if not label.strip():
            raise InputError(f"{path}, line {number:,}: the label is empty ({beginning(text)})")
        yield text, label


def _lines_of(text: Text) -> Iterator[str]:
    if isinstance(text, Path):
        column = column_of(text)
        return lines(text) if column is None else cells(*column)
    assert not isinstance(text, os.PathLike)
    return iter(text)


def _checked(text: Text, name: str) -> Path | tuple[str, ...]:
    """A path that exists, or the lines as a tuple of strings."""
    if isinstance(text, str | os.PathLike):
        return existing(text)
    try:
        found = tuple(text)
    except TypeError:
        raise InputError(f"{name} is {type(text).__name__}: give a path or a sequence of lines") from None
    if not found:
        raise InputError(f"{name} is empty: give at least one line")
    for number, line in enumerate(found):
        if not isinstance(line, str):
            raise InputError(f"{name}[{number}] is {type(line).__name__}: give each line as a string")
        if "\0" in line:
            raise InputError(f"{name}[{number}] ({beginning(line)}) has a NUL character in it: remove it")
    return found


def _as_text(labels: str | os.PathLike[str] | Iterable[str | int]) -> Text:
    if isinstance(labels, str | os.PathLike):
        return labels
    return (cast(str, str(label) if isinstance(label, numbers.Integral) else label) for label in labels)


def _name(text: Text, name: str) -> str:
    return str(text) if isinstance(text, Path) else name
