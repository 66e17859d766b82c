"""The command line: what it prints, what it writes, and that wrong input writes nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from dynamics.cli import app, run
from dynamics.support import trajectory

BRIEF = ["--time", "30", "--times", "4", "--figures", "none"]
QUICK = [*BRIEF, "--max-vocab", "12"]


@pytest.fixture
def texts(tmp_path: Path) -> tuple[str, str]:
    source, target = tmp_path / "source.txt", tmp_path / "target.txt"
    source.write_text("the dog\nthe cat\nthe dog sleeps\n", encoding="utf-8")
    target.write_text("der hund\ndie katze\nder hund schläft\n", encoding="utf-8")
    return str(source), str(target)


def complaint(arguments: list[str], capsys: pytest.CaptureFixture, status: int = 2) -> str:
    """The one line that a wrong command line is answered with."""
    assert run(arguments) == status
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def test_bundled_text_end_to_end(tmp_path, capsys):
    out = tmp_path / "results"
    assert run(["solve", "--time", "500", "--times", "12", "--words", "article,the", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^article +article", said, re.MULTILINE)
    assert "two-stage: relative distance from joint" in said
    assert sorted(p.name for p in out.iterdir()) == [
        "distance.png", "ktiw.png", "loss.png", "trajectory.nc", "words.png",
    ]  # fmt: skip
    found = trajectory.load(out / "trajectory.nc")
    assert list(found.stages.values) == ["joint", "two-stage", "frozen"]
    assert found.time.values[-1] == 500
    assert found.sizes["time"] == 12
    assert found.attrs["cooccurrence_source_file"] == "english.txt"
    joint = found.sel(stages="joint")
    assert joint.loss.values[-1] < joint.loss.values[0]


def test_own_text_from_counts_and_from_text_agree(texts, tmp_path, capsys):
    counts = str(tmp_path / "counts.npz")
    assert run(["cooccurrence", *texts, "--max-vocab", "12", "-o", counts]) == 0
    assert run(["solve", *texts, "--closure", "conditional", *QUICK, "-o", str(tmp_path / "a")]) == 0
    assert run(["solve", "--cooccurrence", counts, *BRIEF, "-o", str(tmp_path / "b")]) == 0
    one, other = (trajectory.load(tmp_path / name / "trajectory.nc") for name in "ab")
    assert (one.W == other.W).all()
    assert set(one.input.values) == {"the", "dog", "cat", "sleeps"}


def test_times_as_listed_and_a_word_outside_the_most_frequent(texts, tmp_path):
    arguments = ["solve", *texts, "--at", "0,2,20", "--top", "1", "--words", "sleeps", "--figures", "none"]
    assert run([*arguments, "-o", str(tmp_path / "out")]) == 0
    found = trajectory.load(tmp_path / "out" / "trajectory.nc")
    assert found.time.values.tolist() == [0, 2, 20]
    assert "sleeps" in found.input.values
    learnt = str(found.translation.isel(stages=0, time=-1).sel(input="sleeps").values)
    assert learnt in found.output.values


def test_seed_decides_the_initial_state(texts, tmp_path):
    def start(name: str, seed: str) -> np.ndarray:
        arguments = ["solve", *texts, "--at", "0", "--init", "0.1", "--seed", seed, "--figures", "none"]
        assert run([*arguments, "-o", str(tmp_path / name)]) == 0
        return trajectory.load(tmp_path / name / "trajectory.nc").W.values

    assert (start("a", "1") == start("b", "1")).all()
    assert (start("a", "1") != start("c", "2")).any()


@pytest.mark.parametrize("form", ["text", "latex", "markdown", "python"])
def test_derive(form, capsys, tmp_path):
    assert run(["derive", "joint", "--format", form]) == 0
    shown = capsys.readouterr().out
    assert "arXiv 2103.07601" in shown
    assert run(["derive", "joint", "--format", form, "-o", str(tmp_path)]) == 0
    (written,) = tmp_path.iterdir()
    assert written.read_text(encoding="utf-8") == shown


def test_derive_lists_and_shows_source(capsys):
    assert run(["derive"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} >= {"joint", "linear", "marginal", "gram"}
    assert run(["derive", "joint", "--source"]) == 0
    assert "np.dot(" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["solve"], ["cooccurrence"], ["derive"]])
def test_help_has_an_example(command, capsys):
    assert run([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert not command or f"Example: dynamics {command[0]}" in " ".join(shown.split())


def wrong_counts(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """File -> what the message must say."""
    good = np.ones((2, 3))

    def saved(name: str, counts: np.ndarray) -> str:
        np.save(tmp_path / f"{name}.npy", counts)
        return str(tmp_path / f"{name}.npy")

    def text(name: str, lines: str) -> str:
        (tmp_path / name).write_text(lines, encoding="utf-8")
        return str(tmp_path / name)

    negative, nan, infinite = good.copy(), good.copy(), good.copy()
    negative[1, 2], nan[0, 1], infinite[1, 0] = -1, np.nan, np.inf
    return {
        "negative": (saved("negative", negative), "negative"),
        "nan": (saved("nan", nan), "NaN"),
        "infinite": (saved("infinite", infinite), "infinite"),
        "zero": (saved("zero", 0 * good), "zero"),
        "cell": (text("cell.csv", ",a,b\nx,1,two\n"), "'two'"),
        "ragged": (text("ragged.csv", ",a,b\nx,1\n"), "line 2"),
        "empty": (text("empty.csv", ""), "empty"),
        "missing": (str(tmp_path / "missing.npz"), "missing.npz"),
        "suffix": (text("counts.doc", "1"), ".doc"),
    }


@pytest.mark.parametrize(
    "case", ["negative", "nan", "infinite", "zero", "cell", "ragged", "empty", "missing", "suffix"]
)
def test_wrong_counts(case, tmp_path, capsys):
    path, expected = wrong_counts(tmp_path)[case]
    out = tmp_path / "out"
    assert expected.lower() in complaint(["solve", "--cooccurrence", path, "-o", str(out)], capsys).lower()
    assert not out.exists()


def test_wrong_texts(texts, tmp_path, capsys):
    source, target = texts
    out = tmp_path / "out"

    def answer(*arguments: str) -> str:
        said = complaint(["solve", *arguments, "-o", str(out)], capsys)
        assert not out.exists()
        return said

    short = tmp_path / "short.txt"
    short.write_text("der hund\n", encoding="utf-8")
    said = answer(source, str(short))
    assert "3" in said
    assert "1" in said
    assert "the cat" in said  # the first unmatched line
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"der hund\ndie k\xe4tze\nx\n")
    said = answer(source, str(bad))
    assert "bad.txt" in said
    assert "line 2" in said
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    assert "empty" in answer(str(empty), target)
    assert "second text" in answer(source)
    assert "counts alone" in answer(source, target, "--cooccurrence", "x.npz")
    assert "source.txt" in answer(str(tmp_path / "sorce.txt"), target)  # a near match


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--at", "0,10,5"], "not increasing"),
        (["--at", "0,nan"], "not finite"),
        (["--at", "0,x"], "not a list of numbers"),
        (["--time", "inf"], "not finite"),
        (["--time", "-1"], "before the start"),
        (["--times", "1"], "2 or more"),
        (["--stages", "jiont"], "joint"),
        (["--words", "artcle"], "article"),
        (["--text", "english-frensh"], "english-french"),
        (["--method", "RK4"], "RK45"),
        (["--rtol", "0"], "rtol"),
        (["--rate", "A=-1"], "rate of A"),
        (["--top", "0"], "top"),
        (["--max-vocab", "0"], "max_vocab"),
        (["--init", "-1"], "--init"),
        (["--figures", "bmp"], "png"),
        (["--threads", "1000"], "threads"),
        (["--wat"], "--wat"),
        (["--time", "soon"], "--time"),
    ],
)
def test_wrong_options(arguments, expected, tmp_path, capsys):
    out = tmp_path / "out"
    assert expected in complaint(["solve", *arguments, "-o", str(out)], capsys)
    assert not out.exists()


def test_wrong_commands(capsys, tmp_path):
    assert "joint" in complaint(["derive", "jiont"], capsys)
    assert "markdown" in complaint(["derive", "joint", "--format", "word"], capsys)
    assert "SOURCE and TARGET" in complaint(["cooccurrence"], capsys)
    assert "sovle" in complaint(["sovle"], capsys)
    a_file = tmp_path / "file"
    a_file.write_text("")
    assert "is a file" in complaint(["solve", "-o", str(a_file)], capsys)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two languages in three files each, and labelled text in two."""
    directory = tmp_path / "corpus"
    directory.mkdir()
    texts = {"en": ["the dog", "the cat", "a dog"], "de": ["der hund", "die katze", "ein hund"], "lab": ["1 a", "0 b"]}
    for name, files in texts.items():
        for number, text in enumerate(files):
            (directory / f"{number}.{name}").write_text(f"{text}\n", encoding="utf-8")
    return directory


