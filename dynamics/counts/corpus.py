"""Real text as it lies on disk: lines, words, pairs of sentences, and their ids.

A corpus here is anything that iterates over pairs (input words, output words): `ParallelText` pairs the sentences of
two languages, `LabelledText` a sentence with its label. Files are not held in memory: they are read again each time the
corpus is iterated over.
"""

import csv
import functools
import glob
import gzip
import itertools
import numbers
import os
import re
import sys
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from dynamics.support.errors import DataWarning, InputError
from dynamics.support.files import existing

Text = str | os.PathLike[str] | Iterable[str]
"""A path to a text file, or its lines."""

Files = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""Many text files: a directory, a pattern such as "corpus/*.en", or the paths one by one."""

BLOCK_WORDS = 1_000_000
"""Words (both sides together) that are held in memory at a time when a corpus is counted."""

_APOSTROPHES = "’ʼ＇"
# French (and Catalan, Italian) elision before a vowel or a mute h. English has no word of these letters before an
# apostrophe and a vowel but "d'you".
_ELIDED = "[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu"
_VOWELS = "aeiouyhàâäæéèêëîïôöœùûüÿ"


class Corpus(Protocol):
    """What can be counted: pairs (input words, output words), read anew by each iteration."""

    def __iter__(self) -> Iterator[tuple[Sequence[str], Sequence[str]]]: ...


def words(line: str) -> list[str]:
    """The words of a line of running text, in any script that puts spaces between words.

    A word is a run of letters, digits and combining marks (Unicode), brought to the composed form NFC. Inside a word an
    apostrophe is kept, and ’ becomes ': "don’t" is the one word "don't". Elided French words stand alone: "l’homme"
    is "l'" and "homme". Hyphens divide words, soft hyphens vanish, punctuation and symbols are dropped.

    Parameters
    ----------
    line : str
        Upper and lower case are kept as they are.

    Returns
    -------
    list of str

    Examples
    --------
    >>> words("Don’t panic: l’homme qu’elle aime, aujourd’hui!")
    ["Don't", 'panic', "l'", 'homme', "qu'", 'elle', 'aime', "aujourd'hui"]
    """
    line = unicodedata.normalize("NFC", line)
    if not line.isascii():
        line = line.replace("\u00ad", "")
        for apostrophe in _APOSTROPHES:
            line = line.replace(apostrophe, "'")
    return _word_pattern(line.isascii()).findall(line)


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = {"words": words, "whitespace": str.split}
"""How a line becomes words: "words" for running text, "whitespace" for text that is already tokenised."""


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
        See `TOKENIZERS`.
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
        _check_options(self.tokenizer, self.max_pairs)

    def __iter__(self) -> Iterator[tuple[list[str], list[str]]]:
        tokenize = _tokenize(self.tokenizer, self.lower)
        for source, target in _line_by_line((self.source, "source"), (self.target, "target"), self.max_pairs):
            yield tokenize(source), tokenize(target)


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
        object.__setattr__(self, "texts", _checked(self.texts, "texts"))
        if self.labels is not None:
            object.__setattr__(self, "labels", _checked(_as_text(self.labels), "labels"))
            if self.header:
                raise InputError("header=True goes with a file that has labels and sentences in it: drop labels=")
        _check_options(self.tokenizer, self.max_pairs)

    def __iter__(self) -> Iterator[tuple[list[str], list[str]]]:
        tokenize = _tokenize(self.tokenizer, self.lower)
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
            yield tokenize(text), [label.strip()]


@dataclass(frozen=True, eq=False)
class EncodedPairs:
    """A corpus as word ids: one flat array a side, with the length of each sentence.

    Attributes
    ----------
    x, y : ndarray of int64, shape (input words,) and (output words,)
        Ids of the kept words of all sentences, one sentence after the other.
    x_lengths, y_lengths : ndarray of int64, shape (pairs,)
        Kept words in each sentence: L and T of the theory, at least 1.
    kept : ndarray of int64, shape (pairs,)
        Position of each pair in the corpus, from 0.

    Examples
    --------
    >>> pairs = encode(ParallelText(["a dog", "two"], ["ein hund", "zwei"]), ["a", "dog", "two"], ["ein", "zwei"])
    >>> pairs.x, pairs.x_starts, pairs.y
    (array([0, 1, 2]), array([0, 2, 3]), array([0, 1]))
    """

    x: NDArray[np.int64]
    x_lengths: NDArray[np.int64]
    y: NDArray[np.int64]
    y_lengths: NDArray[np.int64]
    kept: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def x_starts(self) -> NDArray[np.int64]:
        """Where each input begins in `x`, and the end: shape (pairs + 1,)."""
        return np.concatenate([[0], np.cumsum(self.x_lengths)])

    @property
    def y_starts(self) -> NDArray[np.int64]:
        """Where each output begins in `y`, and the end: shape (pairs + 1,)."""
        return np.concatenate([[0], np.cumsum(self.y_lengths)])


def vocabulary(counter: Mapping[str, int], max_vocab: int | None = None, min_count: int = 1) -> tuple[str, ...]:
    """The words to keep, most frequent first; equally frequent ones in the order of their spelling.

    Parameters
    ----------
    counter : mapping of str to int
        How often each word occurs.
    max_vocab : int, optional
        Keep only the most frequent ones, so many.
    min_count : int
        Keep only words that occur at least so often.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If a limit is not positive or no word is left.

    Examples
    --------
    >>> vocabulary(Counter("banana"), max_vocab=2)
    ('a', 'n')
    >>> vocabulary({"tea": 2, "cup": 2, "pot": 1}, min_count=2)
    ('cup', 'tea')
    """
    if max_vocab is not None:
        _check_positive("max_vocab", max_vocab)
    _check_positive("min_count", min_count)
    ranked = sorted((word for word in counter if counter[word] >= min_count), key=lambda word: (-counter[word], word))
    if not ranked:
        most = max(counter.values(), default=0)
        raise InputError(
            f"no word occurs {min_count} times (min_count), the most frequent one {most} times: lower min_count"
            if counter
            else "there are no words in the text"
        )
    return tuple(ranked[:max_vocab])


def count_words(text: Corpus) -> tuple[Counter[str], Counter[str], int]:
    """One pass over a corpus: how often each word occurs, on either side.

    Returns
    -------
    inputs, outputs : Counter
    pairs : int
        Pairs in the corpus.

    Raises
    ------
    InputError
        What the corpus raises when it is read.

    Examples
    --------
    >>> count_words(ParallelText(["a dog", "a cat"], ["ein hund", "eine katze"]))[0]["a"]
    2
    """
    inputs: Counter[str] = Counter()
    outputs: Counter[str] = Counter()
    pairs = 0
    for source, target in text:
        inputs.update(source)
        outputs.update(target)
        pairs += 1
    return inputs, outputs, pairs


def encode(text: Corpus, inputs: Sequence[str], outputs: Sequence[str]) -> EncodedPairs:
    """Word ids of a whole corpus; words outside the vocabularies are dropped, and pairs that this leaves one-sided.

    Parameters
    ----------
    text : ParallelText, LabelledText or any iterable of (input words, output words)
    inputs, outputs : sequence of str
        The vocabularies; a word's id is its position.

    Returns
    -------
    EncodedPairs

    Raises
    ------
    InputError
        If no pair is left, and what the corpus raises when it is read.

    Warns
    -----
    DataWarning
        If pairs were dropped: how many, and the first of them.

    Examples
    --------
    >>> encode(ParallelText(["a dog", "a cat"], ["ein hund", "eine katze"]), ["a", "cat"], ["hund", "katze"]).x
    array([0, 0, 1])
    """
    [pairs] = encoded_blocks(text, inputs, outputs, block_words=sys.maxsize)
    return pairs


@dataclass(frozen=True)
class Skipped:
    """Pairs that are left out because no word of one side is kept.

    Attributes
    ----------
    pairs : int
        In the corpus.
    dropped : int
        Of them.
    first : int
        Position of the first, from 1; 0 if there is none.
    """

    pairs: int
    dropped: int
    first: int


def complain(skipped: Skipped, where: str = "") -> None:
    """Warn that pairs are left out, or refuse a corpus of which nothing is left.

    Parameters
    ----------
    skipped : Skipped
    where : str
        Of what file the first pair is, with a space before it.

    Raises
    ------
    InputError
        If no pair is left.

    Warns
    -----
    DataWarning
        If some are left out.
    """
    if skipped.dropped == skipped.pairs:
        raise InputError(f"none of the {skipped.pairs:,} pairs has a kept word on both sides: keep more words")
    if skipped.dropped:
        warn(
            f"{skipped.dropped:,} of {skipped.pairs:,} pairs have no kept word on one side and are left out (the first "
            f"is pair {skipped.first:,}{where})",
            DataWarning,
            stacklevel=3,
        )


def encoded_blocks(
    text: Corpus,
    inputs: Sequence[str],
    outputs: Sequence[str],
    block_words: int | None = None,
    skipped: Callable[[Skipped], None] = complain,
) -> Iterator[EncodedPairs]:
    """Word ids of a corpus, some sentences at a time, for corpora that do not fit into memory.

    Parameters
    ----------
    text, inputs, outputs
        As for `encode`.
    block_words : int, optional
        A block is complete with the first sentence that brings it to so many words, both sides together; `BLOCK_WORDS`
        by default.
    skipped : callable
        Called after the last block with what was left out.

    Yields
    ------
    EncodedPairs
        In the order of the corpus; never an empty block.

    Raises
    ------
    InputError
        As `encode`.

    Warns
    -----
    DataWarning
        After the last block, as `encode`.

    Examples
    --------
    >>> text = ParallelText(["a dog", "a cat"], ["ein hund", "eine katze"])
    >>> [len(block) for block in encoded_blocks(text, ["a"], ["hund", "katze"], block_words=2)]
    [1, 1]
    """
    limit = BLOCK_WORDS if block_words is None else block_words
    x_ids = {word: number for number, word in enumerate(inputs)}
    y_ids = {word: number for number, word in enumerate(outputs)}
    x: list[int] = []
    y: list[int] = []
    lengths: list[tuple[int, int]] = []
    kept: list[int] = []
    pairs, dropped, first_dropped = 0, 0, 0
    for source, target in text:
        pairs += 1
        xs = [x_ids[word] for word in source if word in x_ids]
        ys = [y_ids[word] for word in target if word in y_ids]
        if not xs or not ys:
            dropped += 1
            first_dropped = first_dropped or pairs
            continue
        x += xs
        y += ys
        lengths.append((len(xs), len(ys)))
        kept.append(pairs - 1)
        if len(x) + len(y) >= limit:
            yield _packed(x, y, lengths, kept)
            x, y, lengths, kept = [], [], [], []
    if kept:
        yield _packed(x, y, lengths, kept)
    skipped(Skipped(pairs, dropped, first_dropped))


def _packed(x: list[int], y: list[int], lengths: list[tuple[int, int]], kept: list[int]) -> EncodedPairs:
    x_lengths, y_lengths = np.array(lengths, dtype=np.int64).T.copy()
    return EncodedPairs(
        x=np.array(x, dtype=np.int64),
        x_lengths=x_lengths,
        y=np.array(y, dtype=np.int64),
        y_lengths=y_lengths,
        kept=np.array(kept, dtype=np.int64),
    )


def lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file, plain or gzip, in a stream.

    Lines end at the line feed and nowhere else (Python's own `str.splitlines` would also split at U+2028, U+0085 and
    others, and two files of a parallel text would lose their alignment); one carriage return before it is dropped.

    Parameters
    ----------
    path : Path

    Yields
    ------
    str
        Without the line ending.

    Raises
    ------
    InputError
        If the file is empty, cannot be read, is a damaged gzip file or is not UTF-8.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "text.txt")
    ...     _ = path.write_bytes("one\\u2028line\\r\\ntwo".encode())
    ...     list(lines(path))
    ['one\\u2028line', 'two']
    """
    number = 0
    for number, raw in enumerate(_raw_lines(path), start=1):
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        yield _decode(raw.removesuffix(b"\n").removesuffix(b"\r"), path, number)
    if number == 0:
        raise InputError(f"{path}: the file is empty")


