"""Data of one's own: minibatches of arrays, fresh examples from a sampler, counts, arrays that name their entries."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from derivations.closures import both_stages
from derivations.gradient_flow import gradient_flow
from derivations.gradient_flow.minibatches import on_minibatches
from derivations.program import ProgramError
from dynamics import CoOccurrence, InputError, compare, on_arrays, simulate, solve
from dynamics.cli import run
from dynamics.problems.kinds.minibatches import in_part, sampled
from dynamics.program_file import Definition, LogSumExp, SumOver, indices, model, scalars, sizes, tensors

N, D, M, V, O = sizes("N D M V O")
n, m, d, l, i, o = indices("n m d l i o")
x, y, w, z, c = tensors("x y w z c")
length, words = tensors("length words", integer=True)
count, total, penalty = scalars("count total penalty")


def regression(kind: str = "mean", strength: float = 0.0):
    """Linear regression: a mean over examples, a sum of them, or a mean by a count of its own; with a penalty."""
    divided = {"mean": N, "sum": 1, "count": count}[kind]
    return model(
        "Regression",
        extents={n: N, d: D},
        data=[x[n, d], y[n]],
        states=[w[d]],
        definitions=[
            Definition(z[n], SumOver(x[n, d] * w[d], d)),
            Definition(count, SumOver(1 + y[n] ** 2, n)),
            Definition(total, SumOver((z[n] - y[n]) ** 2 / 2 / divided, n)),
            Definition(penalty, SumOver(w[d] ** 2 / 2, d)),
        ],
        loss=total + strength * penalty,
        examples=n,
    )


def arrays(count: int, seed: int = 0, dimension: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    x_ = random.standard_normal((count, dimension))
    return {"x": x_, "y": x_ @ np.arange(1.0, dimension + 1) + 0.1 * random.standard_normal(count)}


@pytest.mark.parametrize("kind", ["mean", "sum", "count"])
def test_one_step_on_a_batch_is_that_of_numpy(kind: str) -> None:
    data, lr = arrays(10), 0.01
    found = simulate(regression(kind, 3.0), data, lr=lr, batch=4, steps=1, seeds=[3], initial={"w": np.ones(3)})
    rows = np.random.Generator(np.random.PCG64(np.random.SeedSequence(3, spawn_key=(2, 0)))).permutation(10)[:4]
    x_, y_ = data["x"][rows], data["y"][rows]
    # What the batch says of all: of a mean the mean over the batch, of a sum N/B times its sum; the penalty as it is.
    divided = {"mean": 4, "sum": 4 / 10, "count": (1 + y_**2).sum()}[kind]
    slope = x_.T @ (x_ @ np.ones(3) - y_) / divided + 3 * np.ones(3)
    assert found.w.values[0, -1] == pytest.approx(1 - lr * slope, rel=1e-13)


@pytest.mark.parametrize("kind", ["mean", "sum"])
def test_the_batches_of_a_pass_average_to_the_whole_gradient(kind: str) -> None:
    problem, at = on_arrays(regression(kind, 0.5), arrays(12)), np.array([0.3, -1.0, 0.5])
    part = in_part(problem)
    batches = [part.of(part.take(np.arange(k, k + 3)), 3) for k in range(0, 12, 3)]
    found = [batch.bind({"w": 1.0})[0].evaluate(at)["wdot"] for batch in batches]
    whole = problem.bind({"w": 1.0})[0].evaluate(at)["wdot"]
    assert np.mean(found, axis=0) == pytest.approx(whole, rel=1e-13)
    assert np.ptp(found, axis=0).min() > 0.1  # which could fail


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from(["mean", "sum", "count"]))
def test_on_all_examples_the_estimate_is_the_program(seed: int, kind: str) -> None:
    problem = on_arrays(regression(kind, 0.5), arrays(5, seed))
    at = np.random.default_rng(seed).standard_normal(3)
    whole = problem.bind({"w": 1.0})[0].evaluate(at)["wdot"]
    assert in_part(problem).bind({"w": 1.0})[0].evaluate(at)["wdot"] == pytest.approx(whole, rel=1e-13)


def test_rows_of_different_lengths_go_with_their_examples() -> None:
    program = model(
        "Bags",
        extents={n: N, l: length[n], i: V},
        data=[length[n], words[n, l], y[n]],
        states=[w[i]],
        definitions=[Definition(z[n], SumOver(w[words[n, l]] / length[n], l))],
        loss=SumOver((z[n] - y[n]) ** 2 / (2 * N), n),
        examples=n,
    )
    rows = [[0, 1], [2], [3, 3, 1], [0, 2]]
    data = {"length": [len(r) for r in rows], "words": np.concatenate(rows), "y": [1.0, 2.0, 3.0, 4.0]}
    part = in_part(on_arrays(program, data, {"V": 4}))
    taken = part.take(np.array([2, 0]))
    assert taken["words"].tolist() == [3, 3, 1, 0, 1]
    assert taken["length"].tolist() == [3, 2]
    found = simulate(program, data, lr=0.5, batch=2, steps=2000, values={"V": 4}, seeds=2)
    assert float(found.loss.isel(time=-1).max()) < 1e-3


def test_a_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    program, data, kept = regression(), arrays(9), tmp_path / "run.npz"
    whole = simulate(program, data, lr=0.1, batch=4, steps=40, seeds=2, records=[0, 20, 40])
    simulate(program, data, lr=0.1, batch=4, steps=20, seeds=2, records=[0, 20], checkpoint=kept)
    rest = simulate(program, data, lr=0.1, batch=4, steps=40, seeds=2, records=[0, 20, 40], resume=kept)
    assert (whole.w.values == rest.w.values).all()


def test_epochs_and_replacement_count_examples() -> None:
    found = simulate(regression(), arrays(9), lr=0.1, batch=4, steps=4, epochs=True, records=2)
    assert found.step.values[-1] == 9
    drawn = simulate(regression(), arrays(9), lr=0.1, batch=4, steps=4, replacement=True, records=2)
    assert drawn.attrs["replacement"] == "True"


def sampler(random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    x_ = random.standard_normal((count, 3))
    return {"x": x_, "y": x_ @ np.arange(1.0, 4.0)}


def test_fresh_examples_follow_the_seed_and_find_the_answer() -> None:
    settings = {"lr": 0.1, "batch": 16, "steps": 200, "records": 3}
    found = simulate(regression(), sampler, seeds=[5, 6], **settings)
    again = simulate(regression(), sampler, seeds=[6], **settings)
    assert (found.w.sel(seed=6).values == again.w.sel(seed=6).values).all()
    assert (found.w.sel(seed=5).values[1] != found.w.sel(seed=6).values[1]).any()
    assert found.w.values[:, -1] == pytest.approx(np.tile([1.0, 2.0, 3.0], (2, 1)), abs=1e-4)
    assert found.attrs["evaluation"] == "256 examples"


def test_a_sampler_is_solved_on_a_fixed_set() -> None:
    problem = sampled(regression(), sampler, seed=1, count=500)
    assert problem.data["x"].shape == (500, 3)
    found = compare(problem, lr=0.01, batch=64, steps=300, seeds=3, records=4)
    assert float(found.error_w.isel(time=-1).max()) < 0.1
    assert solve(regression(), sampler, t=[0, 100]).w.values[-1] == pytest.approx([1, 2, 3], abs=1e-4)


def test_what_a_sampler_gives_is_checked() -> None:
    def fewer(random, count):
        return sampler(random, min(count, 100))

    with pytest.raises(InputError, match="gave 100 examples where 256 were asked for"):
        simulate(sampled(regression(), fewer, count=50), lr=0.1, batch=4, steps=1)
    with pytest.raises(InputError, match="the sampler gave list"):
        solve(regression(), lambda random, count: [1, 2], t=[0, 1])
    with pytest.raises(InputError, match="a sampler has no end"):
        simulate(regression(), sampler, lr=0.1)


def test_what_some_examples_do_not_tell_is_refused() -> None:
    def of(**changes):
        given = {
            "extents": {n: N, m: N, d: D}, "data": [x[n, d]], "states": [w[d]], "examples": n,
            "definitions": [Definition(z[n], SumOver(x[n, d] * w[d], d))], "loss": SumOver(z[n] ** 2 / N, n),
        } | changes  # fmt: skip
        return model("Refused", **given)

    for program, message in (
        (of(examples=None), "which index counts examples is not said"),
        (of(states=[w[d], c[n]], loss=SumOver(z[n] * c[n], n)), "is one for each example"),
        (of(loss=SumOver(z[n] * z[m], n, m)), "pairs of examples"),
    ):
        with pytest.raises(InputError, match=message):
            simulate(program, {"x": np.ones((4, 2))}, lr=0.1, batch=2, steps=1)
    with pytest.raises(InputError, match="batch = 9 is more than the 4 examples"):
        simulate(of(), {"x": np.ones((4, 2))}, lr=0.1, batch=9)
    with pytest.raises(ProgramError, match="which index counts examples"):
        on_minibatches(both_stages())


def test_log_sums_over_examples_are_estimated_too() -> None:
    program = model(
        "Free energy", extents={n: N, d: D}, data=[x[n, d]], states=[w[d]], examples=n,
        definitions=[Definition(z[n], SumOver(x[n, d] * w[d], d)), Definition(total, LogSumExp(z[n], n))],
        loss=total,
    )  # fmt: skip
    found, share = on_minibatches(gradient_flow(program))
    assert f"weight={share}" in str(next(d for d in found.definitions if d.name == "total"))


COUNTS = CoOccurrence.from_counts([[8, 1, 0], [1, 8, 2]], inputs=["Hund", "Katze"], outputs=["dog", "cat", "mouse"])


def test_a_program_on_counts_is_the_closure_of_the_package() -> None:
    found = solve(both_stages(), COUNTS, [0, 10, 100], rtol=1e-9, atol=1e-12)
    known = solve(COUNTS, [0, 10, 100], rtol=1e-9, atol=1e-12)
    assert found.W.values == pytest.approx(known.W.values, abs=1e-8)
    assert found.input.values.tolist() == ["Hund", "Katze"]
    assert found.sel(input="Hund", output="dog").W.shape == (3,)
    assert solve(both_stages(), COUNTS, [0, 1], top=1).sizes["output"] == 1


def factorised():
    C, q, E, U, W_, lse, logits = tensors("C q E U W lse logits")
    v, r = indices("v r")
    (R,) = sizes("R")
    return model(
        "Factorised", extents={i: V, o: O, v: O, r: R}, data=[C[i, o], q[o]], states=[E[i, r], U[v, r]],
        definitions=[
            Definition(W_[i, v], SumOver(E[i, r] * U[v, r], r)),
            Definition(logits[o, v], SumOver(C[i, o] / q[o] * W_[i, v], i)),
            Definition(lse[o], LogSumExp(logits[o, v], v)),
        ],
        loss=SumOver(q[o] * (lse[o] - logits[o, o]), o),
    )  # fmt: skip


def test_a_program_of_ones_own_has_the_words_of_the_counts() -> None:
    found = solve(factorised(), COUNTS, t=[0, 100], values={"R": 2}, initial={"E": 0.1, "U": 0.1}, observe="W")
    assert found.E.i.values.tolist() == ["Hund", "Katze"]
    assert found.U.v.values.tolist() == ["dog", "cat", "mouse"]
    assert found.W.isel(time=-1).sel(i="Hund").idxmax("v") == "dog"
    with pytest.raises(InputError, match="counts give C"):
        solve(regression(), COUNTS, [0, 1])


def test_the_command_line_takes_counts_and_batches(tmp_path: Path, capsys) -> None:
    program = tmp_path / "factorised.py"
    program.write_text(
        "from dynamics.program_file import *\n"
        'V, O, R = sizes("V O R")\ni, o, v, r = indices("i o v r")\n'
        'C, q, E, U, W, lse, z = tensors("C q E U W lse z")\n'
        'program = model("Factorised", extents={i: V, o: O, v: O, r: R}, data=[C[i, o], q[o]],\n'
        "states=[E[i, r], U[v, r]],\n"
        "definitions=[Definition(W[i, v], SumOver(E[i, r] * U[v, r], r)),\n"
        "Definition(z[o, v], SumOver(C[i, o] / q[o] * W[i, v], i)), Definition(lse[o], LogSumExp(z[o, v], v))],\n"
        "loss=SumOver(q[o] * (lse[o] - z[o, o]), o))\n"
    )
    COUNTS.save(tmp_path / "counts.npz")
    where = ["--figures", "none", "-o", str(tmp_path / "out")]
    given = ["solve", "--program", str(program), "--set", "R=2", "--init", "0.1", "--at", "0,10"]
    assert run([*given, "--cooccurrence", str(tmp_path / "counts.npz"), *where]) == 0
    found = xr.open_dataset(tmp_path / "out" / "trajectory.nc")
    assert found.i.values.tolist() == ["Hund", "Katze"]
    (tmp_path / "a.txt").write_text("ein Hund\neine Katze\n")
    (tmp_path / "b.txt").write_text("a dog\na cat\n")
    assert run([*given[:1], str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), *given[1:], *where]) == 0
    np.savez(tmp_path / "data.npz", **arrays(8))
    (tmp_path / "line.py").write_text(
        "from dynamics.program_file import *\n"
        'N, D = sizes("N D")\nn, d = indices("n d")\nx, y, w, z = tensors("x y w z")\n'
        'program = model("Line", extents={n: N, d: D}, data=[x[n, d], y[n]], states=w[d], examples=n,\n'
        "definitions=Definition(z[n], SumOver(x[n, d] * w[d], d)), loss=SumOver((z[n] - y[n]) ** 2 / N, n))\n"
    )
    given = ["simulate", "--program", str(tmp_path / "line.py"), "--data", str(tmp_path / "data.npz"), "--lr", "0.05"]
    assert run([*given, "--batch", "2", "--steps", "20", "--seeds", "2", *where]) == 0
    capsys.readouterr()
    assert run([*given, "--batch", "20", *where]) == 2
    assert "batch = 20 is more than the 8 examples" in capsys.readouterr().err


def test_labels_of_arrays_come_back_and_order_does_not_matter() -> None:
    program, data = regression(), arrays(6)
    named = xr.DataArray(data["x"], {"d": ["height", "width", "age"]}, dims=("n", "d"))
    plain = solve(program, data, [0, 5])
    found = solve(program, {"x": named.transpose("d", "n"), "y": data["y"]}, [0, 5])
    assert (found.w.values == plain.w.values).all()
    assert found.d.values.tolist() == ["height", "width", "age"]
    assert found.w.sel(d="age").shape == (2,)
    kept = simulate(program, {"x": named, "y": data["y"]}, lr=0.1, batch=2, steps=3, keep={"d": ["age"]})
    assert kept.d.values.tolist() == ["age"]


def test_arrays_along_one_size_are_aligned_by_their_labels() -> None:
    a, b = tensors("a b")
    program = model(
        "Two arrays", extents={i: V}, data=[a[i], b[i]], states=[w[i]],
        loss=SumOver((a[i] * w[i] - b[i]) ** 2 / 2, i),
    )  # fmt: skip
    one = xr.DataArray([1.0, 2.0, 4.0], {"i": ["p", "q", "r"]}, dims="i")
    other = xr.DataArray([12.0, 3.0, 8.0], {"i": ["r", "p", "q"]}, dims="i")
    found = solve(program, {"a": one, "b": other}, [0, 200])
    assert found.w.isel(time=-1).sel(i=["p", "q", "r"]).values == pytest.approx([3.0, 4.0, 3.0], abs=1e-6)
    with pytest.raises(InputError, match="b: 'q' along i: arrays along V must have the same labels"):
        solve(program, {"a": one, "b": other.assign_coords(i=["r", "p", "s"])}, [0, 1])
    with pytest.raises(InputError, match="a label along i is there twice"):
        solve(program, {"a": one.assign_coords(i=["p", "p", "r"]), "b": other}, [0, 1])


def test_dimensions_in_the_wrong_place_are_refused() -> None:
    wrong = xr.DataArray(np.ones((3, 3)), dims=("d", "sample"))
    with pytest.raises(InputError, match="x has the dimensions d, sample, not n, d"):
        solve(regression(), {"x": wrong, "y": np.ones(3)}, [0, 1])
    assert solve(regression(), {"x": wrong.rename(d="a", sample="b"), "y": np.ones(3)}, [0, 1]).w.sizes["d"] == 3
