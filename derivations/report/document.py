"""A derivation as a list of sections: of a program, or of a theorem. :mod:`derivations.report.writers` writes it out.

Everything is read off a program or a theorem; no equation is typed by hand. The definitions that add up one tensor
(``=`` and then ``+=``) make one displayed equation, in which a scattered term carries an Iverson bracket:
``Zbar[o, o] += -q[o]`` is ``- q_o [o = v]``, and ``Wbar[word[o, e], v] += ...`` is a sum over o and e of
``[word_oe = i] ...``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from sympy import Add, Expr, Mul, Symbol

from derivations.checks.check import Check
from derivations.checks.plain_formulas import plain_formulas
from derivations.checks.plain_python import plain_python
from derivations.program.access import index_symbols, name_of, subscript
from derivations.program.glossary import of_index, of_scalar, of_tensor
from derivations.program.language import SumOver
from derivations.program.program import Definition, Program
from derivations.reductions.unrolling import written_out
from derivations.report.blocks import Block, Equation, Formula, Page
from derivations.report.html import Html
from derivations.report.typeset import Iverson
from derivations.report.writers import article, section_text
from derivations.theorems.theorem import Step, Theorem

__all__ = ["Derivation", "Equation", "Formula", "Section", "checks_of", "derivation", "proof"]


@dataclass(frozen=True)
class Section(Block):
    """A part of a derivation under a title: a sentence, then a list, a table (with a head) or equations."""

    def text(self) -> str:
        """The section in plain ASCII, without its title."""
        return section_text(self)


@dataclass(frozen=True, eq=False)
class Derivation(Page):
    """A program, or a theorem, as a paper would have it.

    Attributes
    ----------
    name, title, source : str
        Its key in the registry, one line, and where the equations come from.
    preface : tuple of Section
        ``Assumptions`` of a program or ``Hypotheses`` of a theorem, ``Notation``, and the ``Reduction`` from another
        program.
    sections : tuple of Section
        Of a program: ``Model``; for a gradient flow then ``Adjoints``; for the flow of descent ``Modified loss`` and
        ``Second sweep``; for any flow ``Flow``; for a reduction ``Arithmetic``. Of a theorem: ``Statement``,
        ``Result``, ``Proof``, ``Limits``.
    python_source : str
        The equations as a Python module.
    appendix : tuple of Section
        What was added: ``See also``, ``Check``.
    failed : tuple of str
        The checks that did not pass.

    Examples
    --------
    >>> from derivations.closures import marginal
    >>> print(derivation(marginal()).section("Flow").text())
      Wdot[i,o] = eta_W (C[i,o] - c[i] p[i,o])  closed drift of stage one
    """

    preface: tuple[Section, ...]
    sections: tuple[Section, ...]
    appendix: tuple[Section, ...] = ()
    python_source: str = ""
    failed: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """For notebooks: all sections, formulas as MathML."""
        return Html().entry(self)

    def section(self, title: str) -> Section:
        """The section of a title."""
        return next(one for one in (*self.preface, *self.sections, *self.appendix) if one.title == title)

    def extended(self, *sections: Section) -> Derivation:
        """The derivation with more sections at its end."""
        return replace(self, appendix=(*self.appendix, *sections))

    def checked(self, checks: Sequence[Check]) -> Derivation:
        """The derivation with a section about what was compared when it was written out, and the outcome."""
        return replace(self.extended(checks_of(checks)), failed=tuple(c.what for c in checks if not c.passed))

    def text(self) -> str:
        """Plain ASCII, with the names of the code: one equation a line, aligned at the equals sign."""
        return self.written("text")

    def markdown(self) -> str:
        """Markdown with equations in dollar signs, as code hosts and notebooks show it."""
        return self.written("markdown")

    def latex(self) -> str:
        """A complete article; needs amsmath and geometry only."""
        return self.written("latex")

    def html(self) -> str:
        """A complete page that is well-formed XML; formulas are MathML, and nothing is fetched."""
        return self.written("html")

    def written(self, form: str) -> str:
        """One of the formats of :mod:`derivations.report.writers`."""
        return article(self, form)

    def python(self) -> str:
        """A module with one function: the equations as they stand; see :mod:`derivations.checks.plain_python`."""
        return self.python_source


def derivation(program: Program) -> Derivation:
    """A program, ready to be written out.

    Parameters
    ----------
    program : Program
        A model, or a flow.

    Examples
    --------
    >>> from derivations.closures import both_stages
    >>> print(derivation(both_stages()).section("Adjoints").text())
      Zbar[o,v]      = q[o] P[o,v] - q[o] [o = v]
      Rtildebar[i,o] = sum_v W[i,v] Zbar[o,v]
      Mbar[o]        = -sum_i Rtilde[i,o] Rtildebar[i,o]
      Wbar[i,v]      = sum_o Rtilde[i,o] Zbar[o,v]
      Abar[i,o]      = Mbar[o] Rtilde[i,o] + Rtilde[i,o] Rtildebar[i,o]
    """
    flow = set(program.flow.values())
    declared = program.declarations
    shown = program if program.extents else as_reduced(program)
    helpers = set(declared) - set((program.model or program).declarations) if shown is not program else set()
    adjoint, second = (set(carried.values()) & set(declared) for carried in (program.adjoints, program.second))
    helpers -= flow | adjoint | second
    model, modified = set(declared) - flow - adjoint - second - helpers, after(program, adjoint) if second else set()
    of_model = (program.model or program).parameters
    told = {name_of(p) for p in program.parameters if p not in of_model} - set(program.rates.values())
    clocked = {*program.starts, program.clock, *told}
    squares = squared(program) & model if program.rule else set()
    steps = (after(program, adjoint | clocked) & (model | helpers)) - squares if program.rule else set()
    model, helpers = model - steps - squares, helpers - steps
    kinds = (
        ("Model", "each definition uses those before it", model - modified),
        ("Adjoints", "a bar is the derivative of the loss by the tensor under it, back through the model", adjoint),
        ("Modified loss", "it holds the gradient, by the adjoints", modified & model),
        ("Second sweep", "a hat is the derivative of the modified loss, back through model and adjoints", second),
        ("Second moments", "what examples add to the gradient is squared before it is added up", squares),
        ("Optimiser", "what a step needs beside the gradient", steps),
        ("Flow", f"a dot is the derivative by {time_of(program)}", flow),
        ("Arithmetic", "a logarithm of a sum is computed as the largest term, plus the logarithm of the rest", helpers),
    )
    preface = (
        Section("Assumptions", items=program.assumptions),
        Section("Notation", rows=tuple(notation(program)), head=("symbol", "what", "size")),
        Section("Reduction", items=program.reduction),
    )
    silent = ("Adjoints", "Second sweep")
    sections = (Section(title, lead, equations(shown, kind, title not in silent)) for title, lead, kind in kinds)
    return Derivation(
        program.name,
        program.title,
        program.source,
        tuple(section for section in preface if section.items or section.rows),
        tuple(section for section in sections if section.equations),
        python_source=plain_python(program),
    )


def time_of(program: Program) -> str:
    """What time is, in words."""
    return "the number of steps" if program.rule else "the time tau = learning rate times steps"


def squared(program: Program) -> set[str]:
    """The second moments, and what is defined for them alone."""
    found = set(program.moments.values())
    others = [d for d in program.definitions if d.name not in found]
    for d in reversed(program.definitions):
        for access in d.reads if d.name in found else ():
            name = name_of(access)
            if not any(name in map(name_of, other.reads) for other in others if other.name not in found):
                found |= {name} & {one.name for one in program.definitions}
    return found


def after(program: Program, names: set[str]) -> set[str]:
    """What is computed from some tensors, directly or not."""
    found = set(names)
    for d in program.definitions:
        if any(name_of(access) in found for access in d.reads):
            found.add(d.name)
    return found


def proof(theorem: Theorem) -> Derivation:
    """A theorem, ready to be written out.

    Examples
    --------
    >>> from derivations.theorems.copying import linearisation
    >>> print(proof(linearisation()).section("Hypotheses").text())
      - the symmetric reduction of copying
      - u is small
    """
    preface = (
        Section("Hypotheses", items=theorem.hypotheses),
        Section("Notation", rows=tuple(assumed(theorem)), head=("symbol", "what", "assumed")),
    )
    sections = [
        Section("Statement", theorem.statement),
        Section(
            "Result",
            "each formula may use those before it",
            tuple(Equation(k, Add.make_args(v)) for k, v in theorem.results.items() if k not in recalled(theorem)),
        ),
        Section("Proof", PROOF, step_equations(theorem.steps)),
        Section("Limits", f"Exact to: {theorem.limits}" if theorem.limits != "exact" else "It is exact."),
    ]
    return Derivation(
        theorem.name,
        theorem.title,
        theorem.source,
        tuple(section for section in preface if section.items or section.rows),
        tuple(section for section in sections if section.title != "Result" or section.equations),
        python_source=plain_formulas(theorem.name, theorem.title, theorem.source, theorem.results),
    )


PROOF = "SymPy works out the left sides from the definitions, and compares them with the right ones; see Check"


def recalled(theorem: Theorem) -> set[Symbol]:
    """The results that other theorems have shown."""
    return {symbol for symbols in theorem.recalled.values() for symbol in symbols}


def step_equations(steps: Sequence[Step]) -> tuple[Equation, ...]:
    """One equation for each entry of each step; entries that are the same on both sides say nothing."""
    found = []
    for step in steps:
        entries = [(left, right) for left, right in step.entries if left != right] or list(step.entries[:1])
        named = list(step.of) if isinstance(step.of, tuple) else [step.of] * bool(step.of)
        pairs, names = (step.entries, named) if named else (entries, repeat(""))
        shown = [(*pair, of) for pair, of in zip(pairs, names, strict=False)]
        note = step.note + (" (the first entries)" if named and len(named) < len(step.entries) else "")
        notes = [note, *[""] * (len(shown) - 1)]
        found += [Equation(x, Add.make_args(y), n, True, of) for (x, y, of), n in zip(shown, notes, strict=True)]
    return tuple(found)


KINDS = (("positive", "is_positive"), ("not negative", "is_nonnegative"), ("real", "is_real"))


def assumed(theorem: Theorem) -> Iterator[tuple[Formula | str, ...]]:
    """(symbol, what it is, what sympy is told about it) for the symbols of a theorem."""
    for s in theorem.symbols:
        if s not in theorem.results:
            kind = next((kind for kind, test in KINDS if getattr(s, test)), "any") + " integer" * bool(s.is_integer)
            yield Formula((s,)), theorem.meanings.get(s.name) or of_scalar(s.name), kind
    for name, symbols in theorem.recalled.items():
        yield Formula(symbols), f"as in {name}", ""
    defined = tuple(s for s in theorem.results if s not in recalled(theorem))
    if defined:
        yield Formula(defined), "defined under Result", ""


def checks_of(checks: Sequence[Check]) -> Section:
    """What was compared when a derivation was written out, and the outcome."""
    failed = sum(not check.passed for check in checks)
    outcome = f"{failed} of {len(checks)} FAIL" if failed else "all hold"
    exact = [check for check in checks if check.exact and check.passed]
    rows = [(check.what, check.figure) for check in checks if check not in exact or len(exact) == 1]
    if len(exact) > 1:
        rows.insert(0, (f"{len(exact)} of {len(checks)} steps of the proof", exact[0].figure))
    return Section("Check", f"computed as this was written: {outcome}", rows=tuple(rows), head=("what", "outcome"))


def equations(program: Program, wanted: set[str], notes: bool) -> tuple[Equation, ...]:
    """The definitions of some tensors, one equation each."""
    found: dict[str, Equation] = {}
    for d in program.definitions:
        if d.name not in wanted:
            continue
        lhs = program.declarations[d.name]
        before = found.get(d.name, Equation(lhs, (), described(d, program) if notes else ""))
        found[d.name] = Equation(lhs, (*before.terms, *terms_of(d, lhs, program)), before.note)
    return tuple(found.values())


def as_reduced(program: Program) -> Program:
    """A program of scalars with the definitions of its model as they were before their arithmetic was made safe."""
    model = program.model
    if model is None:
        return program
    plain = {d.name: written_out(d, model) for d in model.definitions}
    return replace(program, definitions=tuple(replace(d, rhs=plain.get(d.name, d.rhs)) for d in program.definitions))


def described(d: Definition, program: Program) -> str:
    """The note of a definition, with the loss marked."""
    if program.loss is None or d.name != name_of(program.loss):
        return d.note
    return f"the loss, {d.note}" if d.note else "the loss"


def terms_of(d: Definition, lhs: Expr, program: Program) -> tuple[Expr, ...]:
    """What a definition adds to its tensor, in the tensor's own indices; scattered terms with Iverson brackets."""
    if not d.accumulate:
        return () if d.rhs == 0 else Add.make_args(d.rhs)
    table = program.extents
    target = dict(zip(subscript(lhs), subscript(d.lhs), strict=True))
    renamed: dict[Symbol, Symbol] = {}
    for own, sub in target.items():
        if isinstance(sub, Symbol):
            renamed.setdefault(sub, own)
    used = index_symbols(d.lhs, table) | index_symbols(d.body, table)
    for index in used - set(renamed):
        new = index
        while new in target or (new != index and new in used):  # the name means something else on the left
            new = Symbol(new.name + "_", integer=True, nonnegative=True)
        renamed[index] = new
    body, subs = d.body.xreplace(renamed), {own: sub.xreplace(renamed) for own, sub in target.items()}
    for own, sub in subs.items():
        if sub != own:
            body = Mul(body, Iverson(sub, own))
    over = [
        new for old, new in sorted(renamed.items(), key=lambda pair: list(table).index(pair[0])) if new not in target
    ]
    return (SumOver(body, *over),) if over else Add.make_args(body)


def notation(program: Program) -> Iterator[tuple[Formula | str, ...]]:
    """(symbol, what it is, its size) for indices, data, states and parameters."""
    for extent in dict.fromkeys(program.extents.values()):
        letters = tuple(index for index, own in program.extents.items() if own == extent)
        what = "; ".join(dict.fromkeys(of_index(letter, extent, program.meanings) or "index" for letter in letters))
        yield Formula(letters), what, Formula((extent,), before="1..")
    for kind, declared in (("data", program.data), ("state", program.states), ("parameter", program.parameters)):
        for access in declared:
            own = of_tensor(access, program.meanings)
            kind_of = "" if kind == "parameter" and own else kind
            size = tuple(program.extents[index] for index in subscript(access))
            yield Formula((access,)), "; ".join(filter(None, (own, kind_of))), Formula(size, between=" x ")
