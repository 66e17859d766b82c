"""What a derivation shows is what its program computes, and it can be read, typeset and run."""

from __future__ import annotations

import pkgutil
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from inspect import signature
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sympy import (
    Expr,
    Float,
    Indexed,
    Integer,
    Max,
    Piecewise,
    Symbol,
    exp,
    log,
    sqrt,
    tanh,
)

from derivations import registry as catalogue
from derivations.checks.plain_python import plain_python, safe
from derivations.checks.programs import checked
from derivations.gradient_flow.adjoints import descent_flow
from derivations.program.access import accesses, name_of, subscript
from derivations.program.language import LogSumExp, MaxOver, SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program
from derivations.report.document import Derivation, Section, derivation
from derivations.report.prose import Prose, markdown_escaped, tex_escaped
from derivations.report.typeset import Iverson, Latex, Text, broken, tex_name, width
from derivations.report.writers import FORMATS, book
from dynamics.problems.equations import derive, document, source
from dynamics.problems.kinds import models as model
from dynamics.problems.kinds import reduction as reduced
from dynamics.problems.kinds.closure import CLOSURES
from dynamics.support.errors import InputError

V, K, N = (Symbol(size, integer=True, positive=True) for size in "VKN")
i, o, v, n, l = indices("i o v n l")
W, A, R, c, T, B, hidden = tensors("W A R c T B hidden")
x, length = tensors("x length", integer=True)
loss, L, rate = scalars("loss L p_in")

NAMES = catalogue.names()


def example(*definitions: Definition, **changes: object) -> Program:
    """A program on ragged sentences."""
    program = Program(
        "example",
        "An example",
        "Nobody",
        {i: V, o: K, v: K, n: N, l: length[n]},
        (length[n], x[n, l], c[i], R[i, o]),
        (W[i, o], A[o, v]),
        definitions,
        (L, rate),
    )
    return replace(program, **changes)


LONG = example(
    Definition(
        B[i, o],
        W[i, o] ** 2 / 2
        + sqrt(W[i, o] ** 2 + 1) * L
        - 3 * tanh(W[i, o]) * R[i, o]
        + (1 - 1 / L) * (W[i, o] + R[i, o] * (1 + exp(-W[i, o] / L))) * log(1 + exp(W[i, o])) / (L + 1)
        - 2 * R[i, o] ** 3 * W[i, o] / (1 + W[i, o] ** 2)
        + W[i, o] * rate * (R[i, o] - W[i, o])
        + exp(-R[i, o]),
        "a “naïve” τ with 50 % & ReLU_2 of W[i,o] ≤ #3",
    ),
    Definition(hidden[i, o], Piecewise((B[i, o], B[i, o] > 0), (0, True)), "ReLU layer"),
    Definition(T[o], MaxOver(hidden[i, o], i)),
    Definition(loss, SumOver(T[o] * Max(T[o], 1) * (T[o] + A[o, v] + 3 * L * A[o, v] ** 2), o, v), ""),
    name="long_example",
    title="A long example: 100 % β ~ 犬 \\ {x}",
    source="O. Author & Co., “Émile”",
    assumptions=("T[o] < 1 | always",),
    loss=loss,
)


# -- what is shown is what is computed --------------------------------------------------------------------------------


def value(expr: Expr, arrays: dict[str, np.ndarray], sizes: dict[Symbol, int], at: dict[Symbol, int]) -> float:
    """A displayed expression at given indices, from dense arrays, by brute force."""
    if isinstance(expr, SumOver | LogSumExp | MaxOver):
        points = [dict(zip(expr.over, p, strict=True)) for p in product(*(range(sizes[k]) for k in expr.over))]
        parts = [value(expr.body, arrays, sizes, at | point) for point in points]
        if isinstance(expr, MaxOver):
            return max(parts)
        if isinstance(expr, SumOver):
            return sum(parts)
        weights = [value(expr.weight, arrays, sizes, at | point) for point in points]
        return float(np.log(sum(w * np.exp(part) for w, part in zip(weights, parts, strict=True))))

    def looked_up(access: Expr) -> Expr:
        where = tuple(int(value(sub, arrays, sizes, at)) for sub in subscript(access))
        return Float(float(arrays[name_of(access)][where]))

    brackets = {
        b: Integer(value(b.args[0], arrays, sizes, at) == value(b.args[1], arrays, sizes, at))
        for b in expr.atoms(Iverson)
    }
    expr = expr.xreplace(brackets)
    return float(expr.xreplace({a: looked_up(a) for a in accesses(expr)}).subs(at))


