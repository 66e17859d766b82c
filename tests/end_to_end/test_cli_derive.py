"""The command ``dynamics derive``: lists, formats, one document of all, and what it says about wrong input."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from derivations import registry as catalogue
from dynamics.cli import run

FEW = {"Closures": ("linear", "gram"), "Theorems": ("stage-one-linear",)}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "parts", lambda: FEW)


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line about input that is wrong."""
    assert run(["derive", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err


def test_the_list_has_every_derivation_by_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["derive"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert [line for line in lines if not line.startswith("  ")] == list(catalogue.parts())
    assert listed == [name for part in catalogue.parts().values() for name in part]


@pytest.mark.parametrize("name", ["linear", "stage-one-linear"])
@pytest.mark.parametrize("form", ["text", "latex", "markdown", "html", "python"])
def test_formats_of_a_program_and_a_theorem(
    name: str, form: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["derive", name, "--format", form]) == 0
    shown = capsys.readouterr().out
    assert "arXiv 2103.07601" in shown
    assert ("all hold" in shown) == (form != "python")
    assert run(["derive", name, "--format", form, "-o", str(tmp_path)]) == 0
    (written,) = tmp_path.iterdir()
    assert written.read_text(encoding="utf-8") == shown


@pytest.mark.parametrize(("form", "suffix"), [("latex", "tex"), ("markdown", "md"), ("html", "html"), ("text", "txt")])
@pytest.mark.usefixtures("few")
def test_all_go_to_one_document(form: str, suffix: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["derive", "--all", "--format", form, "-o", str(tmp_path / "new")]) == 0
    said = capsys.readouterr()
    assert said.err == ""  # no progress bar where nobody looks
    (written,) = (tmp_path / "new").iterdir()
    assert written.name == f"derivations.{suffix}"
    text = written.read_text(encoding="utf-8")
    assert text.lower().count("computed as this was written: all hold") == 3
    if form == "html":
        ET.fromstring(text)


@pytest.mark.usefixtures("few")
def test_nothing_is_left_of_a_document_that_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "derivations.html").write_text("old")

    def broken(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "derived", broken)
    assert run(["derive", "--all", "--format", "html", "-o", str(tmp_path)]) != 0
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("derivations.html", "old")]


def test_a_failed_check_is_shown_and_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dynamics.problems import equations

    right = equations.plain_flow
    monkeypatch.setattr(equations, "plain_flow", lambda *args: {k: -v for k, v in right(*args).items()})
    assert run(["derive", "linear"]) == 1
    said = capsys.readouterr()
    assert "FAILS" in said.out
    assert re.fullmatch(r"error: checks of linear failed.*\n", said.err)


def test_wrong_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert "did you mean joint" in complaint(["jiont"], capsys)
    assert "did you mean copying-branch" in complaint(["copying-brunch"], capsys)
    assert "use one of text, latex" in complaint(["joint", "--format", "word"], capsys)
    assert "name a directory with -o" in complaint(["--all", "--format", "html"], capsys)
    assert "is a file" in complaint(["--all", "-o", str(file)], capsys)
    assert "is a file" in complaint(["joint", "-o", str(file)], capsys)
    assert "leave out the name" in complaint(["joint", "--all", "-o", str(tmp_path)], capsys)
    assert "one document" in complaint(["--all", "--format", "python", "-o", str(tmp_path)], capsys)
    assert "which derivation" in complaint(["-o", str(tmp_path)], capsys)
    assert "has no code" in complaint(["sen", "--source"], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
