"""Lowering: generated code computes what its program says, whatever is fused, shared, sparse or run in parallel."""

from __future__ import annotations

import math
import random
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numba.core.runtime import _nrt_python, rtsys
from oracles import models as oracle_models
from oracles.random_programs import Interpreted, naive, random_data, random_program
from sympy import Symbol, exp

from derivations import registry as catalogue
from derivations.checks.plain_python import plain_python
from derivations.program.language import LogSumExp, SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program
from dynamics.lowering import lower
from dynamics.lowering.kernel import source_of
from dynamics.lowering.machine.runtime import (
    PANELS,
    TILE,
    gather_dot_product,
    gather_product,
    scatter_product,
)
from dynamics.lowering.machine.runtime import exp as fast_exp
from dynamics.lowering.passes import storage
from dynamics.problems.kinds import models as model
from dynamics.support.errors import InputError
from dynamics.support.threads import limited
from dynamics.tasks.examples import Examples

# -- the exponential --------------------------------------------------------------------------------------------------


@njit(fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
def exp_all(x, out):
    for k in range(x.size):
        out[k] = fast_exp(x[k])


def exp_of(x: np.ndarray) -> np.ndarray:
    out = np.empty(x.size)
    exp_all(np.ascontiguousarray(x, dtype=float), out)
    return out


LOWEST, HIGHEST = -708.39, math.log(np.finfo(float).max)


def ulps(found: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The error in units in the last place, against extended precision where the machine has it."""
    exact = np.exp(x.astype(np.longdouble))
    return np.abs((found - exact) / np.spacing(exact.astype(float))).astype(float)


@pytest.mark.parametrize(
    ("low", "high"), [(LOWEST, HIGHEST), (-1.0, 1.0), (-1e-8, 1e-8), (-40.0, 0.0), (700.0, HIGHEST)]
)
def test_exp_is_within_one_unit_in_the_last_place(low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(low, high, 200_000), np.linspace(low, high, 10_001)])
    assert ulps(exp_of(x), x).max() <= 1


def test_exp_is_right_where_its_argument_is_reduced() -> None:
    # Halves of log 2 are where the nearest power of 2 changes: the remainder is largest there.
    middle = (np.arange(-1021, 1024) + 0.5) * math.log(2)
    x = np.concatenate([np.nextafter(middle, -np.inf), middle, np.nextafter(middle, np.inf), middle - math.log(2) / 2])
    x = x[(x > LOWEST) & (x < HIGHEST)]
    assert ulps(exp_of(x), x).max() <= 1


def test_exp_at_the_ends_of_its_range() -> None:
    tiny = np.finfo(float).tiny
    x = np.array([-np.inf, -1e308, -746.0, -745.0, -708.4, np.inf, 1e308, 709.783, 1000.0, np.nan, -np.nan, 0.0, -0.0])
    expected = [0, 0, 0, 0, 0, np.inf, np.inf, np.inf, np.inf, np.nan, np.nan, 1, 1]
    np.testing.assert_array_equal(exp_of(x), expected)
    edge = exp_of(np.array([LOWEST, HIGHEST]))
    assert edge[0] >= tiny
    assert np.isfinite(edge[1])
    np.testing.assert_array_equal(exp_of(np.array([5e-324, -5e-324, tiny, -tiny])), np.ones(4))


def test_exp_of_a_vector_is_exp_of_its_numbers() -> None:
    x = np.random.default_rng(1).normal(0, 200, 1003)
    x[::97] = [np.nan, np.inf, -np.inf, 800, -800, 0, -708.39, 709.78, 1, -1, 5e-324]
    np.testing.assert_array_equal(exp_of(x), [exp_of(x[k : k + 1])[0] for k in range(x.size)])


# -- products with a sparse matrix ------------------------------------------------------------------------------------


class Pattern:
    """A random ragged pattern: rows may be empty, words may stand in one row twice."""

    def __init__(self, seed: int, rows: int, words: int, columns: int) -> None:
        rng = np.random.default_rng(seed)
        count = rng.integers(0, 6, rows) * (rng.random(rows) < 0.8)
        self.start = np.concatenate([[0], np.cumsum(count)])
        self.row = np.repeat(np.arange(rows), count)
        self.entries = int(self.start[-1])
        self.word = rng.integers(0, words, self.entries)
        self.weight = rng.normal(size=self.entries)
        self.by_word, self.by_row = rng.normal(size=(words, columns)), rng.normal(size=(rows, columns))
        # What stands in scratch before must not matter.
        self.panels, self.tiles = np.full((PANELS, words, TILE), np.nan), np.full((PANELS, TILE), np.nan)
        self.partials = np.full((PANELS, self.entries), np.nan)

    @property
    def matrix(self) -> np.ndarray:
        found = np.zeros((self.by_row.shape[0], self.by_word.shape[0]))
        np.add.at(found, (self.row, self.word), self.weight)
        return found

    def products(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        gathered, scattered = np.full_like(self.by_row, np.nan), np.full_like(self.by_word, np.nan)
        dots = np.full(self.entries, np.nan)
        gather_product(self.start, self.word, self.weight, self.by_word, gathered, self.panels, self.tiles)
        scatter_product(self.start, self.word, self.weight, self.by_row, scattered, self.panels, self.tiles)
        gather_dot_product(
            self.start, self.word, self.by_row, self.by_word, dots, self.panels, self.tiles, self.partials
        )
        return gathered, scattered, dots


WIDE = TILE * PANELS
patterns = st.builds(
    Pattern,
    st.integers(0, 2**32 - 1),
    st.integers(1, 20),
    st.integers(1, 30),
    # One column, less than a tile, whole tiles, more panels than there are, and one column beyond each.
    st.sampled_from([1, 3, TILE - 1, TILE, TILE + 1, 2 * TILE, WIDE, WIDE + 1, WIDE + TILE + 5]),
)


@given(patterns)
@settings(max_examples=100, deadline=None)
def test_sparse_products_are_dense_products(p: Pattern) -> None:
    gathered, scattered, dots = p.products()
    np.testing.assert_allclose(gathered, p.matrix @ p.by_word, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scattered, p.matrix.T @ p.by_row, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dots, (p.by_row @ p.by_word.T)[p.row, p.word], rtol=0, atol=1e-11)


def test_sparse_products_do_not_depend_on_the_number_of_threads() -> None:
    p = Pattern(0, 200, 90, 3 * WIDE + 7)
    found = []
    for threads in (1, 2):
        with limited_or_skip(threads):
            found.append(p.products())
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def limited_or_skip(threads: int):
    import numba

    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip(f"this machine has no {threads} threads")
    return limited(threads, 1)


def test_sparse_products_show_what_is_not_a_number() -> None:
    p = Pattern(3, 10, 7, 20)
    p.weight[0] = np.nan
    gathered, scattered, _ = p.products()
    assert np.isnan(gathered[p.row[0]]).all()
    assert np.isnan(scattered[p.word[0]]).all()
    p.by_word[p.word[1], 3] = np.nan
    dots = p.products()[2]
    np.testing.assert_array_equal(np.isnan(dots), p.word == p.word[1])


# -- random programs through every pass -------------------------------------------------------------------------------


def compared(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], program: Program) -> None:
    """Equal to round-off. Cells that are 0 * nan or 0 * inf by the equations as they stand may be 0: weights mask."""
    for name, values in found.items():
        wanted = np.asarray(expected[name]).reshape(values.shape)
        told = ~np.isnan(wanted)
        values, wanted = np.where(told, values, 0), np.where(told, wanted, 0)
        finite = np.abs(wanted[np.isfinite(wanted)]).max(initial=1.0)
        np.testing.assert_allclose(
            values,
            wanted,
            rtol=1e-9,
            atol=1e-10 * finite,
            err_msg=f"{name} of\n" + "\n".join(map(str, program.definitions)),
        )


# The last ones found mistakes that the others did not: in storage, products, log-sum-exps over diagonals, a race.
@pytest.mark.parametrize("seed", [*range(60), 78, 108, 192, 887, 639, 291, 467])
def test_random_programs_compute_what_their_equations_say(seed: int) -> None:
    """In an interpreter that sees races; half of them in parallel, half of those with their examples streamed."""
    program = random_program(seed, streamed=seed % 4 > 1)
    rng = random.Random(seed)
    inputs, outputs, examples = (rng.randint(1, most) for most in (5, 4, 6))
    data, y = random_data(seed, inputs, outputs, examples)
    names = [d.name for d in program.definitions if not d.accumulate]
    wanted = tuple(rng.sample(names, rng.randint(1, len(names))))
    known = {"V": inputs, "K": outputs}
    run = Interpreted(lower(program, wanted, parallel=seed % 2 > 0, constants=rng.choice([None, known])), rng)
    compared(run(data, y, g=0.7, **known), naive(program, data, y, 0.7), program)
    assert run.races == 0


def test_sums_by_rows_and_by_columns_are_not_chunks_of_one_loop() -> None:
    """Each is parallel alone; together, one chunk's row crosses the other's column."""
    program = Program(
        name="random",
        title="Rows and columns",
        source="nowhere",
        extents={i: V, j: V, o: K, v: K, n: N, l: length[n]},
        data=(length[n], x[n, l], target[n], w[i, o], r[n, l], B[n, o]),
        states=(W[i, o], s[i]),
        definitions=(
            Definition(T[o, v], B[0, o] * B[1, v]),
            Definition(T[v, o], B[1, o] * B[2, v], accumulate=True),
            Definition(T[o, target[n]], B[n, o], accumulate=True),
        ),
        parameters=scalars("g"),
    )
    data, y = random_data(0, 4, 3, 5)
    run = Interpreted(lower(program, ["T"], parallel=True), random.Random(0))
    compared(run(data, y, g=0.7, V=4, K=3), naive(program, data, y, 0.7), program)
    assert run.races == 0


@pytest.mark.parametrize("seed", range(100, 120))
def test_shared_storage_changes_nothing(seed: int) -> None:
    program = random_program(seed, streamed=seed % 2 > 0)
    data, y = random_data(seed, 4, 3, 5)
    last = last_of(program)
    shared = lower(program, last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "apart", lambda *args: False)
        source_of.cache_clear()
        distinct = lower(program, last)
    source_of.cache_clear()
    assert len(distinct.code.workspace) >= len(shared.code.workspace)
    found, wanted = (Interpreted(kernel)(data, y, g=0.7, V=4, K=3) for kernel in (shared, distinct))
    np.testing.assert_array_equal(found[last[0]], wanted[last[0]])


@pytest.mark.parametrize("seed", range(4))
def test_lowering_is_deterministic(seed: int) -> None:
    found = set()
    for _ in range(2):
        program = random_program(seed, streamed=seed % 2 > 0)
        found |= {lower(program, last_of(program), parallel=parallel).source for parallel in (False, True)}
    assert len(found) == 2, "one source in parallel, one not"


def last_of(program: Program) -> tuple[str, ...]:
    return (program.definitions[-1].name,)


def test_source_does_not_depend_on_the_seed_of_hashes() -> None:
    import subprocess
    import sys

    script = "from derivations.closures import both_stages_sparse as p; from dynamics.lowering import lower; "
    script += "print(lower(p(), parallel=True).source)"
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert "def kernel(" in found.pop()


# -- compiled programs ------------------------------------------------------------------------------------------------

V, K, N = (Symbol(size, integer=True, positive=True) for size in "VKN")
i, j, o, v, n, l = indices("i j o v n l")
x, target, length = tensors("x target length", integer=True)
W, s, B, w, r = tensors("W s B w r")
T, M, P, Q, D, G, H, Y = tensors("T M P Q D G H Y")
total, trace = scalars("total trace")


@cache
def everything() -> Program:
    """One program with everything: ragged examples, gathers, scatters, diagonals, products, masked log-sum-exps."""
    return Program(
        name="everything",
        title="Everything that the language has",
        source="nowhere",
        extents={i: V, j: V, o: K, v: K, n: N, l: length[n]},
        data=(length[n], x[n, l], target[n], w[i, o], r[n, l], B[n, o]),
        states=(W[i, o], s[i]),
        definitions=(
            Definition(M[n], LogSumExp(s[x[n, l]], l, weight=r[n, l])),
            Definition(P[n, l], r[n, l] * exp(s[x[n, l]] - M[n])),
            Definition(T[n, o], SumOver(P[n, l] * W[x[n, l], o], l)),
            Definition(Q[o], LogSumExp(W[i, o], i, weight=w[i, o])),
            Definition(D[i, j], SumOver(W[i, o] * W[j, o], o)),
            Definition(D[i, i], s[i] * Q[o] / 7, accumulate=True),
            Definition(G[i, o], SumOver(D[i, j] * w[j, o], j)),
            Definition(G[x[n, l], o], P[n, l] * (T[n, o] - W[x[n, l], target[n]]), accumulate=True),
            Definition(total, SumOver(T[n, target[n]], n)),
            Definition(H[i, o], G[i, o] - total * exp(W[i, o] - Q[o])),
            Definition(trace, LogSumExp(D[j, j], j)),
            Definition(Y[j], exp(D[j, j] - trace)),
        ),
        parameters=tuple(scalars("g")),
        flow={"W": "H"},
    )


@pytest.mark.parametrize("parallel", [False, True])
def test_compiled_code_computes_what_the_equations_say(parallel: bool) -> None:
    program = everything()
    outputs = ("H", "T", "total", "M", "Y")
    kernel = lower(program, outputs, parallel)
    for seed, (inputs, words, examples) in enumerate([(5, 3, 6), (1, 1, 1), (40, 17, 50)]):
        data, y = random_data(seed, inputs, words, examples)
        space: dict = {}
        exec(plain_python(program).replace("import math", "from oracles.random_programs import quiet as math"), space)
        states = {"W": y[: inputs * words].reshape(inputs, words), "s": y[inputs * words :]}
        with np.errstate(all="ignore"):
            wanted = space["everything"](**states, **data, g=1.0)
        bound = kernel.bind(data, {"V": inputs, "K": words, "g": 1.0})
        bound.workspace[:] = np.nan
        compared(bound.evaluate(y), wanted, program)


def test_parallel_code_does_not_depend_on_the_number_of_threads() -> None:
    data, y = random_data(0, 60, 33, 70)
    bound = lower(everything(), ("H", "T", "total", "M"), parallel=True).bind(data, {"V": 60, "K": 33, "g": 1.0})
    found = []
    for threads in (1, 2):
        with limited_or_skip(threads):
            found.append(bound.evaluate(y))
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name])


def joint_problem(inputs: int, outputs: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    C = rng.gamma(0.5, size=(inputs, outputs)) + 1e-3
    C /= C.sum()
    return {"R": C / C.sum(axis=0), "q": C.sum(axis=0)}, rng.normal(size=2 * inputs * outputs)


ONE = {"eta_W": 1.0, "eta_A": 1.0}


@njit
def repeatedly(function, times, y, out, arguments):
    for _ in range(times):
        function(y, out, *arguments)


def allocations_of_a_call(name: str, inputs: int, outputs: int) -> float:
    """Allocations by numba's run time in one call of a bound kernel, called from compiled code."""
    data, y = joint_problem(inputs, outputs)
    parameters: dict[str, float] = dict(ONE)
    if name == "joint-sparse":
        count, word = np.full(outputs, inputs), np.tile(np.arange(inputs), outputs)
        data |= {"count": count, "word": word, "R": data["R"].T.ravel()}
        parameters["V"] = inputs
    bound = lower(catalogue.program(name)).bind(data, parameters)
    out = np.empty(bound.output_size)

    def allocations(times: int) -> int:
        before = rtsys.get_allocation_stats()
        repeatedly(bound.function, times, y, out, bound.arguments)
        after = rtsys.get_allocation_stats()
        assert after.alloc - before.alloc == after.free - before.free, "what is allocated is freed"
        return after.alloc - before.alloc

    allocations(1)  # compiles
    return (allocations(11) - allocations(1)) / 10


@pytest.mark.parametrize("name", ["joint", "joint-sparse"])
def test_kernels_allocate_nothing(name: str) -> None:
    _nrt_python.memsys_enable_stats()
    try:
        small, large = (allocations_of_a_call(name, *shape) for shape in ((7, 5), (60, 45)))
    finally:
        _nrt_python.memsys_disable_stats()
    if name == "joint":
        assert small == large == 0
    else:  # scheduling the panels of three sparse products takes some, whatever the size
        assert small == large < 50


@pytest.mark.parametrize("where", [("W", 3), ("A", 2)])
def test_what_is_not_a_number_shows_in_the_flow(where: tuple[str, int]) -> None:
    data, y = joint_problem(6, 4)
    bound = lower(catalogue.program("joint")).bind(data, ONE)
    clean = bound.evaluate(y)
    assert all(np.isfinite(values).all() for values in clean.values())
    state, output = where
    bound.states(y)[state][1, output] = np.nan
    space: dict = {}
    exec(plain_python(catalogue.program("joint")), space)
    expected = space["joint"](**bound.states(y), **data, **ONE)
    found = bound.evaluate(y)
    for name, values in found.items():
        np.testing.assert_array_equal(np.isnan(values), np.isnan(expected[name]))
        assert np.isnan(values).any()


def test_logits_that_are_infinite_or_huge() -> None:
    data, y = joint_problem(6, 4)
    bound = lower(catalogue.program("joint")).bind(data, ONE)
    views = bound.states(y)
    views["A"][0, 0] = -np.inf  # never attended
    views["A"][:, 1] += 1e3
    views["A"][2, 2], views["W"][2, 2] = 1e3, -1e3
    space: dict = {}
    exec(plain_python(catalogue.program("joint")), space)
    expected = space["joint"](**views, **data, **ONE)
    for name, values in bound.evaluate(y).items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values, expected[name], rtol=1e-11, atol=1e-10)  # differences of logits of 1e3


# -- binding ----------------------------------------------------------------------------------------------------------


def test_binding_explains_what_is_missing_or_does_not_fit() -> None:
    data, _ = joint_problem(3, 2)
    kernel = lower(catalogue.program("joint"))
    sparse = lower(catalogue.program("joint-sparse"))
    columns = {"count": [2, 1], "word": [0, 1, 2], "R": [0.5, 0.5, 1.0], "q": [0.5, 0.5]}
    cases = [
        (kernel, {"R": data["R"]}, ONE, "joint: the data lacks q"),
        (kernel, data, {"eta_W": 1.0}, "joint: no value for eta_A"),
        (kernel, data | {"q": [[1.0, 2.0]]}, ONE, "q has 2 dimensions, 1 expected"),
        (kernel, data | {"q": [1.0, 2.0, 3.0]}, ONE, "q has 3 entries where K = 2"),
        (sparse, columns, ONE, "joint-sparse: no value for V"),
        (sparse, columns | {"count": [2, 2]}, ONE | {"V": 3}, "count adds up to 4, but there are 3 entries"),
    ]
    for lowered, values, parameters, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            lowered.bind(values, parameters)
        assert "\n" not in str(caught.value)


def test_binding_takes_any_layout_and_leaves_it_as_it_is() -> None:
    data, y = joint_problem(6, 4)
    kernel = lower(catalogue.program("joint"))
    plain = kernel.bind(data, ONE).evaluate(y)
    fortran = {"R": np.asfortranarray(data["R"]), "q": data["q"].astype(object).tolist()}
    data["R"].flags.writeable = False
    for other in (fortran, data):
        for name, values in kernel.bind(other, ONE).evaluate(y).items():
            np.testing.assert_array_equal(values, plain[name])


@pytest.mark.parametrize("name", ["joint", "joint-sparse"])
def test_words_without_weight_do_not_set_the_scale_of_attention(name: str) -> None:
    """Attention does not feel a constant: not one of -1e3, far below the 1e3 of words that never occur."""
    data, y = joint_problem(6, 4)
    R = data["R"] * (np.arange(24).reshape(6, 4) % 3 > 0)
    R /= R.sum(axis=0)
    if name == "joint":
        bound = lower(catalogue.program(name)).bind(data | {"R": R}, ONE)
        A = bound.states(y)["A"]
        A[R == 0] = 1e3
    else:  # zeros may be stored, too
        columns = {"count": np.full(4, 6), "word": np.tile(np.arange(6), 4), "R": R.T.ravel(), "q": data["q"]}
        bound = lower(catalogue.program(name)).bind(columns, ONE | {"V": 6})
        A = bound.states(y)["A"]
        A[R.T.ravel() == 0] = 1e3
    plain = bound.evaluate(y)
    seen = (A < 900).copy()
    A[seen] -= 1e3
    for flow, values in bound.evaluate(y).items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values, plain[flow], rtol=1e-9, atol=1e-11)


