"""What is solved: a flow with everything that it needs, and how its solution is read."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import Constraint, Program, ProgramError, Role, entries, extent_symbols, name_of, subscript
from derivations.program.access import factors, number_of
from dynamics.lowering import Bound, Kernel, lower
from dynamics.problems.settings.keep import Keep
from dynamics.support.content import ByContent
from dynamics.support.errors import InputError
from dynamics.support.memory import require
from dynamics.support.recipes import fact
from dynamics.support.typing import Vector

Tensors = Mapping[str, NDArray[Any]]

__all__ = ["Problem", "Tolerances", "Variable"]

UNROLLED = 16
"""Sizes up to this are constants of the compiled code."""
COPIES = 16
"""Copies of the state that an integration, its workspace and its results hold at one time."""


class Tolerances(NamedTuple):
    """How a problem is integrated if nobody says how."""

    rtol: float = 1e-6
    atol: float = 1e-9
    method: str = "RK45"


@dataclass(frozen=True)
class Variable:
    """Something that a solution keeps at every time.

    Attributes
    ----------
    name : str
    dims : tuple of str
        Behind time.
    shape : tuple of int
    read : callable
        From the states and what else was computed, by name, to the value.
    attrs : mapping of str to str
        ``long_name``, ``units``, ``role``.
    labels : ndarray of str, optional
        What the values stand for, if they are numbers of words.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    read: Callable[[Tensors, Tensors], Any]
    attrs: Mapping[str, str] = field(default_factory=dict)
    labels: NDArray[Any] | None = None