def test_many_files_are_counted_as_one(corpus, tmp_path, capsys):
    from dynamics import CoOccurrence

    out, one = tmp_path / "many.npz", tmp_path / "one.npz"
    for name in ("en", "de"):
        files = sorted(corpus.glob(f"*.{name}"))
        (tmp_path / name).write_bytes(b"".join(file.read_bytes() for file in files))
    options = ["--gram", "--max-vocab", "3"]
    assert run(["cooccurrence", str(corpus / "*.en"), str(corpus / "*.de"), *options, "-o", str(out)]) == 0
    assert f"written to {out}" in capsys.readouterr().out
    assert run(["cooccurrence", str(tmp_path / "en"), str(tmp_path / "de"), *options, "-o", str(one)]) == 0
    many, whole = CoOccurrence.load(out), CoOccurrence.load(one)
    assert (many.inputs, many.outputs, many.attrs["pairs"]) == (whole.inputs, whole.outputs, 3)
    np.testing.assert_array_equal(many.C, whole.C)
    np.testing.assert_array_equal(many.gram, whole.gram)
    assert run(["cooccurrence", "--labelled", str(corpus / "*.lab"), "-o", str(out)]) == 0
    assert CoOccurrence.load(out).outputs == ("0", "1")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["*.fr", "*.de"], "no file matches"),
        (["*.en", "[01].de"], "3 source files (0.en to 2.en) and 2 target files (0.de to 1.de)"),
        (["*.en", "*.de", "--scheduler", "nonsense"], "no Dask scheduler answers there"),
        (["--labelled", "*.none"], "no file matches"),
        (["--labelled", "*.lab", "--scheduler", "nonsense"], "no Dask scheduler answers there"),
    ],
)
def test_wrong_corpora_of_many_files(arguments, expected, corpus, tmp_path, capsys, monkeypatch):
    if "--scheduler" in arguments:
        pytest.importorskip("distributed")
        monkeypatch.setattr("dynamics.support.blocks.ANSWER", 1)
    monkeypatch.chdir(corpus)
    out = tmp_path / "out.npz"
    assert expected in complaint(["cooccurrence", *arguments, "-o", str(out)], capsys)
    assert not out.exists()


