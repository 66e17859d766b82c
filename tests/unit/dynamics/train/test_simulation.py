"""Descent on the exact models against plain NumPy, the authors' runs, and itself."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import oracles.models as oracle
import pytest
import xarray as xr
from oracles.reference_data import REFERENCE, recorded_runs

from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.models import Model, keyword, lexical, positional, topic
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.trajectory import load, save
from dynamics.tasks import Copying
from dynamics.tasks.examples import Examples
from dynamics.train.records import record_steps
from dynamics.train.simulate import simulate
from dynamics.train.source import Source
from dynamics.train.stability import stable_rate

V, K = 7, 4
READOUT = np.random.default_rng(1).standard_normal((3, K))
START = {"W": 0.01, "P": 0.01}


def ragged_examples(single: bool, n: int = 9, seed: int = 0) -> Examples:
    """Inputs of any length, one word and the same word thrice among them."""
    random = np.random.default_rng(seed)
    x = [random.integers(V, size=random.integers(1, 6)) for _ in range(n - 2)] + [[3], [2, 2, 2]]
    y = [random.integers(K, size=1 if single else random.integers(1, 4)) for _ in range(n)]
    return Examples.from_rows(x, y, V, K)


MODELS: dict[str, tuple[Callable[[], Model], oracle.Oracle, bool]] = {
    "keyword": (keyword, oracle.keyword, True),
    "keyword-bias": (lambda: keyword(bias=True), oracle.keyword, True),
    "lexical": (lexical, oracle.lexical, False),
    "lexical-heads": (lambda: lexical(heads=2), oracle.lexical, False),
    "positional": (positional, oracle.positional, False),
    "positional-heads": (lambda: positional(heads=3), oracle.positional, False),
    "FC": (lambda: topic("FC", readout=READOUT), oracle.topic(READOUT), True),
    "FC-keys": (lambda: topic("FC", readout=READOUT, query_dimension=2), oracle.topic(READOUT), True),
    "TC": (lambda: topic("TC", dimension=3), oracle.topic(), True),
    "TL": (lambda: topic("TL", dimension=3, hidden=5), oracle.topic(), True),
}


def started(model: Model, examples: Examples, seed: int = 3) -> dict[str, np.ndarray]:
    return model.initial(examples, dict.fromkeys(model.program.state_names, 0.7), seed)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_and_descent_are_those_of_plain_numpy(name: str) -> None:
    make, by_hand, single = MODELS[name]
    model, examples = make(), ragged_examples(single)
    start, rows = started(model, examples), oracle.rows_of(examples)

    rates = {f"eta_{state}": 1.0 for state in start}
    flow = model.kernel(examples).bind(model.arrays(examples), {**model.all_sizes(examples), **rates})
    packed = np.concatenate([start[state].ravel() for state in model.program.state_names])
    found = flow.evaluate(packed)
    loss, gradient = by_hand(start, rows)
    for state, name_of_flow in zip(model.program.state_names, model.kernel(examples).outputs, strict=True):
        error = np.abs(found[name_of_flow] + gradient[state]).max()
        assert error <= 1e-10 * np.abs(gradient[state]).max(), state

    run = simulate(
        model, examples, 0.3, steps=25, records=26, initial=start, rates={"W": 2.0} if "W" in start else None
    )
    expected = oracle.descend(by_hand, start, rows, 0.3, 25, **({"W": 2.0} if "W" in start else {}))
    assert run.loss[0, 0].item() == pytest.approx(loss, rel=1e-12)
    for state in start:
        wanted = np.array([states[state] for states in expected])
        np.testing.assert_allclose(run[state].sel(seed=0), wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(run.time, 0.3 * run.step)


def test_gradients_by_hand_are_derivatives_of_the_losses_by_hand() -> None:
    for make, by_hand, single in MODELS.values():
        model, examples = make(), ragged_examples(single)
        start, rows = started(model, examples), oracle.rows_of(examples)
        _, gradient = by_hand(start, rows)
        random = np.random.default_rng(0)
        way = {state: random.standard_normal(value.shape) for state, value in start.items()}
        ahead, behind = (by_hand({s: start[s] + h * way[s] for s in start}, rows)[0] for h in (1e-5, -1e-5))
        along = sum((gradient[state] * way[state]).sum() for state in start)
        assert (ahead - behind) / 2e-5 == pytest.approx(along, rel=1e-6)


def test_momentum_is_the_heavy_ball() -> None:
    examples = ragged_examples(True)
    start = started(keyword(), examples)
    run = simulate(keyword(), examples, 0.2, steps=30, records=[30], initial=start, momentum=0.8)
    expected = oracle.descend(oracle.keyword, start, oracle.rows_of(examples), 0.2, 30, momentum=0.8)[-1]
    np.testing.assert_allclose(run.W[0, 0], expected["W"], rtol=1e-12, atol=1e-13)


# -- the same bits ----------------------------------------------------------------------------------------------------

SAME: dict[str, dict] = {
    "task": {"data": Copying(4, 3), "problem": positional(), "batch": 8, "initial": START},
    "shuffled": {"data": ragged_examples(True), "problem": keyword(), "batch": 4, "initial": {"W": 0.1}},
    "momentum": {"data": ragged_examples(True), "problem": keyword(), "batch": 4, "momentum": 0.5},
    "replacement": {"data": ragged_examples(True), "problem": keyword(), "batch": 4, "replacement": True},
    "full": {"data": ragged_examples(False), "problem": lexical(), "initial": {"W": 0.1, "A": 0.1}},
}


def same(one: xr.Dataset, other: xr.Dataset) -> bool:
    return one.equals(other)


@pytest.mark.parametrize("case", SAME)
def test_a_seed_decides_every_bit(case: str) -> None:
    def run(**options) -> xr.Dataset:
        return simulate(**SAME[case], lr=0.5, steps=40, records=9, **options)

    whole = run(seeds=5, threads=1)
    assert same(whole, run(seeds=5, threads=2))
    assert same(whole, run(seeds=5, threads=5))
    assert same(whole.sel(seed=[3, 1]), run(seeds=[3, 1]))
    moves = np.abs(whole.isel(time=-1).W - whole.isel(time=-1, seed=0).W).max(dim=("input", "output"))
    assert ((moves > 0) == ((whole.seed != 0) & (case != "full" or "initial" in SAME[case]))).all()


@pytest.mark.parametrize("case", SAME)
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(case: str, tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    records = [0, 3, 7, 10, 22, 39, 40]

    def run(steps: int, **options) -> xr.Dataset:
        kept = [step for step in records if step <= steps]
        return simulate(**SAME[case], lr=0.5, steps=steps, records=kept, **options)

    whole = run(40, seeds=3)
    run(7, seeds=2, checkpoint=file)
    assert same(whole, run(40, seeds=3, resume=file))  # seed 2 starts anew
    run(22, seeds=3, resume=file, checkpoint=file)
    assert same(whole, run(40, seeds=3, resume=file, checkpoint=file))
    assert same(whole, run(40, seeds=3, resume=file))  # nothing is left to do
    with pytest.raises(InputError, match="at least as many steps"):
        run(22, seeds=3, resume=file)


def test_records_of_a_longer_run_follow_those_of_the_shorter_one(tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    options: dict = {**SAME["task"], "lr": 0.5, "seeds": 2}
    short = simulate(**options, steps=20, records=[0, 4, 9], checkpoint=file)
    joined = simulate(**options, steps=60, records=[0, 5, 20, 60], resume=file)
    assert joined.step.values.tolist() == [0, 4, 9, 20, 60]
    assert same(short, joined.isel(time=slice(3)))
    assert same(joined, simulate(**options, steps=60, records=[0, 4, 9, 20, 60]))


KILLED = """
import sys
from dynamics.train.simulate import simulate
from dynamics.problems.kinds.models import positional
from dynamics.tasks import Copying
simulate(positional(), Copying(4, 3), 0.5, 8, steps=10**9, seeds=3, records=[0, 5, 200],
         initial={"W": 0.01, "P": 0.01}, checkpoint=sys.argv[1], checkpoint_every=0.02, threads=2)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on(how: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(file)], stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None and not _reached(file):
            time.sleep(0.02)
    finally:
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert how == signal.SIGKILL or b"KeyboardInterrupt" in said
    with np.load(file) as kept:
        last = max(int(kept[f"{seed}/step"]) for seed in range(3))
        assert int(kept["0/step"]) > 0
    options = {"data": Copying(4, 3), "problem": positional(), "lr": 0.5, "batch": 8, "initial": START, "seeds": 3}
    steps = max(last, 200) + 10
    records = [0, 5, 200, steps]
    assert same(
        simulate(**options, steps=steps, records=records, resume=file),
        simulate(**options, steps=steps, records=records),
    )


