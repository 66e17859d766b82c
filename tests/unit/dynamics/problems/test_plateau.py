"""The plateau of parity: samples without signal, measured lengths, the flow at the saddle."""

import numpy as np
import pytest

import dynamics.problems.predictions.plateau
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.problems.kinds.models import topic
from dynamics.problems.predictions.plateau import Plateau, plateau, silent_samples
from dynamics.support.errors import InputError
from dynamics.tasks import SparseBoolean

XOR = SparseBoolean("parity", 8, (1, 6))
RATES = [f"eta_{name}" for name in ("v", "s", "F", "f", "G", "g")]


@pytest.fixture(scope="module")
def found() -> Plateau:
    return plateau(silent_samples(XOR, 24), [0.1, 0.03, 0.01, 0.003])


def test_silent_samples_have_no_signal() -> None:
    for task in (XOR, SparseBoolean("parity", 5, (0, 2, 3))):
        data = silent_samples(task, 10, seed=4)
        C = np.zeros((2 * task.length, 2))
        np.add.at(C, (data.x, np.repeat(data.y, task.length)), 1)
        system = CoOccurrence.from_counts(C[C.any(axis=1)])
        dense = system.C if isinstance(system.C, np.ndarray) else system.C.toarray()
        assert dense == pytest.approx(np.outer(dense.sum(axis=1), dense.sum(axis=0)), abs=1e-15)
        x = data.x.reshape(len(data), -1)
        assert (x // 2 == np.arange(task.length)).all()
        assert (data.y == (x[:, task.positions] % 2).sum(axis=1) % 2).all()


def test_length_is_predicted_within_a_factor(found: Plateau) -> None:
    ratio = found.predicted / found.measured
    assert (ratio < 1.5).all()
    assert (ratio > 1 / 1.5).all()


def test_prediction_improves_as_the_initial_state_shrinks(found: Plateau) -> None:
    error = abs(found.predicted / found.measured - 1)
    assert error[-1] < 0.6 * error[0]


def test_log_law(found: Plateau) -> None:
    """Each factor of 1/sigma costs its logarithm over the growth rate."""
    steps = np.diff(found.measured) / -np.diff(np.log(found.sigma))
    assert steps == pytest.approx(np.full(3, 1 / found.rate), rel=0.35)


def test_plateau_is_flat(found: Plateau) -> None:
    for t, loss, length in zip(found.time, found.loss, found.measured, strict=True):
        early = loss[t < length / 2]
        assert early == pytest.approx(np.full(early.size, np.log(2)), abs=0.02 * np.log(2))
        assert t[-1] == length


def test_length_does_not_depend_on_the_step(found: Plateau, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics.problems.predictions.plateau, "STEP", 0.025)
    finer = plateau(silent_samples(XOR, 24), [0.1, 0.03])
    assert finer.measured == pytest.approx(found.measured[:2], rel=0.02)


def test_prediction_does_not_depend_on_the_small_size(found: Plateau, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics.problems.predictions.plateau, "LINEAR", 0.02)
    smaller = plateau(silent_samples(XOR, 24), [0.1, 0.03, 0.01, 0.003])
    assert smaller.predicted == pytest.approx(found.predicted, rel=0.03)


def test_attention_does_not_take_part() -> None:
    """A run with scores is as long as the growth of values and readout says, however fast scores may move."""
    data = silent_samples(XOR, 24)
    head = dynamics.problems.predictions.plateau._Head(data, 4, 8, 0)
    moving = head.descend(0.01, 0.67, 1000.0)[0][-1]
    head.flow = head.flow.with_parameters(eta_s=0.0)
    assert head.descend(0.01, 0.67, 1000.0)[0][-1] == pytest.approx(moving, rel=0.1)


def test_descent_starts_at_the_best_constant_prediction() -> None:
    data = SparseBoolean("and", 8, 2).examples(30, seed=3)
    ones = data.y.mean()
    assert ones != 0.5
    _, loss = dynamics.problems.predictions.plateau._Head(data, 4, 8, 0).descend(1e-6, 0.0, 0.1)
    assert loss[0] == pytest.approx(-ones * np.log(ones) - (1 - ones) * np.log(1 - ones), rel=1e-9)


def test_what_does_not_end_is_infinite() -> None:
    found = plateau(silent_samples(XOR, 8), [0.1, 0.01], until=1.0)
    assert np.isinf(found.measured).all()


@pytest.mark.parametrize("sigma", [[0.1], [0.1, 0.1], [0.1, 0.0], [0.1, -1.0], [0.1, np.nan], 0.1])
def test_bad_sizes(sigma: object) -> None:
    with pytest.raises(InputError, match="two or more different initial sizes"):
        plateau(silent_samples(XOR, 4), sigma)  # type: ignore[arg-type]


def test_near_the_saddle_only_embeddings_readout_and_bias_of_the_layer_move_at_first_order() -> None:
    """On samples of parity, with units on and off: what theorem sparse-plateau derives where one unit is on."""
    data, model = silent_samples(XOR, 12), topic("TL", dimension=3, hidden=5)
    kernel = model.kernel(data).bind(model.arrays(data), {**model.all_sizes(data), **dict.fromkeys(RATES, 1.0)})
    rng = np.random.default_rng(3)
    start = {name: rng.normal(size=np.shape(value)) for name, value in model.initial(data, seed=0).items()}

    def slopes(size: float) -> dict[str, np.ndarray]:
        small = {name: size * value for name, value in start.items() if name in ("v", "G", "f")}
        state = {name: np.zeros_like(value) for name, value in start.items()} | {"F": start["F"]} | small
        y = np.concatenate([np.ravel(state[name]) for name in model.program.state_names])
        out = np.empty_like(y)
        kernel(y, out)
        return kernel.states(out)

    coarse, fine = slopes(1e-3), slopes(1e-4)
    for name in ("v", "G", "f"):
        np.testing.assert_allclose(fine[name], coarse[name] / 10, rtol=2e-3, atol=1e-5 * abs(coarse[name]).max())
        assert abs(fine[name]).max() > 1e-6
    for name in ("F", "s", "g"):
        np.testing.assert_allclose(fine[name], coarse[name] / 100, rtol=2e-2, atol=1e-3 * abs(coarse[name]).max())
        assert abs(fine[name]).max() > 1e-13
