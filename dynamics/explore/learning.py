"""``found.learning``: what is asked most of a result, on the dataset itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from dynamics.explore.notebook import show_theorems
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@xr.register_dataset_accessor("learning")
class Learning:
    """What is learnt, when, in a picture.

    It is there on every dataset once a name of ``dynamics`` that makes one has been imported.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    >>> found = solve(lexicon, range(101))
    >>> found.learning.words("Hund").loc[10].to_dict()["translation"]
    'dog'
    >>> found.learning.times(0.9).values.round(1)
    array([10.4, 10.4])
    """

    def __init__(self, found: xr.Dataset) -> None:
        self._found = found

    def words(self, word: str, stages: str | None = None) -> pd.DataFrame:
        """What one input word has learnt, over time.

        Parameters
        ----------
        word : str
        stages : str, optional
            Which prediction, if there are several; by default the first.

        Returns
        -------
        pandas.DataFrame, by time
            ``translation``, the output that it predicts best; ``beta``, KTIW of what it predicts best at the end; and,
            if there is attention, ``attention``: the share of attention of that output on this word, not a number while
            another word has more.

        Raises
        ------
        InputError
            The result has no words, or not this one; the message has the nearest.
        """
        import pandas as pd

        found = self._of_words(stages)
        inputs = [str(one) for one in found.input.values]
        if word not in inputs:
            raise InputError(f"{word!r} is not an input word of this result{did_you_mean(word, inputs)}")
        own = found.sel(input=word)
        last = str(own.translation.values[-1])
        columns: dict[str, Any] = {"translation": own.translation.values}
        if last in found.output.values:
            columns["beta"] = own.beta.sel(output=last).values
            if "attended" in found:
                of_last = found.sel(output=last)
                columns["attention"] = np.where(of_last.attended == word, of_last.attention, np.nan)
        index = pd.Index(found.time.values, name="time")
        return pd.DataFrame(columns, index)

    def times(self, share: float = 0.5, stages: str | None = None) -> xr.DataArray:
        """When each input word passes a share: its KTIW of what it predicts best at the end.

        Parameters
        ----------
        share : float
            Between 0 and 1.
        stages : str, optional
            Which prediction, if there are several; by default the first.

        Returns
        -------
        xarray.DataArray, by input
            In tau, linear between the times of the result; infinite if it does not pass.

        Raises
        ------
        InputError
            The result has no words, or the share is none.
        """
        if not 0 < share < 1:
            raise InputError(f"share = {share} must be between 0 and 1")
        found = self._of_words(stages)
        beta = found.beta.transpose("time", "input", "output").values
        curves = beta[:, np.arange(beta.shape[1]), beta[-1].argmax(axis=-1)]
        t = found.time.values.astype(float)
        passed = [first_passed(t, curve, share) for curve in curves.T]
        name = f"time at which KTIW passes {share:g}"
        return xr.DataArray(passed, {"input": found.input.values}, ("input",), attrs={"long_name": name})

    def plot(self, words: Sequence[str] | None = None) -> Figure:
        """The figure that fits: of words, of a phase diagram, of a forecast, of order parameters.

        Parameters
        ----------
        words : sequence of str, optional
            Input words, for a result that has some.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InputError
            Words for a result that has none, or a word that it does not have.
        """
        from dynamics import plot
        from dynamics.plot.programs import course

        found = self._found
        if "beta" in found and "translation" in found:
            first = self._of_words(None)
            if words is None:
                return plot.words(first)
            return plot.words(first, [(word, str(self.words(word).translation.iloc[-1])) for word in words])
        if words is not None:
            raise InputError("this result has no words to choose; leave words out")
        if "value" in found and found["value"].ndim == 2:
            return plot.phase(found)
        if {"step", "low", "high"} <= set(found.data_vars):
            return plot.forecast(found)
        return course(found)

    def _of_words(self, stages: str | None) -> xr.Dataset:
        found = self._found
        if not {"beta", "translation"} <= set(found.data_vars):
            raise InputError("this result has no words: solve() of counts has")
        if "stages" not in found.dims:
            if stages is not None:
                raise InputError("this result is one prediction; leave stages out")
            return found
        known = [str(name) for name in found.stages.values]
        if stages is not None and stages not in known:
            raise InputError(
                f"there is no prediction {stages!r}{did_you_mean(stages, known)}; it has {', '.join(known)}"
            )
        return found.sel(stages=known[0] if stages is None else stages)


def first_passed(t: Vector, curve: Vector, share: float) -> float:
    """When a curve is first at or above a share, linear between its times; infinite if it never is.

    Examples
    --------
    >>> first_passed(np.array([0.0, 2, 4]), np.array([0.1, 0.3, 0.7]), 0.5)
    3.0
    """
    passed = np.flatnonzero(curve >= share)
    if not passed.size:
        return float("inf")
    k = int(passed[0])
    if k == 0:
        return float(t[0])
    return float(t[k - 1] + (share - curve[k - 1]) / (curve[k] - curve[k - 1]) * (t[k] - t[k - 1]))


show_theorems()