def _reached(file: Path) -> bool:
    try:
        with np.load(file) as kept:
            return all(int(kept[f"{seed}/step"]) > 0 for seed in range(2))
    except (OSError, KeyError):
        return False


def test_a_checkpoint_of_another_run_or_half_of_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    options: dict = {"data": ragged_examples(True), "problem": keyword(), "batch": 4, "steps": 5}
    simulate(**options, lr=0.5, checkpoint=file)
    with pytest.raises(InputError, match=r"lr was 0\.5, and is 0\.25 now"):
        simulate(**options, lr=0.25, resume=file)
    with pytest.raises(InputError, match="initial_W was None"):
        simulate(**options, lr=0.5, initial={"W": 0.1}, resume=file)
    with pytest.raises(InputError, match="sha256_data was"):
        simulate(**{**options, "data": ragged_examples(True, seed=1)}, lr=0.5, resume=file)
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"text", content[:200] + bytes(50) + content[250:]):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="not a checkpoint"):
            simulate(**options, lr=0.5, resume=file)
    with pytest.raises(InputError, match="does not exist"):
        simulate(**options, lr=0.5, resume=tmp_path / "none.npz")


# -- minibatches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 4, 5, 9])
def test_epochs_visit_every_example_once(batch: int) -> None:
    examples = Examples.from_rows([[n] for n in range(9)], [0] * 9, 9, 1)
    draw = Source(Exact(keyword(), examples), batch).stream(0, np.random.default_rng(0))
    series = np.concatenate([draw(step)["x"] for step in range(9 * 4)])
    passes = series[: len(series) // 9 * 9].reshape(-1, 9)
    assert (np.sort(passes, axis=1) == np.arange(9)).all()
    assert len({tuple(one) for one in passes}) == len(passes)
    assert (draw(20)["x"] == series[20 * batch : 21 * batch]).all()  # of the step alone
    other = Source(Exact(keyword(), examples), 9).stream(1, np.random.default_rng(0))
    assert (other(0)["x"] != series[:9]).any()


def test_steps_can_be_counted_in_epochs() -> None:
    run = simulate(keyword(), ragged_examples(True), 0.1, 4, steps=3, epochs=True, records=2)
    assert run.step[-1] == 7  # 27 examples, 4 at a time
    assert simulate(keyword(), ragged_examples(True), 0.1, steps=3, epochs=True).step[-1] == 3


def test_minibatches_hold_the_examples_themselves() -> None:
    examples = ragged_examples(False)
    source, rows = Source(Exact(lexical(), examples), 4), np.array([8, 0, 3, 3])
    wanted = examples.take(rows)
    for name, array in source.taken(rows).items():
        np.testing.assert_array_equal(array, getattr(wanted, name))


@pytest.mark.parametrize("name", ["keyword", "TL"])
def test_the_mean_over_all_minibatches_is_the_whole_gradient(name: str) -> None:
    make, _, single = MODELS[name]
    model, examples = make(), ragged_examples(single, n=6)
    start = started(model, examples)
    one = {"problem": model, "lr": 1.0, "steps": 1, "records": [1], "initial": start}
    whole = simulate(data=examples, **one)
    parts = [simulate(data=examples.take(rows), **one) for rows in itertools.combinations(range(6), 2)]
    for state in start:
        mean = np.mean([part[state].values for part in parts], axis=0)
        np.testing.assert_allclose(mean, whole[state], atol=1e-13)


def test_drawn_minibatches_average_to_the_whole_gradient() -> None:
    """Of 600 draws, within five standard errors."""
    examples = ragged_examples(True, n=6)
    start = started(keyword(), examples)
    options = {"lr": 1.0, "steps": 1, "records": [1], "initial": start}
    whole = simulate(keyword(), examples, **options).W[0, 0]
    for replacement in (False, True):
        W = simulate(keyword(), examples, batch=2, seeds=600, replacement=replacement, **options).W[:, 0]
        error = W.std("seed") / np.sqrt(600)
        assert (np.abs(W.mean("seed") - whole) <= 5 * error + 1e-12).all()


# -- the authors' runs ------------------------------------------------------------------------------------------------


def authors(classifier: str) -> tuple[Model, Examples, dict, float, np.lib.npyio.NpzFile]:
    """Model, training examples, initial states and rate of the scores of a run of Lu et al.'s code."""
    file = np.load(REFERENCE / f"lu_{classifier}_seed0.npz")
    print(file["readme"])

    def given(name: str) -> np.ndarray:
        return file[f"init_{name}"].astype(float)

    start = {"v": given("embeddings"), "s": (given("keys") @ given("query").T)[:, 0]}
    readout = None
    if classifier == "FC":
        readout = given("clf_w")
    elif classifier == "TC":
        start["U"] = given("clf_weight").T
    else:
        start |= {"F": given("clf_front_weight"), "f": given("clf_front_bias")}
        start |= {"G": given("clf_end_weight"), "g": given("clf_end_bias")}
    x, y = file["context_idxs_train"], file["target_train"]
    n, length = x.shape
    examples = Examples(x.ravel(), np.full(n, length), y, np.ones(n, dtype=int), int(file["n_vocab"]), 4)
    return topic(classifier, 10, 10, readout), examples, start, float((given("query") ** 2).sum()), file


def follow(classifier: str, steps: int) -> float:
    """The largest difference of a topic word's score from the one that the authors' code logged."""
    model, examples, start, rate, file = authors(classifier)
    logged = file["log_step"] <= steps
    records = file["log_step"][logged]
    run = simulate(model, examples, float(file["lr"]), steps=steps, records=records, initial=start, rates={"s": rate})
    words = int(file["n_topic_words"])
    np.testing.assert_allclose(run.loss[0], file["log_loss_f64"][logged], rtol=0, atol=1e-9)
    return float(np.abs(run.s[0, :, :words] - file["log_topic_score_f64"][logged]).max())


@recorded_runs
@pytest.mark.parametrize("classifier", ["FC", "TC", "TL"])
def test_descent_follows_the_authors_run(classifier: str) -> None:
    assert follow(classifier, 500) < 1e-6


# -- divergence -------------------------------------------------------------------------------------------------------


def diverging(**options) -> xr.Dataset:
    """A product of two trained layers, at a rate a thousand times too large."""
    examples = ragged_examples(True)
    initial = {"v": 0.5, "U": 0.5}
    return simulate(topic("TC", dimension=3), examples, 1e4, steps=3000, initial=initial, records=20, **options)


def test_a_run_that_diverges_stops_with_a_line_that_says_what_would_not() -> None:
    with pytest.raises(IntegrationError, match=r"seed 4 diverged: \S+ is not finite at step \d+ \(tau") as caught:
        diverging(seeds=[4])
    assert "\n" not in str(caught.value)
    found = re.search(r"at step 0 an lr below about (\S+) is stable", str(caught.value))
    assert found
    assert 1 < float(found[1]) < 100


def test_the_part_before_divergence_is_kept_if_wanted(tmp_path: Path) -> None:
    run = diverging(seeds=[4], keep_partial=True)
    assert "seed 4 diverged" in run.attrs["diverged"]
    finite = np.isfinite(run.loss[0].values)
    assert finite[0]
    assert not finite[-1]
    assert (np.isfinite(run.U[0].values).all(axis=(1, 2)) == finite).all()
    save(run, tmp_path / "part.nc")


def test_other_seeds_finish_when_one_diverges() -> None:
    run = simulate(
        topic("TC", dimension=3), ragged_examples(True), 6.0, steps=3000, seeds=8, records=5, keep_partial=True,
        initial={"v": 0.5, "U": 0.5}, threads=2,
    )  # fmt: skip
    ends = np.isfinite(run.loss[:, -1].values)
    assert not ends.all()
    assert ends.tolist() == [f"seed {seed} diverged" not in run.attrs["diverged"] for seed in range(8)]


def test_an_error_of_the_progress_bar_stops_all_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    def stuck(share: float) -> None:
        raise RuntimeError("no terminal")

    with pytest.raises(RuntimeError, match="no terminal"):
        simulate(
            positional(), Copying(4, 3), 0.1, 4, 10**9, 3, progress=stuck, checkpoint=tmp_path / "a.npz", threads=2
        )
    with np.load(tmp_path / "a.npz") as kept:
        assert int(kept["0/step"]) > 0


def test_the_stable_rate_is_where_descent_turns_unstable() -> None:
    examples = ragged_examples(True)
    model = keyword(bias=True)
    end = simulate(model, examples, 0.5, steps=2000, records=[2000], initial={"s": 0.1})
    y = np.concatenate([end[state].values.ravel() for state in model.program.state_names])
    bound = model.kernel(examples).bind(
        model.arrays(examples), {**model.all_sizes(examples), "eta_s": 1.0, "eta_W": 1.0, "eta_b": 1.0}
    )

    def gradient(z: np.ndarray) -> np.ndarray:
        out = np.empty_like(z)
        bound(z, out)
        return -out

    hessian = np.array([(gradient(y + 1e-5 * e) - gradient(y - 1e-5 * e)) / 2e-5 for e in np.eye(y.size)])
    largest = np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1]
    assert stable_rate(bound, y) == pytest.approx(2 / largest, rel=1e-2)
    assert stable_rate(bound, y, momentum=0.5) == pytest.approx(3 / largest, rel=1e-2)


