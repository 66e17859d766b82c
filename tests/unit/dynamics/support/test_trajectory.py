"""Trajectories: exactly the same after a round trip through a file, and files that cannot be used explained."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics import CoOccurrence, InputError, solve
from dynamics.support import trajectory
from dynamics.support.trajectory import PACKAGES, half_time, labelled, load, provenance, save

ROOT = Path(__file__).parents[4]
IMPORTABLE = {**os.environ, "PYTHONPATH": str(ROOT)}
WORDS = ["Hund", "Müllerstraße", "犬", "🐕", "a b", "", "'\"\\", "naïve", "x" * 300, "nan", "0"]


def example() -> xr.Dataset:
    counts = np.random.default_rng(0).random((len(WORDS), 3))
    system = CoOccurrence.from_counts(counts, WORDS, ["un", "deux", "œuf"], length=2.0)
    return solve(system, [0.0, 0.1, 1 / 3, 1e6], stages=["joint", "frozen"])


def test_the_index_of_a_result_is_its_own() -> None:
    time, loss = ("time",), np.array([0.7, 0.1])
    made = [labelled({"loss": (time, loss)}, {"time": (time, np.array([0.0, 1.0]))}, {}) for _ in range(2)]
    made[0].indexes["time"].name = "steps"
    made.append(labelled({"loss": (time, loss)}, {"time": (time, np.array([0.0, 1.0]))}, {}))
    assert [[*each.loss.to_dataframe().reset_index().columns] for each in made[1:]] == [["time", "loss"]] * 2


def test_a_round_trip_is_exact(tmp_path: Path) -> None:
    found = example()
    save(found, tmp_path / "new" / "found.nc")
    again = load(tmp_path / "new" / "found.nc")
    xr.testing.assert_identical(again, found)
    assert again.input.values.tolist() == WORDS
    for name in found.variables:
        assert again[name].dims == found[name].dims
        assert again[name].attrs == found[name].attrs
        assert again[name].dtype.kind in (found[name].dtype.kind, "O")
    assert {name: type(value) for name, value in again.attrs.items() if isinstance(value, str)} == {
        name: str for name, value in found.attrs.items() if isinstance(value, str)
    }
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["found.nc"]


def test_extreme_numbers_survive(tmp_path: Path) -> None:
    values = [0.0, -0.0, 5e-324, np.pi, 1.7976931348623157e308, np.inf, -np.inf, np.nan]
    found = xr.Dataset({"W": ("time", values)}, {"time": np.arange(8.0)})
    save(found, tmp_path / "found.nc")
    again = load(tmp_path / "found.nc").W.values
    assert again.dtype == np.float64
    assert again.tobytes() == np.array(values).tobytes()


def test_saving_again_replaces_the_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "found.nc"
    first = xr.Dataset({"W": ("time", [1.0, 2.0])})
    save(first, path)
    save(first + 1, str(path))
    xr.testing.assert_equal(load(path), first + 1)

    def interrupted(aside: Path, content: memoryview) -> None:
        with aside.open("wb") as file:
            file.write(content[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(first, path)
    xr.testing.assert_equal(load(path), first + 1)
    assert list(tmp_path.iterdir()) == [path]


def test_large_arrays_are_compressed_to_the_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.standard_normal((20, 30, 40)) * 1e-3, axis=0)
    smooth[0] = 0
    found = xr.Dataset({"W": (("time", "input", "output"), smooth), "loss": ("time", smooth[:, 0, 0])})
    save(found, tmp_path / "found.nc")
    again = load(tmp_path / "found.nc")
    assert again.W.values.tobytes() == smooth.tobytes()
    assert again.W.encoding["zlib"]
    assert not again.loss.encoding.get("zlib"), "not worth it"
    assert (tmp_path / "found.nc").stat().st_size < 0.98 * smooth.nbytes
    save(again.isel(input=slice(3)), tmp_path / "part.nc")  # what was read brings the chunks of its file
    assert load(tmp_path / "part.nc").W.values.tobytes() == np.ascontiguousarray(smooth[:, :3]).tobytes()


def test_the_bytes_are_those_of_xarray_and_chunks_are_computed(tmp_path: Path) -> None:
    found = xr.Dataset({"W": (("time", "word"), np.arange(6.0).reshape(2, 3))}, {"word": ["a", "b", "ü"]}, {"of": "x"})
    save(found, tmp_path / "found.nc")
    assert (tmp_path / "found.nc").read_bytes() == bytes(found.to_netcdf(engine="h5netcdf"))
    save(found.chunk({"time": 1}), tmp_path / "chunks.nc")
    xr.testing.assert_identical(load(tmp_path / "chunks.nc"), found)


def test_saving_imports_nothing_for_many_machines(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    code = (
        "import sys, xarray as xr; from dynamics.support.trajectory import save;"
        f" save(xr.Dataset({{'W': 1.0}}), {str(tmp_path / 'found.nc')!r}); print('distributed' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], env=IMPORTABLE, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


FULL = """
import resource, sys, os
import numpy as np, xarray as xr
from dynamics import CoOccurrence
from dynamics.support import trajectory
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
counts = np.random.default_rng(0).random((100, 100))
found = xr.Dataset({"W": (("input", "output"), counts)})
counted = CoOccurrence.from_counts(counts)
for write in (lambda: trajectory.save(found, "a/found.nc"), lambda: counted.save("a/found.npz")):
    try:
        write()
    except ValueError as error:
        print(type(error).__name__, error)
