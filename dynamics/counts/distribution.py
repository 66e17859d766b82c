"""Counts as a joint distribution: what a matrix of counts must be, and how it is normalised and stored."""

import numbers
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple
from warnings import warn

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used
from numpy.typing import ArrayLike, NDArray

from dynamics.counts.bags.sample import BagSample
from dynamics.counts.text.lines import beginning
from dynamics.support.errors import DataWarning, InputError
from dynamics.support.typing import Vector

SPARSE_BELOW_DENSITY = 0.15
"""A matrix is stored sparse when a smaller share of its cells is non-zero ..."""

SPARSE_ABOVE_CELLS = 100_000
"""... and it has more cells than this. Products with a dense matrix run at about five times the flop rate of sparse
ones, so sparse storage pays in time below a density of one in five or six; small matrices are dense for convenience."""

Matrix = Any
"""A float64 ndarray or a scipy.sparse.csr_array (scipy has no type stubs)."""

Attrs = Mapping[str, str | int | float]


class Distribution(NamedTuple):
    """The fields of a `dynamics.counts.cooccurrence.CoOccurrence`, which see."""

    C: Matrix
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    length: float | None
    gram: Vector | None
    attrs: Attrs
    bags: BagSample | None = None


def is_sparse(matrix: Any) -> bool:
    """Whether a matrix is one of scipy.sparse, which is loaded if so: it takes its time."""
    return "scipy.sparse" in sys.modules and bool(scipy.sparse.issparse(matrix))


def normalised(
    matrix: Matrix,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    length: float | None = None,
    gram: ArrayLike | None = None,
    attrs: Attrs | None = None,
    where: str = "counts",
    bags: BagSample | None = None,
) -> Distribution:
    """Non-negative counts as a distribution, without zero rows and columns, stored as it pays."""
    largest = matrix.max()
    if largest == 0:
        raise InputError(f"{where}: all counts are zero: there is nothing to learn from")
    with np.errstate(over="ignore"):
        total = matrix.sum()
    if not np.isfinite(total):  # counts near the largest float
        matrix = matrix / largest
        total = matrix.sum()
    matrix = matrix / total
    used_rows, used_columns = (np.flatnonzero(np.asarray(matrix.sum(axis=axis)).ravel()) for axis in (1, 0))
    if len(used_rows) < matrix.shape[0] or len(used_columns) < matrix.shape[1]:
        unused = [_unused(inputs, used_rows, "input"), _unused(outputs, used_columns, "output")]
        warn(f"without any count, and left out: {' and '.join(filter(None, unused))}", DataWarning, stacklevel=3)
        matrix = matrix[used_rows][:, used_columns]
    if gram is not None:
        gram = np.asarray(gram, dtype=np.float64)
        _check_gram_shape(gram, len(inputs))
        if len(used_rows) < len(inputs):
            gram = gram[np.ix_(used_rows, used_rows)]
    return Distribution(
        stored(matrix),
        tuple(inputs[i] for i in used_rows),
        tuple(outputs[o] for o in used_columns),
        None if length is None else check_length(length),
        gram,
        attrs or {},
        None if bags is None else bags.relabelled(used_rows, used_columns),
    )


def _unused(labels: tuple[str, ...], used: NDArray[np.intp], kind: str) -> str:
    missing = np.setdiff1d(np.arange(len(labels)), used)
    if not len(missing):
        return ""
    some = ", ".join(repr(labels[i]) for i in missing[:3])
    return f"{len(missing):,} {kind}{'s' * (len(missing) > 1)} ({some}{', ...' * (len(missing) > 3)})"


def stored(matrix: Matrix) -> Matrix:
    """Sparse if it is large and thinly filled, else dense."""
    cells = matrix.shape[0] * matrix.shape[1]
    filled = matrix.nnz if is_sparse(matrix) else np.count_nonzero(matrix)
    if cells > SPARSE_ABOVE_CELLS and filled < SPARSE_BELOW_DENSITY * cells:
        sparse = scipy.sparse.csr_array(matrix)
        sparse.sum_duplicates()  # sorts the column indices too
        sparse.eliminate_zeros()
        if max(filled, *sparse.shape) < 2**31:  # half the memory, and what SciPy chooses where it may
            sparse.indices, sparse.indptr = sparse.indices.astype(np.int32), sparse.indptr.astype(np.int32)
        return sparse
    return matrix.toarray() if is_sparse(matrix) else np.ascontiguousarray(matrix)


