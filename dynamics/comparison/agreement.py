"""Where a head attends, and whether its knowledge of words said so: the measures of Snell et al."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import Role
from dynamics.problems.kinds.models import Model
from dynamics.support.errors import InputError
from dynamics.support.roles import AGREEMENT
from dynamics.tasks.examples import Examples

if TYPE_CHECKING:
    import xarray as xr

Rows = NDArray[np.float64]
"""Numbers over (targets of all examples, positions), NaN beyond the end of an input."""

SHARE = 0.05
"""Share of the positions, rounded up, that count as the top."""

_BLOCK = 1024
"""Targets whose pairs of positions are held in memory at one time."""


def agreement(alpha: ArrayLike, beta: ArrayLike, share: float = SHARE) -> float:
    """The share of targets whose most attended position is among the top positions by another measure.

    Parameters
    ----------
    alpha : array_like, shape (targets, positions)
        Attention; NaN beyond the end of an input. Where several positions share the largest, each counts in part.
    beta : array_like, shape (targets, positions)
        What attention is held against, such as KTIW. Positions level with the last of the top are among it, so
        that each place of a repeated word counts as that word; if all are level, chance decides.
    share : float
        The top is this share of the positions of an input, rounded up.

    Returns
    -------
    float
        A(alpha, beta), between 0 and 1.

    Raises
    ------
    InputError
        Shapes differ, an input has no position, beta is not finite at one, or the share is not above 0 and at most 1.

    References
    ----------
    Snell et al., arXiv 2103.07601: agreement metric A.

    Examples
    --------
    >>> agreement([[0.7, 0.2, 0.1], [0.1, 0.9, np.nan]], [[0.5, 0.1, 0.1], [0.8, 0.3, np.nan]])
    0.5
    """
    attention, other = _rows(alpha, beta)
    if not 0 < share <= 1:
        raise InputError(f"share = {share} must be above 0 and at most 1")
    there = np.isfinite(attention)
    top = np.ceil(share * there.sum(1) - 1e-9)
    most = attention == np.nanmax(attention, axis=1, keepdims=True)
    falling = -np.sort(-other, axis=1)
    least = np.take_along_axis(falling, top.astype(int)[:, None] - 1, axis=1)
    hits = (most & (other >= least)).sum(1) / most.sum(1)
    level = np.nanmin(other, axis=1) == np.nanmax(other, axis=1)
    return float(np.where(level, top / there.sum(1), hits).mean())


def kendall(alpha: ArrayLike, beta: ArrayLike) -> float:
    """Mean over targets of Kendall's tau between attention and another measure over the positions.

    Parameters
    ----------
    alpha, beta : array_like, shape (targets, positions)
        As for :func:`agreement`.

    Returns
    -------
    float
        Between -1 and 1; targets for which either is the same at all positions are left out, NaN if no other is left.

    Notes
    -----
    Tau-b, as :func:`scipy.stats.kendalltau` has it, for many short rows at once.

    References
    ----------
    Snell et al., arXiv 2103.07601.

    Examples
    --------
    >>> kendall([[0.7, 0.2, 0.1], [0.1, 0.9, np.nan]], [[0.5, 0.2, 0.1], [0.8, 0.3, np.nan]])
    0.0
    """
    attention, other = _rows(alpha, beta)
    found = []
    for k in range(0, len(attention), _BLOCK):
        a, b = (np.nan_to_num(_signs(rows[k : k + _BLOCK])) for rows in (attention, other))
        both, first, second = (np.einsum("nij,nij->n", x, y) for x, y in ((a, b), (a, a), (b, b)))
        told = (first > 0) & (second > 0)
        found.append(both[told] / np.sqrt(first[told] * second[told]))
    values = np.concatenate(found)
    return float(values.mean()) if values.size else float("nan")


def shuffled(rows: ArrayLike, seed: int = 0) -> Rows:
    """Each row with its entries in random order: the baseline that any agreement must beat.

    Examples
    --------
    >>> shuffled([[1, 2, 3], [4, 5, np.nan]], seed=1)
    array([[ 3.,  1.,  2.],
           [ 5.,  4., nan]])
    """
    values = np.array(rows, dtype=float)
    order = np.where(np.isfinite(values), np.random.default_rng(seed).random(values.shape), np.inf).argsort(axis=1)
    return np.take_along_axis(values, order, axis=1)


@dataclass(frozen=True, eq=False)
class Reader:
    """What a model with given states does on examples, read off its own compiled definitions.

    Attributes
    ----------
    model : Model
    examples : Examples
    """

    model: Model
    examples: Examples

    def named(self, role: Role) -> str:
        """The tensor of the model that has a role."""
        found = self.model.program.with_role(role)
        if not found:
            raise InputError(f"{self.model.name} does not say which tensor is its {role}; declare it, roles={{...}}")
        return found[0]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Positions that each target chooses from, shape (targets,)."""
        return np.repeat(self.examples.length, self.examples.targets)

    @cached_property
    def words(self) -> NDArray[np.int64]:
        """The word at each position of each target's input, shape (targets, positions); 0 beyond its end."""
        return np.repeat(_padded(self.examples.x, self.examples.length, 0), self.examples.targets, axis=0)

    def evaluate(self, states: Mapping[str, ArrayLike], *names: str, on: Examples | None = None) -> dict[str, Rows]:
        """Tensors of the model's program by name, for one set of states."""
        examples = on or self.examples
        shapes = self.model.shapes(examples)
        y = np.concatenate([np.reshape(states[name], shapes[name]).ravel() for name in self.model.program.state_names])
        unit = dict.fromkeys(self.model.program.rates.values(), 1.0)
        kernel = self.model.kernel(examples, names)
        return kernel.bind(
            self.model.arrays(examples), {**self.model.all_sizes(examples), **self.model.parameters, **unit}
        ).evaluate(y)

    def by_position(self, tensor: Rows) -> Rows:
        """A tensor over (targets, [heads,] positions) as a mean over heads, NaN beyond the end of an input.

        With one target for each example, the rows lie end to end.
        """
        if tensor.ndim == 1:
            return _padded(tensor, self.lengths, np.nan)
        mean = tensor.mean(axis=1) if tensor.ndim == 3 else tensor
        return np.where(np.arange(mean.shape[1]) < self.lengths[:, None], mean, np.nan)

    def attention(self, states: Mapping[str, ArrayLike]) -> Rows:
        """alpha, the mean over heads, shape (targets, positions)."""
        name = self.named(Role.WEIGHTS)
        return self.by_position(self.evaluate(states, name)[name])

    def gradient(self, states: Mapping[str, ArrayLike]) -> Rows:
        """Delta = -dLoss/dalpha, how far attention to a position lowers the loss, shape (targets, positions)."""
        name = self.model.program.adjoints[self.named(Role.WEIGHTS)]
        return self.by_position(-self.evaluate(states, name)[name])

    def ktiw(self, states: Mapping[str, ArrayLike]) -> Rows:
        """beta, what the model predicts from one word alone, shape (inputs, outputs)."""
        from scipy.special import softmax

        V, one = self.examples.inputs, np.ones(self.examples.inputs, dtype=np.int64)
        alone = replace(self.examples, x=np.arange(V), length=one, y=0 * one, targets=one)
        name = self.named(Role.LOGITS)
        return softmax(self.evaluate(states, name, on=alone)[name], axis=1)

    def at_positions(self, beta: ArrayLike) -> Rows:
        """A matrix over (inputs, outputs) at the words of each input and its target, shape (targets, positions)."""
        chosen = np.asarray(beta, dtype=float)[self.words, self.examples.y[:, None]]
        return np.where(np.arange(chosen.shape[1]) < self.lengths[:, None], chosen, np.nan)

    def on_words(self, alpha: Rows, right: ArrayLike) -> float:
        """Mean attention on the right input word of each target's output; ``right`` has it for every output."""
        hits = self.words == np.asarray(right)[self.examples.y][:, None]
        return float(np.nansum(np.where(hits, alpha, 0.0), axis=1).mean())

    def accuracy(self, states: Mapping[str, ArrayLike]) -> float:
        """The share of targets that have the largest logit."""
        name = self.named(Role.LOGITS)
        return float((self.evaluate(states, name)[name].argmax(axis=1) == self.examples.y).mean())


