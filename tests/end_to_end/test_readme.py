"""Whatever the README and the pages of the site show runs as it stands."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from oracles.pages import PAGES, blocks, commands, texts, why_left_out, words_of

from dynamics import DataWarning
from dynamics.cli import run

HERE = Path(__file__).parents[2]
COMMANDS = {
    page: [
        " ".join(["dynamics", *words_of(one)])
        for kind, text in blocks(page)
        if kind == "bash"
        for one in commands(text)
    ]
    for page in PAGES
}
DONE: set[str] = set()
"""Commands that an earlier page has shown."""
EVERY = [(page, command) for page, listed in COMMANDS.items() for command in listed]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts(tmp_path)
    return tmp_path


def test_there_is_something_to_run() -> None:
    assert len([1 for page in PAGES for kind, _ in blocks(page) if kind == "python"]) >= 4
    assert {words_of(command)[0] for _, command in EVERY} - {"--install-completion"} == {
        "solve", "forecast", "cooccurrence", "simulate", "compare", "fit", "phase", "derive", "explore",
    }  # fmt: skip
    assert {words_of(command)[0] for command in COMMANDS["README.md"]} == {
        "solve", "forecast", "cooccurrence", "simulate", "compare", "fit", "phase", "derive", "explore",
    }  # fmt: skip


@pytest.mark.parametrize("page", [page for page in PAGES if any(kind == "python" for kind, _ in blocks(page))])
@pytest.mark.filterwarnings("ignore::dynamics.support.errors.DataWarning")
def test_every_block_of_python_runs(page: str, folder: Path) -> None:
    """The blocks of a page in their order, as a reader types them into one session."""
    names: dict[str, Any] = {}
    for number, (kind, code) in enumerate(blocks(page)):
        if kind == "python":
            exec(compile(code, f"{page}, block {number}", "exec"), names)
    assert names.keys() - {"__builtins__"}


@pytest.mark.parametrize("page", [page for page, listed in COMMANDS.items() if listed])
def test_every_command_runs(page: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of a page in their order, beside the files that its blocks of Python have left."""
    names: dict[str, Any] = {}
    for number, (kind, text) in enumerate(blocks(page)):
        if kind == "python":
            if "save(" in text or "write_" in text:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DataWarning)
                    exec(compile(text, f"{page}, block {number}", "exec"), names)
            continue
        for command in commands(text):
            words = words_of(command)
            if why_left_out(words) or command in DONE:
                continue
            DONE.add(command)
            assert run(words) == 0, f"{command}: {capsys.readouterr().err}"
            if words[0] in ("solve", "simulate", "compare", "fit", "phase"):
                place = Path(words[words.index("--output") + 1] if "--output" in words else f"results/{words[0]}")
                assert list(place.glob("*.nc"))
                if "--output" not in words:
                    shutil.rmtree(place)  # the next one is of other things


def test_every_option_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """Of commands that take too long to run, too."""
    for page, command in EVERY:
        name, *rest = words_of(command)
        if name.startswith("-"):
            continue
        assert run([name, "--help"]) == 0
        said = capsys.readouterr().out
        for option in (word for word in rest if word.startswith("--")):
            assert option in said, f"{page}: {command}"


def test_every_link_leads_to_a_file() -> None:
    made = re.compile(r"(derivations|reference|gallery)/[\w-]+\.rst")  # made by docs/extensions
    for text in ("CONTRIBUTING.md", *PAGES):
        page = (HERE / text).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)\)", page):
            if "://" not in link and not made.fullmatch(link):
                assert (HERE / text).parent.joinpath(link).exists(), f"{text}: {link}"
        for path in re.findall(r"`((?:derivations|dynamics|tests|benchmarks|examples|docs)/[\w./]*)`", page):
            assert (HERE / path).exists(), f"{text}: {path}"


def test_every_page_has_a_picture_or_an_example() -> None:
    for page in PAGES:
        text = (HERE / page).read_text(encoding="utf-8")
        shown = "![" in text or blocks(page) or re.search(r"^    (dynamics |>>> )", text, re.MULTILINE)
        assert shown, f"{page} has neither"