def shown(program: Program, arrays: dict[str, np.ndarray], sizes: dict[Symbol, int]) -> dict[str, np.ndarray]:
    """Every displayed equation, evaluated in order."""
    arrays = dict(arrays)
    lengths = {index: sizes[extent] for index, extent in program.extents.items() if not isinstance(extent, Indexed)}
    lengths |= dict.fromkeys(indices("o_ v_ i_"), sizes[V])  # indices that the display had to rename
    order = {d.name: None for d in program.definitions}
    found = {e.lhs: e for section in derivation(program).sections for e in section.equations}
    for name in order:
        equation = next(e for lhs, e in found.items() if name_of(lhs) == name)
        subs = subscript(equation.lhs)
        result = np.zeros([lengths[k] for k in subs])
        for point in product(*(range(lengths[k]) for k in subs)):
            at = dict(zip(subs, point, strict=True))
            result[point] = sum(value(term, arrays, lengths, at) for term in equation.terms)
        arrays[name] = result
    return arrays


def plain(program: Program, **values: object) -> dict[str, np.ndarray]:
    space: dict = {}
    exec(plain_python(program), space)
    return space[program.name.replace("-", "_")](**values)


def test_displayed_equations_of_the_joint_flow_are_its_program() -> None:
    rng, sizes = np.random.default_rng(0), {V: 3, K: 3}
    arrays = {"R": rng.dirichlet(np.ones(3), 3).T, "q": rng.dirichlet(np.ones(3))}
    arrays |= {"W": rng.normal(size=(3, 3)), "A": rng.normal(size=(3, 3))}
    rates = {"eta_W": np.array(0.5), "eta_A": np.array(2.0)}
    program = catalogue.program("joint")
    expected = plain(program, **arrays, **rates)
    found = shown(program, arrays | rates, sizes)
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, rtol=1e-12, atol=1e-14)


SCATTERS = {
    "diagonal": Definition(B[o, o], -T[o], accumulate=True),
    "diagonal, named by the other index": Definition(B[v, v], -T[v], accumulate=True),
    "scattered": Definition(B[x[n, 0], v], T[v] * A[v, x[n, 0]], accumulate=True),
    "summed index that the tensor has": Definition(B[x[n, 0], o], T[o] * W[x[n, 1], o], accumulate=True),
    "both subscripts gathered": Definition(B[x[n, 0], x[n, 1]], W[x[n, 0], o] * T[o], accumulate=True),
    "transposed": Definition(B[v, o], A[o, v] + 2 * T[o], accumulate=True),
    "reduced": Definition(B[x[n, 0], o], SumOver(A[o, v] * T[v], v), accumulate=True),
    "fixed": Definition(B[0, v], T[v], accumulate=True),
    "implicit sum": Definition(B[o, v], A[o, v] * W[i, o], accumulate=True),
}


@pytest.mark.parametrize("case", SCATTERS)
def test_displayed_accumulations_are_the_program(case: str) -> None:
    program = Program(
        "scatter",
        "",
        "",
        {o: K, v: K, n: N, i: K},
        (x[n, i], T[o]),
        (W[i, o], A[o, v]),
        (Definition(B[o, v], A[v, o] * T[o]), SCATTERS[case]),
    )
    rng = np.random.default_rng(1)
    arrays = {"x": rng.integers(0, 3, (4, 3)), "T": rng.normal(size=3), "W": rng.normal(size=(3, 3))}
    arrays["A"] = rng.normal(size=(3, 3))
    found = shown(program, arrays, {V: 3, K: 3, N: 4})
    np.testing.assert_allclose(found["B"], plain(program, **arrays)["B"], rtol=1e-12, atol=1e-14)
    assert len(derivation(program).section("Model").equations) == 1


