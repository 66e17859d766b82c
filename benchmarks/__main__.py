"""The package beside its peers, each case in a process of its own.

Nothing is installed: peers that are missing are named and left out (pip install '.[benchmark]' brings those that have
wheels). Contenders of a case run in turn in every repeat, warm, on one core unless a case is about threads. Times are
medians. A ratio is the median over the repeats of a contender's processor time over that of the first contender in the
same repeat (more than 1: slower); of wall time where threads are compared. Errors are the largest ones against a tight
reference.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.case import Setting
from benchmarks.peers import PEERS, here
from benchmarks.report import header, table, write
from benchmarks.runs import CASES, apart, floors, run


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and repeats: a few minutes in all")
    parser.add_argument("--run", metavar="RUN.npz", help="a recorded run for the cases topic and gradient")
    parser.add_argument(
        "--text", nargs=2, metavar=("SOURCE", "TARGET"), help="line-aligned texts for the cases sparse and forecast"
    )
    parser.add_argument(
        "-o", dest="directory", type=Path, help="write benchmark.md, .csv, .svg and .png into this directory"
    )
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    setting = Setting(chosen.quick, chosen.run, tuple(chosen.text) if chosen.text else None)
    # XLA reads it when it is loaded; its threads would run beside what is timed.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    missing = [name for module, name in PEERS.items() if not here(module)]
    if missing:
        print(f"Not installed and left out: {', '.join(missing)}.\n")
    began, limits = perf_counter(), apart(floors)
    print(header(limits), end="\n\n", flush=True)
    results = []
    for name in chosen.case or CASES:
        started = perf_counter()
        case, rows = apart(run, name, setting)
        results.append((case, rows))
        print(table(case, rows, limits), flush=True)
        print(f"({name} took {perf_counter() - started:.0f} s)", file=sys.stderr, flush=True)
        if chosen.directory is not None:
            write(chosen.directory, results, limits, missing)
    print(f"({perf_counter() - began:.0f} s in all)", file=sys.stderr)


if __name__ == "__main__":
    main()
