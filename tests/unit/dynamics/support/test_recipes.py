"""Programs by their recipes: the same as those that are made at once, in all that they say; facts are found once."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from sympy import Function, IndexedBase, Piecewise, Symbol, exp

from derivations import closures, models, reductions
from derivations.program import Definition, LogSumExp, Program, Role, SumOver, Where, indices
from derivations.program.program import FIELDS
from dynamics.lowering import lower
from dynamics.problems.problem import layout
from dynamics.support import cache_files, recipes
from dynamics.support.recipes import contents_of, fact, fact_of_any, made

ROOT = Path(__file__).parents[4]
OURS = {
    "derivations.closures:both_stages": (closures.both_stages, ()),
    "derivations.closures:both_stages_sparse": (closures.both_stages_sparse, ()),
    "derivations.closures:bags": (closures.bags, ()),
    "derivations.closures:gram": (closures.gram, ()),
    "derivations.models:keyword_classifier": (models.keyword_classifier, (True,)),
    "derivations.models:topic_classifier": (models.topic_classifier, ("TL", False)),
    "derivations.reductions:copying_heads": (reductions.copying_heads, (3,)),
}


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(cache_files.ENVIRONMENT, str(tmp_path))
    cache_files.cache_directory.cache_clear()
    yield tmp_path
    cache_files.cache_directory.cache_clear()


@pytest.mark.parametrize("place", OURS)
def test_a_program_by_its_recipe_is_that_program(place: str) -> None:
    make, arguments = OURS[place]
    own, known = make(*arguments), made(place, *arguments)
    assert hash(known) == hash(own)
    outline = own.outline()
    assert {name: getattr(known, name) for name in outline} == outline
    assert all(known.with_role(role) == own.with_role(role) for role in Role)
    assert known == own
    assert own == known
    assert known.declarations == own.declarations
    assert replace(known, title="another") != own
    assert pickle.loads(pickle.dumps(known)) == own
    assert set(known.flow().flow) == set(own.flow().flow)


def test_what_an_outline_does_not_know_is_of_the_program_and_not_the_usual_value() -> None:
    """No class has a value of a field: of an outline, it would be found before the program's own."""
    assert not set(FIELDS) & set(vars(Program))
    own = models.keyword_classifier()
    known = Program.outlined({"name": own.name, "title": own.title, "flow": own.flow}, lambda: own)
    assert [getattr(known, one.name) for one in fields(Program)] == [getattr(own, one.name) for one in fields(Program)]
    with pytest.raises(AttributeError, match="no 'definition'"):
        known.definition  # noqa: B018  it is looked for


def test_an_outline_is_made_once_and_only_if_more_is_asked_of_it() -> None:
    asked = []

    def make() -> Program:
        asked.append(1)
        return closures.both_stages()

    known = Program.outlined(closures.both_stages().outline(), make)
    _ = known.state_names, known.units["W"], known.with_role(Role.KTIW), known.defined, hash(known), known.constraints
    assert not asked
    assert known.loss == closures.both_stages().loss
    assert known.definitions == closures.both_stages().definitions
    assert len(asked) == 1


def test_facts_are_those_of_the_program() -> None:
    for place, (make, arguments) in OURS.items():
        assert layout(made(place, *arguments)) == layout(make(*arguments))
        assert lower(made(place, *arguments)).source == lower(make(*arguments)).source


def test_a_fact_is_found_once_on_disk_and_anew_where_its_file_is_damaged_or_code_changed(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def count(program: Program, factor: int = 1) -> int:
        found.append(factor)
        return factor * len(program.definitions)

    program = made("derivations.closures:both_stages")
    right = len(closures.both_stages().definitions)
    for _ in range(2):  # each time as in a new process
        assert fact(count)(program) == right
    assert found == [1]
    assert fact(count)(program, factor=2) == 2 * right
    assert found == [1, 2]
    (file,) = (one for one in empty_cache.glob("*.fact") if b"'factor'" not in one.read_bytes())
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole[:40] + b"x" + whole[41:]):
        file.write_bytes(damaged)
        found.clear()
        assert (fact(count)(program), found) == (right, [1])
        assert file.read_bytes() == whole
    monkeypatch.setattr(recipes, "_code", lambda: "after a change")
    assert (fact(count)(program), found) == (right, [1, 1])