# -- how it reads -----------------------------------------------------------------------------------------------------


def latex_of(section: Section) -> list[str]:
    show = Latex()
    return [f"{show(e.lhs)} = {show.total(e.terms)}" for e in section.equations]


def test_the_joint_flow_reads_as_in_a_paper() -> None:
    found = derive("joint")
    assert latex_of(found.section("Model"))[:6] == [
        r"M_{o} = \log \sum_{i} R_{io} \, e^{A_{io}}",
        r"\tilde{R}_{io} = R_{io} \, e^{A_{io} - M_{o}}",
        r"Z_{ov} = \sum_{i} \tilde{R}_{io} W_{iv}",
        r"N_{o} = \log \sum_{v} e^{Z_{ov}}",
        r"P_{ov} = e^{Z_{ov} - N_{o}}",
        r"\mathrm{loss} = \sum_{o} q_{o} (N_{o} - Z_{oo})",
    ]
    assert latex_of(found.section("Adjoints")) == [
        r"\bar{Z}_{ov} = q_{o} P_{ov} - q_{o} \, [o = v]",
        r"\bar{\tilde{R}}_{io} = \sum_{v} W_{iv} \bar{Z}_{ov}",
        r"\bar{M}_{o} = -\sum_{i} \tilde{R}_{io} \bar{\tilde{R}}_{io}",
        r"\bar{W}_{iv} = \sum_{o} \tilde{R}_{io} \bar{Z}_{ov}",
        r"\bar{A}_{io} = \bar{M}_{o} \tilde{R}_{io} + \tilde{R}_{io} \bar{\tilde{R}}_{io}",
    ]
    assert latex_of(found.section("Flow")) == [
        r"\dot{W}_{iv} = -\eta_{W} \bar{W}_{iv}",
        r"\dot{A}_{io} = -\eta_{A} \bar{A}_{io}",
    ]


def test_a_scattered_adjoint_is_one_sum_with_a_bracket() -> None:
    (line,) = (line for line in latex_of(derive("joint-sparse").section("Adjoints")) if line.startswith(r"\bar{W}"))
    assert line == r"\bar{W}_{iv} = \sum_{o,e} [\mathrm{word}_{oe} = i] \, \tilde{R}_{oe} \bar{Z}_{ov}"


@pytest.mark.parametrize(
    ("expr", "text", "latex"),
    [
        (W[i, o] / L + (1 - 1 / L) * c[i], "W[i,o]/L + (1 - 1/L) c[i]", None),
        (-c[i] * (W[i, o] - 1), "c[i] (1 - W[i,o])", r"c_{i} (1 - W_{io})"),
        (rate / L, "p_in/L", r"\frac{p_{\mathrm{in}}}{L}"),
        (c[i] * exp(-W[i, o]) / (1 + L), "c[i] exp(-W[i,o])/(L + 1)", r"\frac{c_{i} \, e^{-W_{io}}}{L + 1}"),
        (sqrt(c[i]) ** 3 / 2, "c[i]^(3/2)/2", r"\frac{c_{i}^{\frac{3}{2}}}{2}"),
        (1 / (L * c[i]), "1/(L c[i])", r"\frac{1}{L c_{i}}"),
        (W[x[n, l], o], "W[x[n,l],o]", r"W_{x_{nl},o}"),
        (c[i] * log(c[i]), "c[i] log(c[i])", r"c_{i} \log c_{i}"),
        (log(1 + c[i]) ** 2, "log(c[i] + 1)^2", r"\log^{2} (c_{i} + 1)"),
        (MaxOver(W[i, o] - 1, i, o), "max_{i,o} (W[i,o] - 1)", r"\max_{i,o} (W_{io} - 1)"),
        (LogSumExp(W[i, o], i, weight=1 + c[i]), "log sum_i (c[i] + 1) exp(W[i,o])", None),
        (SumOver(-2 * W[i, o], i), "-sum_i 2 W[i,o]", r"-\sum_{i} 2 W_{io}"),
        (Integer(0), "0", "0"),
    ],
)
def test_expressions(expr: Expr, text: str, latex: str | None) -> None:
    assert Text().total([expr] if not expr.is_Add else expr.args) == text
    if latex is not None:
        assert Latex().total([expr]) == latex