def measures(
    trajectory: xr.Dataset,
    model: Model,
    examples: Examples,
    *,
    uniform: Mapping[str, ArrayLike] | None = None,
    proxy: ArrayLike | None = None,
    right: ArrayLike | None = None,
    share: float = SHARE,
    seed: int = 0,
) -> xr.Dataset:
    """The measures of Snell et al. along a trajectory, on given examples.

    Parameters
    ----------
    trajectory : xarray.Dataset
        The states of the model over time, and over other dimensions such as ``seed`` or ``stages``.
    model : Model
    examples : Examples
        On which attention is looked at.
    uniform : mapping, optional
        States of the model trained with uniform attention: its KTIW is beta^uf, and Delta its gradient with respect to
        attention. :func:`stage_one` finds them.
    proxy : array_like, shape (inputs, outputs), optional
        beta^px: KTIW from the co-occurrence matrix alone.
    right : array_like of int, shape (outputs,), optional
        The right input word of every output, where there is one.
    share : float
        As for :func:`agreement`.
    seed : int
        Of the shuffled baseline.

    Returns
    -------
    xarray.Dataset
        Over (..., time): ``accuracy``; ``attention``, on the right word; and the agreement of attention with KTIW at
        that time, with that of uniform attention, of the proxy, and with the gradient: ``agreement_beta``, ``_uf``,
        ``_px``, ``_delta``, and ``_shuffled``, that with beta in random order. Over (...), at the end: ``kendall_*``,
        and ``xi_*``, the accuracy at the first time whose own attention agrees with the last one at least as well as
        the measure does.

    Raises
    ------
    InputError
        The trajectory lacks a state of the model, or shapes differ.

    References
    ----------
    Snell et al., arXiv 2103.07601: A, beta^uf, beta^px, Delta, Kendall tau and xi.

    Examples
    --------
    >>> from dynamics import solve
    >>> from dynamics.problems.kinds.models import lexical
    >>> from dynamics.tasks import ToyLexicon
    >>> sentences = ToyLexicon(vocab=12, length=4).examples(40)
    >>> flow = solve(lexical(), sentences, [0, 100, 1000])
    >>> found = measures(flow, lexical(), sentences, right=range(12), **stage_one(lexical(), sentences, 100))
    >>> found.attention.values.round(2), found.agreement_uf.values.round(2)
    (array([0.25, 0.68, 0.96]), array([0.25, 1.  , 1.  ]))
    """
    import xarray as xr

    reader = Reader(model, examples)
    names = model.program.state_names
    missing = [name for name in names if name not in trajectory]
    if missing:
        raise InputError(f"the trajectory has no {', '.join(missing)}; it is not one of model {model.name}")
    shapes = model.shapes(examples)
    leading = [str(dim) for dim in trajectory[names[0]].dims if dim not in model.dims[names[0]]]
    leading = [dim for dim in leading if dim != "time"] + ["time"]
    stacked = {name: trajectory[name].transpose(*leading, *model.dims[name]).values for name in names}
    for name, values in stacked.items():
        if values.shape[len(leading) :] != shapes[name]:
            raise InputError(f"{name} is of shape {values.shape[len(leading) :]}, and the examples need {shapes[name]}")
    sizes = stacked[names[0]].shape[: len(leading)]

    fixed = {}
    if uniform is not None:
        fixed["uf"] = reader.at_positions(reader.ktiw(uniform))
        fixed["delta"] = reader.gradient(uniform)
    if proxy is not None:
        fixed["px"] = reader.at_positions(proxy)
    over = ["accuracy", "attention", "agreement_beta", "agreement_shuffled", *(f"agreement_{name}" for name in fixed)]
    found = {name: np.full(sizes, np.nan) for name in over if name != "attention" or right is not None}
    held = ["beta", *fixed]
    final = {f"{kind}_{name}": np.full(sizes[:-1], np.nan) for kind in ("kendall", "xi") for name in held}
    for place in np.ndindex(*sizes[:-1]):
        alphas = []
        for k in range(sizes[-1]):
            states = {name: values[(*place, k)] for name, values in stacked.items()}
            if not all(np.isfinite(value).all() for value in states.values()):
                break
            alpha, beta = reader.attention(states), reader.at_positions(reader.ktiw(states))
            alphas.append(alpha)
            found["accuracy"][(*place, k)] = reader.accuracy(states)
            if right is not None:
                found["attention"][(*place, k)] = reader.on_words(alpha, right)
            against = {"beta": beta, "shuffled": shuffled(beta, seed), **fixed}
            for name, rows in against.items():
                found[f"agreement_{name}"][(*place, k)] = agreement(alpha, rows, share)
        if len(alphas) < sizes[-1]:
            continue
        own = np.array([agreement(alphas[-1], alpha, share) for alpha in alphas])
        for name in held:
            final[f"kendall_{name}"][place] = kendall(alphas[-1], against[name])
            reached = np.flatnonzero(own >= found[f"agreement_{name}"][(*place, -1)])
            if reached.size:
                final[f"xi_{name}"][place] = found["accuracy"][(*place, reached[0])]
    described = {
        **{name: (tuple(leading), value, _ABOUT[name] | {"units": "1"}) for name, value in found.items()},
        **{name: (tuple(leading[:-1]), value, {"units": "1"}) for name, value in final.items()},
    }
    coordinates = {dim: trajectory[dim] for dim in leading if dim in trajectory.coords}
    return xr.Dataset(described, coordinates, {"share": share, "examples": len(examples)})


