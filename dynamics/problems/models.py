"""Exact models with their sizes: what a program of :mod:`derivations.models` needs to meet examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations import models
from derivations.program.language import Program, name_of, subscript
from derivations.reductions import in_span
from dynamics.lowering import Kernel, lower
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.tasks.examples import Examples

DIMENSIONS = {
    "i": "input", "k": "output", "o": "output", "h": "head", "d": "dimension", "e": "key_dimension", "j": "hidden",
    "m": "target", "p": "position",
}  # fmt: skip
"""Names of the indices of states in labelled results."""

UNROLLED = 16
"""Sizes up to this are constants of the compiled code."""


@dataclass(frozen=True, eq=False)
class Model:
    """An exact model; made by :func:`keyword`, :func:`lexical`, :func:`positional` or :func:`topic`.

    Attributes
    ----------
    program : Program
        Its gradient flow.
    sizes : mapping of str to int
        Sizes that the examples do not decide (heads H, dimension D, ...).
    fixed : mapping of str to ndarray
        Data of the model that is not trained (the classifier U of FC).
    """

    program: Program
    sizes: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.program.name

    def all_sizes(self, examples: Examples) -> dict[str, int]:
        """Every size of the program on some examples."""
        longest, most = examples.positions  # type: ignore[misc]
        return {"V": examples.inputs, "K": examples.outputs, "L": longest, "T": most, **self.sizes}

    def shapes(self, examples: Examples) -> dict[str, tuple[int, ...]]:
        """The shape of every state, by name."""
        sizes = self.all_sizes(examples)
        return {
            name_of(state): tuple(sizes[str(self.program.extents[index])] for index in subscript(state))
            for state in self.program.states
        }

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """The names of the dimensions of every state, for labelled results."""
        return {name_of(s): tuple(DIMENSIONS[str(index)] for index in subscript(s)) for s in self.program.states}

    def arrays(self, examples: Examples) -> dict[str, Any]:
        """The data of the program on some examples."""
        return {
            "x": examples.x, "length": examples.length, "y": examples.y, "targets": examples.targets, **self.fixed,
        }  # fmt: skip

    def kernel(self, examples: Examples, outputs: tuple[str, ...] | None = None, parallel: bool = False) -> Kernel:
        """The compiled flow, or other tensors; small sizes are constants of the code."""
        sizes = self.all_sizes(examples)
        used = {str(extent) for extent in self.program.extents.values()}
        constants = {name: n for name, n in sizes.items() if name in used - {"V", "L", "T"} and n <= UNROLLED}
        return lower(self.program, outputs, parallel=parallel, constants=constants)

    def check(self, examples: Examples) -> None:
        """Raise InputError if the model cannot take the examples."""
        if "targets" not in self.program.declarations and (examples.targets != 1).any():
            row = int(np.flatnonzero(examples.targets != 1)[0])
            raise InputError(f"{self.name}: example {row} has {examples.targets[row]} targets; it takes one each")
        if "U" in self.fixed and self.fixed["U"].shape[1] != examples.outputs:
            columns = self.fixed["U"].shape[1]
            raise InputError(f"{self.name}: readout has {columns} columns, and the examples {examples.outputs} outputs")

    def initial(
        self, examples: Examples, values: Mapping[str, ArrayLike | float] | None = None, seed: int = 0
    ) -> dict[str, NDArray[np.float64]]:
        """States to start from: zero, or given arrays, or normal with a given standard deviation.

        Raises
        ------
        InputError
            Unknown state, an array that is not finite or of another shape, or a seed below 0.
        """
        if seed < 0:
            raise InputError(f"seed = {seed} must be a whole number from 0")
        shapes = self.shapes(examples)
        random = np.random.default_rng(seed)
        found = {name: np.zeros(shape) for name, shape in shapes.items()}
        for name, value in (values or {}).items():
            if name not in shapes:
                raise InputError(f"initial {name!r}: the states of {self.name} are {', '.join(shapes)}")
            array = np.asarray(value, dtype=float)
            if array.ndim == 0 and shapes[name]:
                array = float(array) * random.standard_normal(shapes[name])
            if array.shape != shapes[name] or not np.isfinite(array).all():
                raise InputError(f"initial {name} must be finite and of shape {shapes[name]}, not {array.shape}")
            found[name] = array.astype(float)
        return found


def keyword(bias: bool = False) -> Model:
    """Keyword classifier (model 1a): scores s (V,) and values W (V, K), with a bias b (K,) if wanted."""
    return Model(models.keyword_classifier(bias))


def lexical(heads: int = 1) -> Model:
    """Translation with lexical attention (1b): values W and logits A, both (V, K); (H, V, K) with several heads."""
    return Model(models.lexical_attention(_heads(heads) > 1), {"H": heads} if heads > 1 else {})


def positional(heads: int = 1) -> Model:
    """Copying with positional attention (1c): values W (V, K), logits P (targets, positions); H of each with heads."""
    return Model(models.positional_attention(_heads(heads) > 1), {"H": heads} if heads > 1 else {})


def topic(
    classifier: str = "FC",
    dimension: int = 10,
    hidden: int = 10,
    readout: ArrayLike | None = None,
    query_dimension: int | None = None,
    span: bool = False,
) -> Model:
    """Topic classifier (1e): embeddings v (V, D), scores s (V,), classifier FC, TC or TL.

    Parameters
    ----------
    classifier : str
        ``FC`` (fixed linear), ``TC`` (trained linear, state U of shape (D, K)) or ``TL`` (J rectified units, then
        linear; states F, f, G, g).
    dimension, hidden : int
        D and J.
    readout : array_like, shape (D, K)
        The fixed classifier U; needed by FC.
    query_dimension : int, optional
        Train keys (V, E) and a query (E,) of this dimension instead of scores.
    span : bool
        For FC: follow the logits W = v U (V, K) of words instead of their embeddings. With U fixed these move in the
        span of its columns, so nothing is lost (:func:`embeddings`), and the state is as small as the number of
        classes, whatever the dimension. The rate of W is that of the embeddings.

    Raises
    ------
    InputError
        An unknown classifier, sizes that are not whole numbers from 1, a readout that is not a finite matrix, options
        that do not go together.

    References
    ----------
    Lu et al., arXiv 2011.10036. The equations: :func:`derivations.models.topic_classifier`, and for ``span``
    :func:`derivations.reductions.in_span`.

    Examples
    --------
    >>> topic("TC", dimension=3).dims
    {'v': ('input', 'dimension'), 's': ('input',), 'U': ('dimension', 'output')}
    >>> topic("FC", readout=[[1.0, -1.0], [0.5, 1.0]], span=True).dims
    {'s': ('input',), 'W': ('input', 'output')}
    """
    if classifier not in models.CLASSIFIERS:
        hint = did_you_mean(str(classifier), models.CLASSIFIERS)
        raise InputError(f"unknown classifier {classifier!r}{hint}; use one of {', '.join(models.CLASSIFIERS)}")
    for name, size in (("dimension", dimension), ("hidden", hidden), ("query_dimension", query_dimension)):
        if size is not None and (not isinstance(size, int | np.integer) or size < 1):
            raise InputError(f"{name} = {size} must be a whole number, 1 or more")
    fixed = {}
    if classifier == "FC":
        if readout is None:
            raise InputError("FC has a fixed classifier: give readout, an array of shape (dimension, outputs)")
        fixed["U"] = _readout(readout)
        dimension = fixed["U"].shape[0]
    elif readout is not None:
        raise InputError(f"{classifier} trains its classifier: leave readout out, or use FC")
    if span:
        if classifier != "FC" or query_dimension is not None:
            raise InputError("span is for FC with scores: leave it out, and query_dimension too")
        return Model(in_span(), {"D": dimension}, fixed)
    sizes = {"D": int(dimension)}
    if classifier == "TL":
        sizes["J"] = hidden
    if query_dimension is not None:
        sizes["E"] = query_dimension
    return Model(models.topic_classifier(classifier, query_dimension is not None), sizes, fixed)


def embeddings(readout: ArrayLike, logits: ArrayLike, first: ArrayLike) -> NDArray[np.float64]:
    """Embeddings of words from their logits W = v U, where they moved in the span of the columns of U.

    Parameters
    ----------
    readout : array_like, shape (D, K)
        The fixed classifier U; of any rank.
    logits : array_like, shape (..., V, K)
        W of a :func:`topic` model with ``span``.
    first : array_like, shape (V, D)
        The embeddings v_0 that the logits started from, W_0 = v_0 U.

    Returns
    -------
    ndarray, shape (..., V, D)
        v_0 + (W - v_0 U) U^+, with the pseudoinverse of U. Their norms are those of theorem sen
        (:mod:`derivations.theorems.score_and_norm`).

    Raises
    ------
    InputError
        Shapes that do not fit.

    Examples
    --------
    >>> U, start = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]), np.ones((1, 3))
    >>> embeddings(U, (start + [[3.0, 4.0, 0.0]]) @ U, start)
    array([[4., 5., 1.]])
    """
    U, W, v = _readout(readout), np.asarray(logits, dtype=float), np.asarray(first, dtype=float)
    if v.ndim != 2 or v.shape[1] != U.shape[0] or W.shape[-2:] != (v.shape[0], U.shape[1]):
        raise InputError(
            f"readout {U.shape}, logits {W.shape} and first {v.shape} do not fit: (D, K), (..., V, K) and (V, D)"
        )
    return v + (W - v @ U) @ np.linalg.pinv(U)


def _readout(readout: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(readout, dtype=float)
    if found.ndim != 2 or found.size == 0 or not np.isfinite(found).all():
        raise InputError(f"readout must be a finite matrix (dimension, outputs), not of shape {found.shape}")
    return found


def _heads(heads: int) -> int:
    if heads < 1:
        raise InputError(f"heads = {heads} must be 1 or more")
    return heads
