"""``dynamics phase``: phase diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dynamics.cli.console import progress
from dynamics.cli.options import Figures, Observe, Output, Threads, named_numbers, words_of
from dynamics.cli.output import finish, folder, with_data, write
from dynamics.cli.system import RANDOM, ProgramFile
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from derivations.program import Program
    from dynamics.phase.system import System

Axis = Annotated[str, typer.Option(help="NAME=LOW:HIGH, NAME=LOW:HIGH:POINTS, NAME=LOW:HIGH:POINTS:log or NAME=1,2,5.")]


def phase(
    x: Axis = "V=8:64",
    y: Axis = "L=4:60",
    system: Annotated[
        str,
        typer.Option(
            help="copying; and, or, majority, parity (a sparse function of bits); and-uniform, or-uniform,"
            " majority-uniform (attention held uniform); or a flow of scalars of dynamics derive."
        ),
    ] = "copying",
    program: ProgramFile = None,
    arrays: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="program: its arrays by name, FILE.npz (initial states too); normal: at random, of sizes that are axes"
            " or --fix.",
        ),
    ] = None,
    fix: Annotated[str | None, typer.Option(help="Other parameters, such as L=8,sigma=0.1.")] = None,
    quantity: Annotated[
        str | None,
        typer.Option(
            help="time (until the observable passes the threshold), learnt (share of random initial states for which it"
            " does) or value (of the observable at the end). What the system is usually asked for if not given: time of"
            " copying, learnt of sparse functions."
        ),
    ] = None,
    observable: Annotated[
        str | None,
        typer.Option(
            help="Such as p_t, alpha, u, a or loss; exact or recovered of sparse functions. It passes a threshold"
            " upwards, the loss downwards."
        ),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Of the observable.")] = 0.5,
    observe: Observe = None,
    time: Annotated[float, typer.Option(help="End of training, tau = learning rate x steps.")] = 10_000.0,
    draws: Annotated[int, typer.Option(help="Random initial states of a cell; seeds of a simulation.")] = 64,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Train the full model in every cell instead of solving the reduction.")
    ] = False,
    lr: Annotated[float, typer.Option(help="Learning rate of the simulation.")] = 1.0,
    batch: Annotated[int, typer.Option(help="Examples per step of the simulation.")] = 64,
    refine: Annotated[
        int, typer.Option(help="Begin with every 2^N-th value, and refine so often where neighbours differ.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.")] = 0,
    threads: Threads = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the blocks in OUTPUT.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Delete the blocks in OUTPUT and start anew.")] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler that does the blocks, such as tcp://10.0.0.1:8786.")
    ] = None,
    output: Output = None,
    figures: Figures = "png",
) -> None:
    """Draw what is learnt where: any two parameters against a time or an observable.

    With no arguments: the time to learn to copy L of V distinct words. Finished blocks are kept in OUTPUT/blocks, so
    that --resume goes on after an interruption, with the same result.

    Example: dynamics phase --x extra=0:10 --y sigma=0.01:1:40:log --fix L=8 --quantity learnt --observable alpha
    """
    from dynamics.phase.axes import axis
    from dynamics.phase.diagram import phase_diagram
    from dynamics.phase.quantity import Quantity, Simulation
    from dynamics.phase.sparse import SparseFunction
    from dynamics.phase.systems import system_of
    from dynamics.support.blocks import SETTINGS

    place = with_data(folder(output, "phase", figures))
    if program is not None:
        from dynamics.program_file import load

        if system != "copying":
            raise InputError("--program is a system: leave --system out")
    if arrays is not None and program is None:
        raise InputError("--data is for --program FILE; leave it out")
    chosen = system_of(system) if program is None else of_program(load(program), arrays, seed)
    axes = dict(axis(text, option, chosen.whole) for text, option in ((y, "--y"), (x, "--x")))
    if len(axes) < 2:
        raise InputError(f"--x and --y are both {next(iter(axes))}; give two parameters")
    usual = chosen.usual
    kind = "time" if observable and usual.kind == "value" else usual.kind
    shown = Quantity(quantity or kind, observable or usual.observable, threshold)
    kept = place / "phase.nc"
    if kept.exists() and not force and not (place / "blocks" / SETTINGS).exists():
        raise InputError(f"{kept} is of a sweep before; name another --output, or start anew with --force")
    try:
        with progress("sweeping", "cells") as show:
            found = phase_diagram(
                chosen, axes, shown, time,
                fixed=named_numbers(fix, "--fix") if fix else None, observe=words_of(observe), draws=draws,
                simulation=Simulation(lr, batch) if simulate else None, refine=refine, seed=seed,
                store=place / "blocks", resume=resume, force=force, scheduler=scheduler, threads=threads,
                progress=show,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command with --resume goes on") from None
    lines = report(found)
    if isinstance(chosen, SparseFunction) and set(axes) == {"T", "m"}:
        lines.append(critical_samples(found))

    def draw() -> dict[str, Figure]:
        from dynamics import plot

        return {"phase": plot.phase(found)}

    finish(write(place, figures, {"phase": found}, draw), *lines)


def of_program(program: Program, arrays: str | None, seed: int) -> System:
    """A program of a file with its data."""
    from dynamics.phase.programs import NormalArrays
    from dynamics.phase.systems import system_of
    from dynamics.problems.kinds.arrays import read_arrays

    if arrays is None:
        return system_of(program)
    if arrays == RANDOM:
        return system_of(program, NormalArrays(program, seed))
    found = read_arrays(arrays)
    start = {name: found.pop(name) for name in program.state_names if name in found}
    return system_of(program, found, None, start)


def report(found: xr.Dataset) -> list[str]:
    """How much was computed, and between which values."""
    import numpy as np

    value, seconds = found.value.values, max(found.attrs["seconds"], 1e-3)
    now, computed = found.attrs["computed_now"], int(found.computed.sum())
    first = (
        f"{found.value.attrs['long_name']}: {value.size} cells, {computed} of them computed"
        + (f", {computed - now} of those before" if now < computed else "")
        + f" ({seconds:.3g} s, {now / seconds:,.0f} cells/s)"
    )
    finite = value[np.isfinite(value)]
    ranges = [f"from {finite.min():.4g} to {finite.max():.4g}"] if finite.size else []
    never, undefined = int(np.isinf(value).sum()), int(np.isnan(value).sum())
    ranges += [f"not by the end in {never} cells"] * bool(never)
    ranges += [f"undefined or failed in {undefined}"] * bool(undefined)
    return [first, "; ".join(ranges)]


def critical_samples(found: xr.Dataset) -> str:
    """The critical sample sizes of a diagram of a sparse function, and their log law."""
    from dynamics.phase.critical_size import critical_sizes

    sizes = critical_sizes(found)
    shown = [f"{float(m):.1f} (T = {float(T):g})" for T, m in zip(sizes["T"], sizes["m"], strict=True) if m == m]
    few = shown[:3] + ["..."] * (len(shown) > 4) + shown[max(3, len(shown) - 1) :]
    listed = ", ".join(few) or "outside of the diagram"
    law = sizes.attrs
    fit = f"; m = {law['slope']:.2f} log2(T) {law['level']:+.1f}, R^2 = {law['r2']:.3f}" if law else ""
    return f"half succeed at m = {listed}{fit}"