class Problem(ByContent, ABC):
    """A flow on its data: what :func:`dynamics.solve` solves.

    The four kinds are a closure on counts (:class:`~dynamics.problems.kinds.closure.Closure`), an exact model on
    examples (:class:`~dynamics.problems.kinds.exact.Exact`), a reduction
    (:class:`~dynamics.problems.kinds.reduction.Reduction`) and any program with arrays
    (:class:`~dynamics.problems.kinds.arrays.OnArrays`). A subclass says what its program is and what its data are; what
    it does not say follows from the program.

    Two problems are equal if they have the same content; they can be copied, and pickled for another process.

    Examples
    --------
    >>> from dynamics import copying
    >>> problem = copying(vocab=6, length=4)
    >>> isinstance(problem, Problem), problem.dims, problem.rates
    (True, {'u': (), 'a': ()}, {'W': 'eta_W', 'P': 'eta_A'})
    """

    tolerances: Tolerances = Tolerances()

    @property
    def is_own(self) -> bool:
        """Whether its program is a reader's, whose compiled code is checked before it is first run."""
        return False

    @property
    @abstractmethod
    def program(self) -> Program:
        """The flow."""

    @property
    @abstractmethod
    def arrays(self) -> Mapping[str, Any]:
        """The data of the program, by name."""

    @property
    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """The sizes of the program, by name."""

    @property
    def parameters(self) -> Mapping[str, float]:
        """Parameters of the program other than learning rates."""
        return {}

    @property
    def labels(self) -> Mapping[str, NDArray[Any]]:
        """What the entries of a dimension are called; others are numbered."""
        return {}

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def described(self) -> str:
        """What messages call it."""
        return self.name

    @property
    def attrs(self) -> Mapping[str, Any]:
        """What else decides the solution, for its provenance."""
        return {}

    @property
    def rates(self) -> Mapping[str, str]:
        """What has a learning rate of its own, and the parameter that is it."""
        return self.program.rates

    @property
    def parallel(self) -> bool:
        """Whether it is large enough for loops that run on several threads."""
        return False

    @property
    def constants(self) -> Mapping[str, int]:
        """Sizes that the compiled code may know: short loops over them are unrolled."""
        used = layout(self.program).sizes
        return {name: n for name, n in self.sizes.items() if name in used and n <= UNROLLED}

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """What the dimensions of every state are called."""
        return {name: self.axes(name) for name in self.program.state_names}

    def axes(self, name: str) -> tuple[str, ...]:
        """What the axes of a tensor are called."""
        return axes_of(self.program, name)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every state."""
        sizes = self.sizes
        return {
            name: tuple(length_of(axis, sizes) for axis in layout(self.program).axes[name])
            for name in self.program.state_names
        }

    @property
    def extents(self) -> dict[str, int]:
        """How many entries each dimension of the states has."""
        dims, shapes = self.dims, self.shapes
        return {dim: n for name in shapes for dim, n in zip(dims[name], shapes[name], strict=True)}

    @property
    def frequency(self) -> Mapping[str, Vector]:
        """How frequent the entries of a dimension are, where that is known: what ``top`` goes by."""
        return {}

    @property
    def observed(self) -> tuple[str, ...]:
        """What is computed at every time that is kept, beside the states."""
        loss = self.loss
        return () if loss is None else (loss,)

    @property
    def loss(self) -> str | None:
        """The name of the loss: of the modified flow of a model, that of the model."""
        return loss_of(self.program)

    @property
    def shown_loss(self) -> str:
        """What results call the loss, whatever its name: ``loss``, unless a state is called so."""
        name = "loss"
        while name in self.program.state_names:
            name += "_"
        return name

    def kernel(self, outputs: Sequence[str] | None = None, parallel: bool | None = None) -> Kernel:
        """The compiled flow, or other tensors; on several threads if it is large, unless told otherwise."""
        shared = self.parallel if parallel is None else parallel
        return lower(self.program, outputs, parallel=shared, constants=self.constants)

    def bind(
        self, rates: Mapping[str, float], lr: float | None = None, observe: Sequence[str] = ()
    ) -> tuple[Bound, Bound]:
        """The compiled flow on its data at some learning rates, and the compiled observables on the same.

        What is computed at every time that is kept is what the problem always shows, and the definitions ``observe``.
        What depends on data alone is computed once, for both.
        """
        return self.bound_to(self.arrays, rates, lr, observe)

    def bound_to(
        self, arrays: Mapping[str, Any], rates: Mapping[str, float], lr: float | None, observe: Sequence[str]
    ) -> tuple[Bound, Bound]:
        """The same on other arrays of the same shapes."""
        parameters = self.all_numbers(rates) | ({"lr": lr} if lr is not None else {})
        flow = self.kernel().hoisted().bind(arrays, parameters)
        shown = self.kernel(tuple(dict.fromkeys((*self.observed, *observe)))).hoisted()
        return flow, shown.bind({**arrays, **flow.arrays}, parameters, flow.workspace)

    def all_numbers(self, rates: Mapping[str, float]) -> dict[str, float]:
        """All numbers that kernels take, at some learning rates."""
        return {**self.sizes, **self.parameters, **{self.rates[name]: rate for name, rate in rates.items()}}

    def clock(self, tau: ArrayLike) -> Vector:
        """The times of the flow at some times tau = learning rate x steps: the same, unless it says otherwise."""
        return np.asarray(tau, dtype=float)

    def projected(self, y: Vector) -> Vector:
        """The packed state after a step, back on what is kept: in place."""
        at, shapes = 0, self.shapes
        held = {name_of(constraint.state): constraint for constraint in self.program.constraints}
        for name in self.program.state_names if held else ():
            size = math.prod(shapes[name])
            if name in held:
                values = y[at : at + size].reshape(shapes[name])
                if held[name].kind == "simplex":
                    np.maximum(values, 0.0, out=values)
                values[...] = on_constraint(held[name], values, True)
            at += size
        return y

    def begun(self, y: Vector, rates: Mapping[str, float]) -> Vector:
        """The packed state to integrate from; there may be more to it than what one starts from."""
        return y

    def modified(self) -> Self:
        """The problem with the flow that gradient descent follows to second order in its learning rate.

        Raises
        ------
        InputError
            The flow is not that of a loss alone.
        """
        model = self.program.model
        if model is None or model.loss is None:
            raise InputError(f"{self.name} has a metric of its own, and no modified flow: leave lr out, or simulate")
        try:
            modified = descent(self.program)
        except ProgramError:
            what = f"{self.name} does not follow the slopes of its loss alone, and has no modified flow"
            raise InputError(f"{what}: leave lr out, or simulate") from None
        return self.with_program(modified)

    def rounded(self, width: float) -> Self:
        """The problem with the corners of its flow rounded within a width of their arguments.

        Raises
        ------
        InputError
            The width is not a positive number, or there is no corner, or a jump that cannot be rounded.
        """
        if isinstance(width, bool) or not isinstance(width, numbers.Real) or not (np.isfinite(width) and width > 0):
            raise InputError(f"corners = {width!r} is not a positive number, the width within which they are rounded")
        from derivations.reductions.rounding import rounded

        try:
            program, name = rounded(self.program)
        except ProgramError as error:
            raise InputError(f"{error}; leave corners out") from None
        return self.with_program(program, {name: float(width)})

    def with_program(self, program: Program, parameters: Mapping[str, float] = MappingProxyType({})) -> Self:
        """The problem with another flow of the same states, which may have more parameters."""
        raise InputError(f"{self.name} has no modified flow: leave lr out")

    def initial(self, values: Mapping[str, ArrayLike | float] | None = None, seed: int = 0) -> Vector:
        """The packed state to start from: zero, or given arrays, or normal with a given standard deviation.

        Raises
        ------
        InputError
            An unknown state, an array that is not finite or of another shape, or a seed below 0.
        """
        start = start_of(self.described, self.shapes, self.aligned(values), seed)
        if self.program.time:
            start[self.program.time] = np.zeros(())
        for constraint in self.program.constraints:
            name = name_of(constraint.state)
            start[name] = on_constraint(constraint, start[name], name in (values or {}))
        return np.concatenate([start[name].ravel() for name in self.program.state_names])

    def aligned(self, values: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Initial states whose entries are named, in the order of the problem: a DataArray by its labels."""
        dims, labels, shapes = self.dims, self.labels, self.shapes
        return values and {
            name: by_label(name, value, dims[name], shapes[name], labels) if name in dims else value
            for name, value in values.items()
        }

    def variables(self, keep: Keep) -> tuple[Variable, ...]:
        """What the solution has, on the entries that are kept."""
        dims, roles, units = self.dims, self.program.roles, self.program.units
        found = []
        for name in self.program.state_names:
            whole = keep.everything(dims[name])
            found.append(
                Variable(
                    name,
                    dims[name],
                    tuple(len(keep.positions[dim]) for dim in dims[name]),
                    state_at(name, None if whole else keep.cells(dims[name])),
                    {
                        **({"units": units[name]} if name in units else {}),
                        **({"role": str(roles[name])} if name in roles else {}),
                    },
                )
            )
        return (*found, *self.scalars())

    def scalars(self) -> tuple[Variable, ...]:
        """The loss, as a variable."""
        program, loss = self.program, self.loss
        if loss is None:
            return ()
        attrs = {
            "long_name": note_of(program, loss) or "loss",
            **({"units": program.units[loss]} if loss in program.units else {}),
        }
        return (Variable(self.shown_loss, (), (), computed(loss), attrs),)

    def require_memory(self, times: int, keep: Keep) -> None:
        """Refuse what memory cannot hold, before anything is allocated."""
        dims = self.dims
        states = sum(math.prod(shape) for shape in self.shapes.values())
        results = times * sum(math.prod(len(keep.positions[dim]) for dim in dims[name]) for name in dims)
        require(8 * (COPIES * states + results), "the flow", lambda _: "keep fewer times, or fewer words with keep=")


