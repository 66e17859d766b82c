"""``dynamics simulate`` and ``dynamics compare``: what they write, what they refuse, and that a run can be resumed."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics.cli import run
from dynamics.comparison.compare import compare
from dynamics.problems.kinds.models import lexical, positional
from dynamics.problems.kinds.reduction import excess
from dynamics.support import trajectory
from dynamics.tasks import Copying, ToyLexicon
from dynamics.train.simulate import simulate

FEW = ["--steps", "4", "--seeds", "2", "--batch", "3", "--records", "3", "--figures", "none"]
COMMANDS = ("simulate", "compare")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, list[str]]:
    files = {"source": "the dog\nthe cat\nthe dog sleeps\n", "target": "der hund\ndie katze\nder hund schläft\n"}
    files["labelled"] = "1\ta fine film\n0\ta dull film\n1\tfine\n"
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    source, target, labelled = (str(tmp_path / name) for name in files)
    return {"parallel": [source, target], "labelled": ["--labelled", labelled]}


def done(*arguments: str, out: Path) -> dict[str, xr.Dataset]:
    assert run([*arguments, "-o", str(out)]) == 0
    return {path.stem: trajectory.load(path) for path in out.glob("*.nc")}


def refusal(arguments: list[str], out: Path, capsys: pytest.CaptureFixture) -> str:
    """The one line that wrong input is answered with; nothing is written, not even a directory."""
    assert run([*arguments, "-o", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = (line for line in said.err.splitlines() if not line.startswith("warning: "))
    assert line.startswith("error: ")
    assert len(line) < 250
    assert not out.exists()
    return line


# -- what runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "model", "inputs"),
    [
        ([], "positional", 12),
        (["--task", "lexicon", "--vocab", "9", "--length", "3"], "lexical", 9),
        (["--task", "topics", "--others", "6", "--others-per-sentence", "2"], "topic-FC", 14),
        (["--task", "boolean", "--function", "majority", "--length", "5", "--noise", "0.1"], "keyword-bias", 10),
        (["--heads", "2", "--replacement", "--vocab", "5", "--length", "6"], "positional-heads", 5),
    ],
)
def test_simulate_every_task(arguments, model, inputs, out, capsys) -> None:
    found = done("simulate", *FEW, *arguments, out=out)["run"]
    assert found.attrs["equation"] == model
    assert found.seed.values.tolist() == [0, 1]
    assert found.step.values.tolist() == [0, 1, 4]
    assert found.sizes["input"] == inputs
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint.npz", "run.nc"]
    said = capsys.readouterr().out.splitlines()
    assert "2 runs of 4 steps to tau = 8" in said[0]
    assert said[1].startswith("loss ")


@pytest.mark.parametrize(("kind", "model"), [("parallel", "lexical"), ("labelled", "keyword-bias")])
def test_text(kind, model, texts, out, tmp_path) -> None:
    found = done("simulate", *texts[kind], *FEW, out=out)["run"]
    assert found.attrs["equation"] == model
    assert "dog" in found.input.values or "fine" in found.input.values
    compared = done("compare", *texts[kind], *FEW, out=tmp_path / "beside")
    assert set(compared) == {"comparison", "prediction", "run"}
    assert (compared["run"].W == found.W).all()
    assert "agreement_px" in compared["comparison"]


def test_options_are_arguments_of_simulate(out) -> None:
    """Every option, against the call that it stands for."""
    found = done(
        "simulate", "--task", "lexicon", "--vocab", "7", "--length", "3", "--examples", "30", "--heads", "2", "--init",
        "W=0.2,A=0.1", "--rate", "A=0.5", "--seed", "4", "--lr", "0.3", "--batch", "5", "--steps", "3", "--epochs",
        "--seeds", "2", "--momentum", "0.5", "--records", "4", "--threads", "1", "--figures", "none", out=out,
    )["run"]  # fmt: skip
    same = simulate(
        lexical(2), ToyLexicon(7, 3).examples(30, 4), 0.3, 5, 3, [4, 5], records=4, rates={"A": 0.5}, momentum=0.5,
        initial={"W": 0.2, "A": 0.1}, epochs=True,
    )  # fmt: skip
    xr.testing.assert_equal(found[["W", "A", "loss"]], same[["W", "A", "loss"]])
    assert found.attrs["steps"] == 18


def test_batch_is_256_of_a_task_and_all_of_examples(out, tmp_path, texts) -> None:
    few = ["--steps", "1", "--seeds", "1", "--records", "2", "--figures", "none"]
    assert done("simulate", *few, out=out)["run"].attrs["batch"] == 256
    assert done("simulate", *texts["parallel"], *few, out=tmp_path / "text")["run"].attrs["batch"] == "all"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_the_help_runs_word_for_word(command, capsys, tmp_path, monkeypatch) -> None:
    assert run([command, "--help"]) == 0
    shown = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    example = re.search(rf"Example: dynamics ({command}( --[a-z]+ [a-z0-9]+)+)", shown)
    assert example
    monkeypatch.chdir(tmp_path)
    assert run(shlex.split(example[1])) == 0
    assert list((tmp_path / "results").rglob("*.png"))


@pytest.mark.parametrize(("command", "form"), [("compare", "png"), ("simulate", "svg"), ("simulate", "pdf")])
def test_figures(command, form, out) -> None:
    assert run([command, *FEW[:-1], form, "-o", str(out)]) == 0
    assert {path.suffix for path in out.iterdir()} - {".nc", ".npz"} == {f".{form}"}


# -- compare -----------------------------------------------------------------------------------------------------------


def test_figure_of_the_theory(out, capsys) -> None:
    """V = 12, L = 8, batch 256, lr 2: u and a within 5 % of the largest value all along, 1 % at the end.

    All seeds leave the origin by the signal alone; their predictions start where they do.
    """
    found = done(
        "compare", "--seeds", "3", "--steps", "700", "--records", "25", "--figures", "none", out=out
    )["comparison"]  # fmt: skip
    for name in ("u", "a"):
        assert found[name].isel(time=-1).min() > 3
        assert abs(found[f"error_{name}"].mean("seed")).max() < 0.05
        assert abs(found[f"error_{name}"].mean("seed").isel(time=-1)) < 0.01
    assert found.attention_mean.values[-1] > 0.9
    assert abs(found.error_loss.mean("seed").values[-1]) < 0.01
    printed = re.search(r"^u +(\S+) +\d+ +(\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert printed
    worst = abs(found.error_u.mean("seed")).values
    assert [float(text) for text in printed.groups()] == pytest.approx([worst.max(), worst[-1]], rel=0.05)


def test_saved_files_give_the_same_comparison(out, tmp_path, capsys) -> None:
    first = done("compare", *FEW, out=out)
    again = done(
        "compare", "--prediction", str(out / "prediction.nc"), "--run", str(out / "run.nc"), "--figures", "none",
        out=tmp_path / "again",
    )["comparison"]  # fmt: skip
    for name in ("u", "error_u", "a_predicted", "loss_low", "error_loss"):
        xr.testing.assert_equal(again[name], first["comparison"][name])
    assert "loss" in capsys.readouterr().out


def test_every_seed_has_the_prediction_of_its_start(out) -> None:
    found = done("compare", *FEW, "--seed", "5", out=out)
    assert found["prediction"].seed.values.tolist() == [5, 6]
    begin = found["run"].isel(time=0)
    np.testing.assert_array_equal(found["prediction"].u.isel(time=0), excess(begin.W))
    np.testing.assert_array_equal(found["prediction"].a.isel(time=0), excess(begin.P))
    assert found["comparison"].error_u.isel(time=0).max() == 0


def test_one_prediction_for_seeds_that_start_alike(out) -> None:
    found = done("compare", "--task", "lexicon", *FEW, "--stages", "joint,frozen", "--band", "0.5", out=out)
    assert "seed" not in found["prediction"].dims
    assert found["comparison"].stages.values.tolist() == ["joint", "frozen"]
    assert found["comparison"].attrs["band"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "equation"),
    [
        ([], "copying"),
        (["--heads", "2"], "copying-heads"),
        (["--replacement", "--length", "4"], "copying-repeats"),
        (["--examples", "20"], "positional"),
        (["--theory", "exact"], "positional"),
        (["--task", "lexicon"], "joint"),
        (["--task", "lexicon", "--theory", "exact"], "lexical"),
        (["--task", "topics", "--others", "6", "--others-per-sentence", "2"], "topic-FC"),
        (["--task", "boolean", "--length", "5"], "keyword-bias"),
    ],
)
def test_theory_that_fits(arguments, equation, out) -> None:
    found = done("compare", *FEW, *arguments, out=out)
    assert found["prediction"].attrs["equation"].startswith(equation)
    assert "error_loss" in found["comparison"]
    words = equation != "topic-FC"
    assert ("agreement_beta" in found["comparison"]) == words


def test_exact_flow_of_fixed_examples_is_what_full_descent_nears(out) -> None:
    """All examples at a small rate: errors of the order of the rate, and those with momentum no larger."""
    arguments = ["compare", "--task", "boolean", "--length", "6", "--examples", "40", "--figures", "none"]
    arguments += ["--seeds", "1", "--records", "6"]
    plain = done(*arguments, "--lr", "0.02", "--steps", "1000", out=out)["comparison"]
    heavy = done(*arguments, "--lr", "0.01", "--steps", "1000", "--momentum", "0.5", out=out)["comparison"]
    for found in (plain, heavy):
        assert found.error_W.values[0, -1] < 0.01
        assert found.error_s.values[0, -1] < 0.01
    np.testing.assert_allclose(plain.loss_predicted[-1], heavy.loss_predicted[-1], rtol=1e-5)


def test_studies(out, tmp_path, capsys) -> None:
    given = ["compare", "--task", "lexicon", "--vocab", "6", "--length", "3", "--init", "0.3", "--seeds", "12"]
    by_rate = done(*given, "--study", "lr", "--lr", "1", "--steps", "40", out=out)["study_lr"]
    assert by_rate.lr.values == pytest.approx([0.125, 0.25, 0.5, 1.0])
    assert by_rate.slope.values == pytest.approx([1, 2], rel=0.05)
    said = capsys.readouterr().out
    assert re.search(r"gradient flow: .* ~ lr\^(0\.9|1\.0)\d+ \+- 0\.\d+ \(theory 1\)", said)
    assert re.search(r"modified flow: .* ~ lr\^(1\.9|2\.0)\d+ \+- 0\.\d+ \(theory 2\)", said)
    by_batch = done(
        *given, "--study", "batch", "--batch", "64", "--lr", "0.5", "--steps", "20", out=tmp_path / "batch"
    )["study_batch"]
    assert by_batch.batch.values.tolist() == [4, 8, 16, 32, 64, 4, 4]
    assert by_batch.slope.item() == pytest.approx(0.5, abs=0.1)
    assert "fluctuation over 12 seeds" in capsys.readouterr().out
    assert (out / "study_lr.png").exists()
    assert (tmp_path / "batch" / "study_batch.png").exists()


# -- what is refused ---------------------------------------------------------------------------------------------------

NUMBERS = {
    "--lr": ["0", "-1", "nan", "inf"],
    "--batch": ["0", "-1", "nan", "2.5"],
    "--steps": ["0", "-1", "inf"],
    "--seeds": ["0", "-1", "nan"],
    "--momentum": ["1", "-0.1", "nan", "inf"],
    "--records": ["0", "1", "-1"],
    "--threads": ["0", "-1"],
    "--seed": ["-1", "x"],
    "--init": ["-1", "nan", "inf", "W=nan", "nonsense", "W:1", ""],
    "--rate": ["W=-1", "W=nan", "W=inf", "W", "x=y"],
    "--vocab": ["0", "-1", "1e3"],
    "--length": ["0", "-1", "13"],
    "--heads": ["0", "-1"],
    "--examples": ["0", "-1", "2"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("option", "value"), [(option, value) for option in NUMBERS for value in NUMBERS[option]])
def test_numbers_out_of_range(command, option, value, out, capsys) -> None:
    said = refusal([command, *FEW, option, value], out, capsys)
    named = option.strip("-") if (option, value) != ("--examples", "2") else "batch"
    assert named in said or "distinct words" in said


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "positonal"], "did you mean 'positional'"),
        (["--model", "keyword", "--heads", "2"], "one head"),
        (["--model", "keyword"], "8 targets"),
        (["--model", "lexical", "--rate", "P=1"], "states of lexical"),
        (["--init", "Z=0.1"], "states of positional"),
        (["--task", "copyng"], "did you mean 'copying'"),
        (["--task", "lexicon", "--length", "13"], "distinct"),
        (["--task", "topics", "--topics", "0"], "topics"),
        (["--task", "topics", "--words-per-topic", "0"], "words_per_topic"),
        (["--task", "topics", "--others", "-1"], "others"),
        (["--task", "topics", "--others-per-sentence", "-1"], "others_per_sentence"),
        (["--task", "topics", "--dimension", "0"], "dimension"),
        (["--task", "topics", "--model", "topic-TL", "--hidden", "0"], "hidden"),
        (["--task", "boolean", "--function", "nand"], "did you mean 'and'"),
        (["--task", "boolean", "--support", "9"], "support"),
        (["--task", "boolean", "--support", "0"], "support"),
        (["--task", "boolean", "--noise", "0.5"], "noise"),
        (["--task", "boolean", "--noise", "nan"], "noise"),
        (["--epochs"], "epochs"),
        (["--task", "copying", "--labelled", "x"], "give one of"),
        (["x"], "second text"),
        (["--figures", "bmp"], "png"),
        (["--wat"], "--wat"),
    ],
)
def test_wrong_problems(command, arguments, expected, out, capsys) -> None:
    assert expected in refusal([command, *FEW, *arguments], out, capsys)


def test_wrong_texts(texts, tmp_path, out, capsys) -> None:
    for arguments, expected in (
        ([*texts["parallel"], "--examples", "2"], "--max-pairs"),
        ([*texts["parallel"], "--task", "copying"], "give one of"),
        ([*texts["parallel"], "--model", "topic-FC"], "targets"),
        ([*texts["parallel"], "--max-vocab", "0"], "max_vocab"),
        ([*texts["parallel"], "--max-pairs", "0"], "max_pairs"),
        ([*texts["parallel"], "--min-count", "0"], "min_count"),
        ([*texts["parallel"], "--tokenizer", "wrods"], "words"),
        ([texts["parallel"][0], str(tmp_path / "tarqet")], "target"),
        ([*texts["labelled"], "--batch", "9"], "9 is more than the 3"),
    ):
        assert expected in refusal(["simulate", *FEW, *arguments], out, capsys)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--band", "2"], "band"),
        (["--band", "0"], "band"),
        (["--band", "nan"], "band"),
        (["--study", "nonsense"], "lr or batch"),
        (["--study", "batch", "--batch", "3"], "4 or more"),
        (["--study", "batch", "--batch", "0"], "--batch 0"),
        (["--study", "batch", "--seeds", "1", "--batch", "8"], "two or more"),
        (["--study", "batch", "--lr", "nan"], "--lr nan"),
        (["--study", "lr", "--lr", "inf"], "--lr inf"),
        (["--study", "lr", "--lr", "0"], "--lr 0"),
        (["--study", "lr", "--steps", "0"], "--steps 0"),
        (["--study", "lr", "--momentum", "0.5"], "--momentum"),
        (["--theory", "linear"], "reduction, closure, exact"),
        (["--theory", "closure"], "--model lexical"),
        (["--theory", "reduction", "--task", "lexicon"], "--task copying"),
        (["--theory", "reduction", "--examples", "30"], "--task copying"),
        (["--heads", "2", "--replacement", "--length", "4"], "several heads"),
        (["--length", "1"], "length"),
        (["--task", "lexicon", "--stages", "jiont"], "joint"),
        (["--prediction", "a.nc"], "both"),
        (["--run", "a.nc"], "both"),
        (["--prediction", "a.nc", "--run", "b.nc"], "a.nc"),
    ],
)
def test_wrong_comparisons(arguments, expected, out, capsys) -> None:
    assert expected in refusal(["compare", *FEW, *arguments], out, capsys)


def test_files_that_are_no_trajectories(texts, out, tmp_path, capsys) -> None:
    text, other = texts["parallel"][0], str(tmp_path / "other.nc")
    trajectory.save(xr.Dataset({"W": 1.0}), other)
    run_of = str(tmp_path / "run.nc")
    trajectory.save(simulate(positional(), Copying(4, 2), 1.0, 4, 2, records=2, initial={"W": 0.1}), run_of)
    for prediction, found, expected in (
        (text, run_of, "not a trajectory"),
        (run_of, text, "not a trajectory"),
        (other, run_of, "over time"),
        (run_of, other, "over time"),
    ):
        assert expected in refusal(["compare", "--prediction", prediction, "--run", found], out, capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_is_no_directory(command, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        assert run([command, *FEW, "-o", str(place)]) == 2
        said = capsys.readouterr()
        assert "is a file" in said.err
        assert said.out == ""


# -- divergence --------------------------------------------------------------------------------------------------------

STEEP = ["--task", "boolean", "--lr", "1e300", "--steps", "60", "--seeds", "2", "--batch", "8", "--figures", "none"]


@pytest.mark.parametrize("command", [["simulate"], ["compare"], ["compare", "--study", "batch"]])
def test_divergence_says_where_and_what_is_stable(command, out, capsys) -> None:
    said = refusal([*command, *STEEP], out, capsys)
    assert re.search(r"seed [01] diverged: .* at step \d+ \(tau = ", said)
    assert re.search(r"below about [\d.]+ is stable: lower lr", said) or "study" in command[-2:]


def test_divergence_leaves_what_was_there(tmp_path, capsys) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert run(["simulate", *STEEP, "-o", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_partial_runs_are_kept_if_asked_for(out, capsys) -> None:
    found = done("simulate", *STEEP, "--keep-partial", out=out)["run"]
    assert np.isfinite(found.loss.isel(time=0)).all()
    assert np.isnan(found.loss.isel(time=-1)).all()
    assert "diverged" in found.attrs
    assert "diverged" in capsys.readouterr().out


# -- interrupted and resumed -------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_resumed_after_an_interrupt_to_the_same_bits(tmp_path) -> None:
    arguments = ["simulate", "--seeds", "3", "--batch", "8", "--lr", "0.5", "--records", "9", "--threads", "2"]
    arguments += ["--figures", "none", "--momentum", "0.3"]
    first = tmp_path / "first"
    command = [sys.executable, "-m", "dynamics.cli", *arguments, "--steps", "100000000", "-o", str(first)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (first / "checkpoint.npz").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.splitlines() == [f"error: interrupted; go on with --resume {first / 'checkpoint.npz'}"]
    with np.load(first / "checkpoint.npz") as kept:
        reached = [int(kept[f"{seed}/step"]) for seed in range(3)]
    assert max(reached) > 0  # the third waits for a thread
    steps = ["--steps", str(max(reached) + 50)]
    resumed = done(*arguments, *steps, "--resume", str(first / "checkpoint.npz"), out=first)["run"]
    whole = done(*arguments, *steps, out=tmp_path / "whole")["run"]
    common = sorted(set(resumed.step.values) & set(whole.step.values))
    assert {0, int(steps[1])} <= set(common)
    for name in ("W", "P", "loss"):
        one, other = (found[name].isel(time=np.isin(found.step, common)) for found in (resumed, whole))
        np.testing.assert_array_equal(one.values, other.values)


def test_a_finished_run_goes_on(out, tmp_path) -> None:
    first = done("simulate", *FEW, out=out)["run"]
    more = [*FEW, "--steps", "9"]
    longer = done("simulate", *more, "--resume", str(out / "checkpoint.npz"), out=tmp_path / "more")["run"]
    whole = done("simulate", *more, out=tmp_path / "whole")["run"]
    np.testing.assert_array_equal(longer.W.isel(time=-1), whole.W.isel(time=-1))
    np.testing.assert_array_equal(longer.W.sel(time=8.0), first.W.isel(time=-1))


def test_what_cannot_be_resumed(texts, out, tmp_path, capsys) -> None:
    done("simulate", *FEW, out=tmp_path / "first")
    checkpoint = str(tmp_path / "first" / "checkpoint.npz")
    before = Path(checkpoint).read_bytes()
    capsys.readouterr()
    for arguments, expected in (
        (["--resume", str(tmp_path / "chekpoint.npz")], "does not exist"),
        (["--resume", texts["parallel"][0]], "not a checkpoint"),
        (["--resume", checkpoint, "--lr", "1"], "lr was 2.0, and is 1.0 now"),
        (["--resume", checkpoint, "--steps", "3"], "at least as many steps"),
        (["--resume", checkpoint, "--vocab", "13"], "another run"),
    ):
        assert expected in refusal(["simulate", *FEW, *arguments], out, capsys)
    assert Path(checkpoint).read_bytes() == before


# -- start-up ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["simulate", "--help"], ["compare", "--help"], ["simulat"]])
def test_help_does_not_wait_for_libraries(arguments) -> None:
    code = (
        "import sys; from dynamics.cli import run; run(sys.argv[1:])\n"
        "slow = {'numpy', 'numba', 'scipy', 'sympy', 'xarray', 'matplotlib'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_compare_of_the_library_is_what_the_command_writes(out) -> None:
    found = done("compare", "--task", "topics", "--others", "6", "--others-per-sentence", "2", *FEW, out=out)
    by_hand = compare(found["prediction"], found["run"])
    for name in ("error_v", "error_s", "loss_mean", "error_loss"):
        xr.testing.assert_allclose(found["comparison"][name], by_hand[name])
