"""A model of your own: a short Python file with definitions and a loss, from which everything else is derived.

The file begins with ``from dynamics.program_file import *``, which brings the language of the theory
(:mod:`derivations.program.language`) and the functions that can be derived and compiled, and ends with
``program = model(...)``. :func:`load` runs it, checks it and derives its gradient flow. The file is Python, and it is
run.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from sympy import (
    Abs,
    Add,
    Basic,
    Eq,
    Expr,
    Function,
    Indexed,
    Integer,
    Max,
    Min,
    Mul,
    Number,
    NumberSymbol,
    Piecewise,
    Pow,
    Rational,
    S,
    Symbol,
    SympifyError,
    acos,
    asin,
    atan,
    cos,
    cosh,
    erf,
    exp,
    log,
    pi,
    sign,
    sin,
    sinh,
    sqrt,
    sympify,
    tanh,
)
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean

from derivations.gradient_flow.adjoints import gradient_flow
from derivations.gradient_flow.constraints import constrained, simplex, unit_norm
from derivations.gradient_flow.slopes import grad, with_slopes
from derivations.program.access import accesses, is_plain, name_of, size_expression, subscript
from derivations.program.functions import gelu, log_sigmoid, rsqrt, sigmoid, softplus, stop_gradient
from derivations.program.language import (
    Gradient,
    LogSumExp,
    MaxOver,
    Reduction,
    Softmax,
    SumOver,
    Where,
    indices,
    scalars,
    tensors,
)
from derivations.program.normal import normal
from derivations.program.program import Constraint, Definition, Program, ProgramError, extent_symbols, unused
from derivations.program.ranges import is_subscript
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean, existing

__all__ = [
    "Abs", "Definition", "Eq", "LogSumExp", "Max", "MaxOver", "Min", "Piecewise", "Program", "Rational", "Softmax",
    "SumOver", "Where", "acos", "asin", "atan", "cos", "cosh", "erf", "exp", "gelu", "grad", "indices", "log",
    "log_sigmoid", "model", "pi", "rsqrt", "scalars", "sigmoid", "sign", "simplex", "sin", "sinh", "sizes",
    "softplus", "sqrt", "stop_gradient", "t", "tanh", "tensors", "unit_norm",
]  # fmt: skip

FUNCTIONS = (
    Abs, Max, Min, Piecewise, Where, acos, asin, atan, cos, cosh, erf, exp, log, sigmoid, sign, sin, sinh, softplus,
    stop_gradient, tanh,
)  # fmt: skip
"""What definitions may be made of, beside sums, products, powers and reductions."""
PLAIN = (Add, Mul, Pow, Number, NumberSymbol, Symbol, Indexed, ExprCondPair, Relational, Boolean)

TAKEN = ("time", "step", "seed", "input", "output")
"""Names that results use for themselves."""


(t,) = scalars("t")
"""The time of the flow: definitions may read it, unless something else is called so."""


def sizes(names: str) -> tuple[Symbol, ...]:
    """Size symbols by name: how far an index runs. Their values come with the data, or from ``--set``.

    Examples
    --------
    >>> sizes("V K")
    (V, K)
    """
    return tuple(Symbol(name, integer=True, positive=True) for name in names.split())


def model(
    title: str = "",
    *,
    states: Any,
    loss: Any = None,
    definitions: Any = (),
    extents: Mapping[Symbol, Any] | None = None,
    data: Any = (),
    parameters: Any = (),
    flow: Mapping[str, str] | None = None,
    examples: Symbol | None = None,
    constraints: Any = (),
    assumptions: Iterable[str] = (),
    source: str = "",
) -> Program:
    """The program of a file.

    Parameters
    ----------
    title : str
        One line; the name of the file if not given.
    states : accesses
        What is learnt, such as ``W[i, k]``, or scalars.
    loss : Expr
        What the flow descends: an expression of what is defined, or one reduction of it.
    definitions : sequence of Definition
        In order: each reads only what is declared or defined before it.
    extents : mapping
        How far each index runs: a size, or an access for rows of different lengths (``{l: length[n]}``).
    data, parameters : accesses, scalars
        Arrays, and numbers, that are given when the program is run.
    flow : mapping of str to str, optional
        Instead of a gradient flow, your own: for a state, the definition that is its rate. States that it does not
        name follow the gradient of the loss.
    examples : Symbol, optional
        The index of independent examples, which are then computed one at a time: less memory.
    constraints : sequence of Constraint
        What a projection keeps: ``unit_norm(W[i, k], i)``, ``simplex(p[i])``.
    assumptions, source
        For the document that ``dynamics derive`` writes.

    Raises
    ------
    ProgramError
        The program is not well formed; the message names the definition.

    Examples
    --------
    >>> (V,), (i,), (w, y) = sizes("V"), indices("i"), tensors("w y")
    >>> program = model("Squares", extents={i: V}, data=y[i], states=w[i], loss=SumOver((w[i] - y[i])**2 / 2, i))
    >>> print(*program.definitions)
    loss = SumOver((w[i] - y[i])**2/2, i)
    """
    defined = [_definition(d) for d in _each(definitions)]
    written = loss
    table = _extents(extents or {})
    if loss is not None and loss not in [d.lhs for d in defined]:
        given = (*_each(data), *_each(states), *_each(parameters))
        taken = {name_of(x) for x in (*given, *(d.lhs for d in defined)) if isinstance(x, Indexed | Symbol)}
        taken |= {x.name for x in extents or () if isinstance(x, Symbol)}
        defined.append(_definition(Definition(Symbol(unused(["loss"], taken), real=True), loss)))
        loss = defined[-1].lhs
    arrays, moving, numbers = _declared("data", data), _declared("states", states), _declared("parameters", parameters)
    if isinstance(written, Expr) and loss is not written:
        slopes = {g: grad(loss, g.access) for d in defined for g in d.rhs.atoms(Gradient) if g.loss == written}
        defined = [replace(d, rhs=d.rhs.xreplace(slopes)) if d.rhs.atoms(Gradient) else d for d in defined]
    defined, table = with_slopes(
        normal(defined, table, (*arrays, *moving, *numbers)), table, (*arrays, *moving, *numbers)
    )
    own, clock = dict(flow or {}), ""
    names = {name_of(x) for x in (*arrays, *moving, *numbers)} | {d.name for d in defined}
    if t.name not in names and any(t in accesses(d.rhs) for d in defined):
        taken = names | {symbol.name for extent in table.values() for symbol in extent.free_symbols}
        rate = Symbol(unused(["tdot", "t_dot"], {*taken, *(index.name for index in table)}), real=True)
        moving, own, clock = (*moving, t), {**own, t.name: rate.name}, t.name
        defined.append(Definition(rate, Rational(1), "the time itself"))
    program = Program(
        name="program",
        title=title,
        source=source,
        extents=table,
        data=arrays,
        states=moving,
        parameters=numbers,
        definitions=tuple(defined),
        loss=loss,
        flow=own,
        time=clock,
        examples=examples,
        assumptions=tuple(assumptions),
        constraints=(constraints,) if isinstance(constraints, Constraint) else tuple(constraints),
    )
    # Without a loss there is nothing to derive; else the projection follows the gradient.
    return constrained(program) if set(program.flow) >= set(program.state_names) else program


def load(path: str | PathLike[str]) -> Program:
    """The flow of a program file.

    Parameters
    ----------
    path : path-like
        A Python file with a ``program``. It is run.

    Returns
    -------
    Program
        Its gradient flow, or the flow that it gives, named after the file.

    Raises
    ------
    InputError
        No such file, not Python, or a program that is not well formed or cannot be differentiated. The message names
        the file, and the definition or the line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> text = '''from dynamics.program_file import *
    ... (w,) = scalars("w")
    ... program = model("Valley", states=w, loss=(w - 1) ** 2 / 2)
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "valley.py"
    ...     _ = file.write_text(text)
    ...     flow = load(file)
    >>> flow.name, str(flow.definitions[-1])
    ('program valley.py', 'wdot = -eta_w*(w - 1)')
    """
    file = existing(path)
    program = _program(file)
    try:
        check(program)
        if not set(program.state_names) <= set(program.flow):
            program = gradient_flow(program)
    except ProgramError as error:
        _refuse(file, error)
    return program


def check(program: Program) -> None:
    """Raise ProgramError unless a program, well formed as such, can be derived, compiled and given its data."""
    if not program.states:
        raise ProgramError("has no states; say what is learnt, states=[W[i, k]] for example")
    if program.loss is None and not program.flow:
        raise ProgramError("has no loss; give it, loss=SumOver((z[n] - y[n])**2, n) for example")
    if program.loss is not None and (not isinstance(program.loss, Symbol) or program.loss.is_integer):
        raise ProgramError(f"the loss is {program.loss}; call it loss, a scalar: sum over the indices that it has")
    missing = [name for name in program.state_names if name not in program.flow]
    if missing and program.loss is None:
        raise ProgramError(f"state {missing[0]} has no flow; give the flow of every state, or a loss")
    for access in (*program.data, *program.states):
        if not is_plain(access):
            raise ProgramError(f"{access} is not a declaration; give {name_of(access)} distinct indices")
    for access in program.states:
        ragged = [index for index in subscript(access) if isinstance(program.extents[index], Indexed)]
        if ragged:
            raise ProgramError(f"state {access}: index {ragged[0]} has rows of different lengths; give it a size")
    for name in (*program.declarations, *(index.name for index in program.extents)):
        if name in TAKEN:
            raise ProgramError(f"{name} is what results call something else; rename it")
    whole = {*program.extents, *extent_symbols(program)}
    for d in program.definitions:
        where = f"definition of {d.lhs}"
        for part in _parts(d):
            _check_part(part, whole, where)
        for access in d.reads:
            _check_subscripts(access, where)
    if missing:
        idle = set(missing) - _read(program)
        if idle:
            raise ProgramError(f"the loss does not depend on state {min(idle)}; use it in a definition, or drop it")


def _program(file: Path) -> Program:
    """Run a file, and take what it calls ``program``."""
    space: dict[str, Any] = {"__name__": file.stem, "__file__": str(file)}
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), space)
    except ProgramError as error:
        _refuse(file, error)
    except SyntaxError as error:
        _refuse(file, f"{error.msg}{f': {error.text.strip()[:60]}' if error.text else ''}", error.lineno)
    except NameError as error:
        known = [name for name in space if not name.startswith("__")]
        hint = did_you_mean(error.name or "", known)
        if error.name in __all__ and "model" not in space:
            hint = "; begin the file with: from dynamics.program_file import *"
        _refuse(file, f"{error}{hint}", _line(error, file))
    except (Exception, SystemExit) as error:
        _refuse(file, f"{error or type(error).__name__}", _line(error, file))
    if "program" not in space:
        _refuse(file, "there is no 'program'; end the file with program = model(...)")
    program = space["program"]
    if not isinstance(program, Program):
        _refuse(file, f"'program' is no program but of type {type(program).__name__}; write program = model(...)")
    return replace(
        program,
        name=f"program {file.name}",
        title=program.title or file.stem.replace("_", " ").capitalize(),
        source=program.source or file.name,
    )


def _refuse(file: Path, error: object, line: int | None = None) -> NoReturn:
    where = file.name if line is None else f"{file.name}, line {line}"
    told = " ".join(str(error).removeprefix("program: ").removeprefix(f"program {file.name}: ").split())
    raise InputError(f"{where}: {told}") from None


def _line(error: BaseException, file: Path) -> int | None:
    """The line of the file at which an error came up."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return lines[-1] if lines else None


def _each(given: Any) -> tuple[Any, ...]:
    """One thing or several, as several: a tuple of one is easily forgotten."""
    return (given,) if isinstance(given, Basic | Definition) else tuple(given)


def _declared(kind: str, given: Any) -> tuple[Any, ...]:
    found = _each(given)
    for access in found:
        if not isinstance(access, Indexed | Symbol):
            raise ProgramError(f"{kind}: {access} is not a tensor with its indices, such as W[i, k], nor a scalar")
        if kind == "data" and isinstance(access, Symbol):
            raise ProgramError(f"data: {access} has no index; a number is given as one of the parameters=[{access}]")
    return found


def _definition(d: Any) -> Definition:
    """A definition whose sides are what they should be; numbers become sympy's."""
    if not isinstance(d, Definition):
        raise ProgramError(f"{d} is not a definition; write Definition(z[n, k], ...)")
    if not isinstance(d.lhs, Indexed | Symbol):
        raise ProgramError(f"definition of {d.lhs}: what is defined must be a tensor with its indices, or a scalar")
    try:
        rhs = sympify(d.rhs, strict=True)
        if isinstance(rhs, Reduction):
            body, weight = (sympify(part, strict=True) for part in (rhs.body, rhs.weight))
            rhs = type(rhs)(body, *rhs.over, weight=weight)
    except SympifyError:
        rhs = None
    if not isinstance(rhs, Expr):
        raise ProgramError(f"definition of {d.lhs}: {d.rhs!r} is not an expression; write it with tensors and numbers")
    if isinstance(rhs, Reduction) and not rhs.over:
        raise ProgramError(f"definition of {d.lhs}: {type(rhs).__name__} of no index; say what it is over")
    return replace(d, rhs=rhs)


def _extents(given: Any) -> dict[Symbol, Expr]:
    if not isinstance(given, Mapping):
        raise ProgramError(f"extents: {given} does not say how far each index runs; write {{n: N, i: V}}")
    for index, extent in given.items():
        if not (isinstance(index, Symbol) and index.is_integer):
            raise ProgramError(f"extents: {index!r} is not an index; make it with indices({str(index)!r})")
        whole = sympify(extent) if isinstance(extent, int) else extent
        if not (
            isinstance(whole, Expr) and whole.is_integer and (isinstance(whole, Indexed) or size_expression(whole))
        ):
            raise ProgramError(f"extents: {extent} of index {index} is not a size; make one with sizes('V')")
        if whole.is_number and not whole.is_positive:
            raise ProgramError(f"extents: {extent} of index {index} is no size; sizes are from 1")
    return {index: sympify(extent) for index, extent in given.items()}


def _parts(d: Definition) -> Iterator[Basic]:
    """Everything that the right-hand side of a definition is made of; subscripts left out."""
    waiting = [d.rhs.body, d.rhs.weight] if isinstance(d.rhs, Reduction) else [d.rhs]
    while waiting:
        part = waiting.pop()
        yield part
        if not isinstance(part, Indexed):
            waiting += part.args


def _check_part(part: Basic, whole: set[Symbol], where: str) -> None:
    if isinstance(part, Symbol) and part.is_integer and part not in whole:
        raise ProgramError(f"{where}: {part} is neither an index nor a size of the extents; add it to them")
    if not isinstance(part, (*PLAIN, *FUNCTIONS)):
        name = part.func.__name__ if isinstance(part, Function) else type(part).__name__
        known = ", ".join(sorted(["sqrt", *(function.__name__ for function in FUNCTIONS)], key=str.lower))
        raise ProgramError(f"{where}: {name} cannot be differentiated and compiled; there are SumOver, {known}")
    if part.has(S.ImaginaryUnit, S.NaN, S.ComplexInfinity):
        raise ProgramError(f"{where}: {part} is not a real number")


def _check_subscripts(access: Any, where: str) -> None:
    """Subscripts must be known to stay in range: indices, numbers from 0, tables of whole numbers, sums of these."""
    for sub in subscript(access):
        table = isinstance(sub, Indexed) and sub.is_integer
        computed = not isinstance(sub, Indexed | Integer | Symbol) and is_subscript(sub)
        if not (table or computed or isinstance(sub, Symbol) or (isinstance(sub, Integer) and sub >= 0)):
            raise ProgramError(
                f"{where}: subscript {sub} of {access} must be an index, a number from 0, or a table made with"
                " tensors(..., integer=True)"
            )
        for inner in sorted(sub.atoms(Indexed), key=str) if table or computed else ():
            if not inner.is_integer:
                raise ProgramError(
                    f"{where}: {inner} is a subscript, and no table made with tensors(..., integer=True)"
                )
            if inner != access:
                _check_subscripts(inner, where)


def _read(program: Program) -> set[str]:
    """The names of all that the loss depends on."""
    found = {name_of(program.loss)}
    for d in reversed(program.definitions):
        if d.name in found:
            found.update(name_of(access) for access in accesses(d.rhs))
    return found