def is_empty(path: Path) -> bool:
    """Whether a text file, plain or gzip, has no line.

    Raises
    ------
    InputError
        If the file cannot be read or is a damaged gzip file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "text.gz")
    ...     _ = path.write_bytes(gzip.compress(b""))
    ...     is_empty(path)
    True
    """
    return next(_raw_lines(path), None) is None


def _raw_lines(path: Path) -> Iterator[bytes]:
    number = 0
    try:
        with open(path, "rb") as plain:
            is_gzip = plain.peek(2)[:2] == b"\x1f\x8b"
            with gzip.GzipFile(fileobj=plain) if is_gzip else plain as file:
                for raw in file:
                    number += 1
                    yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the gzip file is damaged or incomplete after line {number:,} ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def matching(files: Files, name: str) -> tuple[Path, ...]:
    """The files of a directory (hidden ones aside) or of a pattern, sorted by their names; or paths in their order.

    Parameters
    ----------
    files : path-like or iterable of path-like
        In patterns ``*``, ``?`` and ``[...]`` stand for parts of a name, ``**`` for any directories. A leading ``~`` is
        the home directory.
    name : str
        Of the argument, for messages.

    Returns
    -------
    tuple of Path

    Raises
    ------
    InputError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     for number in (2, 1):
    ...         _ = Path(directory, f"{number}.en").write_text("a line")
    ...     [path.name for path in matching(f"{directory}/*.en", "source")]
    ['1.en', '2.en']
    """
    if not isinstance(files, str | os.PathLike):
        try:
            paths = tuple(files)
        except TypeError:
            raise InputError(f"{name} is {type(files).__name__}: give a directory, a pattern or paths") from None
        if not paths:
            raise InputError(f"{name} is empty: give at least one path")
        return tuple(existing(path) for path in paths)
    where = os.path.expanduser(files)
    if os.path.isdir(where):
        found = [path for path in Path(where).iterdir() if path.is_file() and not path.name.startswith(".")]
        missing = f"{str(files)!r} has no files in it"
    elif os.path.exists(where) or not glob.has_magic(where):
        return (existing(where),)
    else:
        found = [Path(path) for path in glob.iglob(where, recursive=True) if os.path.isfile(path)]
        missing = f"no file matches {str(files)!r}"
    if not found:
        raise InputError(missing)
    return tuple(sorted(found))


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table: comma-separated values, quoted where needed (``.csv``), or tab-separated ones (``.tsv``).

    Quotes are letters like others in ``.tsv`` files because words are: the token ``"`` is common in text.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.tsv``, or either with ``.gz``.

    Yields
    ------
    number : int
        Line of the file (the last one of the row, where a quoted cell runs over several), from 1.
    cells : list of str

    Raises
    ------
    InputError
        As `lines`, and where quotes do not match.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "counts.csv")
    ...     _ = path.write_text('"a, b",1\\nc,2\\n')
    ...     list(rows(path))
    [(1, ['a, b', '1']), (2, ['c', '2'])]
    """
    if table_suffix(path) == ".tsv":
        for number, line in enumerate(lines(path), start=1):
            yield number, line.split("\t")
        return
    # The reader needs the line feeds back: a quoted cell may run over several lines.
    reader = csv.reader((f"{line}\n" for line in lines(path)), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f'{path}, line {reader.line_num:,}: {error} (cells with , or " in them need quotes)') from None


def table_suffix(path: Path) -> str | None:
    """``".csv"`` or ``".tsv"`` for files that are named so (``.gz`` aside), None for all others.

    Examples
    --------
    >>> table_suffix(Path("counts.CSV.gz"))
    '.csv'
    """
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    suffix = plain.suffix.lower()
    return suffix if suffix in (".csv", ".tsv") else None


def beginning(text: str, limit: int = 40) -> str:
    """The beginning of a text for a message, on one line whatever is in it.

    Examples
    --------
    >>> beginning("two\\nlines")
    "'two\\\\nlines'"
    """
    return repr(text if len(text) <= limit else text[:limit] + "…") if text else "an empty line"


def _decode(raw: bytes, path: Path, number: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        utf16 = number == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise InputError(
            f"{path}, line {number:,}, byte {error.start} of the line: 0x{raw[error.start]:02x} is not UTF-8; "
            f"{'the file looks like UTF-16, ' if utf16 else ''}convert the file to UTF-8"
        ) from None


@functools.cache
def _word_pattern(ascii_only: bool) -> re.Pattern[str]:
    # re has no class for marks, and its \w leaves them out: words of most Indic scripts would fall to pieces.
    marks = "" if ascii_only else _marks()
    run = f"[^\\W_](?:[^\\W_]|[{marks}])*" if marks else r"[^\W_]+"
    joints = "['\u200c\u200d]"  # apostrophe, and the joiners that Persian and Indic spelling puts inside words
    return re.compile(rf"(?i:(?:{_ELIDED})'(?=[{_VOWELS}]))|{run}(?:{joints}{run})*")


def _marks() -> str:
    """Unicode's combining marks as the inside of a character class."""
    marks = [code for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M"]
    runs = [[marks[0], marks[0]]]
    for code in marks[1:]:
        if code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in [*runs, [0xE0100, 0xE01EF]])


