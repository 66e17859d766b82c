"""The registry: what decorators declare, families, and what another package adds by an entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from derivations import registry
from derivations.program.program import ProgramError


def test_parts_are_in_the_order_of_the_theory() -> None:
    parts = registry.parts()
    assert list(parts) == ["Exact models", "Closures", "Reductions", "Theorems"]
    assert parts["Exact models"][0] == "keyword"
    assert parts["Exact models"][-1] == "keyword-descent"
    assert parts["Closures"] == ("joint", "joint-sparse", "linear", "linear-bias", "marginal", "gram", "bags")
    topics = list(dict.fromkeys(name.split("-")[0] for name in parts["Theorems"]))
    assert topics == ["descent", "stage", "two", "copying", "sen", "topic", "sparse"]


@pytest.mark.parametrize("name", ["copying-heads-7", "copying-repeats-4", "topic-TL-descent", "keyword-bias-descent"])
def test_members_of_families_have_names_and_titles(name: str) -> None:
    entry = registry.entry(name)
    assert (entry().name, entry().title) == (name, registry.title(name))
    assert entry() is registry.program(name)
    assert name not in registry.names()


@pytest.mark.parametrize(
    "name",
    ["copying-heads-", "copying-heads-x", "copying-heads-{}", "{}-descent", "sen-descent", "none-descent", "-descent"],
)
def test_what_is_no_member_is_unknown(name: str) -> None:
    with pytest.raises(ProgramError, match="nothing is called"):
        registry.derived(name)


def test_members_say_what_they_cannot_be() -> None:
    with pytest.raises(ProgramError, match="there must be 1 or more"):
        registry.program("copying-heads-0")


def test_a_theorem_is_no_program() -> None:
    with pytest.raises(ProgramError, match="nothing is called 'sen'"):
        registry.program("sen")


def test_names_are_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "REGISTERED", dict(registry.REGISTERED))
    with pytest.raises(
        ProgramError, match=r"two derivations are called 'keyword', in derivations\.models\.keyword and "
    ):
        registry.model("keyword", "Another one")(lambda: None)


def test_a_program_calls_itself_what_it_is_registered_as(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "REGISTERED", dict(registry.REGISTERED))
    registry.model("other", "Other")(lambda: registry.program("keyword"))
    with pytest.raises(ProgramError, match="the name of other is registered as 'other', its program has 'keyword'"):
        registry.program("other")
    registry.model("third", "Third")(lambda: registry.program("keyword").extended((), name="third"))
    with pytest.raises(ProgramError, match="the title of third is registered as 'Third', its program has 'Keyword"):
        registry.program("third")


def test_every_task_and_text_has_one_model() -> None:
    fits = [what for one in registry.entries() for what in one.fits]
    assert len(fits) == len(set(fits))
    assert {what: registry.default_model(what) for what in fits} == {
        "copying": "positional",
        "lexicon": "lexical",
        "parallel text": "lexical",
        "labelled text": "keyword-bias",
        "boolean": "keyword-bias",
        "topics": "topic-FC",
    }
    with pytest.raises(ProgramError, match="no model is registered for 'chess'"):
        registry.default_model("chess")


MODEL = """
from sympy import Symbol
from derivations.gradient_flow import gradient_flow
from derivations.program import Definition, Program, SumOver, indices, scalars, tensors
from derivations.registry import model, title

(k,), (b, q), (loss,) = indices("k"), tensors("b q"), scalars("loss")
K = Symbol("K", integer=True, positive=True)


@model("quadratic-bias", "A bias alone, by squares")
def quadratic_bias():
    definitions = (Definition(loss, SumOver((b[k] - q[k]) ** 2 / 2, k), "mean square"),)
    return gradient_flow(
        Program("quadratic-bias", title("quadratic-bias"), "Nobody", {k: K}, (q[k],), (b[k],), definitions, loss=loss)
    )
"""


def installed(folder: Path, module: str, text: str) -> dict[str, str]:
    """An environment where a small package with an entry point is installed."""
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{module} = {module}\n", encoding="utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def printed(script: str, environment: dict[str, str]) -> str:
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return run.stdout


def test_a_model_of_another_package_is_listed_derived_and_checked(tmp_path: Path) -> None:
    environment = installed(tmp_path, "third_party", MODEL)
    script = (
        "from derivations import registry; from derivations.checks.programs import checked; "
        "print(registry.parts()['Exact models'][-1]); found = registry.program('quadratic-bias'); "
        "print(found.flow, all(one.passed for one in checked(found)), len(checked(found))); "
        "print(registry.title('quadratic-bias-descent'))"
    )
    name, checked, descent = printed(script, environment).splitlines()
    assert name == "quadratic-bias"
    assert checked.endswith("True 1")
    assert descent == "A bias alone, by squares: modified flow of gradient descent"


def test_an_entry_point_that_does_not_load_is_named(tmp_path: Path) -> None:
    environment = installed(tmp_path, "broken_party", "raise RuntimeError('out of order')")
    script = (
        "from derivations import registry\ntry:\n    registry.names()\nexcept Exception as error:\n"
        "    print(type(error).__name__, error)"
    )
    said = printed(script, environment)
    assert said.startswith("ProgramError the entry point broken_party = broken_party of attention_dynamics.models")
    assert "out of order" in said
