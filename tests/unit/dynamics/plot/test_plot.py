"""Figures: what is in them and that files are whole, not how they look."""

import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from dynamics import CoOccurrence, InputError, plot, solve
from dynamics.comparison import side_by_side as comparison
from dynamics.plot import frame
from dynamics.support.errors import DataWarning

STAGES = ("joint", "two-stage", "frozen")
TIMES = np.concatenate([[0.0], np.geomspace(0.5, 500, 31)])
LEXICON = CoOccurrence.from_counts(
    [[1, 2, 9], [8, 1, 2], [1, 8, 1]], inputs=["Vogel", "Hund", "Katze"], outputs=["dog", "cat", "bird"]
)


@pytest.fixture(scope="module")
def trajectory():
    return solve(LEXICON, TIMES, stages=STAGES)


@pytest.fixture(scope="module")
def distances(trajectory):
    return comparison.distance(trajectory).assign_attrs(switch=trajectory.attrs["switch"])


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def texts(ax):
    return [text.get_text() for text in ax.texts]


def named(ax):
    """Lines by their labels, without helping lines."""
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def boxes(texts):
    """Where texts are when they are drawn; of an annotation without its line."""
    texts = list(texts)
    if texts:
        texts[0].get_figure().draw_without_rendering()
    return [Text.get_window_extent(text) for text in texts]


def test_no_pyplot():
    """Figures need no display and leave no state, and the package is imported without matplotlib."""
    code = (
        "import sys, dynamics; assert 'matplotlib' not in sys.modules\n"
        "from dynamics import plot; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- loss


def test_loss_lines_are_the_data(trajectory):
    figure = plot.loss(trajectory)
    (ax,) = figure.axes
    lines = named(ax)
    assert list(lines) == list(STAGES)
    for name, line in lines.items():
        np.testing.assert_array_equal(line.get_xdata(), TIMES)
        np.testing.assert_array_equal(line.get_ydata(), trajectory.loss.sel(stages=name))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(STAGES)
    assert len({str(line._unscaled_dash_pattern) for line in lines.values()}) == 3
    assert len({line.get_color() for line in lines.values()}) == 3


def test_loss_axes(trajectory):
    (ax,) = plot.loss(trajectory).axes
    assert ax.get_xlabel() == "training time τ = learning rate × steps"
    assert ax.get_ylabel() == "loss (nats)"
    assert ax.get_xlim() == (0, 500)
    assert ax.get_ylim()[0] == 0


def test_loss_marks_both_stages(trajectory):
    (ax,) = plot.loss(trajectory).axes
    assert texts(ax) == ["stage 1:\nKTIW", "stage 2:\nattention"]
    one, two = boxes(ax.texts)
    assert one.x1 <= two.x0
    limits = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    np.testing.assert_allclose([limits.x0, limits.x1], [0, trajectory.attrs["switch"]])


@pytest.mark.parametrize(("switch", "marks"), [(1e-3, 2), (499.0, 2), (500.0, 1), (1e4, 1), (0.0, 1)])
def test_marks_stay_within_the_axes(switch, marks):
    (ax,) = plot.loss(solve(LEXICON, TIMES, stages=STAGES, switch=switch)).axes
    assert len(ax.texts) == marks
    frame = ax.get_window_extent()
    for box in boxes(ax.texts):
        assert frame.x0 - 1 <= box.x0 < box.x1 <= frame.x1 + 1


def test_loss_without_stages():
    found = solve(LEXICON, TIMES)
    (ax,) = plot.loss(found).axes
    assert list(named(ax)) == ["joint"]
    assert not ax.texts
    (ax,) = plot.loss(solve(LEXICON, TIMES, stages=STAGES).isel(stages=2)).axes
    assert list(named(ax)) == ["frozen"]


def test_a_prediction_looks_the_same_everywhere(trajectory):
    (every,) = plot.loss(trajectory).axes
    (one,) = plot.loss(trajectory.sel(stages=["frozen"])).axes
    assert named(one)["frozen"].get_color() == named(every)["frozen"].get_color()


def test_loss_into_given_axes(trajectory):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot.loss(trajectory, ax=right) is figure
    assert not left.lines
    assert list(named(right)) == list(STAGES)
    (inner,) = figure.add_subfigure(left.get_subplotspec()).subplots(squeeze=False)[0]
    assert plot.loss(trajectory, ax=inner) is figure


def test_negative_loss_is_seen():
    """A linear closure's loss has no lower limit."""
    found = solve(LEXICON, TIMES).assign(loss=("time", -np.arange(TIMES.size, dtype=float)))
    assert plot.loss(found).axes[0].get_ylim()[0] < -(TIMES.size - 1)


# --- words


def test_words_lines_are_the_data(trajectory):
    pairs = [("Hund", "dog"), ("Vogel", "bird"), ("Katze", "dog")]
    figure = plot.words(trajectory, pairs, stages="frozen")
    above, below = figure.axes
    part = trajectory.sel(stages="frozen")
    lines = named(above)
    assert list(lines) == ["Hund → dog", "Vogel → bird", "Katze → dog"]
    for (i, o), line in zip(pairs, lines.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), part.beta.sel(input=i, output=o))
    lines = named(below)
    assert list(lines) == ["Hund → dog", "Vogel → bird"]  # each output once
    for o, line in zip(["dog", "bird"], lines.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), part.attention.sel(output=o))