def test_too_large_for_memory_says_what_fits(tmp_path, capsys, monkeypatch):
    from dynamics.support import memory

    counts = scipy.sparse.random(300, 300, density=0.5, random_state=0) + scipy.sparse.eye(300)
    scipy.io.mmwrite(tmp_path / "large.mtx", counts)
    monkeypatch.setattr(memory, "physical_memory", lambda: 4e6)
    said = complaint(["solve", "--cooccurrence", str(tmp_path / "large.mtx"), "-o", str(tmp_path / "out")], capsys)
    assert re.search(r"max_vocab=\d+ would fit", said)


def test_zero_rows_are_counted(tmp_path, capsys):
    (tmp_path / "c.csv").write_text(",a,b\nx,1,2\ny,0,0\nz,0,3\n", encoding="utf-8")
    arguments = ["solve", "--cooccurrence", str(tmp_path / "c.csv"), *BRIEF, "-o", str(tmp_path / "out")]
    assert run(arguments) == 0
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert "1" in warning
    assert "y" in warning


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_interrupted_leaves_nothing(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dynamics.cli", "solve", "--time", "1e7", "--max-vocab", "400", "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(8)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "error: interrupted; nothing was left half-written"
    assert not out.exists()


def test_every_command_is_tested():
    assert {command.callback.__name__ for command in app.registered_commands} == {
        "solve",
        "simulate",
        "compare",
        "phase",
        "cooccurrence",
        "derive",
        "forecast",
        "explore",
        "fit",
    }
