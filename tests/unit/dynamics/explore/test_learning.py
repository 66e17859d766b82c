"""What is asked most of a result, and what notebooks show."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.sparse

import dynamics
from dynamics import CoOccurrence, InputError, copying, derive, phase_diagram, progress, solve
from dynamics.explore import notebook
from dynamics.explore.learning import first_passed

LEXICON = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "<cat>"])


def test_times_are_when_curves_pass() -> None:
    t = np.linspace(0, 200, 4001)
    found = solve(LEXICON, t, stages=["joint", "frozen"])
    times = found.learning.times(0.8, stages="joint")
    for word, output in (("Hund", "dog"), ("Katze", "<cat>")):
        curve = found.beta.sel(stages="joint", input=word, output=output)
        assert float(np.interp(float(times.sel(input=word)), t, curve.values)) == pytest.approx(0.8, abs=1e-6)
    assert np.isinf(found.learning.times(0.999)).all()
    assert first_passed(np.array([1.0, 2]), np.array([0.6, 0.7]), 0.5) == 1


def test_words_are_a_table() -> None:
    found = solve(LEXICON, [0, 10, 100])
    table = found.learning.words("Katze")
    np.testing.assert_array_equal(table.beta, found.beta.sel(input="Katze", output="<cat>"))
    assert list(table.index) == [0, 10, 100]
    one_stage = solve(LEXICON, [0, 10], closure="linear").learning.words("Hund")
    assert list(one_stage.columns) == ["translation", "beta"]


def test_plot_draws_what_fits() -> None:
    found = solve(LEXICON, [0, 10, 100], stages=["joint", "frozen"])
    assert len(found.learning.plot().axes) == 2
    drawn = {text.get_text() for axes in found.learning.plot(["Hund"]).axes for text in axes.texts}
    assert any("Hund" in text for text in drawn)
    diagram = phase_diagram("copying", {"L": [4, 5, 6], "V": [8, 9, 10]}, t_end=100)
    assert diagram.learning.plot().axes[0].get_xlabel() == "vocabulary size V"
    course = solve(copying(8, 8), [0, 100, 200], initial={"u": 0.1, "a": 0.1})
    assert course.learning.plot().axes


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda f: f.learning.words("Hnd"), "did you mean 'Hund'"),
        (lambda f: f.learning.times(1.5), "between 0 and 1"),
        (lambda f: f.learning.times(0.5, stages="joint"), "one prediction"),
        (lambda f: f[["loss"]].learning.times(), "has no words"),
        (lambda f: f[["loss"]].learning.plot(["Hund"]), "leave words out"),
    ],
)
def test_what_a_result_has_not_is_said(ask: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        ask(solve(LEXICON, [0, 10]))  # type: ignore[operator]


@pytest.mark.parametrize("sparse", [False, True])
def test_counts_show_themselves(sparse: bool) -> None:
    counts = np.arange(100.0).reshape(10, 10)[:, 1:] + 1
    given = CoOccurrence.from_counts(scipy.sparse.csr_array(counts) if sparse else counts)
    table = ElementTree.fromstring(given._repr_html_())
    rows = table.findall("tr")
    assert len(rows) == 9
    largest = float(rows[1].findall("td")[0].text or "")
    assert largest == pytest.approx(100 * counts[-1, -1] / counts.sum(), rel=1e-2)
    assert "&lt;cat&gt;" in LEXICON._repr_html_()


def test_derivations_and_theorems_show_their_formulas() -> None:
    from derivations import registry

    shown = derive("linear")._repr_html_()
    assert "<math" in shown
    assert ElementTree.fromstring(shown).tag == "article"
    theorem = notebook.theorem_html(registry.entry("copying-early")())
    assert re.search(r"<h3>Proof</h3>", theorem)


def test_progress_in_a_notebook_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display", reason="IPython is not installed")
    drawn: list[str] = []

    class Shown:
        def update(self, html: object) -> None:
            drawn.append(html.data)  # type: ignore[attr-defined]

    monkeypatch.setattr(notebook, "_shell", lambda: object())
    monkeypatch.setattr(display, "display", lambda html, display_id: Shown())
    solve(LEXICON, [0, 100], progress=progress("a <b>"))
    assert drawn
    assert 'value="1.000"' in drawn[-1]
    assert "a &lt;b&gt;: 100 %" in drawn[-1]


def test_the_accessor_is_there_after_what_makes_results() -> None:
    assert "learning" in dir(dynamics.solve(LEXICON, [0, 1]))