# -- what comes back, and what is refused -----------------------------------------------------------------------------


def test_everything_is_labelled_and_saved(tmp_path: Path) -> None:
    told: list[float] = []
    run = simulate(
        positional(heads=3), Copying(4, 3), 0.5, 8, 50, [5, 2], records=6, initial=START, evaluation=100,
        progress=told.append,
    )  # fmt: skip
    assert run.W.dims == ("seed", "time", "head", "input", "output")
    assert run.P.dims == ("seed", "time", "head", "target", "position")
    assert run.seed.values.tolist() == [5, 2]
    assert run.attrs["lr"] == 0.5
    assert run.attrs["evaluation"] == "100 examples"
    assert "version_numba" in run.attrs
    assert told[-1] == 1.0
    save(run, tmp_path / "run.nc")
    assert load(tmp_path / "run.nc").equals(run)
    assert load(tmp_path / "run.nc").attrs["equation"] == "positional-heads"


def test_the_loss_is_that_of_the_evaluation_examples() -> None:
    examples, held_out = ragged_examples(True), ragged_examples(True, seed=5)
    run = simulate(keyword(), examples, 0.5, 3, steps=30, records=4, evaluation=held_out, initial={"W": 0.5})
    for k in range(4):
        states = {"s": run.s[0, k].values, "W": run.W[0, k].values}
        loss, _ = oracle.keyword(states, oracle.rows_of(held_out))
        assert run.loss[0, k].item() == pytest.approx(loss, rel=1e-12)