_ABOUT = {
    "accuracy": {"long_name": "share of targets predicted"},
    "attention": {"long_name": "attention on the right word"},
    **{
        f"agreement_{of}": {"long_name": f"agreement of attention with {what}", "kind": AGREEMENT, "of": of}
        for of, what in {
            "beta": "KTIW",
            "uf": "KTIW from uniform attention",
            "px": "KTIW from co-occurrence alone",
            "delta": "its gradient under uniform attention",
            "shuffled": "KTIW in random order",
        }.items()
    },
}


def stage_one(model: Model, examples: Examples, tau: float) -> dict[str, object]:
    """What the model knows of words before it attends: arguments ``uniform`` and ``proxy`` of :func:`measures`.

    Parameters
    ----------
    model : Model
        Keyword classifier, lexical or positional attention: one head or several.
    examples : Examples
    tau : float
        How long stage one lasts.

    Returns
    -------
    dict
        ``uniform``, the states after the exact flow with attention held uniform; ``proxy``, KTIW of stage one solved
        from the co-occurrence matrix alone, 0 for words that the examples do not have.

    References
    ----------
    Snell et al., arXiv 2103.07601: beta^uf and beta^px.

    Examples
    --------
    >>> from dynamics.problems.kinds.models import lexical
    >>> sentences = Examples.from_rows([[0, 1], [1, 2], [0, 2]], [[0], [1], [0]], inputs=3, outputs=2)
    >>> found = stage_one(lexical(), sentences, tau=10)
    >>> sorted(found), bool(abs(found["uniform"]["A"]).max() == 0), found["proxy"].round(2)[0]
    (['proxy', 'uniform'], True, array([0.89, 0.11]))
    """
    from dynamics.problems.solve import solve

    names = model.program.state_names
    logits = [name for name in model.program.with_role(Role.ATTENTION) if name in names]
    if not has_stage_one(model):
        raise InputError(f"{model.name} has no values W of words, or no attention logits: it declares no stage one")
    flow = solve(model, examples, [0.0, tau], rates=dict.fromkeys(logits, 0.0))
    uniform = {name: flow[name].values[-1] for name in names}
    counts = examples.cooccurrence()
    closed = solve(counts, [0.0, tau], closure="marginal").isel(time=-1)
    everything = {dim: [str(label) for label in labels] for dim, labels in examples.coordinates.items()}
    return {"uniform": uniform, "proxy": closed.beta.reindex(everything, fill_value=0.0).values}