def as_matrix(counts: Any, where: str) -> Matrix:
    """Counts as a float64 ndarray or csr_array with two dimensions."""
    if is_sparse(counts):
        array = counts
    else:
        if isinstance(counts, np.ma.MaskedArray):
            raise InputError(f"{where}: the array is masked: fill the masked cells, with zeros for instance")
        try:
            array = np.asarray(counts)
        except ValueError as error:  # ragged nested lists
            raise InputError(f"{where}: not a matrix ({beginning(str(error), 120)})") from None
    if array.ndim != 2:
        raise InputError(f"{where}: {array.ndim} dimensions, shape {array.shape}: a matrix (inputs, outputs) is needed")
    if 0 in array.shape:
        raise InputError(f"{where}: the matrix is empty, shape {array.shape}")
    if array.dtype.kind == "O" and all(isinstance(cell, numbers.Integral) for cell in array.flat):
        raise InputError(f"{where}: whole numbers beyond 64 bits: give them as floats, or divide all by one number")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where}: cells of type {array.dtype}: real numbers are needed")
    if not is_sparse(array):
        return np.array(array, dtype=np.float64)
    matrix = scipy.sparse.csr_array(array, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def check_counts(matrix: Matrix, inputs: tuple[str, ...], outputs: tuple[str, ...], where: str) -> None:
    """Refuse counts that are NaN, infinite or negative; the message names the first."""
    values = matrix.data if is_sparse(matrix) else matrix
    if not values.size or (values.min() >= 0 and values.max() < np.inf):  # NaN is neither
        return
    for wrong, what in ((np.isnan(values), "NaN"), (np.isinf(values), "infinite"), (values < 0, "negative")):
        if not wrong.any():
            continue
        if is_sparse(matrix):
            first = int(np.flatnonzero(wrong)[0])
            i, o = int(np.searchsorted(matrix.indptr, first, side="right")) - 1, int(matrix.indices[first])
        else:
            i, o = (int(index[0]) for index in np.nonzero(wrong))
        others = np.count_nonzero(wrong) - 1
        raise InputError(
            f"{where}: {what} count at row {i}, column {o} (from 0; input {inputs[i]!r}, output {outputs[o]!r})"
            f"{f', and {others:,} more' if others else ''}: counts are finite and at least 0"
        )


def check_length(length: float) -> float:
    """A mean number of words as a plain float."""
    if not isinstance(length, numbers.Real) or isinstance(length, bool) or not 1 <= length < np.inf:
        raise InputError(f"length is {length!r}: give the mean number of words in an input, at least 1")
    return float(length)


def check_distribution(C: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Matrix:
    """A matrix that is a distribution already, as a float64 ndarray or a csr_array in its canonical form.

    Any kind of sparse matrix becomes a csr_array: read as one, the arrays of a csc_array are those of the transpose.

    Raises
    ------
    InputError
        If it is no matrix of real numbers, does not have the shape of the labels or is damaged, if numbers are
        negative, NaN or infinite, or do not sum to 1, or if a row or a column is zero.
    """
    shape = (len(inputs), len(outputs))
    if getattr(C, "shape", shape) != shape:
        raise InputError(f"C has shape {C.shape}, the labels are {shape[0]} inputs and {shape[1]} outputs")
    if is_sparse(C) and C.format == "csr":
        try:
            C.check_format(full_check=True)
        except ValueError as error:
            raise InputError(f"C is a damaged sparse matrix ({beginning(str(error), 120)})") from None
    if not _is_stored(C):
        C = as_matrix(C, "C")
    if C.shape != shape:
        raise InputError(f"C has shape {C.shape}, the labels are {shape[0]} inputs and {shape[1]} outputs")
    check_counts(C, inputs, outputs, "C")
    with np.errstate(over="ignore"):
        total = C.sum()
    if not abs(total - 1) < 1e-9:
        raise InputError(f"C sums to {total:.9g}, not to 1: make it with CoOccurrence.from_counts")
    for axis, labels, kind in ((1, inputs, "input"), (0, outputs, "output")):
        unused = np.flatnonzero(np.asarray(C.sum(axis=axis)) == 0)
        if unused.size:
            raise InputError(
                f"C has no count of the {kind} {labels[unused[0]]!r}"
                f"{f' and {unused.size - 1:,} more' if unused.size > 1 else ''}: leave such {kind}s out, as "
                "CoOccurrence.from_counts does"
            )
    return C


def _is_stored(C: Any) -> bool:
    """Whether a matrix needs no change to be stored."""
    if is_sparse(C) and isinstance(C, scipy.sparse.csr_array):
        return bool(C.dtype == np.float64 and C.ndim == 2 and C.has_canonical_format and C.data.all())
    return type(C) is np.ndarray and C.dtype == np.float64 and C.ndim == 2 and C.flags.c_contiguous


def check_gram(gram: Any, c: Vector) -> Vector:
    """E[B B^T] as an ndarray: not negative, symmetric, with rows that sum to the input marginal."""
    try:
        gram = np.ascontiguousarray(gram, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("gram is no matrix of real numbers") from None
    _check_gram_shape(gram, len(c))
    if not np.isfinite(gram).all() or (gram < 0).any():
        raise InputError("gram has cells that are negative, NaN or infinite")
    # A random vector tells a matrix from its transpose, without a second matrix of this size.
    probe = np.random.default_rng(0).random(len(c))
    if not np.allclose(gram @ probe, probe @ gram, rtol=1e-6, atol=1e-9):
        raise InputError("gram is not symmetric: E[B B^T] is")
    if not np.allclose(gram.sum(axis=1), c, rtol=1e-6, atol=1e-9):
        worst = int(np.argmax(np.abs(gram.sum(axis=1) - c)))
        raise InputError(
            f"the rows of gram do not sum to the input marginal (row {worst}: {gram[worst].sum():.6g}, marginal "
            f"{c[worst]:.6g}): weigh each input by its number of targets"
        )
    return gram


def check_bags(bags: Any, shape: tuple[int, int]) -> BagSample:
    """A sample of bags that goes with a co-occurrence: of its words, with some of every output."""
    if not isinstance(bags, BagSample):
        raise InputError(f"bags is {type(bags).__name__}: count the text with keep_bags=")
    if not len(bags) or len(bags.seen) != shape[1] or int(bags.word.max(initial=0)) >= shape[0]:
        raise InputError(f"the bags are of other words than the {shape[0]} inputs and {shape[1]} outputs of C")
    if (bags.held == 0).any():
        raise InputError(f"the bags have none of output {int(np.flatnonzero(bags.held == 0)[0])}: count the text again")
    return bags


def check_attrs(attrs: Any) -> Attrs:
    """Provenance that can be saved: names with strings and plain numbers; yes and no become 1 and 0."""
    if not isinstance(attrs, Mapping):
        raise InputError(f"attrs is {type(attrs).__name__}: give a mapping of names to strings and numbers")
    found: dict[str, str | int | float] = {}
    for name, value in attrs.items():
        if isinstance(value, numbers.Integral | np.bool_):
            value = int(value)
        elif isinstance(value, numbers.Real):
            value = float(value)
        if not isinstance(name, str) or not isinstance(value, str | int | float):
            raise InputError(f"attrs: {name!r} is {type(value).__name__}: give names with strings and numbers")
        found[name] = value
    return found


def _check_gram_shape(gram: Vector, inputs: int) -> None:
    if gram.shape != (inputs, inputs):
        raise InputError(f"gram has shape {gram.shape}: it goes with {inputs} inputs on either side")