def test_words_axes(trajectory):
    above, below = plot.words(trajectory).axes
    assert above.get_ylabel() == "KTIW β (probability)"
    assert below.get_ylabel() == "attention (share)"
    assert below.get_xlabel() == "training time τ = learning rate × steps"
    assert above.get_shared_x_axes().joined(above, below)
    assert texts(above)[:2] == ["stage 1:\nKTIW", "stage 2:\nattention"]


def test_words_are_thick_while_attention_is_on_the_pair(trajectory):
    """Where another word is attended, the thin line alone is drawn, and a legend says so."""
    found = trajectory.sel(stages="joint").copy(deep=True)
    found["attended"] = found.attended.astype(object)
    found["attended"].loc[{"output": "dog"}] = np.where(TIMES < 10, "Katze", "Hund")
    below = plot.words(found, [("Hund", "dog")]).axes[1]
    thin, thick = below.lines[:2]
    assert thin.get_linewidth() < thick.get_linewidth()
    np.testing.assert_array_equal(np.isnan(thick.get_ydata()), TIMES < 10)
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["on the pair's word", "on another word"]
    assert plot.words(trajectory, [("Hund", "dog")]).axes[1].get_legend() is None


@pytest.mark.parametrize("number", [1, 5, 9])
def test_labels_at_line_ends_do_not_overlap(trajectory, number):
    pairs = [(i, o) for i in LEXICON.inputs for o in LEXICON.outputs][:number]
    for ax in plot.words(trajectory, pairs).axes:
        labels = sorted(boxes(text for text in ax.texts if "→" in text.get_text()), key=lambda box: box.y0)
        assert len(labels) == len(named(ax))
        assert all(low.y1 <= high.y0 + 1.5 for low, high in pairwise(labels))
        assert labels[-1].x1 <= ax.figure.bbox.x1


def test_words_of_stage_one_alone():
    found = solve(LEXICON, TIMES, closure="linear-bias")
    (ax,) = plot.words(found).axes
    assert ax.get_xlabel()
    assert len(named(ax)) == 3


def test_words_errors(trajectory):
    with pytest.raises(InputError, match=r"no input 'hund'; did you mean 'Hund'\?"):
        plot.words(trajectory, [("hund", "dog")])
    with pytest.raises(InputError, match="no output 'bat'"):
        plot.words(trajectory, [("Hund", "bat")])
    with pytest.raises(InputError, match="no prediction 'stage'"):
        plot.words(trajectory, stages="stage")
    for pairs in ([], ("Hund", "dog"), [1]):
        with pytest.raises(InputError, match="give pairs of words"):
            plot.words(trajectory, pairs)
    with pytest.raises(InputError, match="no 'beta'"):
        plot.words(trajectory[["loss"]])
    with pytest.raises(InputError, match="no 'loss'"):
        plot.loss(trajectory[["beta"]])