def test_records_are_spread_over_log_time() -> None:
    assert record_steps(10_000, 6).tolist() == [0, 1, 10, 100, 1000, 10_000]
    for steps, records in itertools.product((1, 2, 7, 100, 12345), (2, 3, 10, 50)):
        found = record_steps(steps, records)
        assert len(found) == min(records, steps + 1)
        assert found[0] == 0
        assert found[-1] == steps
        assert (np.diff(found) > 0).all()


BAD: list[tuple[dict, str]] = [
    ({"lr": 0.0}, "lr = 0.0 must be a number above 0"),
    ({"lr": float("nan")}, "lr = nan"),
    ({"lr": -1}, "lr = -1"),
    ({"lr": {"s": 1.0}}, "lr = "),
    ({"batch": 0}, "batch = 0 must be a whole number from 1"),
    ({"batch": 2.5}, r"batch = 2\.5"),
    ({"batch": 10}, "batch = 10 is more than the 9 examples"),
    ({"steps": 0}, "steps = 0 must be a whole number from 1"),
    ({"momentum": 1.0}, r"momentum = 1\.0"),
    ({"seeds": 0}, "seeds = 0"),
    ({"seeds": []}, "seeds is empty"),
    ({"seeds": [1, 2, 1]}, "seed 1 is given twice"),
    ({"seeds": [-1]}, "a seed = -1"),
    ({"rates": {"Z": 1.0}}, "rate of 'Z': the states of keyword are s, W"),
    ({"rates": {"W": -1.0}}, "rate of W"),
    ({"initial": {"Z": 1.0}}, "initial 'Z': the states of keyword are s, W"),
    ({"initial": {"W": np.zeros(3)}}, "initial W must be finite and of shape"),
    ({"records": 1}, "records = 1 must be 2 or more"),
    ({"records": [0, 200]}, "records must be increasing"),
    ({"records": [3, 2]}, "records must be increasing"),
    ({"records": []}, "records must be increasing"),
    ({"threads": 0}, "threads = 0"),
    ({"evaluation": 5}, "evaluation counts"),
    ({"evaluation": Examples.from_rows([[0]], [0], 9, 2)}, "evaluation has 9 inputs"),
    ({"data": ragged_examples(False)}, "it takes one each"),
    ({"data": Copying(4, 2), "problem": positional()}, "a task has no end: say how many"),
    ({"data": Copying(4, 2), "problem": positional(), "batch": 2, "epochs": True}, "epochs counts passes"),
    ({"data": [1, 2]}, "cannot draw examples from list"),
]


