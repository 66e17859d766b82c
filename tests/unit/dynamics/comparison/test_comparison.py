"""Theory beside simulation: errors, axes, labels and bands against numbers worked out by hand."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

from dynamics import CoOccurrence, compare, simulate, solve
from dynamics.comparison.agreement import measures, stage_one
from dynamics.comparison.side_by_side import bands, order_parameter, scalars
from dynamics.problems.kinds.models import lexical, positional
from dynamics.problems.kinds.reduction import copying, excess
from dynamics.support.errors import DataWarning, InputError
from dynamics.tasks import Copying, ToyLexicon
from dynamics.tasks.examples import Examples

TIMES = np.array([0.0, 1.0, 4.0])


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def dataset(times=TIMES, seeds=None, labels=None, **values) -> xr.Dataset:
    """W, and scalars, over ([seed,] time), with ids or labels for the words."""
    leading = ["time"] if seeds is None else ["seed", "time"]
    rows, columns = np.shape(values["W"])[-2:] if "W" in values else (2, 2)
    inputs, outputs = (np.arange(rows), np.arange(columns)) if labels is None else labels
    found = {}
    for name, value in values.items():
        dims = [*leading, "input", "output"] if name == "W" else leading
        found[name] = (dims, np.asarray(value, dtype=float))
    coords = {"time": times} | ({} if seeds is None else {"seed": seeds})
    return xr.Dataset(found, coords | ({"input": list(inputs), "output": list(outputs)} if "W" in values else {}))


def matrices(random, *leading, rows=3, columns=3):
    return random.standard_normal((*leading, rows, columns))


# -- errors ------------------------------------------------------------------------------------------------------------


def test_relative_errors_by_hand() -> None:
    random = np.random.default_rng(0)
    theory, run = matrices(random, 3), matrices(random, 2, 3)
    theory[0] = 0
    found = compare(dataset(W=theory), dataset(seeds=[4, 5], W=run))
    assert found.error_W.dims == ("seed", "time")
    assert np.isnan(found.error_W.values[:, 0]).all()  # the prediction is 0 there
    for k in range(2):
        for j in (1, 2):
            by_hand = np.linalg.norm(run[k, j] - theory[j]) / np.linalg.norm(theory[j])
            assert found.error_W.values[k, j] == pytest.approx(by_hand, rel=1e-14)
    u_run, u = excess(run), excess(theory)
    np.testing.assert_allclose(found.error_u, (u_run - u) / abs(u_run).max(), rtol=1e-14)
    np.testing.assert_array_equal(found.u, u_run)
    np.testing.assert_array_equal(found.u_predicted, u)
    assert found.error_u.attrs["units"] == "largest u"


def test_the_loss_has_its_error_in_nats() -> None:
    found = compare(dataset(loss=[3, 2, 1]), dataset(seeds=[0, 1], loss=[[3.5, 2, 0.5], [3, 2.25, 1]]))
    np.testing.assert_allclose(found.error_loss, [[0.5, 0, -0.5], [0, 0.25, 0]])
    assert found.error_loss.attrs["units"] == "nats"
    np.testing.assert_allclose(found.loss_mean, [3.25, 2.125, 0.75])


def test_a_quantity_that_stays_at_zero() -> None:
    found = compare(dataset(u=[0, 0, 0]), dataset(seeds=[0], u=[[0, 0, 0]]))
    assert (found.error_u == 0).all()


@pytest.mark.parametrize("band", [0.5, 0.9, 1.0])
def test_bands_are_quantiles_over_seeds(band: float) -> None:
    values = np.random.default_rng(1).standard_normal((7, 3))
    run = dataset(seeds=range(7), loss=values)
    for found in (compare(dataset(loss=[0, 0, 0]), run, band=band), bands(run, band)):
        np.testing.assert_allclose(found.loss_low, np.quantile(values, (1 - band) / 2, axis=0))
        np.testing.assert_allclose(found.loss_high, np.quantile(values, (1 + band) / 2, axis=0))
        np.testing.assert_allclose(found.loss_mean, values.mean(axis=0))
        np.testing.assert_array_equal(found.loss, values)
        assert found.attrs["band"] == band


def test_one_seed_is_its_own_band_and_may_have_no_dimension() -> None:
    values = np.array([3.0, 2.0, 1.0])
    alone = dataset(loss=values).assign_attrs(seed=6, lr=0.5)
    for run in (alone, alone.expand_dims(seed=[6])):
        found = compare(dataset(loss=values + 1), run)
        for end in ("mean", "low", "high"):
            np.testing.assert_array_equal(found[f"loss_{end}"], values)
        assert found.seed.values.tolist() == [6]
        np.testing.assert_array_equal(found.error_loss, [[-1, -1, -1]])
    np.testing.assert_array_equal(bands(alone).loss_low, values)
    assert found.attrs["run_lr"] == 0.5
    assert found.attrs["seeds"] == 1


def test_seeds_that_diverged_leave_the_others() -> None:
    random = np.random.default_rng(2)
    run = matrices(random, 3, 3)
    run[1, 1:] = np.nan
    loss = np.where(np.isnan(run).any((2, 3)), np.nan, 1.0)
    found = compare(dataset(W=matrices(random, 3), loss=[1, 1, 1]), dataset(seeds=[0, 1, 2], W=run, loss=loss))
    np.testing.assert_array_equal(np.isnan(found.error_W.values[1]), [False, True, True])
    assert np.isfinite(found.error_W.values[[0, 2]]).all()
    for name in ("mean", "low", "high"):
        kept = excess(run)[[0, 2]]
        by_hand = {"mean": kept.mean(0), "low": np.quantile(kept, 0.05, 0), "high": np.quantile(kept, 0.95, 0)}[name]
        np.testing.assert_allclose(found[f"u_{name}"].values[1:], by_hand[1:])
    largest = np.nanmax(abs(excess(run)))
    assert abs(found.error_u * largest + found.u_predicted - found.u).max() < 1e-12


def test_all_seeds_diverged() -> None:
    values = np.array([[3, 2, np.nan], [3, np.nan, np.nan]])
    for found in (
        compare(dataset(loss=[3, 2, 1]), dataset(seeds=[0, 1], loss=values)),
        bands(dataset(seeds=[0, 1], loss=values)),
    ):
        for end in ("mean", "low", "high"):
            np.testing.assert_array_equal(found[f"loss_{end}"], [3, 2, np.nan])


# -- time --------------------------------------------------------------------------------------------------------------


def test_times_that_coincide_are_not_interpolated() -> None:
    """A prediction with more times, rounded otherwise: exactly its values."""
    times = np.array([0.0, 0.3, 0.7, 1.0, 2.0, 4.0])
    theory = np.random.default_rng(3).standard_normal(6)
    run_times = np.array([0.0, 0.1 * 3, 4.0 * (1 - 1e-12)])
    found = compare(dataset(times, loss=theory), dataset(run_times, seeds=[0], loss=[[0, 0, 0]]))
    np.testing.assert_array_equal(found.loss_predicted, theory[[0, 1, 5]])
    np.testing.assert_array_equal(found.time, run_times)


def test_interpolation_comes_nearer_with_more_times() -> None:
    """A smooth curve at three times as many times is some ten times nearer, and never overshoots."""
    wanted = np.linspace(0, 4, 57)

    def error(n: int) -> float:
        times = np.linspace(0, 4, n)
        found = compare(dataset(times, loss=np.exp(-times)), dataset(wanted, seeds=[0], loss=[np.exp(-wanted)]))
        predicted = found.loss_predicted.values
        assert (np.diff(predicted) < 0).all()
        return float(abs(found.error_loss).max())

    errors = [error(n) for n in (5, 13, 37, 109)]
    assert errors[0] < 0.03
    assert all(after < before / 7 for before, after in pairwise(errors))


def test_interpolation_of_tensors_is_entry_by_entry() -> None:
    """Of a straight line, exactly; with the labels and the dimensions kept."""
    slopes = np.random.default_rng(4).standard_normal((3, 2))
    times, wanted = np.array([0.0, 1.0, 2.0, 5.0]), np.array([0.5, 3.0])
    words = (list("abc"), list("xy"))
    found = compare(
        dataset(times, labels=words, W=times[:, None, None] * slopes),
        dataset(wanted, seeds=[0], labels=words, W=(1.1 * wanted[:, None, None] * slopes)[None]),
    )
    np.testing.assert_allclose(found.error_W, [[0.1, 0.1]], rtol=1e-12)


def test_records_outside_the_prediction_are_counted() -> None:
    times = np.array([0.5, 1.0, 2.0])
    run = dataset(np.array([0.0, 0.5, 1.0, 2.0, 3.0, 4.0]), seeds=[0], loss=[[6, 5, 4, 3, 2, 1]])
    with pytest.warns(DataWarning, match="3 of 6 records of the run lie outside the prediction"):
        found = compare(dataset(times, loss=[5, 4, 3]), run)
    np.testing.assert_array_equal(found.time, times)
    assert (found.error_loss == 0).all()


@pytest.mark.parametrize("times", [[5.0, 6.0], [-2.0, -1.0], [0.2, 0.3]])
def test_no_time_in_common(times) -> None:
    run = dataset(TIMES, seeds=[0], loss=[[3, 2, 1]])
    with pytest.raises(InputError, match="none in common"):
        compare(dataset(np.array(times), loss=[1, 1]), run)


# -- seeds, stages, labels ---------------------------------------------------------------------------------------------


def test_seeds_are_matched_by_name() -> None:
    theory = dataset(seeds=[9, 2, 5], loss=[[9, 9, 9], [2, 2, 2], [5, 5, 5]])
    run = dataset(seeds=[5, 7, 9], loss=[[5, 5, 5], [7, 7, 7], [9, 9, 9]])
    found = compare(theory, run)
    assert found.seed.values.tolist() == [5, 9]
    assert (found.error_loss == 0).all()
    assert found.attrs["seeds"] == 2
    with pytest.raises(InputError, match="no seed in common"):
        compare(theory, run.assign_coords(seed=[10, 11, 12]))


def test_stages_are_kept() -> None:
    lexicon = ToyLexicon(6, 3)
    run = simulate(lexical(), lexicon, lr=1.0, batch=16, steps=40, seeds=2, records=4)
    theory = solve(lexicon.population(), run.time, stages=["joint", "frozen"], switch=5.0)
    found = compare(theory, run)
    assert found.error_W.dims == found.error_u.dims == ("stages", "seed", "time")
    assert found.loss_predicted.dims == ("stages", "time")
    for stage in ("joint", "frozen"):
        alone = compare(theory.sel(stages=stage), run)
        for name in ("error_W", "error_A", "error_loss", "error_u", "u_predicted"):
            np.testing.assert_array_equal(found[name].sel(stages=stage), alone[name])


def test_words_are_matched_by_name_in_any_order() -> None:
    random = np.random.default_rng(5)
    words = (["sun", "moon", "star"], ["Sonne", "Mond", "Stern"])
    theory = matrices(random, 3)
    run = dataset(seeds=[0], labels=words, W=theory[None])
    shuffled = dataset(labels=words, W=theory).isel(input=[2, 0, 1], output=[1, 2, 0])
    found = compare(shuffled, run)
    assert (found.error_W == 0).all()
    fewer = compare(shuffled.isel(input=[0, 1], output=[0, 2]), run)  # only the words of both
    assert (fewer.error_W == 0).all()
    changed = theory + 0.1 * matrices(random, 3)
    fewer = compare(dataset(labels=words, W=changed).isel(input=[2, 0]), run)
    kept = (changed - theory)[:, [0, 2]]
    np.testing.assert_allclose(
        fewer.error_W[0], np.linalg.norm(kept, axis=(1, 2)) / np.linalg.norm(changed[:, [0, 2]], axis=(1, 2))
    )


def test_the_order_of_dimensions_does_not_matter() -> None:
    random = np.random.default_rng(6)
    theory, run = dataset(W=matrices(random, 3)), dataset(seeds=[0, 1], W=matrices(random, 2, 3))
    one = compare(theory, run)
    other = compare(theory.transpose("output", "time", "input"), run.transpose("input", "seed", "output", "time"))
    np.testing.assert_allclose(one.error_W, other.error_W, rtol=1e-14)
    np.testing.assert_allclose(one.error_u, other.error_u.transpose(*one.error_u.dims), rtol=1e-12)


def test_names_that_are_numbers_are_ids() -> None:
    """What counts have as '10', '2', a run of a task has as 10, 2: matched as numbers, in whatever order."""
    n = 12
    run = np.random.default_rng(7).standard_normal((1, 3, n, n))
    order = np.argsort([str(k) for k in range(n)])
    names = [str(k) for k in order]
    theory = dataset(labels=(names, names), W=run[0][:, order][:, :, order])
    found = compare(theory, dataset(seeds=[0], W=run))
    assert (found.error_W == 0).all()
    np.testing.assert_allclose(found.error_u, 0, atol=1e-15)


def test_names_against_ids_go_by_position() -> None:
    random = np.random.default_rng(8)
    theory = matrices(random, 3)
    words = (["a", "b", "c"], ["x", "y", "z"])
    found = compare(dataset(labels=words, W=theory), dataset(seeds=[0], W=theory[None]))
    assert (found.error_W == 0).all()
    found = compare(dataset(W=theory), dataset(seeds=[0], labels=words, W=theory[None]))
    assert (found.error_W == 0).all()
    with pytest.raises(InputError, match="3 entries of 'input' and the run 4"):
        compare(dataset(labels=words, W=theory), dataset(seeds=[0], W=matrices(random, 1, 3, rows=4)))
    with pytest.raises(InputError, match="4 entries of 'input' and the run 3"):
        compare(dataset(W=matrices(random, 3, rows=4)), dataset(seeds=[0], labels=words, W=theory[None]))


def test_other_words_are_refused() -> None:
    random = np.random.default_rng(9)
    theory = dataset(labels=(list("abc"), list("xyz")), W=matrices(random, 3))
    run = dataset(seeds=[0], labels=(list("def"), list("xyz")), W=matrices(random, 1, 3))
    with pytest.raises(InputError, match="no input in common"):
        compare(theory, run)


@pytest.mark.parametrize("band", [0, -0.1, 1.5, 2, np.nan, np.inf])
def test_a_band_is_a_share(band) -> None:
    run = dataset(seeds=[0], loss=[[3, 2, 1]])
    with pytest.raises(InputError, match="band"):
        compare(dataset(loss=[3, 2, 1]), run, band=band)
    with pytest.raises(InputError, match="band"):
        bands(run, band)


def test_nothing_in_common() -> None:
    run = dataset(seeds=[0], loss=[[3, 2, 1]])
    with pytest.raises(InputError, match="no quantity in common"):
        compare(dataset(W=np.zeros((3, 2, 2))), run)
    for one, other in ((xr.Dataset({"loss": 3.0}), run), (run, xr.Dataset({"loss": 3.0}))):
        with pytest.raises(InputError, match="over time are needed"):
            compare(one, other)


# -- order parameters --------------------------------------------------------------------------------------------------


def test_only_a_square_of_the_same_words_has_a_diagonal() -> None:
    random = np.random.default_rng(10)
    assert set(scalars(dataset(W=matrices(random, 3)))) == {"u"}
    assert not scalars(dataset(W=matrices(random, 3, columns=2)))
    assert not scalars(dataset(labels=(list("abc"), list("xyz")), W=matrices(random, 3)))
    assert not scalars(dataset(W=matrices(random, 3, rows=1, columns=1)))


def test_what_a_trajectory_has_is_not_worked_out_again() -> None:
    given = dataset(W=matrices(np.random.default_rng(11), 3), u=[1, 2, 3])
    assert scalars(given)["u"].values.tolist() == [1, 2, 3]


def test_order_parameter_keeps_other_dimensions() -> None:
    values = xr.DataArray(np.arange(48.0).reshape(3, 4, 4) ** 2, dims=("head", "output", "input"))
    found = order_parameter(values, "input", "output")
    assert found.dims == ("head",)
    for h in range(3):
        on = np.trace(values.values[h]) / 4
        assert found.values[h] == pytest.approx(on - (values.values[h].sum() - 4 * on) / 12)


# -- real predictions and runs -----------------------------------------------------------------------------------------


def test_heads_of_the_reduction_against_those_of_a_run() -> None:
    """From a symmetric start; the noise of minibatches is a few percent of what was learnt."""
    u, a = np.array([0.5, 0.3]), np.array([0.6, -0.2])
    start = {"W": u[:, None, None] * np.eye(6), "P": a[:, None, None] * np.eye(4)}
    run = simulate(positional(2), Copying(6, 4), lr=0.5, batch=512, steps=200, seeds=3, records=6, initial=start)
    theory = solve(copying(6, 4, heads=2), run.time, initial={"u": u, "a": a})
    found = compare(theory, run)
    assert found.u.dims == ("seed", "time", "head")
    assert found.error_u.dims == ("seed", "time", "head")
    np.testing.assert_array_equal(found.u.sel(head=1), excess(run.W.values[:, :, 1]))
    assert (found.u.isel(time=-1) - found.u.isel(time=0)).min() > 0.5
    assert abs(found.error_u).max() < 0.02
    assert abs(found.error_a).max() < 0.03
    assert abs(found.error_loss).max() < 0.03


def test_measures_are_those_of_both() -> None:
    sentences = ToyLexicon(12, 4).examples(80)
    run = simulate(lexical(), sentences, lr=0.5, batch=20, steps=600, seeds=2, records=4)
    theory = solve(lexical(), sentences, run.time)
    before = stage_one(lexical(), sentences, 20.0)
    found = compare(theory, run, lexical(), sentences, right=range(12), **before)
    of_run, of_theory = (measures(one, lexical(), sentences, right=range(12), **before) for one in (run, theory))
    for name in ("accuracy", "attention", "agreement_beta", "agreement_uf", "agreement_px", "agreement_delta"):
        np.testing.assert_array_equal(found[name], of_run[name])
        np.testing.assert_array_equal(found[f"{name}_predicted"], of_theory[name])
        np.testing.assert_allclose(found[f"{name}_mean"], of_run[name].mean("seed"))
    for name in ("kendall_beta", "xi_px"):
        np.testing.assert_array_equal(found[name], of_run[name])
    assert found.error_W.isel(time=-1).max() < 0.05
    assert abs(found.error_attention).max() < 0.02


def test_counts_with_names_against_a_run_with_names() -> None:
    text = Examples.from_parallel_text(["a dog", "a cat", "the dog", "the cat"], ["x y", "x z", "w y", "w z"])
    run = simulate(lexical(), text, lr=0.1, steps=200, records=5)
    theory = solve(text.cooccurrence(), run.time)
    found = compare(theory, run)
    assert found.error_W.isel(time=1).item() < 0.02
    assert isinstance(text.cooccurrence(), CoOccurrence)
    assert "u" not in found