def test_learnt_pairs_are_mutual_and_the_surest_first():
    beta = np.array([[[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.0, 0.1, 0.9]]])
    found = xr.Dataset(
        {"beta": (("time", "input", "output"), beta)}, {"time": [1.0], "input": list("abc"), "output": list("xyz")}
    )
    assert plot.learnt(found) == [("c", "z"), ("a", "x")]
    assert plot.learnt(found, number=1) == [("c", "z")]
    assert plot.learnt(found.assign_coords(output=["x", "y", "."])) == [("a", "x"), ("c", ".")]


# --- KTIW


def test_ktiw_panels_are_the_data(trajectory):
    figure = plot.ktiw(trajectory, at=[0, 480])
    first, last, bar = figure.axes
    order = ["Hund", "Katze", "Vogel"]
    assert [label.get_text() for label in first.get_yticklabels()] == order
    assert [label.get_text() for label in last.get_xticklabels()] == ["dog", "cat", "bird"]
    part = trajectory.sel(stages="joint", input=order)
    for ax, k in ((first, 0), (last, -1)):
        np.testing.assert_array_equal(ax.collections[0].get_array(), part.beta.values[k])
    assert first.collections[0].get_clim() == last.collections[0].get_clim()
    assert bar.get_ylabel() == "KTIW β (probability)"
    assert first.yaxis_inverted()
    assert [ax.get_title() for ax in (first, last)] == ["τ = 0", "τ = 500"]


def test_ktiw_default_times(trajectory):
    titles = [ax.get_title() for ax in plot.ktiw(trajectory).axes[:3]]
    assert [re.sub("τ = [0-9.]+", "", title) for title in titles] == [", early", ", end of stage 1", ", end"]
    shown = float(re.findall("[0-9.]+", titles[1])[0])
    assert shown == pytest.approx(trajectory.attrs["switch"], rel=0.2)
    assert plot.ktiw(solve(LEXICON, TIMES)).axes[1].get_title().endswith("loss half way")


def test_ktiw_says_end_of_stage_one_only_where_it_is():
    found = solve(LEXICON, [0, 1, 500], stages=STAGES, switch=100.0)
    assert not any("stage" in ax.get_title() for ax in plot.ktiw(found).axes)


def test_ktiw_of_part_and_of_many(trajectory):
    assert plot.ktiw(trajectory, size=2).axes[0].collections[0].get_array().shape == (2, 2)
    many = CoOccurrence.from_counts(np.eye(90) + 0.1)
    ax = plot.ktiw(solve(many, [0, 10]), size=90).axes[0]
    labels = sorted(boxes(ax.get_xticklabels()), key=lambda box: box.x0)
    assert 10 < len(labels) < 90
    assert all(left.x1 <= right.x0 + 1 for left, right in pairwise(labels))


def test_ktiw_errors(trajectory):
    with pytest.raises(InputError, match="size = 0"):
        plot.ktiw(trajectory, size=0)
    for at in ([], np.nan):
        with pytest.raises(InputError, match="finite times"):
            plot.ktiw(trajectory, at=at)


# --- distance


def test_distance_lines_are_the_data(distances):
    figure = plot.distance(distances)
    assert [ax.get_title("left") for ax in figure.axes] == ["two-stage", "frozen"]
    for ax, name in zip(figure.axes, ["two-stage", "frozen"], strict=True):
        lines = named(ax)
        assert list(lines) == ["W", "A", "β"]
        for variable, line in zip(("W", "A", "beta"), lines.values(), strict=True):
            np.testing.assert_array_equal(line.get_ydata(), distances[variable].sel(stages=name))
        assert texts(ax)[:2] == ["stage 1:\nKTIW", "stage 2:\nattention"]
        assert set(texts(ax)[2:]) == {"W", "A", "β"}
        assert ax.get_xlabel() == "training time τ = learning rate × steps"
    assert figure.axes[0].get_ylabel() == "distance from joint (% of its norm)"


def test_distance_of_one_prediction(distances):
    (ax,) = plot.distance(distances[["W"]].sel(stages="frozen")).axes
    assert list(named(ax)) == ["W"]


