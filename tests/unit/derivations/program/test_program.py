"""Programs that are not well formed are refused, in one line that names the definition."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sympy import Integer, Symbol, exp, log

from derivations import registry as catalogue
from derivations.program.access import accesses, is_plain, name_of, subscript
from derivations.program.language import LogSumExp, MaxOver, SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program, ProgramError

V, K, N = (Symbol(size, integer=True, positive=True) for size in "VKN")
i, o, n, l, u = indices("i o n l u")
W, A, c, z = tensors("W A c z")
x, length = tensors("x length", integer=True)
loss, rate = scalars("loss rate")

good = Program(
    name="good",
    title="Well formed",
    source="nowhere",
    extents={i: V, o: K, n: N, l: length[n]},
    data=(c[i], length[n], x[n, l]),
    states=(W[i, o],),
    definitions=(
        Definition(z[o], SumOver(c[i] * W[i, o], i)),
        Definition(loss, SumOver(z[o] ** 2, o)),
    ),
    loss=loss,
)


def defining(*definitions: Definition, **changes: object) -> Program:
    """The good program with definitions at its end."""
    return replace(good, definitions=(*good.definitions, *definitions), **changes)


B, t = tensors("B t")

BAD = {
    "nested reduction": (Definition(t[o], 1 + SumOver(W[i, o], i)), "definition of t[o]: a reduction stands inside"),
    "reduction of a reduction": (
        Definition(rate, SumOver(SumOver(W[i, o], i), o)),
        "definition of rate: a reduction of a reduction",
    ),
    "reduced index unknown": (
        Definition(t[o], SumOver(W[i, o], i, u)),
        "definition of t[o]: reduces over u, which has no extent",
    ),
    "reduced index absent": (
        Definition(t[o], SumOver(z[o], i)),
        "definition of t[o]: reduces over i, which does not occur in z[o]",
    ),
    "loose index": (Definition(t[o], W[i, o]), "definition of t[o]: index i is neither on the left-hand side"),
    "diagonal on the left": (Definition(B[o, o], z[o]), "definition of B[o, o]: the subscripts of a left-hand side"),
    "gather on the left": (Definition(B[x[n, l], o], z[o]), "the subscripts of a left-hand side must be distinct"),
    "read before it is defined": (Definition(t[o], B[o]), "definition of t[o]: B is read before it is declared"),
    "table never declared": (
        Definition(B[n, o], W[tensors("y", integer=True)[0][n], o]),
        "definition of B[n, o]: y is read before it is declared",
    ),
    "parameter never declared": (Definition(t[o], rate * z[o]), "definition of t[o]: rate is read before"),
    "too few subscripts": (Definition(t[o], W[o]), "definition of t[o]: W[o] has 1 subscripts, not 2"),
    "shapes differ": (Definition(t[o], c[o]), "definition of t[o]: index o of c[o] runs over K where c has V entries"),
    "index without extent": (
        Definition(t[u], c[u]),
        "definition of t[u]: index u of c[u] has no extent; add it to the extents",
    ),
    "left index without extent": (Definition(t[u], Integer(1)), "definition of t[u]: index u of t[u] has no extent"),
    "defined twice": (Definition(z[o], W[i, o].subs(i, o) * 0), "definition of z[o]: z is defined twice"),
    "accumulates into nothing": (
        Definition(t[o], z[o], accumulate=True),
        "definition of t[o]: accumulates into a tensor that nothing began",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_definitions_are_refused(case: str) -> None:
    definition, message = BAD[case]
    with pytest.raises(ProgramError) as error:
        defining(definition)
    assert message in str(error.value)
    assert str(error.value).startswith("good: definition of ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"states": (W[i, o], c[i])}, "good: state c is declared twice"),
        ({"parameters": scalars("W")}, "good: parameter W is declared twice"),
        ({"data": (c[u],)}, "good: data c: index u of c[u] has no extent"),
        ({"loss": rate}, "good: the loss rate is not defined"),
        ({"data": (c[i],)}, "good: ragged extent length[n] of index l is not among the data"),
        ({"extents": {**good.extents, u: V + 1}}, "good: extent of index u must be a size symbol or a ragged length"),
        ({"flow": {"Q": "z"}}, "good: flow of Q, which is not a state"),
        ({"flow": {"W": "z"}}, "good: the flow z of W does not have its shape"),
        ({"flow": {"W": "absent"}}, "good: the flow absent of W does not have its shape"),
    ],
)
def test_bad_declarations_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ProgramError) as error:
        replace(good, **changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_scatter_may_accumulate_into_what_is_begun() -> None:
    program = defining(
        Definition(B[i, o], Integer(0)),
        Definition(B[x[n, l], o], z[o], accumulate=True),
        Definition(B[o, o], z[o], accumulate=True),
    )
    assert str(program.definitions[-2]) == "B[x[n, l], o] += z[o]"


def test_declarations_keep_their_order_and_first_subscripts() -> None:
    program = defining(Definition(B[o, i], W[i, o]), Definition(t[n], z[x[n, 0]]))
    assert [*program.declarations] == ["c", "length", "x", "W", "z", "loss", "B", "t"]
    assert program.declarations["B"] == B[o, i]
    assert program.state_names == ("W",)


def test_programs_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        good.extents[u] = V  # type: ignore[index]


def test_equal_names_are_the_same_tensor() -> None:
    (again,) = tensors("W")
    assert again[indices("i o")] == W[i, o]
    assert name_of(W[i, o]) == "W"
    assert name_of(loss) == "loss"
    assert subscript(loss) == ()


@pytest.mark.parametrize(
    ("access", "plain"), [(W[i, o], True), (loss, True), (W[o, o], False), (W[x[n, l], o], False), (W[0, o], False)]
)
def test_plain_accesses(access: object, plain: bool) -> None:
    assert is_plain(access) is plain


def test_accesses_are_outermost() -> None:
    assert [*accesses(exp(W[x[n, l], o]) + log(rate))] in (
        [W[x[n, l], o], rate],
        [rate, W[x[n, l], o]],
    )


def test_reductions_bind_their_indices() -> None:
    total = LogSumExp(W[i, o], i, weight=c[i])
    assert i not in total.free_symbols
    assert o in total.free_symbols
    assert str(total) == "LogSumExp(W[i, o], i, weight=c[i])"
    assert str(MaxOver(W[i, o], i, o)) == "MaxOver(W[i, o], i, o)"


@pytest.mark.parametrize("name", catalogue.names())
def test_catalogue_keys_are_the_programs_names(name: str) -> None:
    assert catalogue.program(name).name == name


def test_names_derive_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    unused = catalogue.Entry("model", "unused", "", lambda: pytest.fail("derived"))
    monkeypatch.setattr(catalogue, "REGISTERED", {"unused": unused})
    assert catalogue.names() == ("unused",)


def test_programs_are_derived_once() -> None:
    assert catalogue.program("joint") is catalogue.program("joint")


@pytest.mark.parametrize(
    ("name", "hint"), [("jiont", "did you mean joint"), ("Gram", "did you mean gram"), ("", "joint")]
)
def test_unknown_names_are_answered_with_near_ones(name: str, hint: str) -> None:
    with pytest.raises(ProgramError) as error:
        catalogue.program(name)
    assert hint in str(error.value)
    assert all(known in str(error.value) for known in catalogue.names())
    assert "\n" not in str(error.value)