@pytest.mark.parametrize(
    ("name", "subs", "latex"),
    [
        ("Wbar", "iv", r"\bar{W}_{iv}"),
        ("Wdot", "", r"\dot{W}"),
        ("bar", "i", r"\mathrm{bar}_{i}"),
        ("Omega", "i", r"\Omega_{i}"),
        ("eta_W", "", r"\eta_{W}"),
        ("betabar", "io", r"\bar{\beta}_{io}"),
        ("eta_Wbar", "i", r"\bar{\eta}_{W,i}"),
        ("h1bar", "i", r"\bar{h}_{1,i}"),
        ("l1", "", "l_{1}"),
        ("i'", "", "i'"),
    ],
)
def test_names(name: str, subs: str, latex: str) -> None:
    assert tex_name(name, subs) == latex


def test_words_and_symbols() -> None:
    words = Prose(tex_escaped)
    assert words("R[i,o] = C[i,o]/q[o] given a target o, 5 %") == r"$R_{io} = C_{io}/q_{o}$ given a target $o$, 5 \%"
    assert words("A word; gradient flow of A") == r"A word; gradient flow of $A$"
    assert Prose(markdown_escaped)("long_name * two") == r"long\_name \* two"
    assert words("the rate ||query||^2 of Lambert's W in model 1a") == (
        r"the rate $\Vert \mathrm{query} \Vert ^{2}$ of Lambert's $W$ in model 1a"
    )
    assert words("p is 1 - (1 - p)^H, (u, a) and a word") == r"$p$ is $1 - (1 - p)^{H}$, ($u$, $a$) and a word"
    assert Prose(tex_escaped, links={"sen-company"}, link="<{}>".format)("see sen-company, p-like") == (
        "see <sen-company>, $p$-like"
    )


def test_long_formulas_are_broken_outside_parentheses() -> None:
    lines = broken(r"aaaa (bbbb + cccc) + \frac{d + e}{f} - \left(g + h\right) + (" + "i + " * 20 + "j)", 24)
    assert lines[0] == "aaaa (bbbb + cccc)"
    assert lines[1].startswith(r"+ \frac{d + e}{f} - \left(g + h\right)")
    assert all(width(line) <= 24 for line in lines)
    assert " ".join(lines).count("i +") == 20


def test_text_is_aligned_and_complete() -> None:
    text = derive("joint-sparse").text()
    assert text.isascii()
    equations = [line for line in text.splitlines() if " = " in line and line.startswith("  ") and "- the" not in line]
    assert len({line.index(" = ") for line in equations[:8]}) == 1
    squeezed = {" ".join(line.split()) for line in text.splitlines()}
    assert "word[o,e] which words they are; data K x count[o]" in squeezed
    assert "e word that occurs with output o, by its number 1..count[o]" in squeezed
    assert "the loss, mean cross-entropy" in text
    assert "arXiv 2103.07601" in text


@pytest.mark.parametrize("name", NAMES)
def test_everything_defined_is_shown_once(name: str) -> None:
    found, program = derive(name), catalogue.program(name)
    names = [name_of(e.lhs) for section in found.sections for e in section.equations]
    assert sorted(names) == sorted({d.name for d in program.definitions})
    assert (found.name, found.title, found.source) == (name, program.title, program.source)
    for text in (found.text(), found.markdown(), found.latex()):
        assert "SumOver" not in text
        assert "LogSumExp" not in text


@pytest.mark.parametrize("name", NAMES)
def test_markdown_closes_what_it_opens(name: str) -> None:
    text = derive(name).markdown()
    assert text.count("\n$$\n") % 2 == 0
    assert all(line.count("$") % 2 == 0 for line in text.splitlines())
    assert text.count("{") == text.count("}")


def test_a_program_that_is_no_flow_has_a_model_only() -> None:
    assert [section.title for section in derivation(LONG).sections] == ["Model"]


# -- LaTeX that compiles ----------------------------------------------------------------------------------------------


@cache
def every() -> dict[str, list[Derivation]]:
    """All derivations by part, unchecked."""
    return {title: [derive(name) for name in part] for title, part in catalogue.parts().items()}


