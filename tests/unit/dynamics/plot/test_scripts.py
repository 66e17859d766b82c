"""Labels of any script: read in the right direction, in fonts that have them, or one warning; and any backend."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib import font_manager
from matplotlib.ft2font import LoadFlags

from dynamics import CoOccurrence, InputError, plot, solve
from dynamics.plot import scripts
from dynamics.plot.programs import course
from dynamics.plot.scripts import FIRST, LEFT_TO_RIGHT, families, pair
from dynamics.support.errors import DataWarning

DEJAVU = font_manager.findfont(FIRST)


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch):
    """Fonts of our own: a name, and the letters that it has."""
    having = {"Some Han": "中文字", "Noto Sans CJK JP": "中文", "Pictures": "🐕"}
    own = scripts.letters_of
    monkeypatch.setattr(scripts, "installed", lambda: {name: name for name in having})
    monkeypatch.setattr(
        scripts, "letters_of", lambda path: frozenset(map(ord, having[path])) if path in having else own(path)
    )
    scripts._covering.cache_clear()
    scripts._warn.cache_clear()
    yield
    scripts._covering.cache_clear()
    scripts._warn.cache_clear()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["dog", "собака", "כלב", "كلب"], []),
        (["中"], ["Noto Sans CJK JP"]),
        (["中文字"], ["Some Han"]),
        (["中", "dog 🐕"], ["Noto Sans CJK JP", "Pictures"]),
    ],
)
def test_a_font_that_has_the_letters_is_looked_for(fonts: None, words: list[str], found: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert families(words) == [FIRST, *found]


def test_one_warning_says_how_to_get_letters_that_no_font_has(fonts: None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert families(["中", "ไทย"]) == families(["ไทย", "中"]) == [FIRST, "Noto Sans CJK JP"]
    assert [(one.category, str(one.message)) for one in caught] == [
        (
            DataWarning,
            "no installed font has ท ย ไ: figures show boxes in their place; install one that does, such as Noto Sans "
            "CJK or Noto Emoji (Debian: fonts-noto-cjk, fonts-noto-core), or write figures as .svg, where the viewer's "
            "fonts are used",
        )
    ]


def test_fonts_that_cannot_be_drawn_have_no_letters(tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_text("no font")
    assert scripts.letters_of(str(tmp_path / "font.ttf")) == frozenset()
    assert ord("ש") in scripts.letters_of(DEJAVU)


def test_pairs_are_read_from_left_to_right() -> None:
    """Marks before and after the first word keep it to the left of the arrow."""
    assert pair("Hund", "dog") == "Hund → dog"
    for first, second in (("עולם", "world"), ("world", "عالم"), ("עולם", "عالم")):
        assert pair(first, second) == f"{LEFT_TO_RIGHT}{first}{LEFT_TO_RIGHT} → {second}"


def test_hebrew_is_drawn_to_the_left_of_its_translation() -> None:
    """The glyphs of the Latin word are the rightmost ones, and the Hebrew ones stand in reversed order."""
    font = font_manager.get_font(DEJAVU)
    font.set_size(12, 100)
    drawn = font._layout(pair("עולם", "ab"), LoadFlags.DEFAULT)
    assert "".join(item.char for item in drawn if item.char.isalpha()) == "םלועab"


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "svg", ""])
def test_the_backend_of_a_notebook_does_not_matter(backend: str) -> None:
    code = "import os, dynamics.plot, matplotlib as m; print(os.environ['MPLBACKEND'], m.rcParams['backend'])"
    environment = {**os.environ, "MPLBACKEND": backend, "PYTHONPATH": str(Path(__file__).parents[4])}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(backend)
    if backend == "svg":
        assert ended.stdout.split() == ["svg", "svg"]


# Figures know variables by their roles


def renamed() -> xr.Dataset:
    """A prediction with other names, which says what they are."""
    found = solve(CoOccurrence.from_counts([[8, 1], [1, 8]], ["Hund", "Katze"], ["dog", "cat"]), [0, 1, 10])
    found = found.rename(W="omega", A="beta", beta="gamma", loss="misfit").assign_attrs(loss="misfit")
    for name, role in {"omega": "values", "beta": "attention logits", "gamma": "KTIW"}.items():
        found[name].attrs["role"] = role
    return found


def test_predictions_are_drawn_whatever_their_names() -> None:
    found = renamed()
    np.testing.assert_array_equal(plot.loss(found).axes[0].lines[0].get_ydata(), found.misfit)
    upper = plot.words(found, [("Hund", "dog")]).axes[0]
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), found.gamma.sel(input="Hund", output="dog"))
    assert plot.learnt(found) == [("Hund", "dog"), ("Katze", "cat")]
    shown = plot.ktiw(found, at=[10]).axes[0].collections[0].get_array()
    np.testing.assert_array_equal(np.ravel(shown), found.gamma.values[-1].ravel())
    assert [ax.get_title("left") for ax in course(found[["misfit"]].assign(beta=found.misfit)).axes] == [
        "misfit",
        "beta",
    ]


def test_what_has_no_role_is_not_drawn() -> None:
    found = renamed()
    for name in ("gamma", "misfit"):
        found[name].attrs.pop("role", None)
    with pytest.raises(InputError, match="the dataset has no 'beta' to draw, the KTIW of every word"):
        plot.words(found)
    with pytest.raises(InputError, match="the dataset has no 'loss' to draw"):
        plot.loss(found.assign_attrs(loss="gone"))
    with pytest.raises(InputError, match="the dataset has no loss to draw"):
        course(found.assign_attrs(loss="gone"))


def test_scores_are_attention_logits_of_words() -> None:
    values = xr.DataArray([[0.0, 0.0], [1.0, 2.0]], {"time": [0, 9], "input": ["a", "fine"]}, ("time", "input"))
    found = xr.Dataset({"key": values.assign_attrs(role="attention logits"), "s": values * 0}, attrs={"loss": "none"})
    assert plot.best_scores(found, number=1) == ["fine"]
    assert plot.scores(found).axes[0].get_ylabel() == "score key (logit of attention)"
    with pytest.raises(InputError, match="no scores of words"):
        plot.scores(found[["s"]])