def test_rates_can_be_changed_without_binding_again() -> None:
    data, y = joint_problem(6, 4)
    bound = lower(catalogue.program("joint")).bind(data, {"eta_W": 1.0, "eta_A": 1.0})
    plain = bound.evaluate(y)
    changed = bound.with_parameters(eta_A=3.0)
    assert changed.workspace is bound.workspace
    found = changed.evaluate(y)
    np.testing.assert_array_equal(found["Wdot"], plain["Wdot"])
    np.testing.assert_allclose(found["Adot"], 3 * plain["Adot"], rtol=1e-15)
    np.testing.assert_array_equal(bound.evaluate(y)["Adot"], plain["Adot"])


def test_kernels_share_a_workspace_that_is_large_enough() -> None:
    data, _ = joint_problem(6, 4)
    first = lower(catalogue.program("joint")).bind(data, ONE)
    second = lower(catalogue.program("joint"), ["loss"]).bind(data, ONE, workspace=first.workspace)
    assert second.workspace is first.workspace
    small = np.empty(1)
    assert lower(catalogue.program("joint")).bind(data, ONE, workspace=small).workspace is not small


@pytest.mark.parametrize("parallel", [False, True])
def test_what_a_kernel_works_in_begins_with_lines_of_cache(parallel: bool) -> None:
    """Each temporary, at sizes that fill no line; and the last of them ends within the workspace."""
    data, _ = random_data(0, 5, 3, 7)
    kernel = lower(everything(), ("H", "T", "total", "M", "Y"), parallel)
    bound = kernel.bind(data, {"V": 5, "K": 3, "g": 1.0})
    assert bound.workspace.ctypes.data % 64 == 0
    told = [
        line.strip()
        for line in kernel.source.splitlines()
        if line.startswith("    ") and ("// 8 * 8" in line or "= ws[" in line)
    ]
    assert sum("= ws[" in line for line in told) > 3
    space = {"ws": bound.workspace, **bound.sizes}
    for line in told:
        name = line.split(" = ")[0]
        exec(line, space)
        assert "// 8" in line or space[name].ctypes.data % 64 == 0
    ends = [array.ctypes.data + array.nbytes for name, array in space.items() if isinstance(array, np.ndarray)]
    assert max(ends) <= bound.workspace.ctypes.data + bound.workspace.nbytes