ALL = [name for part in catalogue.parts().values() for name in part]


@cache
def whole(form: str) -> str:
    return book("All", every(), form)


def one(name: str) -> Derivation:
    return next(found for part in every().values() for found in part if found.name == name)


ENGINE = next(filter(None, map(shutil.which, ("pdflatex", "xelatex", "lualatex", "tectonic"))), None)


def compiled(text: str, folder: Path, runs: int = 1) -> str:
    """The log of a LaTeX run that succeeded."""
    file = folder / "derivation.tex"
    file.write_text(text, encoding="utf-8")
    flags = [] if ENGINE and ENGINE.endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    for _ in range(runs):
        run = subprocess.run(
            [str(ENGINE), *flags, file.name], cwd=folder, capture_output=True, timeout=120, check=False
        )
        output = run.stdout.decode("utf-8", "replace")
        assert run.returncode == 0, output[-2000:]
    return output


@pytest.mark.skipif(ENGINE is None, reason="no TeX on PATH")
@pytest.mark.parametrize("name", ["joint-sparse", "copying-border", None], ids=str)
def test_latex_compiles_without_overfull_lines(name: str | None, tmp_path: Path) -> None:
    found = derivation(LONG) if name is None else derive(name, check=name == "joint-sparse")
    assert "Overfull" not in compiled(found.latex(), tmp_path)


@pytest.mark.skipif(ENGINE is None, reason="no TeX on PATH")
def test_all_derivations_compile_to_one_document(tmp_path: Path) -> None:
    log = compiled(whole("latex"), tmp_path, runs=2)
    assert "Overfull" not in log
    assert "undefined" not in log


def test_latex_is_a_whole_article() -> None:
    text = derivation(LONG).latex()
    assert text.startswith("\\documentclass")
    assert text.endswith("\\end{document}\n")
    assert set(re.findall(r"\\usepackage(?:\[.*?\])?\{(\w+)\}", text)) == {"inputenc", "amsmath", "geometry"}
    assert "犬" not in text
    for environment in set(re.findall(r"\\begin\{(\w+)\}", text)):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}")


# -- Python that runs alone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_plain_python_imports_numpy_only(name: str) -> None:
    text = derive(name).python()
    assert re.findall(r"^\s*(?:import|from)\s+(\w+)", text, re.MULTILINE) == ["math", "numpy"]
    compile(text, name, "exec")


def test_plain_python_runs_where_the_package_is_not(tmp_path: Path) -> None:
    (tmp_path / "joint.py").write_text(derive("joint").python(), encoding="utf-8")
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('dynamics', 'derivations', 'sympy', 'numba'))); "
        "from joint import joint; "
        "print(joint(W=[[0, 0]], A=[[0, 0]], R=[[1, 1]], q=[.75, .25], eta_W=1, eta_A=1)['Wdot'].tolist())"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "[[0.25, -0.25]]\n"


def test_plain_python_pads_a_ragged_index_away_from_its_owner() -> None:
    program = example(
        Definition(B[n, o, l], W[x[n, l], o] * c[x[n, l]]),
        Definition(T[o], SumOver(B[n, o, l], n, l)),
        Definition(hidden[n, l], W[x[n, l], 0]),
    )
    rng = np.random.default_rng(2)
    values = {"length": [2, 1, 3], "x": [0, 1, 1, 0, 1, 0], "c": rng.random(2), "R": rng.random((2, 3))}
    values |= {"W": rng.random((2, 3)), "A": rng.random((3, 3)), "L": 1.0, "p_in": 1.0}
    found = plain(program, **values)
    assert found["B"].shape == (3, 3, 3)
    assert (found["B"][1, :, 1:] == 0).all()
    np.testing.assert_allclose(found["T"], sum(values["W"][k] * values["c"][k] for k in values["x"]))
    np.testing.assert_array_equal(found["hidden"], values["W"][values["x"], 0])


def test_plain_python_takes_sizes_that_no_array_has() -> None:
    program = Program("sized", "", "", {o: K}, (), (L,), (Definition(T[o], L),))
    np.testing.assert_array_equal(plain(program, L=2.0, K=3)["T"], [2.0, 2.0, 2.0])


