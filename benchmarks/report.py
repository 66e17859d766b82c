"""Results as Markdown, and as a figure of cost against size with the floors of the machine."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from math import inf, isfinite
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from benchmarks.case import Case, Row
from benchmarks.measure import Machine
from benchmarks.peers import PEERS
from benchmarks.store import Result, as_csv
from dynamics.plot.frame import COLOURS, DASHES, house_style, label_ends, number, save
from dynamics.plot.layout import PAGE
from dynamics.support.files import write_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 2
FLOOR = "#999999"
FAMILIES = ("dynamics", *PEERS.values())
"""Contenders whose solvers share a line, and look alike in all panels."""
COMMON = {
    "heyoka": ("heyoka",), "diffrax": ("diffrax",), "torchdiffeq": ("torchdiffeq",),
    "SciPy and NumPy": ("SciPy", "NumPy"),
}  # fmt: skip
"""Peers that have a column of their own, and what their contenders' names hold."""


def header(machine: Machine) -> str:
    """What the numbers were measured on."""
    return (
        f"{platform.machine()}, Python {platform.python_version()}. One core: {machine.bandwidth / 1e9:.1f} GB/s to and"
        f" from memory (a = b + 2 c), {machine.arithmetic / 1e9:.1f} GFlop/s (product of matrices, float64)."
    )


def duration(seconds: float) -> str:
    """Seconds with a unit, in three digits.

    >>> [duration(x) for x in (2.5e-7, 0.00123, 0.5, 12.345, 123.4)]
    ['0.250 µs', '1.23 ms', '500 ms', '12.3 s', '123 s']
    """
    scale, unit = (1.0, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "µs")
    return f"{figures(scale * seconds)} {unit}"


def figures(value: float) -> str:
    """Three figures, without a power of ten.

    >>> [figures(x) for x in (0.25, 1.0, 45.67, 999.6, 12345.0)]
    ['0.250', '1.00', '45.7', '1000', '12345']
    """
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(max(value, 0.1)))))}f}"


def floor(row: Row, machine: Machine) -> float:
    """The least time that the row's work can take on one core."""
    return max(row.bytes / machine.bandwidth, row.flops / machine.arithmetic)


def busy(row: Row) -> float:
    """Seconds that it needed: processor time where other work held a single thread up."""
    return min(row.wall, row.processor)


def table(case: Case, result: Result, machine: Machine) -> str:
    """A case as a Markdown table."""
    size = f"{case.unit} | " if case.unit else ""
    lines = [f"### {case.name}: {case.title}", ""]
    lines.append(f"| {size}what | time | processor | ratio | quartiles, rounds | error | note |")
    lines.append("|---" * (7 + bool(case.unit)) + "|")
    for row in result.rows:
        notes = [f"tolerance {row.tolerance:.2g}"] if isfinite(row.tolerance) else []
        notes += [row.note] if row.note else []
        if isfinite(floor(row, machine)):
            notes.append(f"{figures(busy(row) / floor(row, machine))} x floor")
        cells = [f"{row.size:,.0f}"] if case.unit else []
        cells += [row.name, duration(row.wall), duration(row.processor), figures(row.ratio), spread(row)]
        cells += [f"{row.error:.1e}" if isfinite(row.error) else "", ", ".join(notes)]
        lines.append(f"| {' | '.join(cells)} |")
    about = f"Measured {result.measured}, load {result.load:.1f} before it, in {result.seconds:.0f} s."
    return "\n".join([*lines, "", about, ""])


def spread(row: Row) -> str:
    """The quartiles of a ratio and the number of rounds, if it is not the first one's.

    >>> spread(Row(1.0, "heyoka", 1.0, 1.0, 1.5, 1.4, 1.62, 5))
    '1.40 to 1.62, 5'
    """
    if row.name == row.race:
        return f"{row.rounds}"
    return f"{figures(row.low)} to {figures(row.high)}, {row.rounds}" if isfinite(row.low) else f"{row.rounds}"


