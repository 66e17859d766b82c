"""The code that is shown: in the README and on the pages of the site."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

HERE = Path(__file__).parents[2]
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((HERE / "docs").glob("*.md")))]

# What takes minutes, needs a cluster or a browser, or is run elsewhere. Their options are looked at all the same.
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
    "--install-completion": "it writes to the shell's start-up file",
}
SERVED = "it serves until it is stopped, tried in test_explore.py"


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each block of a page, in order."""
    text = (HERE / page).read_text(encoding="utf-8")
    return re.findall(r"^```(bash|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """Commands of the package, a line each; ``a && b`` is two."""
    lines = [line for line in text.splitlines() if line.startswith("dynamics ")]
    return [part for line in lines for part in line.split("&&")]


def words_of(command: str) -> list[str]:
    return shlex.split(command, comments=True)[1:]


def why_left_out(words: list[str]) -> str | None:
    """Why a command is not run here, if it is not."""
    if words[0] == "explore" and "--save" not in words:
        return SERVED
    return next((reason for option, reason in LEFT_OUT.items() if option in words), None)


def texts(folder: Path) -> None:
    """The line-aligned texts and the labelled sentences that the pages speak of."""
    pairs = [("the dog sleeps", "der hund schläft"), ("the cat sleeps", "die katze schläft"),
             ("a dog barks", "ein hund bellt"), ("a bird sings", "ein vogel singt")]  # fmt: skip
    for place, name in enumerate(("train.en", "train.de")):
        (folder / name).write_text("".join(pair[place] + "\n" for pair in pairs * 5), encoding="utf-8")
    labelled = "good a fine film\nbad a dull film\ngood what a fine day\nbad dull and slow\n"
    (folder / "sentences.txt").write_text(labelled, encoding="utf-8")
    rows = "".join(f'{{"en": "{a}", "de": "{b}"}}\n' for a, b in pairs * 5)
    (folder / "pairs.jsonl").write_text(rows, encoding="utf-8")
    (folder / "two_layers.py").write_text(
        (HERE / "examples" / "programs" / "two_layers.py").read_text("utf-8"), "utf-8"
    )
    (folder / "examples").symlink_to(HERE / "examples")