# -- derive() ---------------------------------------------------------------------------------------------------------


def test_unknown_names() -> None:
    for function in (derive, source):
        with pytest.raises(InputError, match="nothing is called 'jiont'; did you mean joint") as error:
            function("jiont")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_source_is_the_compiled_flow(name: str) -> None:
    program = catalogue.program(name)
    if not program.flow:
        with pytest.raises(InputError, match="defines no flow"):
            source(name)
        return
    text = source(name)
    compile(text, name, "exec")
    assert "def kernel(y, out, ws" in text
    assert all(rate in text for rate in program.flow.values())


# -- every format of every name ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_format_of_every_name_is_well_formed(name: str) -> None:
    found = one(name)
    assert found.name == name
    texts = {form: getattr(found, form)() for form in FORMATS}
    for text in texts.values():
        assert found.name in text
        for noise in ("SumOver", "LogSumExp", "substack", "Indexed(", "None"):
            assert noise not in text
    assert texts["text"].isascii()
    assert texts["markdown"].count("\n$$\n") % 2 == 0
    assert texts["latex"].count("{") - texts["latex"].count(r"\{") == texts["latex"].count("}") - texts["latex"].count(
        r"\}"
    )
    page = ET.fromstring(texts["html"])  # every formula went through the reader of LaTeX, which knows all commands
    assert page.findall(".//{*}math")
    assert not re.search(r"(?:src|href)=\"(?!#)", texts["html"])
    assert "\\" not in "".join(page.find("{*}body").itertext())
    compile(found.python(), name, "exec")


def test_one_page_holds_all_and_its_links_lead_somewhere() -> None:
    page = ET.fromstring(whole("html"))
    names = [article.get("id") for article in page.iter("{http://www.w3.org/1999/xhtml}article")]
    assert names == ALL
    assert {link.get("href") for link in page.iter("{http://www.w3.org/1999/xhtml}a")} <= {f"#{name}" for name in ALL}


def test_cross_references_of_all_formats() -> None:
    text = whole("latex")
    assert set(re.findall(r"\\ref\{([^}]*)\}", text)) <= set(re.findall(r"\\label\{([^}]*)\}", text)) == set(ALL)
    assert r"\texttt{sen-company} (\ref{sen-company})" in text
    anchors = set(re.findall(r'<a id="([^"]*)">', whole("markdown")))
    assert set(re.findall(r"\]\(#([^)]*)\)", whole("markdown"))) <= anchors == set(ALL)
    assert all(f"[{name}]" in whole("text") for name in ALL)


@pytest.mark.parametrize("name", sorted(catalogue.theorems()))
def test_formulas_of_theorems_run_alone(name: str) -> None:
    """Python of a theorem against sympy, at a point within its assumptions."""
    theorem = catalogue.derived(name)
    if not theorem.results:
        return
    space: dict = {}
    exec(one(name).python(), space)
    function = space[name.replace("-", "_")]
    rng = np.random.default_rng(0)
    at = {n: rng.uniform(0.2, 0.8) for n in function.__code__.co_varnames[: function.__code__.co_argcount]}
    at |= {
        n: value
        for n, value in {"V": 7.0, "L": 4.0, "K": 3.0, "H": 2.0, "T": 50.0, "m": 9.0, "s": 3.0}.items()
        if n in at
    }
    with np.errstate(all="ignore"):
        found = function(**at)
    for symbol, value in theorem.results.items():
        known = {
            s: found[s.name]
            for s in theorem.results
            if s != symbol and list(theorem.results).index(s) < list(theorem.results).index(symbol)
        }
        given = {s: at[safe(s.name)] for s in value.free_symbols - set(known) if safe(s.name) in at}
        entries = {e: at["_".join([name_of(e), *map(str, subscript(e))])] for e in value.atoms(Indexed)}
        expected = value.xreplace(entries).subs(given | known)
        number = complex(expected.evalf())
        if abs(number.imag) < 1e-12 and np.isfinite(number.real):
            assert found[symbol.name] == pytest.approx(number.real, rel=1e-9), symbol


