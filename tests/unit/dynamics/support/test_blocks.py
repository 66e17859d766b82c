"""Blocks: kept, not done twice, refused if they are of something else, and not lost with a worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from dynamics.support import blocks
from dynamics.support.blocks import SETTINGS, Store, finished
from dynamics.support.errors import InputError, IntegrationError

ONE = {"t_end": 10, "axes": {"V": [2, 3]}}


def squares(done: list[int]):
    def work(n: int):
        done.append(n)
        return {"square": np.array([n * n])}

    return work


NUMBERS = {str(n): n for n in range(5)}
RIGHT = {str(n): [n * n] for n in range(5)}


def values(found):
    pairs = [(key, arrays["square"].tolist()) for key, arrays in found]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def test_blocks_are_kept_and_not_done_twice(tmp_path):
    store, done = Store.open(tmp_path / "new" / "blocks", ONE), []
    running = finished(squares(done), NUMBERS, store)
    assert [next(running)[0] for _ in range(2)] == ["0", "1"]
    running.close()
    assert done == [0, 1]
    again = Store.open(tmp_path / "new" / "blocks", ONE, resume=True)
    done.clear()
    assert values(finished(squares(done), NUMBERS, again)) == RIGHT
    assert done == [2, 3, 4]
    done.clear()
    assert values(finished(squares(done), NUMBERS, again)) == RIGHT
    assert done == []


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_damaged_block_is_done_again(tmp_path, keep):
    store, done = Store.open(tmp_path, ONE), []
    values(finished(squares(done), NUMBERS, store))
    done.clear()
    store.file("3").write_bytes(store.file("3").read_bytes()[:keep])
    assert values(finished(squares(done), NUMBERS, store)) == RIGHT
    assert done == [3]
    assert store.read("3")["square"] == [9]


def test_a_block_that_raises_leaves_those_before(tmp_path):
    store = Store.open(tmp_path, ONE)

    def work(n):
        if n == 2:
            raise KeyboardInterrupt
        return {"square": np.array([n * n])}

    with pytest.raises(KeyboardInterrupt):
        list(finished(work, NUMBERS, store))
    done: list[int] = []
    assert values(finished(squares(done), NUMBERS, store)) == RIGHT
    assert done == [2, 3, 4]


@pytest.mark.parametrize(
    ("settings", "resume", "message"),
    [
        (ONE, False, r"this sweep already; go on with it by resume=True, or start anew with force=True"),
        ({**ONE, "t_end": 11}, False, r"another sweep already; start anew with force=True"),
        ({**ONE, "t_end": 11}, True, r"t_end was 10 and is 11 now"),
        ({**ONE, "axes": {"V": list(range(100))}}, True, r'axes was {"V": \[2, 3\]} and is .*… now'),
        ({"axes": ONE["axes"]}, True, r"t_end was 10 and is null now"),
    ],
)
def test_another_sweep_is_refused(tmp_path, settings, resume, message):
    store = Store.open(tmp_path, ONE)
    store.write("0", {"square": np.array([0])})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=message) as error:
        Store.open(tmp_path, settings, resume)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("settings", [ONE, {**ONE, "t_end": 11}])
def test_force_deletes_what_a_sweep_wrote_and_nothing_else(tmp_path, settings):
    mine = ["thesis.npz", "settings.json", f"{'0' * 16}-1.npz"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    (tmp_path / "folder").mkdir()
    store = Store.open(tmp_path, ONE)
    values(finished(squares([]), NUMBERS, store))
    Store.open(tmp_path, settings, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*mine, "folder", SETTINGS])
    assert all((tmp_path / name).read_text() == "mine" for name in mine)
    Store.open(tmp_path, settings, resume=True)


def test_damaged_settings(tmp_path):
    Store.open(tmp_path, ONE).write("0", {"square": np.array([7])})
    (tmp_path / SETTINGS).write_text("{")
    for resume in (True, False):
        with pytest.raises(InputError, match="is damaged; start anew with force=True"):
            Store.open(tmp_path, ONE, resume)
    assert Store.open(tmp_path, ONE, force=True).read("0") is None


def test_resume_and_force_without_anything_begin(tmp_path):
    assert Store.open(tmp_path / "a", ONE, resume=True).read("0") is None
    assert Store.open(tmp_path / "b", ONE, force=True).read("0") is None


def test_killed_while_it_writes(tmp_path):
    script = f"""
import numpy as np
from dynamics.support.blocks import Store, finished
def work(n):
    print(n, flush=True)
    return {{"square": np.full(200_000, n * n)}}
list(finished(work, {{str(n): n for n in range(10_000)}}, Store.open({str(tmp_path)!r}, {ONE!r})))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        while process.stdout.readline() != "20\n":
            pass
        os.kill(process.pid, signal.SIGKILL)
    store = Store.open(tmp_path, ONE, resume=True)
    for n in range(20):
        kept = store.read(str(n))["square"]
        assert kept.shape == (200_000,)
        assert (kept == n * n).all()


# -- a cluster --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as found:
        yield found


def test_a_worker_that_dies_loses_nothing(cluster, tmp_path):
    died = str(tmp_path / "died")

    def work(n):
        import os
        import signal
        import time
        from pathlib import Path

        import numpy as np

        time.sleep(0.05)
        if n == 3 and not Path(died).exists():
            Path(died).write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return {"square": np.array([n * n])}

    store = Store.open(tmp_path / "blocks", ONE)
    found = values(finished(work, {str(n): n for n in range(12)}, store, cluster.scheduler_address))
    assert (tmp_path / "died").exists()
    assert found == {str(n): [n * n] for n in range(12)}
    assert values(finished(squares(None), {str(n): n for n in range(12)}, store)) == found  # nothing is left to do


def test_a_block_that_kills_every_worker_ends_the_work(cluster):
    def work(n):
        import os
        import signal

        if n == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"square": np.array([n * n])}

    with pytest.raises(IntegrationError, match="block 1: workers died of it") as error:
        list(finished(work, {"1": 1}, None, cluster.scheduler_address))
    assert "\n" not in str(error.value)


def test_errors_of_a_block_come_back(cluster):
    def work(n):
        raise InputError("not this one")

    with pytest.raises(InputError, match="not this one"):
        list(finished(work, {"1": 1}, None, cluster.scheduler_address))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense"])
def test_no_scheduler(address, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(blocks, "ANSWER", 0.5)
    with pytest.raises(InputError, match=r"scheduler .*: no Dask scheduler answers there") as error:
        list(finished(squares([]), NUMBERS, None, address))
    assert "\n" not in str(error.value)


def test_something_else_listens(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(blocks, "ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match="no Dask scheduler answers there"):
            list(finished(squares([]), NUMBERS, None, address))


def test_dask_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'attention-dynamics\[distributed\]'"):
        list(finished(squares([]), NUMBERS, None, "tcp://127.0.0.1:1"))
