"""Cases by name, each run in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from importlib import import_module
from multiprocessing import get_context
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks.case import Case, Row, Setting
from benchmarks.measure import Machine, machine, on_one_core, processor_time

CASES = {
    "sweep": "sweep.CASE",
    "sweep-tight": "sweep.TIGHT",
    "cores": "cores.CASE",
    "shared": "cores.CLOSURES",
    "topic": "exact_flow.CASE",
    "lexical": "lexical.CASE",
    "dense": "dense_closure.CASE",
    "products": "products.CASE",
    "memory": "products.MEMORY",
    "sparse": "sparse_closure.CASE",
    "stiff": "stiff_tail.CASE",
    "loops": "loops.CASE",
    "gradient": "loops.GRADIENT",
    "kernels": "kernels.CASE",
    "forecast": "forecast.CASE",
    "program": "programs.CASE",
    "batch": "programs.BATCHES",
    "startup": "startup.CASE",
    "compile": "compile_time.CASE",
}
"""Where each case stands: modules are loaded in the process of the case, and where its rows are shown."""

ALIKE = {"sweep-tight": "sweep"}
"""Cases that run in the process of another if they come next after it: what was compiled there serves them."""


def case(name: str) -> Case:
    """Its description, from the module where it stands."""
    module, attribute = CASES[name].split(".")
    found: Case = getattr(import_module(f"benchmarks.{module}"), attribute)
    return found


def run(name: str, setting: Setting) -> tuple[list[Row], float]:
    """One case, in this process, and its processor time: about what it takes where nobody else computes."""
    chosen, before = case(name), processor_time()
    if chosen.one_core:
        on_one_core()
    # Threads of BLAS would wait for each other on one core.
    with threadpool_limits(1) if chosen.one_core else nullcontext():
        return list(chosen.rows(setting)), processor_time() - before


def apart(function: Callable[..., Any], *values: Any) -> Any:
    """What a function returns in a fresh process."""
    with fresh_process() as process:
        return process.submit(function, *values).result()


def fresh_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


class Processes:
    """Cases in fresh processes: none sees the memory, threads or modules of another, but those that compile the same.

    Used in a ``with`` block, which ends the last process.
    """

    def __init__(self) -> None:
        self.process, self.group = fresh_process(), ""

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.shutdown()

    def rows(self, name: str, setting: Setting) -> tuple[list[Row], float]:
        """Of a case, and its processor time."""
        group = ALIKE.get(name, name)
        if self.group != group:
            self.process.shutdown()
            self.process, self.group = fresh_process(), group
        try:
            return self.process.submit(run, name, setting).result()
        except Exception:
            self.group = ""  # whatever it left there
            raise


def floors() -> Machine:
    on_one_core()
    return machine()