def test_distance_from_another_reference(trajectory):
    figure = plot.distance(comparison.distance(trajectory, "frozen"))
    assert [ax.get_title("left") for ax in figure.axes] == ["joint", "two-stage"]
    assert figure.axes[0].get_ylabel() == "distance from frozen (% of its norm)"
    assert set(texts(figure.axes[0])) == {"W", "A", "β", "stage 1:\nKTIW", "stage 2:\nattention"}


def test_distance_that_is_not_a_number(distances):
    """What is missing has no name at its end."""
    (ax,) = plot.distance((distances[["W", "A"]] * np.nan).sel(stages="frozen")).axes
    assert not {"W", "A"} & set(texts(ax))


def test_distance_errors(distances):
    for wrong in (distances.assign_coords(stages=["joint", "x"]).isel(stages=[0]), distances[["loss"]]):
        with pytest.raises(InputError, match="no distances to draw"):
            plot.distance(wrong)


# --- theory beside simulation


def beside(seeds=4, times=9, stages=None, heads=None, own=False, extra=()):
    """A made-up comparison: what compare() returns, for a loss, order parameters and errors."""
    rng, t = np.random.default_rng(seeds), np.concatenate([[0.0], np.geomspace(1, 1000, times - 1)])
    found, head = {}, [] if heads is None else ["head"]
    shape = [] if heads is None else [heads]
    for k, name in enumerate(("loss", "u", "a", *extra)):
        run = np.exp(-t[:, None] / 300).reshape(-1, *[1] * len(head)) + 0.1 * rng.standard_normal(
            (seeds, times, *shape)
        )
        run = xr.DataArray(run if name == "loss" else k - run, dims=["seed", "time", *head])
        for kind, value in {
            "mean": run.mean("seed"), "low": run.min("seed"), "high": run.max("seed"), "predicted": run.isel(seed=0),
        }.items():  # fmt: skip
            found[f"{name}_{kind}"] = value
        found[name], found[f"error_{name}"] = run, run - found[f"{name}_predicted"]
        predicted = run + 0.01 if own else found[f"{name}_predicted"]
        if stages:
            predicted = xr.concat([predicted + 0.1 * j for j in range(len(stages))], xr.Variable("stages", stages))
        found[f"{name}_predicted"] = predicted
    for name in ("W", "P"):
        found[f"error_{name}"] = xr.DataArray(0.1 * rng.random((seeds, times)), dims=["seed", "time"])
    for name in [name for name in found if name.startswith("error_")]:
        found[name].attrs |= {"kind": "error", "of": name.removeprefix("error_")}
    return xr.Dataset(found, {"time": t, "seed": np.arange(seeds)}, {"band": 0.8})


def with_agreement(compared):
    t = compared.sizes["time"]
    rows = {f"agreement_{key}": 1 - 0.01 * k for k, key in enumerate(("beta", "uf", "px", "delta"))}
    rows["agreement_shuffled"] = 0.1
    made = {}
    for name, level in rows.items():
        attrs = {"kind": "agreement", "of": name.removeprefix("agreement_")}
        made[name] = made[f"{name}_low"] = made[f"{name}_mean"] = ("time", np.full(t, level), attrs)
    return compared.assign(made)


CASES = {
    "plain": lambda: beside(),
    "one seed": lambda: beside(seeds=1),
    "one time": lambda: beside().isel(time=[3]),
    "stages": lambda: beside(stages=["joint", "two-stage", "frozen"]),
    "heads": lambda: beside(heads=3),
    "own predictions": lambda: beside(own=True, heads=2),
    "agreement": lambda: with_agreement(beside(extra=("accuracy", "attention"))),
    "diverged": lambda: beside().where(beside().time < 50),
    "all missing": lambda: beside() * np.nan,
    "run alone": lambda: beside().drop_vars([n for n in beside() if n.endswith("_predicted") or "error" in n]),
}


