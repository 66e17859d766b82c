"""Formulas as MathML."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from derivations.report.mathml import UnknownCommand, equation, mathml


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        (r"x^{2}_{i}", "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>"),
        (r"\frac{1}{V}", "<mfrac><mn>1</mn><mi>V</mi></mfrac>"),
        (r"\sum_{o,v} a", "<munder><mo>∑</mo><mrow><mi>o</mi><mo>,</mo><mi>v</mi></mrow></munder><mi>a</mi>"),
        (
            r"\text{12 operations} < \eta_{W}",
            "<mtext>12 operations</mtext><mo>&lt;</mo><msub><mi>η</mi><mi>W</mi></msub>",
        ),
        (r"\Bigl(a\Bigr)", "<mrow><mo>(</mo><mi>a</mi><mo>)</mo></mrow>"),
        (r"\sqrt{x}", "<msqrt><mi>x</mi></msqrt>"),
    ],
)
def test_mathml(tex: str, expected: str) -> None:
    assert mathml(tex) == f"<math>{expected}</math>"


@pytest.mark.parametrize("tex", [r"\substack{a}", r"\frac{1}", r"{a", r"a}", r"\begin{matrix}a\end{matrix}"])
def test_unknown_latex_is_refused(tex: str) -> None:
    with pytest.raises(UnknownCommand):
        mathml(tex)


def test_broken_lines_are_rows() -> None:
    rows = ET.fromstring(equation("a", ["b + (c", "+ d)"])).findall("./mtable/mtr")
    assert len(rows) == 2
