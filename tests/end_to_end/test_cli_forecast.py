"""dynamics forecast: what it prints and writes, and that wrong input writes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dynamics.cli import run
from dynamics.support import trajectory

QUICK = ["--steps", "60", "--lr", "0.01", "--starts", "1"]


@pytest.fixture
def texts(tmp_path: Path) -> tuple[str, str]:
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 9)
    rows = rng.choice(8, size=(150, 3), p=share / share.sum())
    paths = []
    for letter in "st":
        path = tmp_path / f"{letter}.txt"
        path.write_text("\n".join(" ".join(f"{letter}{k}" for k in row) for row in rows), encoding="utf-8")
        paths.append(str(path))
    return paths[0], paths[1]


def test_two_texts(texts, tmp_path, capsys) -> None:
    out = tmp_path / "results"
    assert run(["forecast", *texts, *QUICK, "--words", "t0,t1", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^t0 +\d+ +\d+ to \d+ +s0 ", said, re.MULTILINE)
    assert sorted(path.name for path in out.iterdir()) == ["forecast.nc", "forecast.png", "forecast.tsv"]
    found = trajectory.load(out / "forecast.nc")
    rows = [line.split("\t") for line in (out / "forecast.tsv").read_text("utf-8").splitlines()]
    assert {word for word, _ in rows} == {str(w) for w in found.output.values[np.isfinite(found.step.values)]}
    assert float(dict(rows)["t0"]) == pytest.approx(float(found.step.sel(output="t0")), rel=1e-5)


def test_counts_alone_and_figures_of_another_kind(texts, tmp_path) -> None:
    out = tmp_path / "results"
    assert run(["forecast", *texts, *QUICK, "--counts-only", "--figures", "svg", "-o", str(out)]) == 0
    assert (out / "forecast.svg").exists()
    assert trajectory.load(out / "forecast.nc").attrs["sentences"] == 0


def test_a_language_model(texts, tmp_path, capsys) -> None:
    assert run(["forecast", texts[1], "--next-word", *QUICK, "-o", str(tmp_path / "out")]) == 0
    assert re.search("learnt at step|no word is learnt", capsys.readouterr().out)


def test_held_against_a_run(texts, tmp_path, capsys) -> None:
    steps = np.geomspace(5, 60, 10)
    half = np.linspace(10, 40, 8)
    P = 0.1 + 0.8 / (1 + (half / steps[:, None]) ** 4)
    path = tmp_path / "run.npz"
    np.savez(path, steps=steps, P=P, P_shuffled=np.full_like(P, 0.1), n=np.full(8, 50))
    out = tmp_path / "results"
    assert run(["forecast", *texts, *QUICK, "--against", str(path), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "rank correlation" in said
    assert "measured steps a forecast one" in said
    assert {"against.nc", "against.png"} <= {path.name for path in out.iterdir()}


def test_bundled_text(tmp_path, capsys) -> None:
    assert run(["forecast", *QUICK, "--text", "english-german", "-o", str(tmp_path), "--figures", "none"]) == 0
    assert "english.txt: 89 sentences, 80 words" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{s}"], "a second text is missing"),
        (["{s}", "{t}", "--next-word"], "--next-word is for one text"),
        (["{s}", "{t}", "--text", "english-german"], "leave one out"),
        (["{s}", "{t}", "--optimizer", "sgd"], "no forecast for the optimizer"),
        (["{s}", "{t}", "--kind", "bag"], "kind is 'bag'"),
        (["{s}", "{t}", "--counts-only", "--sentences", "5"], "--counts-only keeps no sentence"),
        (["{s}", "{t}", "--against", "none.npz"], "does not exist"),
        (["{s}", "{t}", "--exclude-lines", "{s}"], "is no number of a line"),
        (["{s}", "{t}", "--words", "t99", *QUICK], "is not a word of the forecast"),
        (["{s}", "{t}", "--schedule", "cosin"], "did you mean 'cosine'"),
    ],
)
def test_wrong_input_writes_nothing(arguments, told, texts, tmp_path, capsys) -> None:
    out = tmp_path / "results"
    given = [one.format(s=texts[0], t=texts[1]) for one in arguments]
    assert run(["forecast", *given, "-o", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    [line] = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert told in line
    assert not out.exists()