print(os.listdir())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits on files")
def test_what_does_not_fit_on_the_disk_is_one_line_and_no_debris(tmp_path: Path) -> None:
    """HDF5 crashes the process when it cannot flush a file of its own."""
    ended = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, env=IMPORTABLE)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "InputError cannot write 'a/found.nc': file too large",
        "InputError cannot write 'a/found.npz': file too large",
        "[]",
    ]


def test_what_is_loaded_is_independent_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "found.nc"
    save(xr.Dataset({"W": ("time", [1.0, 2.0])}), path)
    found = load(path)
    path.unlink()
    assert found.W.values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "content", [b"", b"time,W\n0,1\n", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, b"CDF\x01", None, "half"]
)
def test_files_that_are_no_trajectory(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "found.nc"
    if content == "half":
        save(example(), path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert ("no such file" if content is None else "is not a trajectory in NetCDF") in message


def test_a_directory_is_no_trajectory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a trajectory"):
        load(tmp_path)
    with pytest.raises(InputError, match="is a directory"):
        save(xr.Dataset(), tmp_path)


def test_provenance_names_every_package() -> None:
    found = provenance()
    assert set(found) == {f"version_{package}" for package in PACKAGES}
    assert found["version_numpy"] == np.__version__


def test_provenance_of_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynamics.support.trajectory.PACKAGES", ("no-such-package",))
    assert provenance() == {"version_no-such-package": "not installed"}


# -- the time to half -------------------------------------------------------------------------------------------------


def curve(t: list[float] | np.ndarray, values: list[float] | np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, coords={"time": np.asarray(t, dtype=float)}, dims="time")


rising = st.lists(st.floats(1e-3, 10), min_size=1, max_size=10)


@given(rising, rising, st.floats(0.01, 100))
@settings(deadline=None)
def test_half_time_scales_with_time_and_not_with_the_curve(
    steps: list[float], rises: list[float], scale: float
) -> None:
    n = min(len(steps), len(rises))
    t, values = np.cumsum(steps[:n]), np.cumsum(rises[:n])
    found = half_time(curve(t, values))
    assert t[0] <= found <= t[-1]
    assert half_time(curve(scale * t, values)) == pytest.approx(scale * found)
    assert half_time(curve(t, scale * values)) == pytest.approx(found)
    # There the curve, a straight line in log time between its points, has half of its end (or began above it).
    there = np.interp(np.log(found), np.log(t), values)
    assert there == pytest.approx(max(values[0], values[-1] / 2))


def test_half_time_of_curves_with_a_known_one() -> None:
    t = np.geomspace(1, 1e4, 5)
    assert half_time(curve(t, np.log10(t))) == pytest.approx(100)
    assert half_time(curve([0, 4], [0, 8])) == pytest.approx(2), "straight in time where time begins at 0"
    assert half_time(curve([0, 1, 2], [0, 0, 1])) == pytest.approx(np.sqrt(2))
    assert half_time(curve([3, 4], [5, 5])) == 3
    assert half_time(curve([1, 2, 3], [0, 0, 0])) == 1
    # It falls back: the first passage counts.
    assert half_time(curve([1, 2, 4, 8], [0, 1, 0, 2])) == pytest.approx(2)


def test_attributes_that_are_not_text_are_escaped(tmp_path: Path) -> None:
    """The name of a file in another coding, as Python has it."""
    save(xr.Dataset({"loss": ("time", [0.7])}, attrs={"source_file": "caf\udce9.txt", "lr": 0.5}), tmp_path / "one.nc")
    assert load(tmp_path / "one.nc").attrs == {"source_file": "caf\\udce9.txt", "lr": 0.5}


def variables_at(scale: float) -> tuple[dict, dict]:
    cell, both = ("cell",), ("cell", "time")
    variables = {"x": (both, scale * np.ones((3, 2))), "status": (cell, np.arange(3), {"flag_values": [0, 1]})}
    return variables, {"k": (cell, scale * np.arange(3.0)), "time": (("time",), np.array([0.0, 1.0]), {"units": "1"})}


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("again", [1, 2])
def test_a_labelled_dataset_is_what_xarray_makes(again: int, short: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of its kind, and one with other numbers; also where xarray has no short way."""
    trajectory._known.clear()
    if not short:
        monkeypatch.setattr(trajectory.Kind, "of", classmethod(lambda kind, *given: kind()))
    for scale in range(1, 1 + again):
        variables, coordinates = variables_at(scale)
        found = labelled(variables, coordinates, {"seed": scale})
    expected = xr.Dataset(variables, coordinates, {"seed": again})
    xr.testing.assert_identical(found, expected)
    assert list(found.variables) == list(expected.variables)
    xr.testing.assert_identical(found.sel(time=1.0), expected.sel(time=1.0))
    xr.testing.assert_identical(found.isel(cell=[2, 0]).mean("time"), expected.isel(cell=[2, 0]).mean("time"))
    assert dict(found.sizes) == dict(expected.sizes)
    assert (found.time.dtype, found.indexes["time"].name) == (float, "time")
    trajectory._known.clear()


def test_words_are_labels(tmp_path: Path) -> None:
    words = (("word",), np.array(["Hund", "Katze"]))
    found = labelled({"x": (("word",), np.array([1.0, 2.0]))}, {"word": words}, {"seed": 1})
    expected = xr.Dataset({"x": ("word", [1.0, 2.0])}, {"word": list(words[1])}, {"seed": 1})
    xr.testing.assert_identical(found, expected)
    assert found.word.dtype == expected.word.dtype
    assert float(found.x.sel(word="Katze")) == 2.0
    xr.testing.assert_identical(pickle.loads(pickle.dumps(found)), expected)
    save(found, tmp_path / "words.nc")
    xr.testing.assert_identical(load(tmp_path / "words.nc").drop_encoding(), expected)


def test_labels_that_are_changed_afterwards_change_nothing() -> None:
    variables, coordinates = variables_at(1.0)
    given = coordinates["time"][1]
    labelled(variables, coordinates, {})
    given[1] = 3.0
    assert labelled(*variables_at(1.0), {}).time.values.tolist() == [0.0, 1.0]


def test_labelled_datasets_share_nothing_that_can_be_changed() -> None:
    one, other = (labelled(*variables_at(scale), {}) for scale in (1.0, 2.0))
    one.x.attrs["units"] = one.status.attrs["units"] = one.time.attrs["long_name"] = one.attrs["seed"] = "changed"
    one["time"] = [5.0, 6.0]
    one.k[:] = 7.0
    xr.testing.assert_identical(other, xr.Dataset(*variables_at(2.0)))
    xr.testing.assert_identical(labelled(*variables_at(2.0), {}), xr.Dataset(*variables_at(2.0)))


def test_a_label_that_changed_is_seen() -> None:
    variables, coordinates = variables_at(1.0)
    labelled(variables, coordinates, {})
    later = coordinates | {"time": (("time",), np.array([0.0, 2.0]))}
    xr.testing.assert_identical(labelled(variables, later, {}), xr.Dataset(variables, later))


def test_twins_have_nothing_of_each_other() -> None:
    """Datasets of one kind: labels, their names, attributes and numbers of one are not those of the next."""

    def made() -> xr.Dataset:
        variables = {"x": (("time", "word"), np.zeros((2, 2)), {"units": "1"}), "y": (("time",), np.zeros(2))}
        labels = {"time": (("time",), np.arange(2.0), {"units": "steps"}), "word": (("word",), np.array(["a", "b"]))}
        return trajectory.labelled(variables, {**labels, "step": (("time",), np.arange(2))}, {"title": "one"})

    made()
    first, second = made(), made()
    xr.testing.assert_identical(first, second)
    first.x[:] = 1.0
    first.x.attrs["units"] = first.time.attrs["units"] = first.y.encoding["dtype"] = "spoilt"
    first.indexes["word"].name = "spoilt"
    first = first.assign_coords(word=["c", "d"]).rename(time="when")
    third = made()
    xr.testing.assert_identical(second, third)
    assert third.indexes["word"].name == "word"
    assert third.sel(word="b").x.values.tolist() == [0.0, 0.0]
    assert third.copy(deep=True).isel(time=[1]).time.attrs == {"units": "steps"}
    assert third.time.variable.encoding == third.y.encoding == {}


@pytest.mark.parametrize("before", ["", "import dask.array; "], ids=["not there", "there"])
def test_dask_is_left_out_where_nobody_has_it_and_is_itself_where_somebody_has(before: str) -> None:
    pytest.importorskip("dask.array")
    code = (
        f"{before}import sys, xarray as xr; from dynamics.support.trajectory import without_dask; without_dask();"
        " x = xr.DataArray([1.0, 2.0], dims='x'); print(float((x + x).sum()), 'dask' in sys.modules);"
        " import dask.array; print(type(xr.DataArray(dask.array.zeros(3), dims='x').data).__module__)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0] == f"6.0 {bool(before)}"
    assert told[1].startswith("dask") or not before


def test_pandas_does_without_pyarrow() -> None:
    pytest.importorskip("pyarrow")
    code = (
        "import sys; from dynamics.support.trajectory import without_dask; without_dask(); import xarray as xr;"
        " x = xr.DataArray([1.0, 2.0], {'word': ['a', 'b']}, 'word'); print(float(x.sel(word='b')), 'pyarrow' in"
        " sys.modules); import pyarrow; print(pyarrow.array([1, 2]).to_pylist())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == ["2.0 False", "[1, 2]"]
