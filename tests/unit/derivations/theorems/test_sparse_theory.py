"""Theorems of sparse Boolean functions, and their numbers against enumeration and simulation by NumPy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from derivations import registry
from derivations.checks.proofs import holds
from derivations.theorems import sparse
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.problems.predictions.sparse import critical_lead, lead_probability, require_threshold, signals
from dynamics.support.errors import InputError
from dynamics.tasks import SparseBoolean

THEOREMS = {name: one for name, one in registry.theorems().items() if one.make.__module__ == sparse.__name__}


@pytest.mark.parametrize("name", THEOREMS)
def test_sympy_verifies_every_step(name: str) -> None:
    theorem = THEOREMS[name]()
    assert theorem.name == name
    assert theorem.steps
    assert holds(theorem)


@pytest.mark.parametrize("s", [1, 2, 3, 6])
def test_signal_of_and(s: int) -> None:
    formula = sparse.signal().expression("mu_and").subs(sparse.s, s).subs(sparse.p, 0.5 ** (1 / s))
    found = signals(SparseBoolean("and", 8, s).population())
    assert found[:s, 1] == pytest.approx(np.full(s, float(formula)), rel=1e-12)


@pytest.mark.parametrize("s", [1, 3, 7])
def test_signal_of_majority(s: int) -> None:
    formula = sparse.signal().expression("mu_majority").subs(sparse.s, s)
    found = signals(SparseBoolean("majority", 8, s).population())
    assert found[:s, 1] == pytest.approx(np.full(s, float(formula)), rel=1e-12)


def test_signals_of_samples_are_covariances() -> None:
    data = SparseBoolean("or", 6, (1, 4), noise=0.2).examples(57, seed=2)
    x, y = data.x.reshape(57, 6) % 2, data.y
    counts = np.zeros((12, 2))
    np.add.at(counts, (data.x, np.repeat(y, 6)), 1)
    expected = [np.cov(x[:, l], y, bias=True)[0, 1] for l in range(6)]
    found = signals(CoOccurrence.from_counts(counts))
    assert found[:, 1] == pytest.approx(expected, abs=1e-14)
    assert found[:, 0] == pytest.approx(-found[:, 1], abs=1e-14)


@pytest.mark.parametrize(("p", "mu"), [(0.5, 0.125), (0.5 ** (1 / 3), (1 - 0.5 ** (1 / 3)) / 2), (0.3, 0.02)])
def test_rate_is_a_legendre_transform(p: float, mu: float) -> None:
    def moment(t: float) -> float:
        return 0.5 * sum(math.log(1 - p + p * math.exp(sign * t / 2)) for sign in (1, -1))

    best = minimize_scalar(lambda t: moment(t) - mu * t, bracket=(0, 1), options={"xtol": 1e-12})
    found = sparse.critical_sample_size().expression("I").subs({sparse.p: p, sparse.mu: mu})
    assert float(found) == pytest.approx(-best.fun, rel=1e-9)


def test_slope_of_survival_for_and_of_three() -> None:
    found = sparse.survival().expression("slope").subs(sparse.p, 0.5 ** (1 / 3))
    assert float(found) == pytest.approx(4.847, abs=1e-3)


def lead_by_enumeration(task: SparseBoolean, m: int) -> float:
    """Every set of m samples with its probability."""
    T, p = task.length, task.ones
    rows = [np.array(row) for row in itertools.product((0, 1), repeat=T)]
    true = list(task.positions)
    others = [l for l in range(T) if l not in true]
    direction = np.sign(signals(task.population())[true, 1])
    total = 0.0
    options = []
    for row in rows:
        weight = float(np.prod(np.where(row, p, 1 - p)))
        y = int(task.labels(row[None, true])[0])
        options += [(row, y, weight * (1 - task.noise)), (row, 1 - y, weight * task.noise)]
    options = [option for option in options if option[2] > 0]
    for sample in itertools.product(options, repeat=m):
        x, y = np.array([row for row, _, _ in sample]), np.array([label for _, label, _ in sample])
        covariance = m * (y @ x) - y.sum() * x.sum(axis=0)  # whole numbers, so that ties are ties
        if direction @ covariance[true] > len(true) * max(abs(covariance[others])):
            total += math.prod(weight for _, _, weight in sample)
    return total


@pytest.mark.parametrize(
    "task",
    [
        SparseBoolean("and", 3, 2),
        SparseBoolean("or", 3, (2, 0)),
        SparseBoolean("majority", 3, 1, noise=0.1),
        SparseBoolean((0, 0, 1, 0), 3, (0, 2)),
    ],
    ids=str,
)
def test_lead_probability_by_enumeration(task: SparseBoolean) -> None:
    for m in (1, 2, 3):
        assert lead_probability(task, m) == pytest.approx(lead_by_enumeration(task, m), abs=1e-12)


@pytest.mark.parametrize(
    ("task", "m"), [(SparseBoolean("and", 40, 3), 24), (SparseBoolean("majority", 60, 5, noise=0.05), 60)], ids=str
)
def test_lead_probability_by_drawing(task: SparseBoolean, m: int) -> None:
    rng, draws = np.random.default_rng(1), 4000
    s = len(task.positions)
    leads = 0
    for _ in range(draws):
        data = task.sample(m, rng)
        x, y = data.x.reshape(m, -1) % 2, data.y
        covariance = m * (y @ x) - y.sum() * x.sum(axis=0)
        leads += covariance[:s].sum() > s * abs(covariance[s:]).max()
    found = lead_probability(task, m)
    assert 0.2 < found < 0.8  # where a mistake would show
    assert leads / draws == pytest.approx(found, abs=4 * math.sqrt(found * (1 - found) / draws))


@pytest.mark.parametrize("kind", ["and", "majority"])
def test_normal_approximation_approaches_the_exact_distribution(kind: str) -> None:
    errors = []
    for s, T in ((3, 50), (5, 50)):
        task = SparseBoolean(kind, T, s)
        exact, normal = critical_lead(task, exact=True), critical_lead(task, exact=False)
        errors.append(abs(normal / exact - 1))
    assert errors[1] < errors[0] < 0.08


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["and", "or", "majority"]), st.integers(1, 4), st.integers(5, 60), st.integers(2, 40))
def test_lead_probability_falls_with_length(kind: str, s: int, T: int, m: int) -> None:
    shorter, longer = (lead_probability(SparseBoolean(kind, length, s), m) for length in (T, 2 * T))
    assert 0 <= longer <= shorter <= 1


def test_or_is_and_with_the_bits_swapped() -> None:
    for m in (7, 24):
        both = [lead_probability(SparseBoolean(kind, 30, 3), m) for kind in ("and", "or")]
        assert both[0] == pytest.approx(both[1], rel=1e-10)


def test_without_other_positions_the_variables_lead() -> None:
    assert lead_probability(SparseBoolean("and", 3, 3), 1) == 1.0


def test_critical_lead_is_where_the_probability_passes() -> None:
    task = SparseBoolean("and", 100, 3)
    for probability in (0.2, 0.5, 0.9):
        m = critical_lead(task, probability)
        assert lead_probability(task, math.floor(m)) <= probability <= lead_probability(task, math.ceil(m))


@pytest.mark.parametrize("kind", ["and", "majority"])
def test_log_law_of_the_prediction(kind: str) -> None:
    found = [critical_lead(SparseBoolean(kind, T, 3)) for T in (50, 100, 200, 400, 800)]
    assert np.diff(found) == pytest.approx(np.full(4, 4.85), abs=0.4)


def test_slope_approaches_the_rate() -> None:
    """The power of m before the exponential fades: the slope comes up to log(2)/I from below."""
    mu, p = sparse.mu, sparse.p
    limit = float(sparse.critical_sample_size().expression("slope").subs({p: 0.5, mu: 0.125}))
    at = [critical_lead(SparseBoolean("majority", T, 3)) for T in (50, 100, 10**4, 2 * 10**4)]
    assert at[1] - at[0] == pytest.approx(limit, rel=0.06)
    assert at[3] - at[2] == pytest.approx(limit, rel=0.1)


def test_parity_has_no_signal() -> None:
    task = SparseBoolean("parity", 20, 3)
    assert not signals(task.population()).any()
    assert lead_probability(task, 10_000) == 0
    assert critical_lead(task) == math.inf


def test_label_noise_costs_samples() -> None:
    clean, noisy = (critical_lead(SparseBoolean("and", 100, 3, noise)) for noise in (0.0, 0.1))
    assert clean * 1.3 < noisy < clean / 0.8**2 * 1.3  # signals shrink by 1 - 2 noise


@pytest.mark.parametrize("s", [2, 3, 4])
def test_parity_is_refused_by_name(s: int) -> None:
    with pytest.raises(InputError, match=f"parity of {s} bits is not a linear threshold function.*1a.*TL"):
        require_threshold(SparseBoolean("parity", 9, s))


def test_threshold_functions_of_two_bits() -> None:
    """All but exclusive or and its negation."""
    for table in itertools.product((0, 1), repeat=4):
        if len(set(table)) == 1:
            continue
        task = SparseBoolean(table, 4, 2)
        if table in ((0, 1, 1, 0), (1, 0, 0, 1)):
            with pytest.raises(InputError, match="truth table"):
                require_threshold(task)
        else:
            require_threshold(task)


@pytest.mark.parametrize("kind", ["and", "or", "majority"])
def test_threshold_functions_of_many_bits(kind: str) -> None:
    for s in (1, 2, 5, 8):
        require_threshold(SparseBoolean(kind, 10, s))


@pytest.mark.parametrize("m", [0, -1, 2.5, True])
def test_bad_sample_sizes(m: float) -> None:
    with pytest.raises(InputError, match="m is"):
        lead_probability(SparseBoolean("and", 5, 2), m)  # type: ignore[arg-type]


@pytest.mark.parametrize("probability", [0, 1, -0.1, math.nan])
def test_bad_probabilities(probability: float) -> None:
    with pytest.raises(InputError, match="probability"):
        critical_lead(SparseBoolean("and", 5, 2), probability)
