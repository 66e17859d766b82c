"""Trials of sparse Boolean functions: the flow on m samples, what is measured, and the critical sample size."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import expit

from dynamics import phase_diagram
from dynamics.phase.critical_size import Critical, critical, critical_sizes, find_critical, interval, log_law
from dynamics.phase.quantity import Simulation
from dynamics.problems.predictions.sparse import critical_lead, lead_probability
from dynamics.support.errors import InputError
from dynamics.tasks import SparseBoolean
from dynamics.train.sparse import END, LOSS, SUCCESSES, learn, learning_curve, learning_probability

AND = SparseBoolean("and", 50, 3)


def flow_by_numpy(x: np.ndarray, y: np.ndarray, V: int, until: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Model 1a with a bias in its logit difference, words T times as fast as the bias, by the formulas of the paper.

    The states of both labels start equal and stay opposite, so W and b move twice as fast in their difference.
    """
    m, T = x.shape
    hot = np.zeros((m, T, V))
    hot[np.arange(m)[:, None], np.arange(T), x] = 1

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        s, w, b = state[:V], state[V:-1], state[-1]
        alpha = np.exp(s[x]) / np.exp(s[x]).sum(axis=1, keepdims=True)
        context = (alpha * w[x]).sum(axis=1)
        push = (y - expit(context + b)) / m
        ds = np.einsum("n,nl,nli->i", push, alpha * (w[x] - context[:, None]), hot)
        dw = 2 * np.einsum("n,nl,nli->i", push, alpha, hot)
        return np.concatenate([T * ds, T * dw, [2 * push.sum()]])

    found = solve_ivp(slope, (0, until), np.zeros(2 * V + 1), rtol=1e-8, atol=1e-10).y[:, -1]
    return found[:V], found[V:-1], found[-1]


def test_curve_against_numpy() -> None:
    task, m, until = SparseBoolean("and", 6, 2), 12, 4.0
    rng = np.random.default_rng([3])
    train, test = task.sample(m, rng), task.sample(1000, rng)
    s, w, b = flow_by_numpy(train.x.reshape(m, 6), train.y, 12, until)
    x = test.x.reshape(1000, 6)
    alpha = np.exp(s[x]) / np.exp(s[x]).sum(axis=1, keepdims=True)
    found = learning_curve(task, m, [0, until], seed=3).isel(time=1)
    assert float(found.mass) == pytest.approx(alpha[:, :2].sum(axis=1).mean(), rel=2e-3)
    assert float(found.entropy) == pytest.approx(-(alpha * np.log(alpha)).sum(axis=1).mean(), rel=2e-3)
    assert float(found.score_norm) == pytest.approx(np.linalg.norm(s), rel=1e-2)
    assert float(found.value_norm) == pytest.approx(np.linalg.norm(w), rel=1e-2)  # both labels have w/2
    z = (alpha * w[x]).sum(axis=1) + b
    assert float(found.accuracy) == pytest.approx(((z > 0) == test.y).mean(), abs=2e-3)


def test_curve_starts_with_uniform_attention() -> None:
    start = learning_curve(AND, 30, [0.0, 1.0]).isel(time=0)
    assert float(start.mass) == pytest.approx(3 / 50)
    assert float(start.entropy) == pytest.approx(math.log(50))
    assert float(start.loss) == pytest.approx(math.log(2))
    assert float(start.value_norm) == float(start.score_norm) == 0


def test_variable_creation() -> None:
    found = learning_curve(AND, 80, np.linspace(0, 60, 13))
    assert (np.diff(found.loss) < 0).all()
    assert float(found.mass[-1]) > 0.8
    assert float(found.entropy[-1]) < math.log(6)
    assert float(found.accuracy[-1]) == 1.0


@pytest.mark.parametrize("kind", ["and", "or", "majority"])
def test_many_samples_are_enough(kind: str) -> None:
    trial = learn(SparseBoolean(kind, 40, (3, 17, 39)), 120)
    assert trial.exact
    assert trial.interpolated
    assert trial.recovered
    assert trial.mass > 0.7
    assert trial.time < END


def test_truth_table_with_a_negated_bit() -> None:
    trial = learn(SparseBoolean((0, 0, 1, 0), 30, (4, 20)), 120)
    assert trial.exact
    assert trial.recovered


