"""Definitions that a result has because they were asked for: ``observe=``."""

import numpy as np
import pytest
from scipy.special import softmax

from dynamics import CoOccurrence, Copying, Examples, InputError, compare, copying, keyword, positional, simulate, solve
from dynamics.cli import run
from dynamics.program_file import Definition, SumOver, indices, model, sizes, tensors

ROWS = [[0, 2, 1], [1, 2]]
TWO = Examples.from_rows(ROWS, [0, 1], inputs=3, outputs=2)


def test_attention_of_ragged_examples_is_that_of_numpy_and_nan_behind_a_row() -> None:
    found = solve(keyword(), TWO, [0, 10, 100], observe=["alpha", "z"])
    assert found.alpha.dims == ("time", "n", "l")
    assert found.z.dims == ("time", "n", "output")
    for k in range(3):
        s, W = found.s.values[k], found.W.values[k]
        for n, row in enumerate(ROWS):
            share = softmax(s[row])
            assert found.alpha.values[k, n, : len(row)] == pytest.approx(share, abs=1e-14)
            assert np.isnan(found.alpha.values[k, n, len(row) :]).all()
            assert found.z.values[k, n] == pytest.approx(share @ W[row], abs=1e-13)


def test_several_rows_of_an_example_are_told_apart() -> None:
    examples = Examples.from_rows([[0, 1, 2], [2, 1]], [[0, 1, 2], [1, 2]], inputs=3, outputs=3)
    found = solve(positional(), examples, [0, 5], observe="alpha", initial={"W": 0.1, "P": 0.5})
    assert found.alpha.dims == ("time", "n", "t", "l")
    P = found.P.values[-1]
    for n, (targets, length) in enumerate([(3, 3), (2, 2)]):
        assert found.alpha.values[-1, n, :targets, :length] == pytest.approx(softmax(P[:targets, :length], axis=1))
    assert np.isnan(found.alpha.values[:, 1, 2, :]).all()
    assert np.isnan(found.alpha.values[:, 1, :, 2]).all()


def test_observing_does_not_change_the_trajectory() -> None:
    plain, seen = (solve(keyword(), TWO, [0, 10, 100], observe=observe) for observe in (None, ["alpha", "sdot"]))
    assert (plain.s.values == seen.s.values).all()
    assert (plain.W.values == seen.W.values).all()
    assert plain.loss.values == pytest.approx(seen.loss.values, rel=1e-14)
    assert plain.attrs["evaluations"] == seen.attrs["evaluations"]
    assert seen.attrs["observe"] == "alpha, sdot"


def test_the_slope_of_a_state_is_its_derivative() -> None:
    t = np.linspace(10, 10.001, 3)
    found = solve(keyword(), TWO, np.concatenate([[0], t]), observe=["sdot", "s"], rtol=1e-10, atol=1e-12)
    slope = (found.s.values[3] - found.s.values[1]) / (t[2] - t[0])
    assert found.sdot.values[2] == pytest.approx(slope, rel=1e-5)


def test_what_is_kept_of_states_is_kept_of_observables() -> None:
    lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    whole = solve(lexicon, [0, 10], observe="Rtilde")
    part = solve(lexicon, [0, 10], observe="Rtilde", keep={"input": ["Katze"]})
    assert part.Rtilde.values == pytest.approx(whole.Rtilde.sel(input=["Katze"]).values, abs=0)


def test_a_reduction_shows_what_it_is_asked_for_by_its_own_name() -> None:
    found = solve(copying(8, 8), [0, 200], observe=["alpha"], initial={"u": 0.01, "a": 0.01})
    assert (found.alpha.values == found.attention.values).all()


def test_a_run_is_observed_at_its_records_alone() -> None:
    plain = simulate(keyword(), TWO, lr=1.0, steps=50, records=[0, 10, 50], seeds=2)
    found = simulate(keyword(), TWO, lr=1.0, steps=50, records=[0, 10, 50], seeds=2, observe=["alpha"])
    assert found.alpha.dims == ("seed", "time", "n", "l")
    assert (found.W.values == plain.W.values).all()
    assert found.alpha.values[1, 2, 0] == pytest.approx(softmax(found.s.values[1, 2][ROWS[0]]))


def test_theory_and_run_are_compared_on_what_is_observed() -> None:
    found = compare(keyword(), TWO, lr=0.01, steps=300, records=5, observe=["alpha"])
    assert np.isfinite(found.error_alpha.values).all()
    assert float(found.error_alpha.max()) < 0.01


def test_fresh_examples_are_not_compared_one_by_one() -> None:
    with pytest.raises(InputError, match="of single examples, which are others in a run on fresh ones"):
        compare(positional(), Copying(4, 3), lr=1.0, batch=8, steps=5, observe=["alpha"])


def test_what_is_not_defined_is_refused() -> None:
    with pytest.raises(InputError, match="observe: keyword has no definition 'alhpa'; did you mean 'alpha'"):
        solve(keyword(), TWO, [0, 1], observe=["alhpa"])
    with pytest.raises(InputError, match="has no definition"):
        simulate(keyword(), TWO, lr=1.0, steps=5, observe="weights")


def test_of_a_program_on_arrays() -> None:
    (N, D), (n, d), (x, y, w, z) = sizes("N D"), indices("n d"), tensors("x y w z")
    program = model(
        "Regression",
        extents={n: N, d: D},
        data=[x[n, d], y[n]],
        states=[w[d]],
        definitions=[Definition(z[n], SumOver(x[n, d] * w[d], d), "prediction")],
        loss=SumOver((z[n] - y[n]) ** 2 / (2 * N), n),
        examples=n,
    )
    x_, y_ = np.eye(3)[:, :2], np.array([1.0, 2.0, 3.0])
    found = solve(program, {"x": x_, "y": y_}, t=[0, 1, 30], observe="z")
    assert found.z.values == pytest.approx(found.w.values @ x_.T, abs=1e-15)
    assert found.z.attrs["long_name"] == "prediction"


def test_the_command_line_takes_names(tmp_path, capsys) -> None:
    given = ["--task", "topics", "--examples", "20", "--figures", "none"]
    import xarray as xr

    assert run(["solve", *given, "--theory", "exact", "--at", "0,1", "--observe", "alpha", "-o", str(tmp_path)]) == 0
    assert xr.open_dataset(tmp_path / "trajectory.nc").alpha.dims[0] == "time"
    assert run(["simulate", *given, "--steps", "3", "--seeds", "1", "--observe", "alpha", "-o", str(tmp_path)]) == 0
    assert xr.open_dataset(tmp_path / "run.nc").alpha.dims[:2] == ("seed", "time")
    assert run(["compare", *given, "--steps", "3", "--seeds", "1", "--observe", "Q", "-o", str(tmp_path)]) == 0
    assert "error_Q" in xr.open_dataset(tmp_path / "comparison.nc")
    capsys.readouterr()
    assert run(["solve", *given, "--observe", "nothing", "-o", str(tmp_path)]) == 2
    assert "observe: " in capsys.readouterr().err