def test_a_process_that_is_older_than_an_edit_keeps_nothing_of_what_it_finds(
    empty_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tree = tmp_path_factory.mktemp("tree")
    for package in ("derivations", "dynamics"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    edited = tree / "derivations" / "closures" / "both_stages.py"
    code = (
        "import sys; from pathlib import Path; from dynamics.support.recipes import made;"
        "import derivations.closures; path = Path(sys.argv[1]);"
        "path.write_text(path.read_text('utf-8') + sys.argv[2], 'utf-8');"
        "print(path == Path(derivations.closures.__file__).with_name(path.name),"
        " made('derivations.closures:both_stages').name)"
    )
    for edit, kept in (("", 1), ("\n# edited\n", 1), ("", 2)):
        told = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tree)!r}); {code}", str(edited), edit],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert told.stdout.split() == ["True", "joint"]
        assert len(list(empty_cache.glob("*.fact"))) == kept


def test_a_file_of_another_question_is_not_believed(empty_cache: Path) -> None:
    program = made("derivations.closures:both_stages")

    def first(program: Program, *of: int) -> str:
        return f"first{of}"

    assert fact(first)(program, 1) == "first(1,)"
    (file,) = empty_cache.glob("*.fact")
    assert fact(first)(program, 2) == "first(2,)"
    (other,) = set(empty_cache.glob("*.fact")) - {file}
    file.write_bytes(other.read_bytes())
    assert fact(first)(program, 1) == "first(1,)"


def small(**changes: object) -> Program:
    """A program of one state, its sum and a loss."""
    (i,) = indices("i")
    V, (w, total) = Symbol("V", integer=True, positive=True), (IndexedBase(name, real=True) for name in ("w", "total"))
    loss = Symbol("loss", real=True)
    usual: dict[str, object] = {
        "name": "small", "title": "", "source": "", "extents": {i: V}, "data": (), "states": (w[i],), "loss": loss,
        "definitions": (Definition(total[i], exp(w[i])), Definition(loss, SumOver(total[i], i))),
    }  # fmt: skip
    return Program(**{**usual, **changes})  # type: ignore[arg-type]


def test_programs_of_a_reader_are_told_apart_by_all_that_they_say(empty_cache: Path) -> None:
    (i,) = indices("i")
    V, w, total = Symbol("V", integer=True, positive=True), IndexedBase("w", real=True), IndexedBase("total", real=True)
    loss, free = Symbol("loss", real=True), Symbol("V", integer=True)
    first = Definition(total[i], exp(w[i]))
    others = [
        {},
        {"extents": {i: 2 * V}},
        {"extents": {i: free}},  # of the same name, but it may be 0
        {"definitions": (first, Definition(loss, SumOver(total[i], i) * 1), Definition(loss, 1 * w[0], "", True))},
        {"definitions": (first, Definition(loss, SumOver(Where(total[i], i > 0), i)))},
        {"definitions": (first, Definition(loss, LogSumExp(total[i], i)))},
        {"definitions": (first, Definition(loss, LogSumExp(total[i], i, weight=2 * total[i])))},
        {"definitions": (first, Definition(loss, SumOver(Piecewise((total[i], i > 1), (0, True)), i)))},
        {"units": {"w": "logits"}},
        {"roles": {"w": Role.VALUES}},
        {"initial": {"w": 1 / V}},
    ]
    programs = [small(**one) for one in others]
    assert len({contents_of(one) for one in programs}) == len(others)
    assert contents_of(small()) == contents_of(programs[0])

    found = []

    def loss_of(program: Program) -> str:
        found.append(program)
        return str(program.definitions[1].rhs)

    for _ in range(2):
        assert [fact_of_any(loss_of)(one) for one in programs] == [str(one.definitions[1].rhs) for one in programs]
    assert len(found) == len(programs)


def test_what_functions_of_a_reader_are_is_not_kept_as_their_names_do_not_tell_it(empty_cache: Path) -> None:
    (i,) = indices("i")
    w, loss, total = IndexedBase("w", real=True), Symbol("loss", real=True), IndexedBase("total", real=True)

    def lowered_with(factor: int) -> str:
        """As after an edit of the reader's file: each time another class of the same name."""

        class act(Function):
            def _pythoncode(self, printer: Any) -> str:
                return f"({factor}.0*{printer.doprint(self.args[0])})"

        own = small(definitions=(Definition(total[i], act(w[i])), Definition(loss, SumOver(total[i], i))))
        assert contents_of(own) is None
        return lower(own, ["total"]).source

    assert "2.0*" in lowered_with(2)
    assert "3.0*" in lowered_with(3)


def test_the_contents_of_a_program_are_the_same_in_every_process() -> None:
    code = (
        "from derivations.closures import both_stages; from dynamics.support.recipes import contents_of;"
        "print(contents_of(both_stages())[1])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert told == {contents_of(closures.both_stages())[1]}