def on_constraint(constraint: Constraint, values: NDArray[Any], given: bool) -> NDArray[Any]:
    """A state to start from, scaled to keep a constraint; on the simplex in its middle, if none is given.

    Raises
    ------
    InputError
        Nothing that can be scaled: all is 0, or shares are negative.
    """
    name, subs = name_of(constraint.state), subscript(constraint.state)
    axes = tuple(subs.index(index) for index in constraint.over)
    if constraint.kind == "simplex":
        values = values if given else np.ones_like(values)
        if (values < 0).any():
            raise InputError(f"initial {name} has a number below 0, and is kept on the simplex; give shares")
        total = values.sum(axis=axes, keepdims=True)
    else:
        total = np.sqrt(np.square(values).sum(axis=axes, keepdims=True))
    if (total == 0).any():
        over = ", ".join(str(index) for index in constraint.over)
        raise InputError(f"initial {name} is 0 along {over}, where it keeps its {constraint.kind}; give other numbers")
    return values / total


def state_at(name: str, cells: tuple[NDArray[np.int64], ...] | None) -> Callable[[Tensors, Tensors], Any]:
    """Reads a state, whole or at some cells."""
    return (lambda states, _: states[name]) if cells is None else (lambda states, _: states[name][cells])


def computed(name: str, cells: tuple[NDArray[np.int64], ...] | None = None) -> Callable[[Tensors, Tensors], Any]:
    """Reads what is computed at every time that is kept, whole or at some cells."""
    return (lambda _, seen: seen[name]) if cells is None else (lambda _, seen: seen[name][cells])