@pytest.mark.parametrize("name", [*NAMES, *catalogue.theorems()])
def test_every_symbol_has_a_meaning(name: str) -> None:
    """Neither an empty cell in the notation of a derivation, nor the bare kind of a tensor."""
    rows = [row for s in derive(name).preface if s.title == "Notation" for row in s.rows]
    assert [row for row in rows if row[1] in ("", "index", "data", "state", "parameter")] == []


# -- nothing is missing -----------------------------------------------------------------------------------------------


def rooms() -> Iterator[ModuleType]:
    """Every module of the rooms that derive."""
    for room in catalogue.ROOMS:
        package = import_module(f"derivations.{room}")
        for info in pkgutil.iter_modules(package.__path__):
            yield import_module(f"{package.__name__}.{info.name}")


def test_every_program_and_theorem_of_the_package_is_listed() -> None:
    """Functions that say that they return a program or a theorem, and need no arguments."""
    for module in rooms():
        for value in vars(module).values():
            if isinstance(value, catalogue.Entry):
                assert catalogue.theorems()[value.name] is value
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if not callable(value) or isinstance(value, type | catalogue.Entry) or value.__module__ != module.__name__:
                continue
            own = signature(value)
            if any(p.default is p.empty for p in own.parameters.values()):
                continue
            if own.return_annotation == "Program":
                assert value().name in catalogue.names(), f"{module.__name__}.{name}"
            assert own.return_annotation != "Theorem", f"{module.__name__}.{name} has no name: decorate it by theorem()"
    assert all(name == theorem.name for name, theorem in catalogue.theorems().items())
    assert len({theorem.title for theorem in catalogue.theorems().values()}) == len(catalogue.theorems())


def test_titles_are_known_before_anything_is_derived() -> None:
    script = "from dynamics.problems.equations import listing; listing(); from derivations.registry import made; "
    found = subprocess.run(
        [sys.executable, "-c", script + "print(made.cache_info().currsize)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "0\n"


def test_the_reading_order_names_modules_that_register() -> None:
    """Those that it does not name come last: a file that is added needs no line here."""
    registering = {one.make.__module__ for one in catalogue.REGISTERED.values()}
    for room in catalogue.ROOMS:
        package = import_module(f"derivations.{room}")
        assert {f"{package.__name__}.{name}" for name in package.READING_ORDER} <= registering


def test_entries_are_what_they_say() -> None:
    for one in catalogue.entries():
        assert one().name == one.name
        assert one().title == one.title
    listed = set(catalogue.names())
    families = {one.family for one in catalogue.entries()}
    for one in catalogue.entries("theorem"):
        assert one.about
        assert set(one.about) <= listed | families
        assert all(one.name in catalogue.theorems_about(name) for name in catalogue.programs_of(one.name))


def test_what_solve_runs_can_be_derived() -> None:
    rng = np.random.default_rng(0)
    models = [model.keyword(), model.keyword(bias=True), model.lexical(), model.lexical(3), model.positional(2)]
    for classifier in ("FC", "TC", "TL"):
        fixed = {"readout": rng.normal(size=(4, 2))} if classifier == "FC" else {}
        models.append(model.topic(classifier, dimension=4, **fixed))
    systems = [reduced.copying(9, 4), reduced.copying(9, 4, heads=5), reduced.copying(9, 4, replacement=True)]
    for system in (*models, *systems):
        assert derive(system.program.name).title == system.program.title
    for one in models:
        assert derive(descent_flow(one.program).name).section("Second sweep").equations
    assert all(c in catalogue.names() for c in CLOSURES if c != "conditional")
    assert all(one.passed for one in checked(catalogue.program("copying-heads-5")))


# -- the document -----------------------------------------------------------------------------------------------------


def test_the_document_is_checked_and_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "parts", lambda: {"Closures": ("linear",), "Theorems": ("stage-one-linear",)})
    shares: list[float] = []
    text, failed = document("html", shares.append)
    assert failed == ()
    assert shares == [0.5, 1.0]
    page = ET.fromstring(text)
    words = "".join(page.itertext())
    assert words.count("Computed as this was written: all hold") == 2
    assert "sympy simplifies the difference to 0" in words
