"""Reading real text: line endings, encodings, words, pairs, ids."""

import gzip
import itertools
import os
import pickle
import stat
import tracemalloc
import unicodedata
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics.counts.text.corpus import LabelledText, ParallelText
from dynamics.counts.text.encoding import EncodedPairs, encode, encoded_blocks
from dynamics.counts.text.lines import lines
from dynamics.counts.text.tables import rows
from dynamics.counts.text.tokenizers import words
from dynamics.counts.text.vocabulary import count_words, vocabulary
from dynamics.support.errors import DataWarning, InputError
from dynamics.support.files import existing, near, sha256, write_aside

SENTENCES = st.lists(st.lists(st.sampled_from("abcdef"), max_size=6).map(" ".join), min_size=1, max_size=12)


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def message(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


# Lines


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\ntwo", ["one", "two"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"one\r\r\ntwo", ["one\r", "two"]),  # one carriage return belongs to the ending
        (b"old\rmac\n", ["old\rmac"]),
        (b"one\n\ntwo\n\n", ["one", "", "two", ""]),
        (b"\n", [""]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo", ["one", "\ufefftwo"]),  # a mark elsewhere is a character
        (
            "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei\n2".encode(),
            ["a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei", "2"],
        ),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_lines_end_at_the_line_feed_only(tmp_path: Path, raw: bytes, expected: list[str], compressed: bool) -> None:
    path = write(tmp_path, "text.txt", gzip.compress(raw) if compressed else raw)
    assert list(lines(path)) == expected


def test_gzip_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    assert list(lines(write(tmp_path, "plain.gz", b"one\n"))) == ["one"]
    assert list(lines(write(tmp_path, "members", gzip.compress(b"one\ntw") + gzip.compress(b"o\n")))) == ["one", "two"]


def test_undecodable_bytes_are_located(tmp_path: Path) -> None:
    path = write(tmp_path, "latin.txt", "eins\nzwei\nfünf\n".encode("latin-1"))
    with pytest.raises(InputError) as error:
        list(lines(path))
    assert message(error) == f"{path}, line 3, byte 1 of the line: 0xfc is not UTF-8; convert the file to UTF-8"
    with pytest.raises(InputError, match="looks like UTF-16"):
        list(lines(write(tmp_path, "wide.txt", "eins\n".encode("utf-16"))))


def test_damaged_gzip_and_empty_files(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"line {n} {n * n}\n" for n in range(20_000)).encode())
    with pytest.raises(InputError, match=r"gzip file is damaged or incomplete after line [\d,]{4,}") as error:
        list(lines(write(tmp_path, "cut.gz", whole[: len(whole) // 2])))
    message(error)
    with pytest.raises(InputError, match="damaged or incomplete"):
        list(lines(write(tmp_path, "flip.gz", whole[:-6] + b"\0\0" + whole[-4:])))
    with pytest.raises(InputError, match="damaged or incomplete after line 0"):
        list(lines(write(tmp_path, "bits.gz", whole[:30] + b"\xff" * 50 + whole[80:])))
    with pytest.raises(InputError, match="the file is empty"):
        list(lines(write(tmp_path, "empty.txt", b"")))
    with pytest.raises(InputError, match="the file is empty"):
        list(lines(write(tmp_path, "empty.gz", gzip.compress(b""))))


# Words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Hello, world!", ["Hello", "world"]),
        ("don't Don’t donʼt", ["don't", "Don't", "don't"]),
        ("l'homme L’Homme", ["l'", "homme", "L'", "Homme"]),
        (
            "qu’elle jusqu’à lorsqu'il d’œuvre d'État",
            ["qu'", "elle", "jusqu'", "à", "lorsqu'", "il", "d'", "œuvre", "d'", "État"],
        ),
        ("aujourd’hui quelqu’un presqu’île entr'acte", ["aujourd'hui", "quelqu'un", "presqu'île", "entr'acte"]),
        ("it's o'clock c'mon O'Hara rock'n'roll", ["it's", "o'clock", "c'mon", "O'Hara", "rock'n'roll"]),
        ("'quoted' the workers' rights 'tis", ["quoted", "the", "workers", "rights", "tis"]),
        ("non‐self-governing snake_case a/b", ["non", "self", "governing", "snake", "case", "a", "b"]),
        ("2 x 3.5 = 7 x² ½", ["2", "x", "3", "5", "7", "x²", "½"]),
        ("Straße ΣΟΦΟΣ жизнь п’ять", ["Straße", "ΣΟΦΟΣ", "жизнь", "п'ять"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs and virama are marks
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("wei\u00adter", ["weiter"]),
        ("a\u2028b\u00a0c", ["a", "b", "c"]),
        ("\u0301 ... — '", []),
        ("", []),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    assert words(line) == expected


def test_composed_and_decomposed_letters_are_the_same_word() -> None:
    composed, decomposed = "un été naïf", unicodedata.normalize("NFD", "un été naïf")
    assert composed != decomposed
    assert words(composed) == words(decomposed) == ["un", "été", "naïf"]
    assert words("l" + unicodedata.normalize("NFD", "’état")) == ["l'", "état"]
    assert words("q̃a") == ["q̃a"]  # no composed form: the mark stays in the word


@given(st.text(max_size=40))
def test_words_are_composed_and_have_no_spaces(line: str) -> None:
    found = words(line)
    assert all(word and not any(c.isspace() or c == "_" for c in word) for word in found)
    assert all(unicodedata.is_normalized("NFC", word) for word in found)
    letters = sum(c.isalnum() for c in unicodedata.normalize("NFC", line))
    assert sum(c.isalnum() for word in found for c in word) >= letters - line.count("ʼ")


@pytest.mark.parametrize("tokenizer", ["words", "whitespace"])
def test_lower_case_is_an_option(tokenizer: str) -> None:
    for lower, expected in ((True, (["a", "dog"], ["ein", "hund"])), (False, (["A", "Dog"], ["Ein", "Hund"]))):
        assert list(ParallelText(["A Dog"], ["Ein Hund"], tokenizer, lower)) == [expected]


def test_whitespace_leaves_words_as_they_are() -> None:
    assert list(ParallelText(["l'homme , don't ."], ["\tx  y "], "whitespace")) == [
        (["l'homme", ",", "don't", "."], ["x", "y"])
    ]


# Parallel text


def test_files_and_sequences_give_the_same_pairs(tmp_path: Path) -> None:
    source = write(tmp_path, "a.txt", "One dog\u2028x\r\n\r\nThree\n")
    target = write(tmp_path, "b.txt.gz", gzip.compress(b"Ein Hund\n\nDrei"))
    text = ParallelText(source, str(target))
    expected = [(["one", "dog", "x"], ["ein", "hund"]), ([], []), (["three"], ["drei"])]
    assert list(text) == list(text) == expected
    assert list(ParallelText(("One dog\u2028x", "", "Three"), iter(["Ein Hund", "", "Drei"]))) == expected
    assert list(ParallelText(source, target, max_pairs=1)) == expected[:1]
    assert pickle.loads(pickle.dumps(text)) == text


@pytest.mark.parametrize("swap", [False, True])
def test_different_line_counts(tmp_path: Path, swap: bool) -> None:
    short, long = write(tmp_path, "short.txt", "1\n2\n"), write(tmp_path, "long.txt", "1\n2\nthree is\n4\n5\n")
    with pytest.raises(InputError) as error:
        list(ParallelText(long, short) if swap else ParallelText(short, long))
    counts = f"{long} has 5 lines and {short} has 2" if swap else f"{short} has 2 lines and {long} has 5"
    assert message(error) == f"{counts}: the first without a partner is line 3 of {long} ('three is')"
    assert len(list(ParallelText(short, long, max_pairs=2))) == 2
    with pytest.raises(InputError, match=r"source has 1 lines and target has 2: .* line 2 of target \(an empty line\)"):
        list(ParallelText(["a"], ["b", ""]))


def test_long_unmatched_lines_are_shortened() -> None:
    with pytest.raises(InputError) as error:
        list(ParallelText(["a", "x" * 1000], ["b"]))
    assert len(message(error)) < 200


def test_missing_and_unusable_files(tmp_path: Path) -> None:
    write(tmp_path, "train.en", "a\n")
    with pytest.raises(InputError, match=r"'.*trian\.en' does not exist; did you mean 'train\.en'\?"):
        ParallelText(tmp_path / "trian.en", ["a"])
    with pytest.raises(InputError, match="is a directory"):
        ParallelText(["a"], tmp_path)
    with pytest.raises(InputError, match=r"does not exist$"):
        ParallelText(tmp_path / "no" / "such" / "folder", ["a"])
    with pytest.raises(InputError, match="cannot be read"):
        ParallelText("x" * 5000, ["a"])
    with pytest.raises(InputError, match="is a pipe or a device"):
        ParallelText(os.devnull, ["a"])
    with pytest.raises(InputError, match="empty"):
        list(ParallelText(write(tmp_path, "empty", b""), ["a"]))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((["a"], ["b"], "word"), "there is no tokenizer 'word': choose 'words' or 'whitespace'"),
        ((["a"], ["b"], "words", True, 0), "max_pairs is 0: give a whole number from 1"),
        ((["a"], ["b"], "words", True, 2.5), "max_pairs is 2.5: give a whole number from 1"),
        (([], ["b"]), "source is empty: give at least one line"),
        ((["a"], [["b"]]), "target[0] is list: give each line as a string"),
        ((7, ["b"]), "source is int: give a path or a sequence of lines"),
    ],
)
def test_unusable_arguments(arguments: tuple, text: str) -> None:
    with pytest.raises(InputError) as error:
        ParallelText(*arguments)
    assert message(error) == text


# Labelled text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", 'pos\tA "fine" film, really\nneg\tDull\n\npos\tFine\n'),
        ("t.csv", 'pos,"A ""fine"" film, really"\r\nneg,Dull\r\n\r\npos,Fine\r\n'),
        ("t.train", 'pos A "fine" film, really\nneg\tDull\n   \npos Fine\n'),
        ("t.tsv.gz", gzip.compress(b'pos\tA "fine" film, really\nneg\tDull\npos\tFine', mtime=0)),
    ],
)
def test_labelled_files(tmp_path: Path, name: str, content: str | bytes) -> None:
    path = write(tmp_path, name, content)
    expected = [(["a", "fine", "film", "really"], ["pos"]), (["dull"], ["neg"]), (["fine"], ["pos"])]
    assert list(LabelledText(path)) == expected
    assert list(LabelledText(path, max_pairs=2)) == expected[:2]
    assert list(LabelledText(path, header=True)) == expected[1:]
    sentences, labels = (
        write(tmp_path, "s", 'A "fine" film, really\nDull\nFine'),
        write(tmp_path, "l", "pos\nneg \npos"),
    )
    assert list(LabelledText(sentences, labels)) == expected


def test_labelled_sequences_and_odd_sentences(tmp_path: Path) -> None:
    assert list(LabelledText(["A", "B"], np.array([1, 0]))) == [(["a"], ["1"]), (["b"], ["0"])]
    assert list(LabelledText(write(tmp_path, "t.txt", "1 \n0 x\n"))) == [([], ["1"]), (["x"], ["0"])]
    assert list(LabelledText(write(tmp_path, "t.csv", '1,"two\nlines"\n'))) == [(["two", "lines"], ["1"])]
    assert list(LabelledText(["A"], ["Pos"])) == [(["a"], ["Pos"])]  # labels keep their case


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("t.tsv", "1\tgood\n0\tbad\tworse\n", "line 2: 3 columns where a label and a sentence were expected"),
        ("t.csv", "1,good\n\nbad\n", "line 3: 1 columns where"),
        ("t.tsv", "1\tgood\n\tbad\n", "line 2: the label is empty ('bad')"),
        ("t.csv", '1,good\n0,"bad\n', "line 2: unexpected end of data"),
    ],
)
def test_unusable_labelled_lines(tmp_path: Path, name: str, content: str, text: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(InputError) as error:
        list(LabelledText(path))
    assert text in message(error)
    assert str(path) in message(error)


def test_unusable_labels(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="have no labels"):
        LabelledText(["a"])
    with pytest.raises(InputError, match=r"labels\[1\] is float"):
        LabelledText(["a", "b"], [1, 0.5])
    with pytest.raises(InputError, match=r"sentence 2 \('b'\) has an empty label"):
        list(LabelledText(["a", "b"], ["x", " "]))
    with pytest.raises(InputError, match="texts has 2 lines and labels has 1"):
        list(LabelledText(["a", "b"], [1]))
    with pytest.raises(InputError, match="header=True"):
        LabelledText(["a"], [1], header=True)


def test_rows_count_the_lines_of_quoted_cells(tmp_path: Path) -> None:
    assert list(rows(write(tmp_path, "t.csv", 'a,"1\n2"\nb,3\n'))) == [(2, ["a", "1\n2"]), (3, ["b", "3"])]
    assert list(rows(write(tmp_path, "t.tsv", '"\t1\n'))) == [(1, ['"', "1"])]


# Vocabulary and ids


@given(st.dictionaries(st.text(min_size=1, max_size=2), st.integers(1, 4), min_size=1), st.integers(1, 5))
def test_vocabulary_is_ranked_and_deterministic(counts: dict[str, int], size: int) -> None:
    found = vocabulary(counts, size)
    assert found == vocabulary(dict(reversed(counts.items())), size)
    assert len(found) == min(size, len(counts))
    for word, following in itertools.pairwise(found):
        assert (-counts[word], word) < (-counts[following], following)
    assert all(counts[word] <= counts[found[-1]] for word in counts if word not in found)


def test_vocabulary_limits() -> None:
    counter = Counter({"b": 3, "a": 3, "c": 2, "d": 1})
    assert vocabulary(counter) == ("a", "b", "c", "d")
    assert vocabulary(counter, 3, 2) == ("a", "b", "c")
    assert vocabulary(counter, 1, 3) == ("a",)
    with pytest.raises(InputError, match=r"no word occurs 4 times \(min_count\), the most frequent one 3 times"):
        vocabulary(counter, min_count=4)
    with pytest.raises(InputError, match="no words in the text"):
        vocabulary({})
    for limits in ({"max_vocab": 0}, {"min_count": 0}, {"max_vocab": True}, {"min_count": 1.5}):
        with pytest.raises(InputError, match="give a whole number from 1"):
            vocabulary(counter, **limits)


@settings(deadline=None)
@given(SENTENCES, st.data(), st.integers(1, 30))
def test_encode_against_a_loop(source: list[str], data: st.DataObject, block_words: int) -> None:
    target = data.draw(st.lists(SENTENCES.map(lambda s: s[0]), min_size=len(source), max_size=len(source)))
    inputs, outputs = ["c", "a", "b"], ["f", "b", "a", "e"]
    text = ParallelText(source, target)
    expected = []
    for n, (s, t) in enumerate(zip(source, target, strict=True)):
        xs = [inputs.index(w) for w in s.split() if w in inputs]
        ys = [outputs.index(w) for w in t.split() if w in outputs]
        if xs and ys:
            expected.append((n, xs, ys))
    if not expected:
        with pytest.raises(InputError, match=f"none of the {len(source)} pairs has a kept word on both sides"):
            encode(text, inputs, outputs)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pairs = encode(text, inputs, outputs)
    assert decoded(pairs) == expected
    dropped = sorted(set(range(len(source))) - {n for n, _, _ in expected})
    assert [str(w.message) for w in caught if w.category is DataWarning] == [
        f"{len(dropped)} of {len(source)} pairs have no kept word on one side and are left out (the first is pair {n})"
        for n in [d + 1 for d in dropped][:1]
    ]
    for array in (pairs.x, pairs.x_lengths, pairs.y, pairs.y_lengths, pairs.kept, pairs.x_starts, pairs.y_starts):
        assert array.dtype == np.int64
        assert array.ndim == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        blocks = list(encoded_blocks(text, inputs, outputs, block_words))
    assert [entry for block in blocks for entry in decoded(block)] == expected
    for number, block in enumerate(blocks, start=1):
        size = block.x_lengths + block.y_lengths
        assert size.sum() >= block_words or number == len(blocks)
        assert size[:-1].sum() < block_words


def decoded(pairs: EncodedPairs) -> list[tuple[int, list[int], list[int]]]:
    x, y = np.split(pairs.x, pairs.x_starts[1:-1]), np.split(pairs.y, pairs.y_starts[1:-1])
    assert len(pairs) == len(x) == len(y)
    return [(int(n), xs.tolist(), ys.tolist()) for n, xs, ys in zip(pairs.kept, x, y, strict=True)]


def test_count_words() -> None:
    inputs, outputs, pairs = count_words(ParallelText(["a a b", "", "c"], ["x", "y y", ""]))
    assert (inputs, outputs, pairs) == (Counter(a=2, b=1, c=1), Counter(x=1, y=2), 3)


def test_reading_holds_one_line_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path, "large.txt", b"some words here\n" * 200_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in ParallelText(path, path, "whitespace", max_pairs=20_000)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# Files


def test_near_matches() -> None:
    assert near("HUND", ["katze", "hund", "Hunde"]) == ("hund", "Hunde")
    assert near("qqq", ["katze"]) == ()
    assert len(near("aaaa", [f"aaaa{c}" for c in "bcdef"])) == 3


def test_existing_expands_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert existing("~/" + write(tmp_path, "a.txt", "x").name) == tmp_path / "a.txt"
    assert sha256(tmp_path / "a.txt") == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


def test_write_aside_replaces_only_on_success(tmp_path: Path) -> None:
    path = write(tmp_path, "data.nc", "old")
    with write_aside(path) as aside:
        assert aside.parent == tmp_path
        assert aside.suffix == ".nc"
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_write_aside_leaves_nothing_behind(tmp_path: Path, failure: type[BaseException]) -> None:
    path = write(tmp_path, "data.nc", "old")
    for target in (path, tmp_path / "new" / "deep" / "data.nc"):
        with pytest.raises(failure), write_aside(target) as aside:
            fail_after(aside.write_text("half"), failure)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_write_aside_creates_directories_and_follows_links(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "data.txt"
    with write_aside(path) as aside:
        aside.write_text("1")
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    with write_aside(link) as aside:
        aside.write_text("2")
    assert link.is_symlink()
    assert path.read_text() == "2"


def test_write_aside_says_why_not(tmp_path: Path) -> None:
    file = write(tmp_path, "file", "x")
    for path, text in (
        (tmp_path, "it is a directory; add a file name"),
        (file / "data.nc", "not a directory"),
        ("/dev/null", "it is not a regular file"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        with pytest.raises(InputError, match="cannot write") as error, write_aside(path):
            pass
        assert text in message(error)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="the administrator may write everywhere")
def test_write_aside_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="permission denied"), write_aside(tmp_path / "data.nc"):
            pass
    finally:
        tmp_path.chmod(0o700)


def fail_after(_: object, failure: type[BaseException]) -> None:
    raise failure


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
