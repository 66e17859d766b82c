"""The function that a program's array code is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from derivations.program.program import Program
from dynamics.lowering.arrays.by_owner import ByOwner
from dynamics.lowering.arrays.emit import array_source

__all__ = ["ArrayKernel", "array_kernel"]


@dataclass(frozen=True)
class ArrayKernel:
    """A program as a function of arrays.

    Attributes
    ----------
    source : str
        The code.
    dtype : type
        What it computes with, ``np.float32`` or ``np.float64``.
    run : callable
        The function of the code.
    """

    source: str
    dtype: Any
    run: Callable[..., Mapping[str, Any]]

    def __call__(self, **values: Any) -> Mapping[str, Any]:
        """The outputs by name.

        Parameters
        ----------
        values
            States, data, parameters, and sizes that no array has. Ragged data are flat, as everywhere.
        """
        with np.errstate(all="ignore"):  # what padded axes hold beyond a row may be anything before it is left out
            return self.run(self.dtype, **values)


@cache
def array_kernel(
    program: Program, outputs: tuple[str, ...], dtype: str = "float64", looped: bool = False
) -> ArrayKernel:
    """A program as NumPy code.

    Parameters
    ----------
    program : Program
    outputs : tuple of str
        The tensors to compute; definitions that they do not need are left out.
    dtype : {"float64", "float32"}
    looped : bool
        Compile loops over the examples of the program: quicker where each is small and there are many calls.

    Examples
    --------
    >>> from derivations.registry import program
    >>> kernel = array_kernel(program("linear"), ("Wdot",))
    >>> kernel(W=[[0.0, 0.0]], C=[[0.75, 0.25]], c=[1.0], eta_W=1.0)["Wdot"].tolist()
    [[0.25, -0.25]]
    """
    space: dict[str, Any] = {}
    if looped:
        writer = ByOwner(program, outputs, dtype == "float32")
        source = writer.module()
        space |= writer.kernels
    else:
        source = array_source(program, outputs)
    exec(compile(source, f"<arrays of {program.name}>", "exec"), space)
    return ArrayKernel(source, np.dtype(dtype).type, space["arrays"])