def test_only_what_the_outputs_need_is_computed() -> None:
    source = lower(catalogue.program("joint"), ["loss"]).source
    assert "Omega" not in source
    assert "beta" not in source
    assert "Wbar" not in source
    assert "eta_W" not in source


def test_exponentials_of_the_normalisation_are_computed_once() -> None:
    # softmax over words and over outputs: one exp each, shared by the sum and by the probabilities.
    assert (
        lower(catalogue.program("joint")).source.count(" exp(")
        + lower(catalogue.program("joint")).source.count("(exp(")
        == 2
    )


# -- short rows, and one exponential for each word --------------------------------------------------------------------

MODELS = {
    "keyword": model.keyword(bias=True),
    "lexical, 3 heads": model.lexical(3),
    "positional, 2 heads": model.positional(2),
    "FC": model.topic("FC", readout=np.random.default_rng(0).normal(size=(5, 3))),
    "TC": model.topic("TC", 10),
    "TL": model.topic("TL", 7, 4),
    "TL, keys": model.topic("TL", 3, 2, query_dimension=4),
}


def some_examples(targets: bool = False) -> Examples:
    """Ragged, with a word that is repeated, sentences of one word, and words that never occur."""
    rows = [[0, 1, 2, 1], [3], [1, 4, 4, 4, 0, 2, 5], [5, 0], [2, 2]]
    answers = [[0, 2], [1], [2, 0, 1], [0], [1, 1]] if targets else [0, 1, 2, 0, 1]
    return Examples.from_rows(rows, answers, inputs=7, outputs=3)


