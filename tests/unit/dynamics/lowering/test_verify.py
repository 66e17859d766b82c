"""What is solved is what is printed: compiled code that does something else is refused, by its definition."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from oracles.random_programs import random_program
from sympy import Rational

from derivations import registry
from derivations.gradient_flow import gradient_flow
from derivations.program.program import ProgramError
from dynamics import solve
from dynamics.lowering import lower, verify
from dynamics.lowering.kernel import Kernel
from dynamics.lowering.verify import require_faithful, verified
from dynamics.program_file import (
    Definition,
    LogSumExp,
    MaxOver,
    SumOver,
    indices,
    log,
    model,
    scalars,
    sizes,
    sqrt,
    tensors,
)
from dynamics.support.errors import DataWarning, InputError

(V, K), (i, k), (w, y, z) = sizes("V K"), indices("i k"), tensors("w y z")
(a,) = scalars("a")


def squares() -> Kernel:
    return gradient_flow(
        model("Squares", extents={i: V}, data=y[i], states=w[i], definitions=Definition(z[i], w[i] * y[i] + 1),
              loss=SumOver((z[i] - y[i]) ** 2 / 2, i))
    )  # fmt: skip


def broken(kernel: Kernel, right: str, wrong: str) -> Kernel:
    assert right in kernel.source
    return replace(kernel, code=replace(kernel.code, text=kernel.source.replace(right, wrong)))


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    verify._verdict.cache_clear()
    monkeypatch.setattr(verify, "cache_directory", lambda: tmp_path)


def test_a_program_is_faithful() -> None:
    require_faithful(squares())
    assert verified(squares(), lower(squares(), constants={"V": 4})) == ""


def test_code_that_differs_is_refused_by_its_definition() -> None:
    flow = squares()
    with pytest.raises(
        InputError, match=r"squares|program: compiled code does not compute wdot\[i\] = .* as it is written"
    ):
        require_faithful(flow, broken(lower(flow), "-eta_w*", "-0.999*eta_w*"))


def test_a_flow_that_is_not_the_slope_is_refused() -> None:
    flow = squares()
    *rest, last = flow.definitions
    wrong = replace(flow, definitions=(*rest, replace(last, rhs=last.rhs * Rational(999, 1000))))
    with pytest.raises(InputError, match=r"the flow wdot\[i\] = .* is not what finite differences of the loss say"):
        require_faithful(wrong)


@pytest.mark.parametrize("loss", [sqrt(a - 2) * a, -log(a - 2), sqrt(Rational(1, 4) - a**2), abs(a) ** 3, abs(a - 1)])
def test_points_outside_of_the_domain_are_drawn_again(loss) -> None:
    assert verified(gradient_flow(model(states=[a], loss=loss))) == ""


def test_the_verdict_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    flow = squares()
    wrong = broken(lower(flow), "-eta_w*", "-0.5*eta_w*")
    told = verified(flow, wrong)
    assert len(list(tmp_path.glob("verdict_*"))) == 1
    verify._verdict.cache_clear()
    monkeypatch.setattr(verify.Trial, "verdict", lambda self: pytest.fail("checked again"))
    assert verified(flow, wrong) == told != ""


def test_a_damaged_verdict_is_found_again(tmp_path) -> None:
    flow = squares()
    assert verified(flow) == ""
    (path,) = tmp_path.glob("verdict_*")
    whole = path.read_bytes()
    for damaged in (b"", b"\xff\xfe", whole[:-1], whole + b"it is wrong\n"):
        path.write_bytes(damaged)
        verify._verdict.cache_clear()
        assert verified(flow) == ""
        assert path.read_bytes() == whole


@pytest.mark.parametrize("name", ["joint", "keyword", "topic-TL"])
def test_the_registry_is_faithful(name: str) -> None:
    assert verified(registry.program(name)) == ""


@pytest.mark.parametrize("reduction", [SumOver, LogSumExp, MaxOver])
def test_an_index_that_is_free_is_not_summed_too(reduction) -> None:
    message = rf"definition of z\[i\]: {reduction.__name__} over i, which z\[i\] has too; rename one of the two i"
    with pytest.raises(ProgramError, match=message):
        model(extents={i: V}, data=y[i], states=w[i], definitions=Definition(z[i], reduction(w[i] * y[i], i)),
              loss=SumOver(z[i] ** 2, i))  # fmt: skip


def test_only_sums_accumulate() -> None:
    added = Definition(z[i], LogSumExp(w[i] * y[i, k], k), accumulate=True)
    with pytest.raises(ProgramError, match=r"definition of z\[i\]: \+= of a LogSumExp; only sums are added up"):
        model(
            extents={i: V, k: K},
            data=y[i, k],
            states=w[i],
            loss=SumOver(z[i] ** 2, i),
            definitions=[Definition(z[i], w[i]), added],
        )


# -- kernels as values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda kernel: pickle.loads(pickle.dumps(kernel))])
def test_a_kernel_and_its_data_can_be_copied(again) -> None:
    kernel = lower(squares(), constants={"V": 3})
    assert again(kernel) == kernel
    assert hash(again(kernel)) == hash(kernel)
    bound = kernel.bind({"y": [1.0, 2.0, 3.0]}, {"eta_w": 1.0})
    state = np.array([0.5, 0.25, 0.125])
    expected = bound.evaluate(state)["wdot"]
    np.testing.assert_array_equal(again(bound).evaluate(state)["wdot"], expected)


def test_without_a_compiler_one_line_says_so() -> None:
    script = (
        "from derivations import registry; from dynamics.lowering import lower; import numpy as np\n"
        "try:\n"
        "    bound = lower(registry.program('linear')).bind({'C': np.eye(2), 'c': [1, 1]}, {'eta_W': 1})\n"
        "    bound.evaluate(np.zeros(4))\n"
        "except ValueError as error:\n"
        "    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True,
        text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout == "NUMBA_DISABLE_JIT is set, and nothing is solved without the compiler; unset it\n"


def test_lowering_takes_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairs of statements that are looked at, by the number of definitions."""
    from dynamics.lowering.passes import loops

    def pairs(number: int) -> int:
        chain = tensors(" ".join(f"h{n}" for n in range(number)))
        links = [Definition(chain[0][i, k], w[i] * y[i, k])]
        links += [Definition(one[i, k], before[i, k] ** 2 / 2 + w[i]) for before, one in pairwise(chain)]
        program = model(f"Chain of {number}", extents={i: V, k: K}, data=y[i, k], states=w[i], definitions=links,
                        loss=SumOver(chain[-1][i, k], i, k))  # fmt: skip
        seen = []
        real = loops.independent
        monkeypatch.setattr(loops, "independent", lambda *args: seen.append(1) or real(*args))
        lower(gradient_flow(program))
        monkeypatch.setattr(loops, "independent", real)
        return len(seen)

    assert pairs(40) < 2.5 * pairs(20)


@pytest.mark.parametrize("seed", range(3))
def test_random_programs_are_what_they_say(seed: int) -> None:
    program = random_program(seed, rich=True)
    names = tuple(dict.fromkeys(d.name for d in program.definitions))[-3:]
    assert verify.Trial(program, (lower(program, names),), verify.as_function(program)).verdict() == ""


def test_a_program_that_no_point_lies_in_the_domain_of_says_so():
    """It is solved, where its own states are in the domain; that it was not tried is a warning."""
    (w,) = scalars("w")
    program = model(states=w, loss=sqrt(w - 1000))
    with pytest.warns(DataWarning, match="none of 60 random points lies in the domain of its definitions"):
        found = solve(program, {}, [0, 1], initial={"w": np.array(2000.0)})
    assert np.isfinite(found.loss).all()