@fact
def is_ragged(program: Program) -> bool:
    """Whether there are rows of different lengths."""
    return any(extent.is_Indexed for extent in program.extents.values())


@fact
def loss_of(program: Program) -> str | None:
    """The name of the loss of a program: of the modified flow of a model, that of the model."""
    own = program.model or program
    return next(iter(own.with_role(Role.LOSS)), None) if own.loss is None else name_of(own.loss)


@fact
def note_of(program: Program, name: str) -> str:
    """What a program says of one of its definitions."""
    return next((d.note for d in program.definitions if d.name == name), "")


@cache
def descent(program: Program) -> Program:
    """The modified flow of a model, derived once."""
    from derivations.gradient_flow import descent_flow

    return descent_flow(program)


def axes_of(program: Program, name: str) -> tuple[str, ...]:
    """What the axes of a tensor are called."""
    return tuple(axis.called or axis.name for axis in layout(program).axes[name])


class Axis(NamedTuple):
    """An axis of a tensor.

    Attributes
    ----------
    name : str
        Of its index.
    called : str, optional
        What the program calls it in results.
    extent : str
        How long it is, as it is written.
    factors : tuple of str and int
        The sizes and numbers that this is the product of.
    lengths : str, optional
        Of rows of different lengths, the data that say what these are.
    """

    name: str
    called: str | None
    extent: str
    factors: tuple[str | int, ...]
    lengths: str | None


@dataclass(frozen=True)
class Layout:
    """What the tensors of a program look like.

    Attributes
    ----------
    axes : mapping of str to tuple of Axis
        Of every tensor that is declared or defined.
    tables : frozenset of str
        The data that are whole numbers.
    sizes : frozenset of str
        Every size.
    extents : frozenset of str
        How long its indices are, as written.
    """

    axes: Mapping[str, tuple[Axis, ...]]
    tables: frozenset[str]
    sizes: frozenset[str]
    extents: frozenset[str]


@fact
def layout(program: Program) -> Layout:
    """The layout of a program."""

    def axis(index: Any) -> Axis:
        extent = program.extents[index]
        lengths = name_of(extent) if extent.is_Indexed else None
        return Axis(index.name, program.dimensions.get(index), str(extent), factors(extent), lengths)

    return Layout(
        {name: tuple(axis(index) for index in subscript(access)) for name, access in program.declarations.items()},
        frozenset(name_of(access) for access in program.data if access.is_integer),
        frozenset(size.name for size in extent_symbols(program)),
        frozenset(map(str, program.extents.values())),
    )


