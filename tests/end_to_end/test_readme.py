"""Whatever the README shows runs as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from dynamics.cli import run

HERE = Path(__file__).parents[2]
README = (HERE / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Commands of the package, a line each; ``a && b`` is two."""
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("dynamics ")]
    return [part for line in lines for part in line.split("&&")]


def words_of(command: str) -> list[str]:
    return shlex.split(command, comments=True)[1:]


COMMANDS = [" ".join(["dynamics", *words_of(command)]) for command in commands()]

# What takes minutes, needs a cluster, or is run elsewhere. Their options are looked at all the same.
LEFT_OUT = {
    "--scheduler": "a Dask cluster",
    "--all": "every derivation, tried in test_cli_derive.py",
    "--study": "a study of convergence, tried in test_cli_runs.py",
    "--simulate": "a diagram of training runs, tried in test_cli_phase.py",
    "--system": "a diagram of trained functions, tried in test_cli_phase.py",
    "--steps": "many steps of descent, tried in test_cli_runs.py",
    "--program": "tried in test_program_file.py",
    "--counts-only": "a forecast, tried in test_cli_forecast.py",
    "--next-word": "a forecast, tried in test_cli_forecast.py",
}


def texts(folder: Path) -> None:
    """The line-aligned texts and the labelled sentences that the README speaks of."""
    pairs = [("the dog sleeps", "der hund schläft"), ("the cat sleeps", "die katze schläft"),
             ("a dog barks", "ein hund bellt"), ("a bird sings", "ein vogel singt")]  # fmt: skip
    for place, name in enumerate(("train.en", "train.de")):
        (folder / name).write_text("".join(pair[place] + "\n" for pair in pairs * 5), encoding="utf-8")
    labelled = "good a fine film\nbad a dull film\ngood what a fine day\nbad dull and slow\n"
    (folder / "sentences.txt").write_text(labelled, encoding="utf-8")
    (folder / "two_layers.py").write_text(
        (HERE / "examples" / "programs" / "two_layers.py").read_text("utf-8"), "utf-8"
    )
    (folder / "examples").symlink_to(HERE / "examples")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts(tmp_path)
    return tmp_path


def test_there_is_something_to_run() -> None:
    assert len(blocks("python")) >= 4
    assert {words_of(command)[0] for command in COMMANDS} == {
        "solve", "forecast", "cooccurrence", "simulate", "compare", "phase", "derive",
    }  # fmt: skip


@pytest.mark.parametrize("number", range(len(blocks("python"))))
@pytest.mark.filterwarnings("ignore::dynamics.support.errors.DataWarning")
def test_every_block_of_python_runs(number: int, folder: Path) -> None:
    code = blocks("python")[number]
    names: dict[str, Any] = {}
    exec(compile(code, f"README.md, block {number}", "exec"), names)
    assert names.keys() - {"__builtins__"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option, reason in LEFT_OUT.items():
        if option in words_of(command):
            pytest.skip(reason)
    if "--cooccurrence" in words_of(command):  # the other half of its line makes the file
        assert run(["cooccurrence", "train.en", "train.de", "-o", "en-de.npz"]) == 0
    assert run(words_of(command)) == 0, capsys.readouterr().err
    if words_of(command)[0] in ("solve", "simulate", "compare", "phase"):
        assert list((folder / "results" / words_of(command)[0]).glob("*.nc"))


def test_every_option_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """Of commands that take too long to run, too."""
    for command in COMMANDS:
        name, *rest = words_of(command)
        assert run([name, "--help"]) == 0
        said = capsys.readouterr().out
        for option in (word for word in rest if word.startswith("--")):
            assert option in said, command


def test_every_link_leads_to_a_file() -> None:
    for text in ("README.md", "CONTRIBUTING.md", "docs/how-it-works.md", "docs/forecast.md"):
        page = (HERE / text).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)\)", page):
            if "://" not in link:
                assert (HERE / text).parent.joinpath(link).exists(), f"{text}: {link}"
        for path in re.findall(r"`((?:derivations|dynamics|tests|benchmarks|examples|docs)/[\w./]*)`", page):
            assert (HERE / path).exists(), f"{text}: {path}"