@pytest.mark.parametrize("case", CASES)
def test_comparison_is_legible(case):
    """No text meets another or leaves the figure."""
    figure = plot.comparison(CASES[case]())
    figure.draw_without_rendering()
    page = figure.bbox
    labels = [ax.title if not ax.get_title("left") else ax._left_title for ax in figure.axes]
    labels += [text for ax in figure.axes for text in ax.texts]
    labels += [label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label) if label.get_text()]
    labels += figure.legends[0].get_texts()
    found = [Text.get_window_extent(text) for text in labels]
    for k, box in enumerate(found):
        assert page.x0 <= box.x0 < box.x1 <= page.x1 + 1, labels[k]
        assert page.y0 <= box.y0 < box.y1 <= page.y1 + 1, labels[k]
        for other, text in zip(found[:k], labels[:k], strict=True):
            assert not box.overlaps(other), (labels[k], text)
    for ax in figure.axes:
        drawn = [Text.get_window_extent(label) for label in ax.get_xticklabels() if label.get_text()]
        assert all(left.x1 < right.x0 for left, right in pairwise(sorted(drawn, key=lambda box: box.x0)))


def test_a_comparison_whose_attributes_are_lost_is_drawn_alike():
    """As in files of before: names tell errors and agreements."""
    compared = with_agreement(beside())
    bare = compared.map(lambda values: values.copy().drop_attrs())
    labels = [[line.get_label() for ax in plot.comparison(one).axes for line in ax.lines] for one in (compared, bare)]
    assert labels[0] == labels[1]
    assert {"W", "P", "KTIW β"} <= set(labels[0])


def test_comparison_draws_the_data():
    compared = with_agreement(beside(stages=["joint", "frozen"]))
    figure = plot.comparison(compared)
    titles = [ax.get_title("left") for ax in figure.axes]
    assert [title.split(":")[0] for title in titles] == [
        "loss", "u", "a", "agreement with attention", "relative error of theory",
    ]  # fmt: skip
    for ax, name in zip(figure.axes, ("loss", "u", "a"), strict=False):
        mean, joint, frozen = ax.lines
        np.testing.assert_array_equal(mean.get_ydata(), compared[f"{name}_mean"])
        np.testing.assert_array_equal(joint.get_ydata(), compared[f"{name}_predicted"].sel(stages="joint"))
        np.testing.assert_array_equal(frozen.get_ydata(), compared[f"{name}_predicted"].sel(stages="frozen"))
        (band,) = ax.collections
        corners = band.get_paths()[0].vertices
        assert corners[:, 1].min() == compared[f"{name}_low"].min()
        assert corners[:, 1].max() == compared[f"{name}_high"].max()
    assert [ax.get_ylabel() for ax in figure.axes] == ["nats", "logit", "logit", "share of targets", "%"]
    errors = named(figure.axes[-1])
    assert list(errors) == ["W", "P"]
    np.testing.assert_allclose(errors["W"].get_ydata(), 100 * compared.error_W.mean("seed"))
    assert texts(figure.axes[3]) == ["KTIW β", "βᵘᶠ, uniform", "βᵖˣ, counts", "gradient Δ", "shuffled"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "theory, joint", "theory, frozen", "simulation, mean and 80 % of 4 seeds",
    ]  # fmt: skip


def test_predictions_of_every_seed_are_a_mean_and_its_edges():
    compared = beside(own=True)
    ax = plot.comparison(compared).axes[0]
    _, mean, low, high = ax.lines
    predicted = compared.loss_predicted
    np.testing.assert_allclose(mean.get_ydata(), predicted.mean("seed"))
    np.testing.assert_allclose(low.get_ydata(), np.quantile(predicted, 0.1, axis=0))
    np.testing.assert_allclose(high.get_ydata(), np.quantile(predicted, 0.9, axis=0))
    assert low.get_linewidth() < mean.get_linewidth()


def test_every_head_has_its_line():
    compared = beside(heads=3)
    ax = plot.comparison(compared).axes[1]
    assert len(ax.lines) == 6
    assert len(ax.collections) == 3
    for h in range(3):
        np.testing.assert_array_equal(ax.lines[h].get_ydata(), compared.u_mean.isel(head=h))
        np.testing.assert_array_equal(ax.lines[3 + h].get_ydata(), compared.u_predicted.isel(head=h))


def test_one_seed_is_not_called_a_band():
    figure = plot.comparison(beside(seeds=1))
    assert figure.legends[0].get_texts()[-1].get_text() == "simulation, one seed"


def test_nothing_to_compare():
    for wrong in (xr.Dataset(), xr.Dataset({"loss": ("time", [1.0])}, {"time": [0.0]})):
        with pytest.raises(InputError, match="give what compare"):
            plot.comparison(wrong)


