"""Counts of a corpus in many files: exact sums, the same bits for every division, nothing lost with a worker."""

import gzip
import hashlib
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import dynamics.counts.counting
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.counts.counting import _digits, _quotient, symmetric, tally, value
from dynamics.counts.text.corpus import ParallelText
from dynamics.counts.text.encoding import EncodedPairs
from dynamics.counts.text.lines import is_empty, matching
from dynamics.support.blocks import finished
from dynamics.support.errors import DataWarning, InputError

LINE = st.lists(st.sampled_from(["a", "b", "c", "d", "été"]), max_size=5).map(" ".join)
CORPUS = st.lists(st.tuples(LINE, LINE), min_size=1, max_size=12)
FEED = st.sampled_from([b"\n", b"\r\n"])


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def ended(lines: list[str], feed: bytes = b"\n", last: bool = True) -> bytes:
    text = feed.join(line.encode() for line in lines)
    # Without its feed an empty last line would be no line.
    return text + feed if lines and (last or not lines[-1]) else text


def counted(make: Any, *arguments: Any, **options: Any) -> CoOccurrence | str:
    """The counts, or the complaint."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        try:
            return make(*arguments, **options)
        except InputError as error:
            return str(error)


def assert_same(a: CoOccurrence | str, b: CoOccurrence | str) -> None:
    """The same to the last bit; files aside."""
    if isinstance(a, str) or isinstance(b, str):
        assert a == b
        return
    assert (a.inputs, a.outputs, a.length, a.is_sparse) == (b.inputs, b.outputs, b.length, b.is_sparse)
    assert a.dense().C.tobytes() == b.dense().C.tobytes()
    assert (a.gram is None) == (b.gram is None)
    if a.gram is not None and b.gram is not None:
        assert a.gram.tobytes() == b.gram.tobytes()
    sizes = [
        {
            name: number
            for name, number in co.attrs.items()
            if not name.startswith(("source", "target", "texts", "labels"))
        }
        for co in (a, b)
    ]
    assert sizes[0] == sizes[1]


# Exact sums


@given(st.integers(1, 2**32), st.integers(1, 2**32), st.integers(1, 3))
def test_digits_of_a_quotient(number: int, divisor: int, places: int) -> None:
    digits = _quotient(_digits(np.array([number]), places), np.array([divisor]))
    found = sum(Fraction(int(digit[0]), 2 ** (30 * place)) for place, digit in enumerate(digits, start=1))
    assert 0 <= Fraction(number, divisor) - found < Fraction(1, 2 ** (30 * places))
    assert all(0 <= digit[0] < 2**30 for digit in digits[1:])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 50), st.integers(0, 2**32)), min_size=1, max_size=5))
def test_long_sentences_against_fractions(shapes: list[tuple[int, int, int]]) -> None:
    expected: dict[tuple[int, int], Fraction] = {}
    squares: dict[tuple[int, int], Fraction] = {}
    blocks = []
    for L, T, seed in shapes:
        rng = np.random.default_rng(seed)
        x, y = rng.integers(0, 3, L), rng.integers(0, 2, T)
        blocks.append(EncodedPairs(x, np.array([L]), y, np.array([T]), np.array([0])))
        n, m = np.bincount(x, minlength=3).tolist(), np.bincount(y, minlength=2).tolist()
        for i in range(3):
            for o in range(2):
                expected[i, o] = expected.get((i, o), Fraction()) + Fraction(n[i] * m[o], L)
            for k in range(3):
                squares[i, k] = squares.get((i, k), Fraction()) + Fraction(T * n[i] * n[k], L * L)
    found = tally(blocks, (3, 2), gram=True)
    C, G = value(found.counts).toarray(), symmetric(found.gram).toarray()
    for cell, number in expected.items():
        assert abs(Fraction(C[cell]) - number) <= number * Fraction(1, 2**48)
    for cell, number in squares.items():
        assert abs(Fraction(G[cell]) - number) <= number * Fraction(1, 2**51)
    np.testing.assert_array_equal(G, G.T)
    assert found.words_of_targets == sum(L * T for L, T, _ in shapes)


@given(st.lists(st.integers(0, 2**61), min_size=3, max_size=3))
@example([2**53 + 1, 2**30, 0])
def test_floats_do_not_depend_on_how_a_number_is_written(digits: list[int]) -> None:
    exact = sum(Fraction(digit, 2 ** (30 * place)) for place, digit in enumerate(digits, start=1))
    first, rest = divmod(exact, Fraction(1, 2**30))
    second, third = divmod(rest, Fraction(1, 2**60))
    forms = [digits, [int(first), int(second), int(third * 2**90)]]
    floats = [value(tuple(csr_array([[digit]], dtype=np.int64) for digit in form)).toarray()[0, 0] for form in forms]
    assert floats[0] == floats[1]
    assert floats[0] == pytest.approx(float(exact), rel=2**-51)


def test_the_mean_of_either_side_of_a_matrix() -> None:
    corner = csr_array(np.array([[0, 1], [0, 4]]))
    np.testing.assert_array_equal(symmetric((corner,)).toarray() * 2**30, [[0, 0.5], [0.5, 4]])


def test_a_line_as_long_as_a_book() -> None:
    """T * n_i * n_k is beyond 2^63 in units of the digits."""
    size = 300_007
    ones = np.zeros(size, dtype=np.int64)
    block = EncodedPairs(ones, np.array([size]), ones, np.array([size]), np.array([0]))
    found = tally([block], (1, 1), gram=True)
    assert value(found.counts).toarray() == pytest.approx(size, rel=1e-15)
    assert value(found.gram).toarray() == pytest.approx(size, rel=1e-15)


def test_a_sum_of_floats_would_depend_on_the_order() -> None:
    """What the digits are for: the same terms as floats, in two orders."""
    lengths = [3, 7, 10, 3, 9, 11]
    assert sum(1 / L for L in lengths) != sum(1 / L for L in sorted(lengths))
    source = [" ".join(["a", *(f"w{k}" for k in range(1, L))]) for L in lengths]
    one, other = (CoOccurrence.from_parallel_text(s, ["x"] * 6) for s in (source, sorted(source, key=len)))
    assert one.inputs == other.inputs
    np.testing.assert_array_equal(one.C, other.C)
    exact = sum(Fraction(1, L) for L in lengths) / 6
    assert one.C[0, 0] == pytest.approx(float(exact), rel=2**-52)


# Divisions of a corpus


@settings(deadline=None, max_examples=80)
@given(CORPUS, st.data())
def test_every_division_into_files_gives_the_same_bits(corpus: list[tuple[str, str]], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(corpus)), max_size=6)))
    options = {
        "max_vocab": data.draw(st.none() | st.integers(1, 4)),
        "min_count": data.draw(st.integers(1, 2)),
        "max_pairs": data.draw(st.none() | st.integers(1, 14)),
        "gram": data.draw(st.booleans()),
    }
    order = data.draw(st.permutations(range(len(cuts) + 1)))
    whole = counted(CoOccurrence.from_parallel_text, *(list(side) for side in zip(*corpus, strict=True)), **options)

    def permuted(work: Any, blocks: Any, **scheduler: Any) -> Iterator[Any]:
        done = list(finished(work, blocks, **scheduler))
        yield from (done[place] for place in order if place < len(done))

    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamics.counts.counting, "finished", permuted)
        for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, len(corpus)], strict=True)):
            for side, name in enumerate(("source", "target")):
                part = [pair[side] for pair in corpus[first:last]]
                content = ended(part, data.draw(FEED), data.draw(st.booleans()))
                zipped = data.draw(st.booleans())
                os.makedirs(Path(directory, name), exist_ok=True)
                write(Path(directory, name, f"{number}"), gzip.compress(content) if zipped else content)
        many = counted(CoOccurrence.from_parallel_files, f"{directory}/source", f"{directory}/target/*", **options)
    assert_same(many, whole)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["-1", "2", "10", "pos"]), LINE), min_size=1, max_size=9), st.data())
def test_every_division_of_labelled_text(corpus: list[tuple[str, str]], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(corpus)), max_size=4)))
    lines = [f"{label} {text}" for label, text in corpus]
    with tempfile.TemporaryDirectory() as directory:
        parts = [
            write(Path(directory, f"{number}.txt"), ended(lines[first:last], last=data.draw(st.booleans())))
            for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, len(lines)], strict=True))
        ]
        whole = write(Path(directory, "whole"), ended(lines))
        limit = data.draw(st.none() | st.integers(1, 10))
        one = counted(CoOccurrence.from_labelled_text, whole, max_pairs=limit, gram=True)
        many = counted(CoOccurrence.from_labelled_files, f"{directory}/*.txt", max_pairs=limit, gram=True)
        assert_same(many, one)
        assert_same(counted(CoOccurrence.from_labelled_files, parts, max_pairs=limit, gram=True), one)


def test_headings_of_every_file(tmp_path: Path) -> None:
    for number, line in enumerate(["1\ta fine film", "0\tdull", ""]):
        write(tmp_path / f"{number}.tsv", f"label\ttext\n{line}\n".encode())
    found = CoOccurrence.from_labelled_files(tmp_path, header=True)
    assert_same(found, CoOccurrence.from_labelled_text(["a fine film", "dull"], [1, 0]))


def test_ties_between_words_are_broken_as_in_one_file(tmp_path: Path) -> None:
    """b is first in the first file, a in the second; together they are equally frequent."""
    for name, text in {"1.en": "b b c", "2.en": "a a", "1.de": "y", "2.de": "x"}.items():
        write(tmp_path / name, text.encode())
    found = CoOccurrence.from_parallel_files(tmp_path / "*.en", tmp_path / "*.de", max_vocab=2)
    assert (found.inputs, found.outputs) == (("a", "b"), ("x", "y"))


def test_words_rare_in_each_file_may_be_frequent(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.en", f"common only{number}".encode())
        write(tmp_path / f"{number}.de", b"x")
    found = CoOccurrence.from_parallel_files(tmp_path / "*.en", tmp_path / "*.de", min_count=3)
    assert (found.inputs, found.length) == (("common",), 1.0)


def test_max_pairs_leaves_later_files_alone(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"{number}.en", b"a b\na\n" if number < 2 else b"\xff not UTF-8\n")
        write(tmp_path / f"{number}.de", b"x\ny\n")
    sides = (tmp_path / "*.en", tmp_path / "*.de")
    for limit, read in ((1, 1), (2, 1), (3, 2), (4, 2)):
        found = CoOccurrence.from_parallel_files(*sides, max_pairs=limit)
        assert (found.attrs["pairs"], found.attrs.get("source_files", 1)) == (limit, read)
    with pytest.raises(InputError, match="not UTF-8"):
        CoOccurrence.from_parallel_files(*sides, max_pairs=5)


def test_complaints_are_of_the_whole_corpus(tmp_path: Path) -> None:
    texts = {"1.en": "a\nb", "1.de": "x\nx", "2.en": "a\n\n", "2.de": "x\ny", "3.en": "\na", "3.de": "x\nx"}
    for name, text in texts.items():
        write(tmp_path / name, text.encode())
    with pytest.warns(DataWarning) as caught:
        CoOccurrence.from_parallel_files(tmp_path / "*.en", tmp_path / "*.de")
    assert [str(warning.message) for warning in caught] == [
        "2 of 6 pairs have no kept word on one side and are left out (the first is pair 2 of "
        f"{tmp_path}/2.en and {tmp_path}/2.de)",
        "without any count, and left out: 1 output ('y')",
    ]


def test_one_file_a_side_is_a_text(tmp_path: Path) -> None:
    source, target = write(tmp_path / "a [1].en", b"a b\nb"), write(tmp_path / "a [1].de", b"x\ny")
    one = CoOccurrence.from_parallel_text(source, target)
    many = CoOccurrence.from_parallel_files(str(source), target)
    assert_same(one, many)
    assert dict(one.attrs) == dict(many.attrs)


def test_provenance_of_many_files(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write(tmp_path / f"{number}.en", b"a" * number)
        write(tmp_path / f"{number}.de", b"x")
    found = CoOccurrence.from_parallel_files(tmp_path / "*.en", tmp_path / "*.de")
    assert (found.attrs["source_file"], found.attrs["source_files"]) == ("1.en ... 3.en", 3)
    listed = "".join(hashlib.sha256(b"a" * number).hexdigest() + "\n" for number in (1, 2, 3))
    assert found.attrs["source_sha256"] == hashlib.sha256(listed.encode()).hexdigest()


def test_progress_comes_to_the_end(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"{number}", b"a")
    shares: list[float] = []
    CoOccurrence.from_parallel_files(tmp_path, tmp_path, progress=shares.append)
    assert shares == [k / 8 for k in range(1, 9)]


# What is wrong with files


def test_files_of_patterns_and_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.en", "a.en", ".hidden.en", "c.de"):
        write(tmp_path / name, b"a")
    (tmp_path / "deep.en").mkdir()
    write(tmp_path / "deep.en" / "d.en", b"a")

    def names(files: Any) -> list[str]:
        return [path.name for path in matching(files, "source")]

    assert names(tmp_path) == ["a.en", "b.en", "c.de"]
    assert names(str(tmp_path / "*.en")) == ["a.en", "b.en"]
    assert names(tmp_path / "[ab].*") == ["a.en", "b.en"]
    assert names(tmp_path / "**" / "*.en") == ["a.en", "b.en", "d.en"]
    assert names([tmp_path / "b.en", str(tmp_path / "a.en")]) == ["b.en", "a.en"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names("~/?.de") == ["c.de"]
    (tmp_path / "none").mkdir()
    for files, text in (
        (tmp_path / "*.fr", rf"no file matches '{tmp_path}/\*\.fr'"),
        (tmp_path / "none", "has no files in it"),
        (tmp_path / "a.enn", "a.enn' does not exist; did you mean 'a.en'"),
        ([], "source is empty: give at least one path"),
        ([tmp_path / "a.fr"], "does not exist"),
        (7, "source is int: give a directory, a pattern or paths"),
        ("x" * 5000, "too long"),
    ):
        with pytest.raises(InputError, match=text) as error:
            matching(files, "source")
        assert "\n" not in str(error.value)


def test_files_without_partners(tmp_path: Path) -> None:
    for name, text in {"1.en": "a", "2.en": "a\nb\nc", "3.en": "", "1.de": "x", "2.de": "x\ny", "3.de": "z"}.items():
        write(tmp_path / name, text.encode())

    def complaint(source: str, target: str) -> str:
        with pytest.raises(InputError) as error:
            CoOccurrence.from_parallel_files(tmp_path / source, tmp_path / target)
        assert "\n" not in str(error.value)
        return str(error.value).replace(f"{tmp_path}/", "")

    assert complaint("*.en", "[12].de") == (
        "3 source files (1.en to 3.en) and 2 target files (1.de to 2.de): give each source file its target file"
    )
    assert complaint("[12].en", "[12].de").startswith("2.en has 3 lines and 2.de has 2: the first without a partner")
    assert complaint("[13].en", "[13].de") == "one file of the pair 3.en and 3.de is empty: 3.de has no partner"
    assert complaint("3.en", "3.en") == "all files are empty"
    with pytest.raises(InputError, match="all files are empty"):
        CoOccurrence.from_labelled_files(tmp_path / "3.en")


def test_empty_files(tmp_path: Path) -> None:
    assert is_empty(write(tmp_path / "a", b""))
    assert is_empty(write(tmp_path / "a.gz", gzip.compress(b"")))
    assert not is_empty(write(tmp_path / "b", b"\n"))
    with pytest.raises(InputError, match="damaged"):
        is_empty(write(tmp_path / "b.gz", gzip.compress(b"text" * 9)[:12]))


def test_no_pair_left_in_many_files(tmp_path: Path) -> None:
    for name, text in {"1.en": "a", "2.en": "\n", "1.de": "\n", "2.de": "x"}.items():
        write(tmp_path / name, text.encode())
    with pytest.raises(InputError, match="none of the 2 pairs has a kept word on both sides"):
        CoOccurrence.from_parallel_files(tmp_path / "*.en", tmp_path / "*.de")


# On a cluster


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for number in range(12):
        for side in ("en", "de"):
            lines = [" ".join(f"w{word}" for word in rng.zipf(1.4, 12) % 300) for _ in range(300)]
            write(directory / f"{number:02d}.{side}", ended(lines))
    return directory


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as found:
        yield found


def test_cluster_gives_the_same_bits(corpus: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus)  # where the workers are not
    here = CoOccurrence.from_parallel_files("*.en", "*.de", gram=True)
    there = CoOccurrence.from_parallel_files("*.en", "*.de", gram=True, scheduler=cluster.scheduler_address)
    assert_same(there, here)
    assert dict(there.attrs) == dict(here.attrs)


def test_workers_killed_in_the_middle(corpus: Path, cluster: Any) -> None:
    """One in each pass: nothing lost, nothing counted twice."""
    killed: dict[int, float] = {}

    def kill(share: float) -> None:
        passed = int(share >= 0.5 + 1 / 24)
        if passed not in killed and share % 0.5 >= 2 / 24:
            worker = next(iter(cluster.workers.values()))
            os.kill(worker.process.pid, signal.SIGKILL)
            killed[passed] = share

    sides = (corpus / "*.en", corpus / "*.de")
    here = CoOccurrence.from_parallel_files(*sides)
    there = CoOccurrence.from_parallel_files(*sides, scheduler=cluster.scheduler_address, progress=kill)
    assert sorted(killed) == [0, 1]
    assert_same(there, here)
    assert dict(there.attrs) == dict(here.attrs)


def test_complaints_of_workers(corpus: Path, cluster: Any, tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.en", b"\xff\n")
    with pytest.raises(InputError, match=r"bad\.en, line 1, byte 0 of the line: 0xff is not UTF-8"):
        CoOccurrence.from_parallel_files(
            [corpus / "00.en", bad], [corpus / "00.de", corpus / "01.de"], scheduler=cluster.scheduler_address
        )


def test_no_scheduler(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("dynamics.support.blocks.ANSWER", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(InputError, match="no Dask scheduler answers there"):
            CoOccurrence.from_parallel_files(corpus / "00.en", corpus / "00.de", scheduler=address)


def test_text_in_memory_is_one_part() -> None:
    text = ParallelText(["a b", "b"], ["x", "y"])
    found = dynamics.counts.counting.count([text])
    assert (found.pairs, found.words, found.digests) == (2, (3, 2), ({},))