def races(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows that were measured in turn; the first is what the others are compared with."""
    found: dict[tuple[float, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.size, row.race), []).append(row)
    return list(found.values())


def worst(rows: Iterable[Row]) -> list[tuple[Row, Row, Row]]:
    """In each race with peers: its first contender, the fastest of this package's, and the fastest of the peers."""
    found = []
    for contenders in races(rows):
        own = [row for row in contenders if row.name == row.race or row.name.startswith("dynamics")]
        peers = [row for row in contenders if row.peer]
        if peers:
            fastest, peer = (min(some, key=lambda row: row.ratio) for some in (own, peers))
            found.append((own[0], fastest, peer))
    return found


def summary(results: Iterable[Result]) -> str:
    """The fastest peer of every race, beside its first contender and beside the fastest of this package's."""
    lines = ["### The fastest peer of every race", ""]
    lines += ["| case | size | ours | time | peer | ratio | quartiles, rounds | our fastest |"]
    lines += ["|---" * 8 + "|"]
    found = [(result.case, *race) for result in results for race in worst(result.rows)]
    for case, own, fastest, peer in found:
        cells = [case, f"{own.size:,.0f}", own.name, duration(busy(own)), peer.name, bold_if_below(peer.ratio)]
        other = f"{bold_if_below(peer.ratio / fastest.ratio)}, {fastest.name}" if fastest is not own else ""
        lines.append(f"| {' | '.join([*cells, spread(peer), other])} |")
    if not found:
        return ""
    middle, least = median(peer.ratio for *_, peer in found), min(peer.ratio for *_, peer in found)
    return "\n".join([*lines, "", f"Median {figures(middle)}, least {figures(least)}, {len(found)} races.", ""])


def by_family(results: Iterable[Result]) -> str:
    """Ratios of the fastest of each family of peers to the first contender, race by race."""
    lines = ["### Ratios by peer", "", f"| case | size | ours | {' | '.join(COMMON)} | others |"]
    lines += ["|---" * (4 + len(COMMON)) + "|"]
    for result in results:
        for contenders in races(result.rows):
            fastest: dict[str, Row] = {}
            for row in sorted(contenders, key=lambda row: -row.ratio):
                if row.peer:
                    fastest[next((name for name, words in COMMON.items() if any(w in row.name for w in words)), "")] = (
                        row
                    )
            if not fastest:
                continue
            first = contenders[0]
            cells = [result.case, f"{first.size:,.0f}", f"{first.name}, {duration(busy(first))}"]
            cells += [bold_if_below(fastest[name].ratio) if name in fastest else "" for name in COMMON]
            cells += [
                f"{bold_if_below(fastest[''].ratio)} ({fastest[''].name.split(': ')[-1]})" if "" in fastest else ""
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def bold_if_below(ratio: float) -> str:
    """A ratio, bold where the package is slower.

    >>> bold_if_below(1.5), bold_if_below(0.5)
    ('1.50', '**0.500**')
    """
    return figures(ratio) if ratio >= 1 else f"**{figures(ratio)}**"


def markdown(results: Sequence[tuple[Case, Result]], machine: Machine, missing: Sequence[str]) -> str:
    """The whole document."""
    absent = f"Not installed and left out: {', '.join(missing)}.\n\n" if missing else ""
    measured = [result for _, result in results]
    parts = [
        summary(measured),
        by_family(measured) if summary(measured) else "",
        *(table(case, result, machine) for case, result in results),
    ]
    return f"{header(machine)}\n\n{absent}" + "\n".join(part for part in parts if part)


def write(
    directory: Path, results: Sequence[tuple[Case, Result]], machine: Machine, missing: Sequence[str], draw: bool = True
) -> None:
    """What there is so far, as benchmark.md and .csv, and drawn as .svg and .png."""
    measured = [result for _, result in results]
    for suffix, text in (("md", markdown(results, machine, missing)), ("csv", as_csv(measured))):
        with write_aside(directory / f"benchmark.{suffix}") as aside:
            aside.write_text(text, encoding="utf-8")
    drawn = figure([(case, result.rows) for case, result in results], machine) if draw else None
    if drawn is not None:
        for suffix in ("svg", "png"):
            save(drawn, directory / f"benchmark.{suffix}")


def figure(results: Sequence[tuple[Case, Sequence[Row]]], machine: Machine) -> Figure | None:
    """Cost against size on logarithmic axes, a panel for each case that has more than one size; None if there is none.

    A line is the fastest of one family of contenders (all solvers of a peer, for example) at each size. Floors are
    those of the work of the first contender, grey: dashed for memory, dotted for arithmetic.
    """
    drawn = [(case, rows) for case, rows in results if case.series and len({row.size for row in rows}) > 1]
    if not drawn:
        return None
    columns = min(COLUMNS, len(drawn))
    height = -(-len(drawn) // columns)
    with house_style():
        found = Figure(figsize=(PAGE * columns / COLUMNS, 2.3 * height), layout="constrained")
        axes = found.subplots(height, columns, squeeze=False).ravel()
        for ax in axes[len(drawn) :]:
            ax.remove()
        lines = {ax: panel(ax, case, rows, machine) for ax, (case, rows) in zip(axes, drawn, strict=False)}
        label_ends(found, lines)
    return found


def family(name: str) -> str:
    """What one line of the figure stands for.

    >>> [family(name) for name in ("diffrax Tsit5, vmap", "by hand, math.exp", "dynamics")]
    ['diffrax', 'by hand', 'dynamics']
    """
    group = name.split(",")[0]
    return group.split()[0] if group.split()[0] in FAMILIES else group


def panel(ax: Axes, case: Case, rows: Sequence[Row], machine: Machine) -> list[Line2D]:
    """One case; its lines, to be named. Of races of the same size it is the first."""
    first: dict[float, str] = {}
    rows = [row for row in rows if row.race == first.setdefault(row.size, row.race)]
    fastest: dict[str, dict[float, float]] = {}
    for row in rows:
        of_family = fastest.setdefault(family(row.name), {})
        of_family[row.size] = min(row.wall, of_family.get(row.size, inf))
    lines = []
    for k, (name, points) in enumerate(fastest.items()):
        look = FAMILIES.index(name) if name in FAMILIES else k
        lines += ax.plot(
            *zip(*sorted(points.items()), strict=True), marker="o", markersize=2.5, label=name, zorder=3,
            linewidth=0.9 if k else 1.6, color=COLOURS[look % len(COLOURS)], linestyle=DASHES[look % len(DASHES)],
        )  # fmt: skip
    base = sorted((row for row in rows if isfinite(floor(row, machine))), key=lambda row: row.size)
    for name, dash, values in (
        ("memory", "--", [row.bytes / machine.bandwidth for row in base]),
        ("arithmetic", ":", [row.flops / machine.arithmetic for row in base]),
    ):
        if base:
            lines += ax.plot([row.size for row in base], values, color=FLOOR, linestyle=dash, linewidth=0.9, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(sorted(first))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    ax.minorticks_off()
    ax.set_xlabel(case.unit)
    ax.set_ylabel("seconds")
    ax.set_title(case.name)
    return lines
