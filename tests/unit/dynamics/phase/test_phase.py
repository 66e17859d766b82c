"""Phase diagrams: the same however they are done, resumed, and refused when they make no sense."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field

import numpy as np
import pytest

from dynamics.phase import diagram as phase
from dynamics.phase.copying import CopyingSystem
from dynamics.phase.diagram import phase_diagram
from dynamics.phase.quantity import Quantity, Simulation
from dynamics.problems.closed_forms import branch_odds
from dynamics.support import blocks
from dynamics.support.errors import InputError

AXES = {"L": [4, 6, 8], "V": [6, 8, 9, 12]}


TIME = Quantity()


@dataclass(frozen=True)
class Ring:
    """A system whose diagram is known: the time to something on a ring in the plane of x and y."""

    blocks: list[int] = field(default_factory=list)
    name: str = "ring"
    axes: dict[str, str] = field(default_factory=lambda: {"x": "x", "y": "the other, y"})
    whole: frozenset[str] = frozenset()
    usual: Quantity = TIME
    equations: str = ""

    def observables(self, simulated):
        return ("p_t",)

    def complete(self, cells):
        return cells

    def possible(self, cells):
        return np.ones(cells["x"].size, dtype=bool)

    def check(self, cells, quantity, simulated):
        pass

    def theory(self, cells, quantity, t_end, draws, seed, threads):
        self.blocks.append(cells["x"].size)
        r = np.hypot(cells["x"], cells["y"])
        return np.where(r < 0.5, np.exp(r + cells["x"]), np.where(r < 1, np.inf, np.nan))

    def theorem(self, cells, quantity, t_end, draws, seed, threads):
        return None

    def simulated(self, cells, quantity, t_end, draws, seed, threads, descent):
        return self.theory(cells, quantity, t_end, draws, seed, threads) * descent.lr


RING = {"x": np.linspace(0, 1, 65), "y": np.linspace(0, 1, 33)}


def same(a, b):
    assert list(a.data_vars) == list(b.data_vars)
    for name in a.data_vars:
        np.testing.assert_array_equal(a[name].transpose(*b[name].dims).values, b[name].values)


def test_axes_and_labels():
    found = phase_diagram(Ring(), RING, Quantity("time", threshold=0.25), t_end=7, seed=3)
    assert found.value.dims == ("x", "y")
    assert found.y.attrs["long_name"] == "the other, y"
    assert found.value.attrs["long_name"] == "time τ to pₜ = 0.25"
    r = np.hypot(found.x, found.y)
    np.testing.assert_allclose(found.value.where(r < 0.5), np.exp(r + found.x).where(r < 0.5), rtol=1e-14)
    assert bool((np.isinf(found.value) == ((r >= 0.5) & (r < 1))).all())
    assert bool(found.computed.all())
    assert "theorem" not in found
    wanted = {"system": "ring", "quantity": "time", "threshold": 0.25, "t_end": 7, "seed": 3, "method": "theory"}
    assert wanted.items() <= found.attrs.items()


@pytest.mark.parametrize("refine", [0, 3])
@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_blocks_of_any_size(refine, block, monkeypatch):
    expected = phase_diagram(Ring(), RING, refine=refine)
    monkeypatch.setattr(phase, "BLOCK", block)
    system = Ring()
    same(phase_diagram(system, RING, refine=refine), expected)
    assert max(system.blocks) <= block
    assert sum(system.blocks) == int(expected.computed.sum())


def test_refined_is_the_same_where_computed_and_near_elsewhere():
    full, refined = phase_diagram(Ring(), RING), phase_diagram(Ring(), RING, refine=3)
    computed = refined.computed.values
    assert 0.1 < computed.mean() < 0.6
    np.testing.assert_array_equal(np.isfinite(refined.value), np.isfinite(full.value))
    np.testing.assert_array_equal(np.isnan(refined.value), np.isnan(full.value))
    np.testing.assert_allclose(refined.value.values, full.value.values, rtol=0.03)
    np.testing.assert_allclose(refined.value.values[computed], full.value.values[computed], rtol=1e-15)


def test_axes_exchanged_threads_and_blocks_give_the_same_bits(monkeypatch):
    expected = phase_diagram("copying", AXES, t_end=1000)
    assert np.isnan(expected.value.sel(L=8, V=6))
    assert expected.value.dims == ("L", "V")
    exchanged = phase_diagram("copying", dict(reversed(AXES.items())), t_end=1000, threads=1)
    assert exchanged.value.dims == ("V", "L")
    same(exchanged, expected)
    monkeypatch.setattr(phase, "BLOCK", 5)
    same(phase_diagram(CopyingSystem(), AXES, t_end=1000), expected)
    one = CopyingSystem().theory(
        {"V": np.array([9.0]), "L": np.array([8.0]), "H": np.ones(1), "u0": np.array([0.01]), "a0": np.array([0.01]),
         "eta_W": np.ones(1), "eta_A": np.ones(1)}, Quantity(), 1000, 1, 0, 1,
    )  # fmt: skip
    assert expected.value.sel(L=8, V=9).item() == one[0]


def test_random_starts_and_the_closed_form_beside_them():
    axes = {"sigma": [0.05, 0.3], "extra": [-1, 0, 1]}
    found = phase_diagram("copying", axes, Quantity("learnt", "alpha"), t_end=50_000, fixed={"L": 8}, draws=32)
    assert np.isnan(found.value[:, 0]).all()
    assert np.isnan(found.theorem[:, 0]).all()
    np.testing.assert_array_equal(found.theorem[:, 1:], branch_odds([8, 9], 8, [[0.05], [0.3]], [[0.05], [0.3]]))
    np.testing.assert_allclose(found.value[:, 1:], found.theorem[:, 1:], atol=0.05)
    assert found.attrs["fixed_L"] == 8


def test_simulated_cells_come_one_by_one(tmp_path):
    system = Ring()
    found = phase_diagram(system, {"x": [0, 0.1], "y": [0, 2]}, simulation=Simulation(2.0, 3), store=tmp_path)
    assert system.blocks == [1] * 4
    assert found.value.values[:, 0].round(6).tolist() == [2.0, round(2 * np.exp(0.2), 6)]
    assert found.attrs["method"] == "simulation"
    assert (found.attrs["lr"], found.attrs["batch"]) == (2.0, 3)
    with pytest.raises(InputError, match="simulation was"):
        phase_diagram(Ring(), {"x": [0, 0.1], "y": [0, 2]}, simulation=Simulation(2.0, 4), store=tmp_path, resume=True)


def test_interrupted_and_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(phase, "BLOCK", 50)
    expected = phase_diagram(Ring(), RING, refine=2)
    shares: list[tuple[float, int]] = []

    def stop(share, cells):
        shares.append((share, cells))
        if len(shares) == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        phase_diagram(Ring(), RING, refine=2, store=tmp_path, progress=stop)
    system, rest = Ring(), []
    found = phase_diagram(
        system, RING, refine=2, store=tmp_path, resume=True, progress=lambda share, cells: rest.append((share, cells))
    )
    same(found, expected)
    before = shares[-1][1]
    assert before > 300  # nine blocks
    assert sum(system.blocks) == int(expected.computed.sum()) - before
    assert found.attrs["computed_now"] == sum(system.blocks) == rest[-1][1]
    assert rest[-1][0] == pytest.approx(int(expected.computed.sum()) / expected.value.size)
    assert [cells for _, cells in rest[:9]] == [0] * 9  # those that were there are not counted into the rate
    again = Ring()
    same(phase_diagram(again, RING, refine=2, store=tmp_path, resume=True), expected)
    assert again.blocks == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"t_end": 11.0}, "t_end"), ({"seed": 1}, "seed"), ({"draws": 3}, "draws"), ({"refine": 1}, "refine"),
        ({"quantity": "value"}, "quantity"), ({"axes": {**RING, "x": [0, 1]}}, "axes"),
        ({"simulation": Simulation()}, "simulation"), ({"axes": dict(reversed(RING.items()))}, None),
    ],
)  # fmt: skip
def test_other_settings_are_refused_by_name(change, named, tmp_path):
    given = {"axes": RING, "t_end": 10.0}
    phase_diagram(Ring(), **given, store=tmp_path)
    system = Ring()
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=f"{named or 'order'} was"):
        phase_diagram(system, **{**given, **change}, store=tmp_path, resume=True)
    assert system.blocks == []
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axes": {"V": [8, 9]}}, "two axes, not 1"),
        ({"axes": {"V": [8], "L": [4, 5]}}, "axis V has 1 point; give two or more"),
        ({"axes": {"V": [], "L": [4, 5]}}, "axis V has 0 points"),
        ({"axes": {"V": [9, 8], "L": [4, 5]}}, "axis V must be increasing"),
        ({"axes": {"V": [8, 8], "L": [4, 5]}}, "axis V must be increasing"),
        ({"axes": {"V": [8, np.nan], "L": [4, 5]}}, "axis V must be increasing numbers"),
        ({"axes": {"V": [8, 8.5], "L": [4, 5]}}, "axis V must be whole"),
        ({"axes": {"V": [4, 5], "L": [8, 9]}}, "L is above V everywhere"),
        ({"axes": {"V": [8, 9], "H": [0, 1]}, "fixed": {"L": 4}}, "H = 0 must be a whole number from 1"),
        ({"axes": {"sigm": [1, 2], "L": [4, 5]}}, "no parameter 'sigm'; did you mean 'sigma'"),
        ({"fixed": {"etaW": 1}}, "no parameter 'etaW'; did you mean 'eta_W'"),
        ({"fixed": {"V": 8}}, "V is an axis and fixed"),
        ({"fixed": {"sigma": np.inf}}, "sigma = inf must be a number"),
        ({"system": "copyng"}, "did you mean 'copying'"),
        ({"quantity": "when"}, "unknown quantity 'when'"),
        ({"quantity": Quantity("time", "aplha")}, "no observable 'aplha'; did you mean 'alpha'"),
        ({"quantity": Quantity("time", "epsilon"), "simulation": Simulation()}, "of copying has no observable"),
        ({"t_end": 0}, "t_end = 0"), ({"t_end": np.nan}, "t_end = nan"), ({"t_end": np.inf}, "t_end = inf"),
        ({"draws": 0}, "draws = 0"), ({"refine": -1}, "refine = -1"), ({"refine": 11}, "refine = 11"),
        ({"seed": -1}, "seed = -1"), ({"threads": 0}, "threads = 0"), ({"scheduler": "tcp://127.0.0.1:1"}, "no Dask"),
        ({"system": "copying-heads-2", "simulation": Simulation(), "axes": {"V": [8, 9], "L": [4, 5]},
          "fixed": {"u10": 1, "u20": 1, "a10": 1, "a20": 1}}, "has no simulation"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_before_anything_is_deleted(change, message, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(blocks, "ANSWER", 0.5)
    phase_diagram(Ring(), {"x": [0, 1], "y": [0, 1]}, store=tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=message) as error:
        phase_diagram(**{"system": "copying", "axes": {"V": [8, 9], "L": [4, 5]}, **change}, store=tmp_path, force=True)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_cluster_gives_the_same_bits_though_a_worker_is_killed(monkeypatch, tmp_path):
    distributed = pytest.importorskip("distributed")
    axes = {"L": np.arange(3, 13), "V": np.arange(6, 26)}
    expected = phase_diagram("copying", axes, t_end=3000)
    monkeypatch.setattr(phase, "BLOCK", 10)
    counted: list[int] = []
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        with distributed.Client(address) as client:
            pids = list(client.run(os.getpid).values())

        def kill_one(share, cells):
            if not counted:
                os.kill(pids[0], signal.SIGKILL)
            counted.append(cells)

        found = phase_diagram("copying", axes, t_end=3000, store=tmp_path, scheduler=address, progress=kill_one)
    assert len(set(pids)) == 2
    assert counted == [10 * (k + 1) for k in range(20)]  # every block once
    same(found, expected)
    assert len(list(tmp_path.glob("*.npz"))) == 20