@pytest.mark.parametrize(("wrong", "message"), BAD)
def test_wrong_input_is_refused_in_one_line(wrong: dict, message: str) -> None:
    options = {"data": ragged_examples(True), "problem": keyword(), "lr": 0.1, "steps": 100, **wrong}
    with pytest.raises(InputError, match=message) as caught:
        simulate(**options)
    assert "\n" not in str(caught.value)


def test_a_task_whose_examples_grow_longer_than_the_model_is_told() -> None:
    class Growing(Copying):
        def sample(self, n: int, rng: np.random.Generator) -> Examples:
            return Copying(4, 2 if n > 4 else 3).sample(n, rng)

    with pytest.raises(InputError, match="longer than"):
        simulate(positional(), Growing(4, 2), 0.1, 4, steps=3)


def test_files_are_not_left_behind(tmp_path: Path) -> None:
    simulate(keyword(), ragged_examples(True), 0.1, steps=20, checkpoint=tmp_path / "a.npz", checkpoint_every=0)
    assert os.listdir(tmp_path) == ["a.npz"]
    with pytest.raises(InputError, match="directory"):
        simulate(keyword(), ragged_examples(True), 0.1, steps=20, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": 1.5}, "seeds = 1.5 must be a whole number from 1, or the seeds themselves"),
        ({"seeds": "2"}, "seeds = '2' must be a whole number from 1, or the seeds themselves"),
        ({"seeds": None}, "seeds = None must be a whole number from 1, or the seeds themselves"),
        ({"initial": {"W": "x"}}, "initial W must be numbers, not 'x'"),
        ({"initial": {"W": "0.1"}}, "initial W must be numbers, not '0.1'"),
        ({"initial": {"W": np.nan}}, "initial W must be finite and of shape (6, 6): a number is not"),
        ({"initial": 5}, "initial = 5 must give each state its own, {'W': 0.01} for example"),
        ({"rates": {"W": "1"}}, "rate of W = '1' must be a number from 0 on"),
        ({"rates": {"W": True}}, "rate of W = True must be a number from 0 on"),
        ({"rates": 5}, "rates = 5 must give each state its own, {'W': 0.5} for example"),
    ],
)
def test_values_of_other_types_are_refused_in_words(wrong: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        simulate(positional(), Copying(6, 3), **{"lr": 1.0, "batch": 8, "steps": 5, **wrong})
    assert str(error.value) == message


def test_a_keyword_that_is_misspelt_is_named_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"simulate\(\) has no option 'seed'; did you mean 'seeds'\?"):
        simulate(positional(), Copying(6, 3), lr=1.0, batch=8, steps=5, seed=3)
