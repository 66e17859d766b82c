"""Work in blocks: here or on a cluster, each kept as soon as it is finished, so that nothing is done twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.files import write_aside
from dynamics.support.typing import Arrays

SETTINGS = "sweep.json"
ANSWER = 10
"""Seconds in which a scheduler answers."""


@dataclass(frozen=True)
class Store:
    """A directory of finished blocks, and the settings that they belong to.

    Attributes
    ----------
    path : Path
    digest : str
        Of the settings: it is part of the name of every block.
    """

    path: Path
    digest: str

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], settings: Mapping[str, Any], resume: bool = False, force: bool = False
    ) -> Store:
        """A new store, or with ``resume`` the one that is there.

        Raises
        ------
        InputError
            There are blocks already, and neither ``resume`` nor ``force`` (which deletes them, and nothing else in the
            directory) is said; or those to resume are of other settings: the message says which.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     store = Store.open(directory, {"t_end": 10})
        ...     store.write("0", {"value": np.arange(2)})
        ...     Store.open(directory, {"t_end": 10}, resume=True).read("0")["value"]
        array([0, 1])
        """
        where = Path(os.path.expanduser(path))
        text = json.dumps(settings, sort_keys=True)
        store = cls(where, hashlib.sha256(text.encode()).hexdigest()[:16])
        found = where / SETTINGS
        if found.exists() and force:
            store._delete(found)
        elif found.exists():
            before, now = _read_settings(found), json.loads(text)
            differ = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
            if not resume:
                raise InputError(
                    f"{where} holds {'another' if differ else 'this'} sweep already;"
                    f" {'' if differ else 'go on with it by resume=True, or '}start anew with force=True"
                )
            if differ:
                name = differ[0]
                what = f"{name} was {_short(before.get(name))} and is {_short(now.get(name))} now"
                if name == "equations":
                    what = "the equations of the program have changed since"
                raise InputError(f"{where} holds another sweep: {what}; give the same, or start anew with force=True")
            return store
        with write_aside(found) as aside:
            aside.write_text(text, encoding="utf-8")
        return store

    def file(self, key: str) -> Path:
        return self.path / f"{self.digest}-{key}.npz"

    def read(self, key: str) -> Arrays | None:
        """A finished block; None if there is none, or a damaged one."""
        try:
            with np.load(self.file(key), allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (FileNotFoundError, zipfile.BadZipFile, ValueError, EOFError):
            return None

    def write(self, key: str, arrays: Arrays) -> None:
        with write_aside(self.file(key)) as aside, open(aside, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def _delete(self, settings: Path) -> None:
        """Delete the blocks of the sweep that is there, last of all its settings: what is left can be deleted again."""
        before = hashlib.sha256(settings.read_bytes()).hexdigest()[:16]
        for digest in {before, self.digest}:
            for block in self.path.glob(f"{digest}-*.npz"):
                block.unlink()
        settings.unlink()


def finished(
    work: Callable[[Any], Arrays],
    blocks: Mapping[str, Any],
    store: Store | None = None,
    scheduler: str | None = None,
) -> Iterator[tuple[str, Arrays]]:
    """The result of every block, as each is finished; those that the store has come first and are not done again.

    Parameters
    ----------
    work : callable
        A function of a block alone: the same wherever and however often it is called.
    blocks : mapping
        By their names.
    store : Store, optional
        Where finished blocks are kept.
    scheduler : str, optional
        The address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``. A block that is lost with its worker is done
        again by another one.

    Yields
    ------
    (str, dict of str to ndarray)
        Each block once.

    Raises
    ------
    InputError
        There is no scheduler at the address, or Dask is not installed.
    IntegrationError
        Workers die of a block, one after the other.

    Examples
    --------
    >>> list(finished(lambda n: {"square": np.array(n * n)}, {"first": 2, "second": 3}))
    [('first', {'square': array(4)}), ('second', {'square': array(9)})]
    """
    left = dict(blocks)
    if store is not None:
        for key in blocks:
            kept = store.read(key)
            if kept is not None:
                del left[key]
                yield key, kept
    if not left:
        return
    done = ((key, work(block)) for key, block in left.items()) if scheduler is None else cluster(work, left, scheduler)
    for key, arrays in done:
        if store is not None:
            store.write(key, arrays)
        yield key, arrays


def cluster(work: Callable[[Any], Arrays], blocks: Mapping[str, Any], scheduler: str) -> Iterator[tuple[str, Arrays]]:
    """The results of blocks from a cluster, in the order in which they are finished there."""
    with connected(scheduler) as client:
        from distributed import KilledWorker, as_completed

        futures = {client.submit(work, block, pure=False): key for key, block in blocks.items()}
        finishing = as_completed(futures)
        while futures:
            # Nothing is held here or there once it is passed on.
            future = next(finishing)
            key = futures.pop(future)
            try:
                arrays = future.result()
            except KilledWorker as error:
                raise IntegrationError(
                    f"block {key}: workers died of it, the last of them {error.last_worker.address};"
                    " look into their logs, or give them more memory"
                ) from None
            del future
            yield key, arrays


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """A client of a Dask scheduler."""
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "a scheduler needs Dask; install it with: pip install 'attention-dynamics[distributed]'"
        ) from None
    try:
        # A client waits for ever for something else that listens there; and here a loop may be running already.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, _answer(scheduler)).result()
        client = Client(scheduler, timeout=ANSWER)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise InputError(f"scheduler {scheduler!r}: no Dask scheduler answers there ({type(error).__name__})") from None
    with client:
        yield client


async def _answer(scheduler: str) -> None:
    """Shake hands with whatever listens at an address."""
    from distributed import Security
    from distributed.comm import connect

    options = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(scheduler, timeout=ANSWER, **options), ANSWER)
    await comm.close()


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise InputError(f"{path} is damaged; start anew with force=True") from None


def _short(value: Any, limit: int = 60) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
