"""Checkpoints: the state of every seed in one file, from which a run goes on to the same bits."""

from __future__ import annotations

import json
import math
import os
import time
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.support.errors import InputError
from dynamics.support.files import existing, write_aside
from dynamics.train.arguments import number
from dynamics.train.snapshot import Snapshot

FIELDS = ("step", "y", "velocity", "random", "states", "loss")
"""What a checkpoint holds of every seed."""


class Keeper:
    """Keeps the latest snapshot of every seed, and writes them to a file if there is one."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        settings: Mapping[str, Any],
        records: NDArray[np.int64],
        every: float,
        begun: Mapping[int, Snapshot],
    ):
        every = number("checkpoint_every", every, lambda value: value >= 0, "of seconds, from 0")
        self.path, self.settings, self.records = path, settings, records
        self.every = math.inf if path is None else every
        self.latest = dict(begun)
        self.written = -math.inf

    def keep(self, snapshot: Snapshot) -> None:
        self.latest[snapshot.seed] = snapshot

    def write_if_due(self) -> None:
        if time.monotonic() >= self.written + self.every:
            self.write()

    def write(self) -> None:
        if self.path is None:
            return
        arrays: dict[str, Any] = {"settings": json.dumps(self.settings), "records": self.records}
        for seed, snapshot in list(self.latest.items()):
            arrays |= {f"{seed}/{name}": getattr(snapshot, name) for name in FIELDS}
        with write_aside(self.path) as aside, open(aside, "wb") as file:
            np.savez(file, **arrays)
        self.written = time.monotonic()


def read_checkpoint(
    path: str | os.PathLike[str], settings: Mapping[str, Any], steps: int
) -> tuple[NDArray[np.int64], dict[int, Snapshot]]:
    """The records and the snapshots of a checkpoint, which must be of this run and not beyond its end.

    Raises
    ------
    InputError
        No such file, not a whole checkpoint, or one of another run; the message says what differs.
    """
    found_at = existing(path)
    snapshots: dict[int, Snapshot] = {}
    try:
        with np.load(found_at, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        was, records = json.loads(str(found["settings"])), found["records"]
        for seed in sorted({int(name.split("/")[0]) for name in found if "/" in name}):
            step, y, velocity, random, states, loss = (found[f"{seed}/{name}"] for name in FIELDS)
            snapshots[seed] = Snapshot(seed, int(step), y, velocity, str(random), states, loss)
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile):
        raise InputError(f"resume: {os.fspath(path)!r} is not a checkpoint, or not a whole one") from None
    now = json.loads(json.dumps(settings))
    for name in sorted(now.keys() | was.keys()):
        if was.get(name) != now.get(name):
            raise InputError(
                f"resume: the checkpoint is of another run: {name} was {was.get(name)}, and is {now.get(name)} now"
            )
    beyond = [s for s in snapshots.values() if s.step > steps]
    if beyond:
        raise InputError(f"resume: seed {beyond[0].seed} is at step {beyond[0].step}; give at least as many steps")
    return records, snapshots


def merged(before: NDArray[np.int64], after: NDArray[np.int64], snapshots: Iterable[Snapshot]) -> NDArray[np.int64]:
    """The records of the run that was interrupted as far as any of its seeds came, then those asked for now."""
    reached = max((s.step for s in snapshots), default=-1)
    return np.union1d(before[before <= reached], after[after >= reached])