def _tokenize(tokenizer: str, lower: bool) -> Callable[[str], list[str]]:
    tokenize = TOKENIZERS[tokenizer]
    return (lambda line: tokenize(line.lower())) if lower else tokenize


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
                f"({beginning(','.join(row))})"
            )
        label, text = row
        if not label.strip():
            raise InputError(f"{path}, line {number:,}: the label is empty ({beginning(text)})")
        yield text, label


def _lines_of(text: Text) -> Iterator[str]:
    if isinstance(text, Path):
        return lines(text)
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
    return found


def _as_text(labels: str | os.PathLike[str] | Iterable[str | int]) -> Text:
    if isinstance(labels, str | os.PathLike):
        return labels
    return (cast(str, str(label) if isinstance(label, numbers.Integral) else label) for label in labels)


def _check_options(tokenizer: str, max_pairs: int | None) -> None:
    if tokenizer not in TOKENIZERS:
        raise InputError(f"there is no tokenizer {tokenizer!r}: choose {' or '.join(map(repr, TOKENIZERS))}")
    if max_pairs is not None:
        _check_positive("max_pairs", max_pairs)


def _check_positive(name: str, value: int) -> None:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is {value!r}: give a whole number from 1")


def _name(text: Text, name: str) -> str:
    return str(text) if isinstance(text, Path) else name
