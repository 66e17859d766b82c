"""How a line of text becomes words."""

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping

from dynamics.support.errors import InputError
from dynamics.support.files import existing

_APOSTROPHES = "’ʼ＇"
# French (and Catalan, Italian) elision before a vowel or a mute h. English has no word of these letters before an
# apostrophe and a vowel but "d'you".
_ELIDED = "[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu"
_VOWELS = "aeiouyhàâäæéèêëîïôöœùûüÿ"


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


def whitespace(line: str) -> list[str]:
    """The words of a line that is tokenised already: what stands between white space, in the composed form NFC.

    Examples
    --------
    >>> whitespace("don 't panic !")
    ['don', "'t", 'panic', '!']
    """
    return unicodedata.normalize("NFC", line).split()


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = {"words": words, "whitespace": whitespace}
"""How a line becomes words: "words" for running text, "whitespace" for text that is already tokenised."""


def tokenize(tokenizer: str, lower: bool) -> Callable[[str], list[str]]:
    """The function from a line to its words.

    Examples
    --------
    >>> tokenize("words", lower=True)("A dog.")
    ['a', 'dog']
    """
    split = TOKENIZERS[tokenizer] if tokenizer in TOKENIZERS else of_file(tokenizer)
    return (lambda line: split(line.lower())) if lower else split


@functools.cache
def of_file(path: str) -> Callable[[str], list[str]]:
    """The tokenizer of a ``tokenizer.json`` of Hugging Face, by the library `tokenizers`; special tokens are left out.

    Raises
    ------
    InputError
        There is no such file, it is no tokenizer, or the library is not installed.
    """
    file = existing(path)
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise InputError(f"{path} is read by the library tokenizers: pip install 'attention-dynamics[data]'") from None
    try:
        made = Tokenizer.from_file(str(file))
    except Exception as error:  # the library has no error of its own
        raise InputError(f"{path} is not a tokenizer of Hugging Face ({str(error).splitlines()[0]})") from None

    def split(line: str) -> list[str]:
        tokens = made.encode(line, add_special_tokens=False).tokens
        return [unicodedata.normalize("NFC", token) for token in tokens if token.strip()]

    return split


def is_file(tokenizer: str) -> bool:
    """Whether a tokenizer is named by its file."""
    return tokenizer.lower().endswith(".json")


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
