"""The package beside its peers, each case in a process of its own.

Nothing is installed: peers that are missing are named and left out (pip install '.[benchmark]' brings those that have
wheels). Contenders of a case run in turn, warm, on one core unless a case is about threads, each until the quartiles of
its ratio are close together. Times are medians. A ratio is the median over the rounds of a contender's processor time
over that of the first contender in the same round (more than 1: slower); of wall time where threads are compared.
Errors are the largest ones against a tight reference; who takes a tolerance has about the loosest with which the error
of the case is met.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import datetime
from math import nan
from pathlib import Path
from time import perf_counter

from benchmarks.case import Setting
from benchmarks.peers import PEERS, here
from benchmarks.report import header, summary, table, write
from benchmarks.runs import CASES, Processes, apart, case, floors
from benchmarks.store import Result, kept, merged


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds: a few minutes in all")
    parser.add_argument("--run", metavar="RUN.npz", help="a recorded run for the cases topic and gradient")
    parser.add_argument(
        "--text", nargs=2, metavar=("SOURCE", "TARGET"), help="line-aligned texts for the cases sparse and forecast"
    )
    parser.add_argument(
        "-o",
        dest="directory",
        type=Path,
        help="write benchmark.md, .csv, .svg and .png into this directory; cases that stand there stay",
    )
    parser.add_argument("--resume", action="store_true", help="leave out the cases that stand in the directory of -o")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    setting = Setting(chosen.quick, chosen.run, tuple(chosen.text) if chosen.text else None)
    # XLA reads it when it is loaded; its threads would run beside what is timed.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    missing = [name for module, name in PEERS.items() if not here(module)]
    if missing:
        print(f"Not installed and left out: {', '.join(missing)}.\n")
    began, limits = perf_counter(), apart(floors)
    print(header(limits), end="\n\n", flush=True)
    results = kept(chosen.directory) if chosen.directory is not None else {}
    failed = []
    with Processes() as processes:
        for name in chosen.case or [name for name in CASES if not (chosen.resume and name in results)]:
            try:
                result = measured(name, setting, processes)
            except Exception as error:  # the other cases are still worth their time
                print(f"({name} failed: {type(error).__name__}: {error})", file=sys.stderr, flush=True)
                failed.append(name)
                continue
            results = merged(results, result, CASES)
            print(table(case(name), result, limits), flush=True)
            if chosen.directory is not None:
                write(chosen.directory, [(case(each), result) for each, result in results.items()], limits, missing)
    print(summary(results.values()))
    print(f"({perf_counter() - began:.0f} s in all)", file=sys.stderr)
    return 1 if failed else 0


def measured(name: str, setting: Setting, processes: Processes) -> Result:
    """A case, and what is told about its measurement."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else nan
    when, started = datetime.now().strftime("%Y-%m-%d %H:%M"), perf_counter()
    rows, used = processes.rows(name, setting)
    took = perf_counter() - started
    print(f"({name} took {took:.0f} s, {used:.0f} s of processor time)", file=sys.stderr, flush=True)
    return Result(name, when, load, took, tuple(rows))


if __name__ == "__main__":
    sys.exit(main())
