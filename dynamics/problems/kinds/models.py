"""Exact models with their sizes: what a program of :mod:`derivations.models` needs to meet examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import Program, extent_symbols
from dynamics.lowering import Kernel, lower
from dynamics.problems.kinds.reading import Reading, look_ups, reading
from dynamics.problems.problem import UNROLLED, layout, length_of, start_of
from dynamics.support.content import ByContent
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.recipes import made
from dynamics.tasks.examples import Examples


@dataclass(frozen=True, eq=False)
class Model(ByContent):
    """A program that learns from examples; made by :func:`keyword`, :func:`lexical`, :func:`positional`, :func:`topic`.

    Any program whose data are words, lengths and answers is one (:mod:`dynamics.problems.kinds.reading`).

    Attributes
    ----------
    program : Program
        Its gradient flow.
    sizes : mapping of str to int
        Sizes that the examples do not decide (heads H, dimension D, ...).
    fixed : mapping of str to ndarray
        Data of the model that is not trained (the classifier U of FC).
    parameters : mapping of str to float
        Parameters other than learning rates.
    is_own : bool
        Whether its program is a reader's, whose compiled code is checked before it is first run.

    Raises
    ------
    InputError
        The data of the program are not those of examples.

    Examples
    --------
    >>> model = lexical(heads=2)
    >>> model.sizes, model.dims
    ({'H': 2}, {'W': ('head', 'input', 'output'), 'A': ('head', 'input', 'output')})
    """

    program: Program
    sizes: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=dict)
    is_own: bool = False

    def __post_init__(self) -> None:
        if reading(self.program) is None:
            raise InputError(
                f"{self.program.name} does not learn from examples: its data are no words, lengths and answers;"
                " give its arrays, solve(program, {...}, t)"
            )

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def reading(self) -> Reading:
        """What the program calls the parts of its examples."""
        found = reading(self.program)
        assert found is not None
        return found

    def all_sizes(self, examples: Examples) -> dict[str, int]:
        """Every size of the program on some examples."""
        longest, most = examples.positions  # type: ignore[misc]
        read = self.reading
        found = dict.fromkeys(read.inputs, examples.inputs)
        found |= {name: max(examples.outputs, found.get(name, 0)) for name in read.outputs}
        found |= dict.fromkeys(read.longest, longest) | dict.fromkeys(read.most, most)
        return {**found, **self.sizes}

    def shapes(self, examples: Examples) -> dict[str, tuple[int, ...]]:
        """The shape of every state, by name."""
        sizes = self.all_sizes(examples)
        return {
            name: tuple(length_of(axis, sizes) for axis in layout(self.program).axes[name])
            for name in self.program.state_names
        }

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """The names of the dimensions of every state, for labelled results.

        Those that the program declares; else, what is looked up by words is called input, and what is looked up by
        answers output, once for each state; else the name of the index.
        """
        return {name: self.axes(name) for name in self.program.state_names}

    def axes(self, name: str) -> tuple[str, ...]:
        """What the axes of a tensor are called, as those of a state."""
        read = self.reading
        words = dict.fromkeys(read.outputs, "output") | dict.fromkeys(read.inputs, "input")
        own: list[str] = []
        for axis in layout(self.program).axes[name]:
            label = axis.called or words.get(axis.extent)
            own.append(label if label is not None and label not in own else axis.name)
        return tuple(own)

    def arrays(self, examples: Examples) -> dict[str, Any]:
        """The data of the program on some examples."""
        return self.named(examples.x, examples.length, examples.y, examples.targets)

    def named(self, x: Any, length: Any, y: Any, targets: Any) -> dict[str, Any]:
        """Words and answers by the names that the program has for them, and what is fixed."""
        read = self.reading
        found = {read.words: x, read.lengths: length, read.answers: y}
        return {**found, **({read.targets: targets} if read.targets else {}), **self.fixed}

    def constants(self, examples: Examples) -> dict[str, int]:
        """Small sizes, which compiled code may know."""
        read = self.reading
        of_text = read.inputs | read.longest | read.most  # of every text another
        used = layout(self.program).extents - of_text
        return {name: n for name, n in self.all_sizes(examples).items() if name in used and n <= UNROLLED}

    def kernel(self, examples: Examples, outputs: tuple[str, ...] | None = None, parallel: bool = False) -> Kernel:
        """The compiled flow, or other tensors; small sizes are constants of the code."""
        return lower(self.program, outputs, parallel=parallel, constants=self.constants(examples))

    def check(self, examples: Examples) -> None:
        """Raise InputError if the model cannot take the examples."""
        read = self.reading
        if read.targets is None and (examples.targets != 1).any():
            row = int(np.flatnonzero(examples.targets != 1)[0])
            raise InputError(
                f"{self.name}: example {row} has {examples.targets[row]} targets; it takes one each (in a program,"
                f" write {read.answers}[n, t] with {{t: targets[n]}})"
            )
        sizes = self.all_sizes(examples)
        told = layout(self.program)
        for name, values in self.fixed.items():
            for axis, n in () if name in told.tables else zip(told.axes[name], values.shape, strict=False):
                if axis.extent in read.outputs and n != examples.outputs:
                    raise InputError(
                        f"{self.name}: {name} has {n} columns, and the examples {examples.outputs} outputs"
                    )
        below = {read.words: examples.inputs, read.answers: examples.outputs}
        for look in look_ups(self.program):
            axis = told.axes[look.tensor][look.axis]
            entries = 1 if axis.lengths else length_of(axis, sizes)  # of words, each example has one
            needed = look.number + 1 if look.number is not None else below.get(look.table, np.inf)
            if needed > entries:
                raise InputError(
                    f"{self.name}: {look.access} looks up {look.tensor}, which has {entries} entries, by {look.by}; of"
                    f" text and tasks, {read.words} numbers {examples.inputs} input words and {read.answers}"
                    f" {examples.outputs} outputs"
                )

    def initial(
        self, examples: Examples, values: Mapping[str, ArrayLike | float] | None = None, seed: int = 0
    ) -> dict[str, NDArray[np.float64]]:
        """States to start from: zero, or given arrays, or normal with a given standard deviation.

        Raises
        ------
        InputError
            Unknown state, an array that is not finite or of another shape, or a seed below 0.
        """
        return start_of(self.name, self.shapes(examples), values, seed)

    @property
    def usual(self) -> dict[str, float]:
        """Standard deviations of initial states that the program declares, at these sizes."""
        if not self.program.initial:
            return {}
        known = {size: self.sizes[size.name] for size in extent_symbols(self.program) if size.name in self.sizes}
        return {name: float(value.subs(known)) for name, value in self.program.initial.items()}


def keyword(bias: bool = False) -> Model:
    """Keyword classifier (model 1a): scores s (V,) and values W (V, K), with a bias b (K,) if wanted.

    Examples
    --------
    >>> keyword(bias=True).dims
    {'s': ('input',), 'W': ('input', 'output'), 'b': ('output',)}
    """
    return Model(made("derivations.models:keyword_classifier", bias))


def lexical(heads: int = 1) -> Model:
    """Translation with lexical attention (1b): values W and logits A, both (V, K); (H, V, K) with several heads.

    Examples
    --------
    >>> lexical().dims
    {'W': ('input', 'output'), 'A': ('input', 'output')}
    """
    return Model(made("derivations.models:lexical_attention", _heads(heads) > 1), {"H": heads} if heads > 1 else {})


def positional(heads: int = 1) -> Model:
    """Copying with positional attention (1c): values W (V, K), logits P (targets, positions); H of each with heads.

    Examples
    --------
    >>> positional().dims
    {'W': ('input', 'output'), 'P': ('target', 'position')}
    """
    return Model(made("derivations.models:positional_attention", _heads(heads) > 1), {"H": heads} if heads > 1 else {})


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
    from derivations.models import CLASSIFIERS

    if classifier not in CLASSIFIERS:
        hint = did_you_mean(str(classifier), CLASSIFIERS)
        raise InputError(f"unknown classifier {classifier!r}{hint}; use one of {', '.join(CLASSIFIERS)}")
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
        return Model(made("derivations.reductions:in_span"), {"D": dimension}, fixed)
    sizes = {"D": int(dimension)}
    if classifier == "TL":
        sizes["J"] = hidden
    if query_dimension is not None:
        sizes["E"] = query_dimension
    return Model(made("derivations.models:topic_classifier", classifier, query_dimension is not None), sizes, fixed)


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
