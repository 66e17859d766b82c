"""Sentences beside the counts, on the command line: kept, solved on, and with errors that are stated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynamics import CoOccurrence, load
from dynamics.cli import run
from dynamics.cli.solve import Sentences, foretell

ENGLISH = ["the dog sees a cat", "a cat sleeps", "the dog sleeps", "a dog sees the dog", "the cat sees a dog"] * 4
GERMAN = ["der hund sieht katze", "katze ruht", "der hund ruht", "hund sieht den hund", "die katze sieht hund"] * 4
SHORT = ["--time", "50", "--times", "6", "--figures", "none", "--stages", "joint"]


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    for name, lines in {"en.txt": ENGLISH, "de.txt": GERMAN}.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return [str(tmp_path / "en.txt"), str(tmp_path / "de.txt")]


def test_counted_with_sentences_and_solved_on_them(texts: list[str], tmp_path: Path, capsys) -> None:
    counts, out = str(tmp_path / "counts.npz"), tmp_path / "out"
    assert run(["cooccurrence", *texts, "--keep-bags", "1000", "-o", counts]) == 0
    assert "bags)" in capsys.readouterr().out
    assert CoOccurrence.load(counts).bags is not None
    assert run(["solve", "--cooccurrence", counts, *SHORT, "--errors", "2", "--within", "0.01", "-o", str(out)]) == 0
    told = capsys.readouterr()
    assert "error of the method at tau = 50" in told.out
    assert "error of the corpus at tau = 50 (2 bootstrap draws)" in told.out
    assert "±" in told.out
    assert "differ by more than 1 %" in told.err
    found = load(out / "trajectory.nc")
    assert found.attrs["closure"] == "bags"
    assert found.attrs["bootstrap_draws"] == 2
    assert {"W_error", "A_corpus_error", "beta_interval", "attention_half_time"} <= set(found.data_vars)
    # The same without errors, and from the texts themselves.
    for arguments in (["--cooccurrence", counts], [*texts, "--closure", "bags"], texts):
        assert run(["solve", *arguments, *SHORT, "-o", str(out)]) == 0
        np.testing.assert_array_equal(load(out / "trajectory.nc").W, found.W)
    assert run(["solve", "--cooccurrence", counts, "--closure", "conditional", *SHORT, "-o", str(out)]) == 0
    joint = load(out / "trajectory.nc")
    assert joint.attrs["closure"] == "conditional"
    assert not np.allclose(joint.W, found.W, rtol=1e-3)


def test_a_text_is_solved_by_its_sentences_unless_that_costs_too_much(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small text by all of them, which is the exact flow; with an optimiser, or where counts are sparse: counts."""
    from dynamics import Examples, lexical, solve

    def solved(*arguments: str) -> Any:
        out = tmp_path / "out"
        assert run(["solve", *texts, *SHORT, *arguments, "-o", str(out)]) == 0
        return load(out / "trajectory.nc").isel(stages=0)

    found = solved("--rtol", "1e-9")
    exact = solve(lexical(), Examples.from_parallel_text(*texts), found.time.values, rtol=1e-9)
    assert (found.attrs["closure"], found.attrs["groups"]) == ("bags", 1)
    for name in ("W", "A"):
        cells = {"input": found.input.values, "output": found.output.values}
        np.testing.assert_allclose(found[name], exact[name].sel(cells), rtol=1e-7, atol=1e-9)
    assert solved("--lr", "0.1", "--optimizer", "momentum", "--momentum", "0.5").attrs["closure"] == "conditional"
    monkeypatch.setattr(CoOccurrence, "is_sparse", property(lambda _: True))
    assert Sentences(None, None, None, None).closure_on(counted(texts), loaded=False) == "conditional"
    assert Sentences(None, None, None, None).closure_on(counted(texts), loaded=True) == "bags"
    assert Sentences(99, None, None, None).closure_on(counted(texts), loaded=False) == "bags"


def counted(texts: list[str]) -> CoOccurrence:
    return CoOccurrence.from_parallel_text(*texts, keep_bags=99)


def test_a_long_run_by_sentences_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    counts = CoOccurrence.from_counts(np.ones((500, 500)))
    foretell(counts, 1)
    assert capsys.readouterr().err == ""
    foretell(counts, 1, "bags")
    assert "--closure conditional" in " ".join(capsys.readouterr().err.split())


def test_bands_are_drawn(texts: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        run(["solve", *texts, "--errors", "1", "--time", "50", "--times", "6", "--words", "dog", "-o", str(out)]) == 0
    )
    from dynamics import plot

    found = load(out / "trajectory.nc")
    figure = plot.words(found.isel(stages=0), [("dog", "hund")])
    bands = [len(ax.collections) for ax in figure.axes]
    plain = plot.words(found.isel(stages=0).drop_vars(["beta_interval", "attention_interval"]), [("dog", "hund")])
    assert [n - len(ax.collections) for n, ax in zip(bands, plain.axes, strict=True)] == [1, 1]
    assert (out / "loss.png").stat().st_size > 1000


def test_counts_alone_say_that_the_error_is_unknown(texts: list[str], tmp_path: Path, capsys) -> None:
    counts, out = str(tmp_path / "counts.npz"), str(tmp_path / "out")
    assert run(["cooccurrence", *texts, "-o", counts]) == 0
    assert run(["solve", "--cooccurrence", counts, *SHORT, "-o", out]) == 0
    assert "not known from counts alone" in capsys.readouterr().out
    assert load(tmp_path / "out" / "trajectory.nc").attrs["closure"] == "conditional"
    for arguments, told in (
        (["--errors", "2"], "--keep-bags 250000"),
        (["--closure", "bags"], "keep_bags"),
        (["--keep-bags", "5"], "dynamics cooccurrence"),
        (["--within", "0.1"], "--errors 4"),
        (["--closure", "gram"], "conditional or bags"),
    ):
        assert run(["solve", "--cooccurrence", counts, *SHORT, *arguments, "-o", out]) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--keep-bags", "0"], "keep_bags is 0"),
        (["--errors", "-1"], "from 0"),
        (["--errors", "1", "--within", "0"], "positive"),
        (["--closure", "conditional", "--keep-bags", "9"], "leave out one"),
        (["--closure", "conditional", "--errors", "1"], "not known"),
        (["--theory", "exact", "--errors", "1"], "--errors is for the closures"),
        (["--model", "lexical", "--keep-bags", "7"], "--keep-bags is for the closures"),
    ],
)
def test_options_act_or_are_refused(arguments: list[str], told: str, texts: list[str], tmp_path: Path, capsys) -> None:
    assert run(["solve", *texts, *SHORT, *arguments, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