def test_few_samples_are_not_enough() -> None:
    trials = [learn(AND, 8, seed=k) for k in range(5)]
    assert all(trial.interpolated for trial in trials)
    assert not any(trial.exact for trial in trials)
    assert np.mean([trial.accuracy for trial in trials]) < 0.75


def test_training_stops_at_the_loss() -> None:
    trial = learn(AND, 40, seed=2)
    found = learning_curve(AND, 40, [0, trial.time], seed=2)
    assert float(found.loss[1]) == pytest.approx(LOSS, rel=5e-3)
    assert float(found.mass[1]) == pytest.approx(trial.mass, rel=1e-3)
    assert float(found.value_norm[1]) == pytest.approx(trial.value_norm, rel=1e-3)


def test_closed_attention_finishes() -> None:
    """Samples that contradict what is attended to hold the loss up for ever: training ends, and soon."""
    trial = learn(SparseBoolean("and", 60, 3, noise=0.3), 60, seed=1)
    assert trial.evaluations < 40_000
    assert trial.time <= END


def test_a_constant_sample_finishes() -> None:
    trial = learn(AND, 1)
    assert trial.interpolated
    assert not trial.exact


def test_one_position() -> None:
    assert learn(SparseBoolean("and", 1, 1), 20).exact


def test_the_choice_of_support_does_not_matter() -> None:
    """Positions are alike: with permuted positions the same draws give the same probability up to sampling."""
    first, last = (learning_probability("and", support, 30, 24, trials=40)[()] for support in (3, (29, 13, 5)))
    assert abs(first - last) < 0.35


def test_uniform_attention_needs_more_samples() -> None:
    assert learn(AND, 45, seed=1).exact
    trials = [learn(AND, 45, seed=k, uniform=True) for k in range(6)]
    assert not any(trial.exact for trial in trials)
    assert all(trial.score_norm == 0 and trial.mass == pytest.approx(3 / 50) for trial in trials)


def test_probability_does_not_depend_on_threads_or_neighbours() -> None:
    together = learning_probability("and", 3, [[20], [30]], [16, 24], trials=6, seed=5, threads=2)
    assert together.shape == (2, 2)
    alone = learning_probability("and", 3, 30, [24], trials=6, seed=5, threads=1)
    assert together[1, 1] == alone[0]


def test_majority_is_recovered_before_it_is_exact() -> None:
    """Inputs that hold none of the words that are attended to take samples that co-occurrence does not count."""
    exact, recovered = (learning_probability("majority", 3, 50, 28, trials=60, success=s) for s in SUCCESSES)
    assert recovered - exact > 0.08
    assert abs(recovered - lead_probability(SparseBoolean("majority", 50, 3), 28)) < 0.16  # 2.5 standard errors


def test_progress_ends_at_one() -> None:
    seen: list[float] = []
    learning_probability("or", 2, 10, [5, 9], trials=3, progress=seen.append)
    assert seen == pytest.approx([1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1])


def test_prediction_is_where_half_of_the_trials_succeed() -> None:
    """Nothing is fitted: co-occurrence alone gives the critical sample size within a tenth."""
    m = np.arange(10, 42, 4)
    share = learning_probability("and", 3, 50, m, trials=30)
    measured = critical(m, share, 30)
    assert measured.m == pytest.approx(critical_lead(AND), rel=0.1)
    assert measured.low < measured.m < measured.high


@pytest.mark.parametrize("true", [22.0, 31.5])
def test_critical_finds_the_middle_of_a_logistic_curve(true: float) -> None:
    m = np.arange(10, 50, 3)
    found = critical(m, expit(0.3 * (m - true)), trials=1000)
    assert found.m == pytest.approx(true, abs=0.05)
    assert found.low < true < found.high


def test_interval_of_critical_covers() -> None:
    rng, m, covered = np.random.default_rng(0), np.arange(10, 46, 3), 0
    widths = []
    for _ in range(100):
        share = rng.binomial(50, expit(0.25 * (m - 27.3))) / 50
        found = critical(m, share, 50)
        covered += found.low <= 27.3 <= found.high
        widths.append(found.high - found.low)
    assert 88 <= covered <= 99
    assert np.mean(widths) < 4


def test_critical_of_a_step_lies_within_it() -> None:
    found = critical([10, 20, 30], [0.0, 0.0, 1.0], trials=50)
    assert isinstance(found, Critical)
    assert 20 < found.low < found.m < found.high < 30


