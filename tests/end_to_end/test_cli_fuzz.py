"""Any command line ends with status 0, 1 or 2, in plain words, with results if the status is 0 and no debris."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dynamics import CoOccurrence
from dynamics.cli import run

ENGLISH = "the house is small\nthe dog sleeps\na small dog\nthe cat sees a house\n"
GERMAN = "das haus ist klein\nder hund schläft\nein kleiner hund\ndie katze sieht ein haus\n"
STRANGE = os.fsdecode(b"not-utf8-\xff.txt")
PROGRAM = """from dynamics.program_file import *
(I,), (i, j), (S, w) = sizes("I"), indices("i j"), tensors("S w")
program = model(extents={i: I, j: I}, data=[S[i, j]], states=[w[i]], loss=SumOver(S[i, j] * w[i] * w[j] / 2, i, j))
"""


def written(directory: Path) -> list[str]:
    """Files of every kind, whole, strange and damaged; their names."""
    counts = directory / "counts.npz"
    CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "[/bold]"], outputs=["dog", "cat"]).save(counts)
    np.savez(directory / "arrays.npz", S=np.eye(2), w=np.ones(2))
    np.save(directory / "cube.npy", np.ones((2, 2, 2)))
    texts = {
        "one.txt": ENGLISH, "other.txt": GERMAN, "empty.txt": "", "short.txt": "one line\n", "nul.txt": "a\0b\n" * 4,
        "labelled.txt": "1 good film\n0 bad film\n1 good\n0 bad\n", "counts.csv": ",dog,cat\nHund,8,1\nKatze,1,8\n",
        "semicolon.csv": ";dog;cat\nHund;8;1\n", "shifted.csv": ",x,y\na,1,2,3\n", "negative.csv": ",x\na,-1\n",
        "own.py": PROGRAM, "broken.py": "program = model(", "raises.py": "1/0", "exits.py": "raise SystemExit(7)",
        "[bold].txt": ENGLISH, "wörter 🐕.txt": GERMAN, STRANGE: GERMAN,
    }  # fmt: skip
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    (directory / "half.npz").write_bytes(counts.read_bytes()[: counts.stat().st_size // 2])
    (directory / "garbage.npz").write_bytes(bytes(range(256)))
    (directory / "latin.txt").write_bytes(GERMAN.encode("latin-1"))
    (directory / "not.gz").write_text("plain")
    (directory / "folder").mkdir()
    return sorted(path.name for path in directory.iterdir())


with tempfile.TemporaryDirectory() as _place:
    FILES = written(Path(_place))

file = st.sampled_from([*FILES, "missing.txt", "", "/dev/null", "~nobody/x", "x" * 300])
words = st.sampled_from(
    ["", "dog", "the,dog", "[/bold]", "[red]", "Ω", "עולם", "a b", "=", "W=1", "W=0.1,A=2", "klingon", "NaN", "\udcff"]
)
number = st.sampled_from(
    ["0", "1", "2", "3", "-1", "0.5", "1e-9", "1e30", "inf", "nan", "99999999999999999999999", "1_0", "٣", "1e", ""]
)
OPTIONS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "solve": {
        **dict.fromkeys(["--cooccurrence", "--labelled", "--program", "--data"], file),
        **dict.fromkeys(["--time", "--times", "--switch", "--max-vocab", "--min-count", "--rtol", "--seed"], number),
        **dict.fromkeys(["--threads", "--vocab", "--length", "--top", "--heads", "--lr"], number),
        **dict.fromkeys(["--keep-bags", "--errors", "--within", "--corners", "--momentum", "--batch"], number),
        "--optimizer": st.sampled_from(["adam", "momentum", "sign", "sgd", ""]),
        "--sensitivity": st.sampled_from(["rate W", "initial W", "corner", "lr", "count the la", ",", ""]),
        "--closure": st.sampled_from(["bags", "conditional", "gram", ""]),
        **dict.fromkeys(["--text", "--words", "--init", "--rate", "--set", "--padding", "--tokenizer"], words),
        "--model": words,
        "--at": st.sampled_from(["0,1", "1,0", "nan", "0,0.5,2", "x", ",", "1e400"]),
        "--stages": st.sampled_from(["joint", "two-stage", "joint,frozen", "third", ""]),
        "--method": st.sampled_from(["RK45", "rk45", "LSODA", "RKC", "ROCK4", "auto", "Euler", "DOP853"]),
        "--task": st.sampled_from(["copying", "lexicon", "chess"]),
        "--theory": st.sampled_from(["closure", "exact", "reduction", "string"]),
    },
    "cooccurrence": {
        "--labelled": file,
        **dict.fromkeys(["--max-vocab", "--min-count", "--max-pairs", "--keep-bags"], number),
        **dict.fromkeys(["--tokenizer", "--unknown"], words),
        "--no-lower": st.just(""),
    },
    "simulate": {
        "--task": st.sampled_from(["copying", "lexicon", "topics", "boolean", "chess"]),
        **dict.fromkeys(["--vocab", "--length", "--lr", "--batch", "--seeds", "--seed", "--momentum"], number),
        **dict.fromkeys(["--records", "--examples"], number),
        **dict.fromkeys(["--resume", "--program", "--data"], file),
        "--model": words,
    },
    "phase": {
        "--x": st.sampled_from(["V=8:10", "V=8.5:9.5", "V=9", "V=", "W=1:2", "sigma=0.1:1:3:log", "V=8:8"]),
        "--y": st.sampled_from(["L=4:6", "L=4,5", "L=nan:2", "extra=0:2", "V=8:9", "L=1e9:2e9:2"]),
        **dict.fromkeys(["--fix", "--quantity", "--observable", "--system", "--method"], words),
        **dict.fromkeys(["--threshold", "--draws", "--seed", "--rtol"], number),
        "--program": file,
    },
    "compare": {
        "--task": st.sampled_from(["copying", "lexicon", "topics", "boolean", "chess"]),
        **dict.fromkeys(["--vocab", "--length", "--lr", "--seed", "--heads"], number),
        **dict.fromkeys(["--model", "--theory", "--study", "--words"], words),
        "--program": file,
    },
    "derive": {"--format": words, "--program": file, "--source": st.just("")},
}
BOUNDS = {  # what keeps a run that is right short
    "solve": ["--time", "5", "--times", "4"],
    "cooccurrence": [],
    "simulate": ["--steps", "4", "--batch", "8", "--seeds", "1", "--records", "3"],
    "phase": ["--x", "V=8:10", "--y", "L=4:6"],
    "compare": ["--steps", "4", "--batch", "8", "--seeds", "1", "--records", "3"],
    "derive": [],
}
HUGE = re.compile(r"^(1e30|9{10,}|1e9.*|inf)$")
NOT_HUGE = (
    "--time",
    "--lr",
    "--rtol",
    "--seed",
    "--threshold",
    "--threads",
    "--switch",
    "--momentum",
    "--top",
    "--corners",
    "--batch",
)
"""Options that take any number; of others a huge one may rightly take for ever."""


@dataclass(frozen=True)
class Line:
    """A command line, and where it is typed."""

    arguments: tuple[str, ...]
    encoding: str
    closed: bool

    @property
    def command(self) -> str:
        return next(word for word in self.arguments if word != "--quiet")


@st.composite
def lines(draw: st.DrawFn) -> Line:
    command = draw(st.sampled_from(["solve", "solve", "solve", *OPTIONS, "slove"]))
    options = OPTIONS.get(command, OPTIONS["solve"])
    arguments = [*draw(st.sampled_from([[]] * 5 + [["--quiet"]])), command, *BOUNDS.get(command, [])]
    if command in ("solve", "cooccurrence"):
        both = st.just(["one.txt", "other.txt"])
        arguments += draw(st.one_of(st.just([]), both, both, st.lists(file, min_size=1, max_size=3)))
    for option in draw(st.lists(st.sampled_from(sorted(options)), max_size=3, unique=True)):
        value = draw(options[option])
        if HUGE.match(value) and option not in NOT_HUGE:
            value = "-1"
        spelt = draw(st.sampled_from([option] * 9 + [option[:-1] + "q"]))
        arguments += [spelt, value] if value or draw(st.booleans()) else [spelt]
    if command == "derive":
        arguments += draw(st.sampled_from([[], ["linear"], ["lineer"], ["[/bold]"], ["linear", "gram"]]))
    if command in ("solve", "compare", "phase"):
        arguments += draw(st.sampled_from([[]] * 5 + [["--format", form] for form in ("csv", "json", "yaml")]))
    if command in ("solve", "simulate", "phase", "compare"):
        arguments += ["--figures", draw(st.sampled_from(["none"] * 6 + ["svg", "bmp"]))]
    place = st.sampled_from(["out"] * 8 + ["one.txt", "new/[/bold]/out", os.fsdecode(b"out-\xff"), "one.txt/out"])
    if command == "cooccurrence":
        arguments += ["-o", draw(st.sampled_from(["out/counts.npz"] * 6 + ["folder", "out/counts.txt", "counts"]))]
    elif command != "derive":
        arguments += ["-o", draw(place)]
    return Line(
        tuple(arguments),
        draw(st.sampled_from(["utf-8", "utf-8", "ascii"])),
        draw(st.sampled_from([False] * 5 + [True])),
    )


@contextmanager
def terminal(encoding: str) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """Output and errors of this process, as bytes in an encoding."""
    out, errors = io.BytesIO(), io.BytesIO()
    with (
        redirect_stdout(io.TextIOWrapper(out, encoding, "strict")),
        redirect_stderr(io.TextIOWrapper(errors, encoding, "backslashreplace")),
    ):
        yield out, errors
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
                stream.detach()


def everything(directory: Path) -> set[Path]:
    return set(directory.rglob("*"))


def held(line: Line, status: int, errors: str, before: set[Path], directory: Path) -> None:
    """What holds after any command line."""
    assert status in (0, 1, 2), (line, status)
    assert "Traceback" not in errors, (line, errors)
    new = everything(directory) - before
    assert not [path for path in new if re.match(r"\.[0-9a-f]+-", path.name)], (line, "debris")
    if status:
        said = [text for text in errors.splitlines() if text.startswith("error: ")]
        assert len(said) == 1 or line.closed, (line, errors)
        assert len(said[0]) > len("error: ") if said else line.closed, (line, errors)
        if status == 2:
            assert not [path for path in new if path.suffix == ".nc"], (line, "results of a command that was refused")
    elif line.command in ("solve", "simulate", "phase", "compare") and "--help" not in line.arguments:
        assert [path for path in new if path.suffix == ".nc"], (line, "no results")
    elif line.command == "cooccurrence" and "--help" not in line.arguments:
        assert [path for path in new if path.suffix == ".npz"], (line, "no results")


@given(lines())
@example(
    Line(("solve", "one.txt", os.fsdecode(b"not-utf8-\xff.txt"), "--figures", "none", "-o", "out"), "ascii", False)
)
@example(
    Line(("solve", "--cooccurrence", "counts.npz", "--words", "[/bold]", "--time", "5", "-o", "out"), "ascii", False)
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
def test_any_line(line: Line) -> None:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        written(directory)
        before = everything(directory)
        with chdir(directory), terminal(line.encoding) as (_, errors):
            if line.closed:
                sys.stdout.close()
            status = run(line.arguments)
        held(line, status, errors.getvalue().decode(line.encoding, "replace"), before, directory)


SOLVE = ("solve", "one.txt", "other.txt", "--time", "5", "--figures", "none", "-o", "out")
SHELL = {
    "closed output": "{} >&-",
    "closed errors": "{} 2>&-",
    "all closed": "{} <&- >&- 2>&-",
    "full output": "{} > /dev/full",
    "one line read": "{} | head -1",
    "none read": "{} | true",
    "ASCII": "LC_ALL=C PYTHONUTF8=0 PYTHONIOENCODING=ascii {}",
    "no home": "env -u HOME {}",
}


@pytest.mark.skipif(os.name != "posix", reason="asks a POSIX shell")
@pytest.mark.parametrize("where", SHELL)
def test_any_terminal(where: str, tmp_path: Path) -> None:
    written(tmp_path)
    line = " ".join([sys.executable, "-m", "dynamics.cli", *SOLVE])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", SHELL[where].format(line)], cwd=tmp_path, capture_output=True, timeout=240
    )
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert (tmp_path / "out" / "trajectory.nc").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["trajectory.nc"]
    assert done.returncode == 0, done.stderr