def by_rate(rates, slopes=(1.0, 2.0)):
    error = [0.02 * np.asarray(rates) ** slope for slope in slopes]
    return xr.Dataset(
        {"error": (("flow", "lr"), error), "slope": ("flow", list(slopes)), "slope_error": ("flow", [0.0123, 0.0456])},
        {"flow": ["gradient flow", "modified flow"], "lr": rates},
        {"tau": 40.0},
    )


@pytest.mark.parametrize("rates", [[0.1, 0.2, 0.4], [1e-4, 1e-2, 1.0, 3.0], [1.0, 1.1, 1.2]])
def test_study_is_legible_and_draws_the_power_laws(rates):
    found = by_rate(rates)
    fluctuating = xr.Dataset(
        {"fluctuation": ("run", np.sqrt(rates)), "ratio": ("run", rates), "slope": 0.5, "slope_error": 0.01},
        attrs={"tau": 1e4},
    )
    for figure, count in ((plot.study(found), 2), (plot.study(fluctuating), 1)):
        (ax,) = figure.axes
        figure.draw_without_rendering()
        legend = figure.legends[0].get_texts()
        assert len(legend) == count
        for text in (ax.xaxis.label, ax.yaxis.label, *legend):
            box = Text.get_window_extent(text)
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        for axis in (ax.xaxis, ax.yaxis):
            low, high = axis.get_view_interval()
            assert sum(low <= tick <= high for tick in axis.get_majorticklocs()) >= 2
        drawn = boxes(label for label in ax.get_xticklabels() if label.get_text())
        assert all(left.x1 < right.x0 for left, right in pairwise(drawn))
    assert legend[0].get_text() == "slope 0.500 ± 0.010"
    (ax,) = plot.study(found).axes
    for k, flow in enumerate(found.flow.values):
        line, points = ax.lines[2 * k : 2 * k + 2]
        np.testing.assert_array_equal(points.get_ydata(), found.error.sel(flow=flow))
        np.testing.assert_allclose(line.get_ydata(), found.error.sel(flow=flow).values[[0, -1]])  # an exact power law
    assert ax.get_xlabel() == "learning rate"
    with pytest.raises(InputError, match=r"study of dynamics\.comparison\.convergence"):
        plot.study(xr.Dataset())


# --- times


@pytest.mark.parametrize(
    ("times", "scale"),
    [
        ([0], "linear"),
        ([5], "linear"),
        ([0, 10], "linear"),
        ([0, 10, 100], "asinh"),
        ([1, 10, 100], "log"),
        ([20, 21, 25], "log"),
        ([0, 1e-6, 1e6], "asinh"),
    ],
)
def test_time_axis(times, scale):
    (ax,) = plot.loss(solve(LEXICON, times)).axes
    assert ax.get_xscale() == scale
    low, high = ax.get_xlim()
    assert low <= times[0] <= times[-1] <= high
    assert low < high
    labels = [label for label in ax.get_xticklabels() if label.get_text()]
    assert len(labels) >= min(2, len(times))
    assert (labels[0].get_text() == "0") == (times[0] == 0)
    drawn = boxes(labels)
    assert all(left.x1 < right.x0 for left, right in pairwise(drawn))


@given(st.floats(-6, 6), st.floats(0.01, 12))
@settings(max_examples=50, deadline=None)
def test_time_ticks_are_within_and_round(exponent, decades):
    low, high = 10.0**exponent, 10.0 ** (exponent + decades)
    major, minor = frame.time_ticks(low, high)
    for ticks in (major, minor):
        assert ((ticks >= low * (1 - 1e-6)) & (ticks <= high * (1 + 1e-6))).all()
    assert 1 <= major.size <= 8


@given(st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(0.001, 0.4)), min_size=1, max_size=12))
def test_intervals_come_apart(intervals):
    middles, sizes = np.array(intervals).T
    found = frame.apart(middles, sizes)
    sizes = sizes / max(1, sizes.sum())
    order = np.argsort(middles, kind="stable")
    gaps = np.diff(found[order]) - (sizes[order][1:] + sizes[order][:-1]) / 2
    assert (gaps >= -1e-9).all()
    assert (found - sizes / 2 >= -1e-9).all()
    assert (found + sizes / 2 <= 1 + 1e-9).all()