@pytest.mark.parametrize("share", [[0.0, 0.1, 0.4], [0.6, 0.9, 1.0]])
def test_grids_that_miss_the_critical_size(share: list[float]) -> None:
    with pytest.raises(InputError, match="widen the grid"):
        critical([10, 20, 30], share, trials=10)


def test_interval_of_a_proportion() -> None:
    low, high = interval([0.0, 0.5, 1.0], 50)
    assert low == pytest.approx([0, 0.3664, 0.9287], abs=1e-4)
    assert high == pytest.approx([0.0713, 0.6336, 1], abs=1e-4)


def test_log_law() -> None:
    found = log_law([50, 100, 200, 400], 4.85 * np.log2([50, 100, 200, 400]) - 2)
    assert found.slope == pytest.approx(4.85)
    assert found.level == pytest.approx(-2)
    assert found.r2 == pytest.approx(1)
    assert found.error == pytest.approx(0, abs=1e-9)


def test_search_for_the_critical_size_agrees_with_a_grid() -> None:
    found = find_critical("and", 3, 40, trials=40)
    grid = np.arange(10, 40, 3)
    by_grid = critical(grid, learning_probability("and", 3, 40, grid, trials=40, seed=1), 40)
    assert found.low < by_grid.high
    assert by_grid.low < found.high
    assert found.low < critical_lead(SparseBoolean("and", 40, 3)) < found.high + 2


def test_search_gives_up_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynamics.phase.critical_size.MOST", 16)
    with pytest.raises(InputError, match="half of the trials fail with 16 samples of 12 bits"):
        find_critical("majority", 3, 12, trials=4, noise=0.45)


def test_critical_sizes_of_a_diagram() -> None:
    axes = {"m": np.arange(18, 40), "T": [30, 60, 120, 240]}
    found = critical_sizes(phase_diagram("and", axes))
    expected = [critical_lead(SparseBoolean("and", T, 3)) for T in axes["T"]]
    np.testing.assert_allclose(found.m, expected, atol=0.05)
    assert found.attrs["slope"] == pytest.approx(log_law(axes["T"], expected).slope, abs=0.02)
    found = critical_sizes(
        phase_diagram("and", {"m": [10, 18, 26, 34], "T": [20, 2000]}, draws=20, simulation=Simulation())
    )
    assert found.low[0] < found.m[0] < found.high[0]
    assert np.isnan(found.m[1])
    assert not found.attrs
    with pytest.raises(InputError, match="of copying: critical sample sizes are those of sparse functions"):
        critical_sizes(phase_diagram("copying", {"L": [4, 6], "V": [8, 10]}, t_end=10))
    with pytest.raises(InputError, match="critical sample sizes take T and m"):
        critical_sizes(phase_diagram("and", {"m": [10, 18], "s": [2, 3]}, fixed={"T": 20}))


def test_parity_is_refused() -> None:
    with pytest.raises(InputError, match="parity of 3 bits"):
        learn(SparseBoolean("parity", 20, 3), 10)
    with pytest.raises(InputError, match="parity of 2 bits"):
        learning_probability("parity", 2, [20, 40], 10)
    with pytest.raises(InputError, match="parity of 2 bits"):
        learning_curve(SparseBoolean("parity", 20, 2), 10, [0, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"T": 2}, "support"),
        ({"T": 0}, "T = 0"),
        ({"T": 20.5}, "T = 20.5"),
        ({"m": 0}, "m = 0"),
        ({"m": [10, -1]}, "m = -1"),
        ({"m": math.nan}, "m = nan"),
        ({"kind": "xnor"}, "unknown kind"),
        ({"kind": (0, 1)}, "truth table"),
        ({"noise": 0.6}, "noise"),
        ({"trials": 0}, "trials"),
        ({"end": 0.0}, "end"),
        ({"success": "learnt"}, "success = 'learnt'; give exact or recovered"),
    ],
    ids=str,
)
def test_bad_input(change: dict, message: str) -> None:
    good = {"kind": "and", "support": 3, "T": 20, "m": 10, "trials": 2}
    with pytest.raises(InputError, match=message) as caught:
        learning_probability(**{**good, **change})
    assert "\n" not in str(caught.value)
