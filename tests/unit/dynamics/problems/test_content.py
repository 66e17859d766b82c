"""Programs, models and problems are values: equal by content, copied, pickled, solved elsewhere to the same bits."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derivations import registry
from derivations.program import Program
from dynamics import (
    Closure,
    CoOccurrence,
    Copying,
    Exact,
    Examples,
    Model,
    Problem,
    ToyLexicon,
    copying,
    keyword,
    lexical,
    on_arrays,
    positional,
    solve,
    topic,
)
from dynamics.program_file import SumOver, indices, sizes, tensors
from dynamics.program_file import model as program_of

PROGRAMS = registry.names()
COUNTS = np.array([[8.0, 1.0, 0.0], [1.0, 8.0, 0.0], [0.0, 2.0, 5.0]])
SENTENCES = Examples.from_rows([[0, 2], [1, 2], [0, 1, 1]], [0, 1, 1], inputs=3, outputs=2)
READOUT = [[1.0, -1.0], [0.5, 1.0]]
TIMES = [0.0, 1.0, 3.0]


def squares() -> Program:
    (V,), (i,), (w, y) = sizes("V"), indices("i"), tensors("w y")
    return program_of("Squares", extents={i: V}, data=y[i], states=w[i], loss=SumOver((w[i] - y[i]) ** 2 / 2, i))


MODELS: dict[str, Callable[[], Model]] = {
    "keyword": keyword,
    "keyword with bias": lambda: keyword(bias=True),
    "lexical": lexical,
    "lexical, 2 heads": lambda: lexical(heads=2),
    "positional": positional,
    "positional, 2 heads": lambda: positional(heads=2),
    "topic FC": lambda: topic("FC", readout=READOUT),
    "topic FC in the span": lambda: topic("FC", readout=READOUT, span=True),
    "topic TC": lambda: topic("TC", dimension=3),
    "topic TL, keys": lambda: topic("TL", dimension=3, hidden=2, query_dimension=4),
}
PROBLEMS: dict[str, Callable[[], Problem]] = {
    "closure": lambda: Closure(CoOccurrence.from_counts(COUNTS, inputs=list("abc"), outputs=list("xyz"))),
    "closure of stage one": lambda: Closure(CoOccurrence.from_counts(COUNTS), "linear"),
    "exact": lambda: Exact(keyword(), SENTENCES),
    "exact, of a task": lambda: Exact(lexical(), ToyLexicon(6, 3), population=20),
    "exact, with what is fixed": lambda: Exact(topic("FC", readout=READOUT), SENTENCES),
    "reduction": lambda: copying(6, 4),
    "reduction, 2 heads": lambda: copying(6, 4, heads=2),
    "arrays": lambda: on_arrays(squares(), {"y": [1.0, 2.0]}),
}
INITIAL = {"reduction": {"u": 0.3, "a": 0.2}, "reduction, 2 heads": {"u": 0.3, "a": [0.2, 0.1]}}


def twins(value: object) -> dict[str, object]:
    """The same value, made again in the ways in which libraries do."""
    written = {f"pickle {protocol}": pickle.loads(pickle.dumps(value, protocol)) for protocol in (2, 4, 5)}
    return {**written, "copy": copy.copy(value), "deepcopy": copy.deepcopy(value)}


def results(problem: Problem, name: str) -> dict[str, np.ndarray]:
    found = solve(problem, TIMES, initial=INITIAL.get(name), threads=1)
    return {str(key): value.values for key, value in found.data_vars.items()}


def of_another_process(written: bytes, name: str) -> dict[str, np.ndarray]:
    return results(pickle.loads(written), name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_registered_program_is_a_value(name: str) -> None:
    program = registry.program(name)
    for way, twin in twins(program).items():
        assert twin == program, way
        assert hash(twin) == hash(program), way
        assert isinstance(twin, Program)
        assert [str(d) for d in twin.definitions] == [str(d) for d in program.definitions], way
        assert twin.declarations == program.declarations, way


def test_programs_with_other_names_are_others() -> None:
    found = [registry.program(name) for name in PROGRAMS]
    assert len(set(found)) == len({program.name for program in found}) == len(found)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_a_value(name: str) -> None:
    model = MODELS[name]()
    assert model == MODELS[name]()
    for way, twin in twins(model).items():
        assert twin == model, way
        assert hash(twin) == hash(model), way


def test_models_differ_by_what_they_hold() -> None:
    found = [make() for make in MODELS.values()]
    for k, one in enumerate(found):
        assert [other == one for other in found] == [j == k for j in range(len(found))]
    assert topic("FC", readout=READOUT) != topic("FC", readout=np.array(READOUT) + 1)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_a_value(name: str) -> None:
    problem = PROBLEMS[name]()
    expected = results(problem, name)
    assert problem == PROBLEMS[name]()
    for way, twin in twins(problem).items():
        assert twin == problem, way
        assert hash(twin) == hash(problem), way
        assert isinstance(twin, Problem)
        again = results(twin, name)
        assert again.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(again[key], value, err_msg=f"{way}: {key}")


def test_problems_differ_by_what_they_hold() -> None:
    found = [make() for make in PROBLEMS.values()]
    for k, one in enumerate(found):
        assert [other == one for other in found] == [j == k for j in range(len(found))]
    assert Closure(CoOccurrence.from_counts(COUNTS)) != Closure(CoOccurrence.from_counts(COUNTS + 1))
    assert on_arrays(squares(), {"y": [1.0, 2.0]}) != on_arrays(squares(), {"y": [1.0, 2.5]})
    assert Exact(positional(), Copying(6, 4)) != Exact(positional(), Copying(6, 4), seed=1)


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_computed_from_a_problem_is_not_written(name: str) -> None:
    problem = PROBLEMS[name]()
    results(problem, name)
    for way, twin in twins(problem).items():
        assert vars(twin).keys() == {own.name for own in fields(problem)}, way


def test_another_process_solves_to_the_same_bits() -> None:
    """A spawned process knows nothing but what is written, as with joblib or Dask."""
    names = list(PROBLEMS)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.starmap(of_another_process, [(pickle.dumps(PROBLEMS[name]()), name) for name in names])
    for name, there in zip(names, found, strict=True):
        here = results(PROBLEMS[name](), name)
        assert here.keys() == there.keys()
        for key, value in here.items():
            assert value.tobytes() == there[key].tobytes() if value.dtype != object else (value == there[key]).all(), (
                f"{name}: {key}"
            )


@given(
    st.lists(st.lists(st.floats(0.1, 9.0), min_size=2, max_size=2), min_size=2, max_size=4),
    st.sampled_from(["conditional", "linear", "linear-bias"]),
)
def test_closures_on_any_counts(counts: list[list[float]], closure: str) -> None:
    problem = Closure(CoOccurrence.from_counts(counts), closure)
    for way, twin in twins(problem).items():
        assert twin == problem, way
        assert hash(twin) == hash(problem), way