@given(st.lists(st.floats(-2, 2).map(lambda value: round(value, 2)), max_size=12))
def test_rising_is_the_isotonic_regression(values):
    np.testing.assert_allclose(frame.rising(np.array(values)), isotonic(values), atol=1e-14)


def isotonic(values):
    """By its formula: the largest, over beginnings up to a place, of the smallest mean to an end from there on."""
    n = len(values)
    return [max(min(np.mean(values[a : b + 1]) for b in range(k, n)) for a in range(k + 1)) for k in range(n)]


def test_intervals_that_are_apart_stay():
    np.testing.assert_allclose(frame.apart([0.8, 0.2], [0.1, 0.3]), [0.8, 0.2])
    assert frame.apart([], []).size == 0


# --- degenerate predictions


@pytest.mark.parametrize(
    ("counts", "times"),
    [([[3]], [0, 1, 10]), (np.ones((3, 3)), [0, 1, 10]), ([[1, 1, 1]], [0, 10]), ([[1], [2]], [2]), ([[3]], [0])],
)
def test_degenerate_predictions_are_drawn(counts, times, tmp_path):
    found = solve(CoOccurrence.from_counts(counts), times, stages=STAGES, switch=0.5)
    for k, figure in enumerate((plot.loss(found), plot.words(found), plot.ktiw(found))):
        plot.save(figure, tmp_path / f"{k}.png")


def test_words_of_any_script_and_spelling(tmp_path):
    """Neither formulas, nor labels that matplotlib hides, nor missing letters, nor long words disturb."""
    inputs = ["$x$", "_x", "日本語", "l’été", "Donaudampfschifffahrtsgesellschaft", "a\nb"]
    found = solve(
        CoOccurrence.from_counts(np.eye(6) * 9 + 1, inputs=inputs, outputs=["$", "_", "\\frac{", "%", "Ä", "ß"]),
        [0, 1, 9],
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no installed font has", DataWarning)  # of a machine without the letters
        figure = plot.words(found, [(i, o) for i, o in zip(inputs, found.output.values, strict=True)])
        plot.save(plot.ktiw(found), tmp_path / "ktiw.png")
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert {"$x$ → $", "_x → _", "日本語 → \\frac{", "l’été → %", "Donaudampfsch… → Ä", "a b → ß"} == set(shown)
    for suffix in ("png", "svg", "pdf"):
        plot.save(figure, tmp_path / f"words.{suffix}")
    drawn = (tmp_path / "words.svg").read_text("utf-8")
    assert "日本語" in drawn
    assert "sans-serif" in drawn  # for viewers without the font


# --- files


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".SVG"])
def test_files_are_whole_and_the_same_again(trajectory, tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in ("one", "two")]
    for path in paths:
        plot.save(plot.words(trajectory, [("Hund", "dog")]), path)
    one, two = (path.read_bytes() for path in paths)
    assert one == two
    assert sorted(tmp_path.iterdir()) == paths
    if suffix == ".png":
        assert one.startswith(b"\x89PNG")
        assert one.endswith(b"IEND\xaeB`\x82")
        assert int.from_bytes(one[16:20]) == 3.4 * 200
    elif suffix == ".pdf":
        assert one.startswith(b"%PDF")
        assert one.rstrip().endswith(b"%%EOF")
        assert b"CreationDate" not in one
    else:
        root = ElementTree.fromstring(one)
        assert "Hund → dog" in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
        assert b"dc:date" not in one


def test_save_names_the_suffixes(tmp_path):
    for name in ("figure.bmp", "figure", "figure.png.gz"):
        with pytest.raises(InputError, match=r"figures are saved as \.png, \.svg or \.pdf, name it so$"):
            plot.save(Figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_settings_of_the_user_do_not_matter_and_stay(trajectory, tmp_path):
    import matplotlib

    plot.save(plot.loss(trajectory), tmp_path / "one.svg")
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red", "savefig.dpi": 50}):
        plot.save(plot.loss(trajectory), tmp_path / "two.svg")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
