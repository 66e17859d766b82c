"""From a program of sympy definitions to compiled code, by a chain of small passes.

statements -> contractions -> loops -> unroll -> storage -> emit -> compile; :func:`lower` runs the chain.
"""

from dynamics.lowering.kernel import Bound, Kernel, lower

__all__ = ["Bound", "Kernel", "lower"]