def size_of(extent: Any, sizes: Mapping[str, int]) -> int:
    """The number that an extent stands for: a size, a number, or a product of them."""
    number = entries(extent, sizes)
    if number is None:
        raise KeyError(str(extent))
    return number


def length_of(axis: Axis, sizes: Mapping[str, int]) -> int:
    """How many entries an axis has, where sizes decide it."""
    number = sizes[axis.extent] if axis.extent in sizes else number_of(axis.factors, sizes)
    if number is None:
        raise KeyError(axis.extent)
    return number


def by_state(initial: Any) -> Mapping[str, Any]:
    """Initial states by name, or nothing."""
    if initial is not None and not isinstance(initial, Mapping):
        raise InputError(f"initial = {str(initial)[:60]} must give each state its own, {{'W': 0.01}} for example")
    return initial or {}


def real(name: str, value: Any) -> Vector:
    """An initial state as real numbers."""
    given = np.asarray(value)
    if given.dtype.kind == "c":
        raise InputError(f"initial {name} has complex numbers; give real ones")
    if given.dtype.kind in "USmM":
        raise InputError(f"initial {name} must be numbers, not {str(value)[:60]!r}")
    try:
        return given.astype(float)
    except (TypeError, ValueError):
        raise InputError(f"initial {name} must be numbers, not {str(value)[:60]!r}") from None


def by_label(
    name: str, value: Any, dims: tuple[str, ...], shape: tuple[int, ...], labels: Mapping[str, NDArray[Any]]
) -> Any:
    """The values of a DataArray in the order of a problem's labels, whatever their own order; others as they are.

    Raises
    ------
    InputError
        Its dimensions have other names, or its labels are not those of the problem.
    """
    if not (hasattr(value, "dims") and hasattr(value, "coords")):
        return value
    if set(value.dims) != set(dims):
        raise InputError(f"initial {name} has the dimensions {', '.join(map(str, value.dims))}, not {', '.join(dims)}")
    found = value.transpose(*dims)
    for dim, n in zip(dims, shape, strict=True):
        if dim not in found.coords:
            continue
        wanted = list(labels[dim]) if dim in labels else list(range(n))
        own = found[dim].values.tolist()
        if sorted(map(str, own)) != sorted(map(str, wanted)):
            strange = next((one for one in own if one not in wanted), next((w for w in wanted if w not in own), ""))
            raise InputError(f"initial {name}: {dim} {str(strange)!r} is only in one of the problem and the array")
        places = {str(label): k for k, label in enumerate(own)}
        found = found.isel({dim: [places[str(label)] for label in wanted]})
    return found.values


def start_of(
    owner: str, shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, ArrayLike | float] | None, seed: int
) -> dict[str, Vector]:
    """States to start from, by name; what is drawn is drawn in the order in which it is given."""
    if isinstance(seed, bool) or int(seed) != seed or seed < 0:
        raise InputError(f"seed = {seed} must be a whole number from 0")
    random = None
    given = by_state(values)
    found = {name: np.zeros(() if name in given else shape) for name, shape in shapes.items()}  # in order
    for name, value in given.items():
        if name not in shapes:
            raise InputError(f"initial {name!r}: the states of {owner} are {', '.join(shapes)}")
        array = real(name, value)
        if array.ndim == 0 and shapes[name]:
            random = np.random.default_rng(seed) if random is None else random
            array = float(array) * random.standard_normal(shapes[name])
        if array.shape != shapes[name] or not np.isfinite(array).all():
            wrong = f", not {array.shape}" if array.shape != shapes[name] else ": a number is not"
            raise InputError(f"initial {name} must be finite and of shape {shapes[name]}{wrong}")
        found[name] = array.astype(float)
    return found