def has_stage_one(model: Model) -> bool:
    """Whether a model learns values of words, and attention logits that can be held: models 1a to 1d."""
    program = model.program
    states = set(program.state_names)
    held, values = (states & set(program.with_role(role)) for role in (Role.ATTENTION, Role.VALUES))
    seen = all(program.with_role(role) for role in (Role.WEIGHTS, Role.LOGITS))
    return bool(held and values and seen and program.with_role(Role.WEIGHTS)[0] in program.adjoints)


def _signs(rows: Rows) -> Rows:
    """Which of each two positions has more, shape (targets, positions, positions)."""
    return np.sign(rows[:, :, None] - rows[:, None, :])


def _padded(flat: NDArray[Any], lengths: NDArray[np.int64], fill: float) -> NDArray[Any]:
    """Rows of these lengths out of a flat array, filled up beyond their ends."""
    there = np.arange(lengths.max()) < lengths[:, None]
    rows = np.full(there.shape, fill, dtype=flat.dtype)
    rows[there] = flat
    return rows


def _rows(alpha: ArrayLike, beta: ArrayLike) -> tuple[Rows, Rows]:
    """Both as arrays, NaN beyond the ends of the rows of the first."""
    attention, other = np.asarray(alpha, dtype=float), np.asarray(beta, dtype=float)
    if attention.ndim != 2 or attention.shape != other.shape or not attention.size:
        raise InputError(f"rows of shapes {attention.shape} and {other.shape}: give two that are alike")
    there = np.isfinite(attention)
    if not there.any(axis=1).all():
        raise InputError("an input has no position; leave its targets out")
    if not np.isfinite(other[there]).all():
        raise InputError("what attention is held against is not finite everywhere; give a number at every position")
    return attention, np.where(there, other, np.nan)
