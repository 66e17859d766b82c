"""The words of a corpus, counted, and those that are kept."""

from collections import Counter
from collections.abc import Mapping

from dynamics.counts.text.corpus import Corpus
from dynamics.counts.text.options import positive
from dynamics.support.errors import InputError


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
        positive("max_vocab", max_vocab)
    positive("min_count", min_count)
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
    >>> from dynamics.counts.text.corpus import ParallelText
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
