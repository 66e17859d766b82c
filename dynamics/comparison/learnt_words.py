"""Words that a prediction has learnt, found without drawing anything: nothing here loads matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from derivations.program.role import Role
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.roles import with_role

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SHOWN", "best_scores", "ktiw_of", "learnt", "predictions", "scores_of"]

SHOWN = 8


def learnt(trajectory: xr.Dataset, number: int = 5) -> list[tuple[str, str]]:
    """Pairs of words that are each other's best at the end: no input has a larger KTIW for the output, and conversely.

    Parameters
    ----------
    trajectory : xarray.Dataset
        With ``beta`` (time, input, output).
    number : int
        At most so many, the largest KTIW first. Signs without a letter or a digit come last.

    Returns
    -------
    list of (str, str)
        Input and output of each pair.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    >>> learnt(solve(lexicon, [0, 10]))
    [('Hund', 'dog'), ('Katze', 'cat')]
    """
    final = ktiw_of(next(iter(predictions(trajectory).values()))).values[-1]
    best_input, best_output = final.argmax(axis=0), final.argmax(axis=1)
    inputs, outputs = trajectory["input"].values, trajectory["output"].values
    mutual = [(i, o) for o, i in enumerate(best_input) if best_output[i] == o]
    pairs = {(str(inputs[i]), str(outputs[o])): final[i, o] for i, o in mutual}
    return sorted(pairs, key=lambda pair: (not all(map(_has_letters, pair)), -pairs[pair]))[:number]


def best_scores(trajectory: xr.Dataset, words: Sequence[str] | None = None, number: int = SHOWN) -> list[str]:
    """Given words, or those with the highest scores at the end.

    Examples
    --------
    >>> import xarray as xr
    >>> scores = xr.DataArray([[0.0, 0.0], [1.0, 2.0]], {"input": ["a", "fine"]}, ("time", "input"))
    >>> best_scores(xr.Dataset({"s": scores}), number=1)
    ['fine']
    """
    last = scores_of(trajectory).isel(time=-1)
    known = last["input"].values.tolist()
    if words is None:
        return [known[k] for k in np.argsort(-last.values, kind="stable")[:number]]
    by_name = {str(name): name for name in known}
    for word in words:
        if word not in by_name:
            raise InputError(f"there is no word {word!r}{did_you_mean(word, by_name)}")
    return [by_name[word] for word in words]


def ktiw_of(dataset: xr.Dataset) -> xr.DataArray:
    """KTIW over (time, input, output), whatever its name."""
    for name in with_role(dataset, Role.KTIW):
        if set(dataset[name].dims) == {"time", "input", "output"} and dataset[name].size:
            return dataset[name].transpose("time", "input", "output")
    raise InputError("the dataset has no 'beta' to draw, the KTIW of every word: give what solve() returns")


def predictions(dataset: xr.Dataset) -> dict[str, xr.Dataset]:
    """Each prediction by its name."""
    if "stages" not in dataset.dims:
        name = dataset["stages"].item() if "stages" in dataset.coords else dataset.attrs.get("stages", "prediction")
        return {str(name): dataset}
    return {str(name): dataset.sel(stages=name) for name in dataset["stages"].values}


def _has_letters(word: str) -> bool:
    return any(character.isalnum() for character in word)


def scores_of(trajectory: xr.Dataset) -> xr.DataArray:
    """The attention logits of words, whatever their name."""
    for name in with_role(trajectory, Role.ATTENTION):
        if set(trajectory[name].dims) == {"time", "input"}:
            return trajectory[name].transpose("time", "input")
    raise InputError("the dataset has no scores of words to draw: give the flow of a keyword or topic classifier")