@pytest.mark.parametrize(
    ("name", "parallel"), [*((name, False) for name in MODELS), ("FC", True), ("lexical, 3 heads", True)]
)
def test_short_loops_change_nothing(name: str, parallel: bool) -> None:
    """Sizes as constants of the code or not: rows in registers or loops, the same flow to round-off."""
    chosen = MODELS[name]
    examples = some_examples("targets" in chosen.program.declarations)
    sizes = chosen.all_sizes(examples)
    parameters = {**sizes, **{f"eta_{s}": 0.5 + k for k, s in enumerate(chosen.program.state_names)}}
    short = chosen.kernel(examples, parallel=parallel)
    long = lower(chosen.program, parallel=parallel)
    assert "row(" in short.source
    assert "row(" not in long.source.split("def kernel")[1]
    one, other = (kernel.bind(chosen.arrays(examples), parameters) for kernel in (short, long))
    y = np.random.default_rng(1).normal(size=one.state_size)
    found, wanted = one.evaluate(y), other.evaluate(y)
    for state in wanted:
        np.testing.assert_allclose(found[state], wanted[state], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("scale", [1.0, 30.0, 36.0, 40.0, 400.0, 1e3, 1e5])
def test_scores_far_below_the_greatest_are_exact(scale: float) -> None:
    """Sentences whose words all lie far below the greatest score take a maximum of their own; none loses a digit."""
    chosen = model.keyword(bias=True)
    examples = Examples.from_rows(
        [[0, 1], [2, 3, 3], [4, 5, 2], [1, 4], [5], [3, 5, 2, 4]], [0, 1, 2, 0, 1, 2], inputs=7, outputs=3
    )
    rng = np.random.default_rng(2)
    states = {
        "s": scale * np.array([1.0, 1.0, 0.0, 0.0, -1.0, -1.0, 2.0]) + rng.normal(size=7),
        "W": rng.normal(size=(7, 3)),
        "b": rng.normal(size=3),
    }
    parameters = {**chosen.all_sizes(examples), "eta_s": 1.0, "eta_W": 1.0, "eta_b": 1.0}
    y = np.concatenate([states[name].ravel() for name in chosen.program.state_names])
    loss, gradient = oracle_models.keyword(states, oracle_models.rows_of(examples))
    flow = chosen.kernel(examples).bind(chosen.arrays(examples), parameters)
    found = flow.evaluate(y)
    for state, wanted in gradient.items():
        np.testing.assert_allclose(found[f"{state}dot"], -wanted, rtol=1e-12, atol=1e-17 if state == "s" else 1e-16)
    cost = chosen.kernel(examples, ("loss",)).bind(chosen.arrays(examples), parameters)
    assert cost.evaluate(y)["loss"] == pytest.approx(loss, rel=1e-14)
    # Attention to the only word of a sentence is exactly 1: its score does not move.
    alone = Examples.from_rows([[0], [1], [1], [4]], [0, 1, 2, 0], inputs=7, outputs=3)
    flow = chosen.kernel(alone).bind(chosen.arrays(alone), parameters)
    np.testing.assert_array_equal(flow.evaluate(y)["sdot"], 0)


def test_there_is_one_exponential_for_each_word() -> None:
    """In the common case: the others stand behind a condition."""
    examples = some_examples()
    source = MODELS["TC"].kernel(examples).source.split("def kernel")[1]
    lines = [line for line in source.splitlines() if " exp(" in line]
    assert len(lines) == 2
    assert lines[0].strip().startswith("M_word_[i] = exp(")
    before = source.split(lines[1])[0]
    assert "if (M_low <" in before


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_score_that_is_not_a_number_shows_where_its_word_occurs(place: int) -> None:
    chosen, examples = MODELS["keyword"], some_examples()
    parameters = {**chosen.all_sizes(examples), "eta_s": 1.0, "eta_W": 1.0, "eta_b": 1.0}
    flow = chosen.kernel(examples).bind(chosen.arrays(examples), parameters)
    y = np.random.default_rng(3).normal(size=flow.state_size)
    flow.states(y)["s"][place] = np.nan
    found = flow.evaluate(y)["sdot"]
    together = {word for row in np.split(examples.x, np.cumsum(examples.length)) if place in row for word in row}
    np.testing.assert_array_equal(np.isnan(found), [word in together for word in range(7)])


@pytest.mark.parametrize("constants", [{}, {"T": 2}])
def test_rows_of_ids_are_whole_numbers(constants: dict[str, int]) -> None:
    """A short row of an integer table is not read as one of floating-point numbers."""
    size, short = Symbol("N", integer=True, positive=True), Symbol("T", integer=True, positive=True)
    n, t = indices("n t")
    (times,), (w, z), (loss,) = tensors("times", integer=True), tensors("w z"), scalars("loss")
    program = Program(
        name="counted", title="", source="", extents={n: size, t: short}, data=(times[n, t],), states=(w[n],),
        definitions=(Definition(z[n], SumOver(w[n] * times[n, t], t)), Definition(loss, SumOver(z[n] ** 2, n))),
        loss=loss,
    )  # fmt: skip
    bound = lower(program, ("loss",), constants=constants).bind({"times": np.array([[1, 2], [3, 4]])}, {"T": 2})
    assert bound.evaluate(np.array([1.0, 2.0]))["loss"] == 3**2 + 14**2
