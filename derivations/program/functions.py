"""Functions of the language that sympy does not have: stable at +-1e3, with their derivatives."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Function, Integer, S, erf, exp, sqrt

__all__ = ["gelu", "log_sigmoid", "rsqrt", "sigmoid", "softplus", "stop_gradient"]


class stop_gradient(Function):
    """``stop_gradient(x)``: x, whose slope is taken to be 0.

    Examples
    --------
    >>> from sympy import Symbol
    >>> x = Symbol("x", real=True)
    >>> (x * stop_gradient(x)).diff(x)
    stop_gradient(x)
    """

    nargs = 1
    is_real = True

    @classmethod
    def eval(cls, argument: Expr) -> Expr | None:
        return argument if argument.is_number else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return S.Zero


class sigmoid(Function):
    """The logistic function ``1 / (1 + exp(-x))``, with the slope ``sigmoid(x) sigmoid(-x)``.

    Examples
    --------
    >>> from sympy import Symbol
    >>> sigmoid(Symbol("x", real=True)).diff()
    sigmoid(-x)*sigmoid(x)
    """

    nargs = 1
    is_real = True
    is_positive = True

    @classmethod
    def eval(cls, argument: Expr) -> Expr | None:
        return 1 / (1 + exp(-argument)) if argument.is_number else None

    def fdiff(self, argindex: int = 1) -> Expr:
        (x,) = self.args
        return sigmoid(x) * sigmoid(-x)


class softplus(Function):
    """``log(1 + exp(x))`` as ``max(x, 0) + log(1 + exp(-|x|))``, with the slope ``sigmoid(x)``.

    Examples
    --------
    >>> from sympy import Symbol
    >>> softplus(Symbol("x", real=True)).diff()
    sigmoid(x)
    """

    nargs = 1
    is_real = True
    is_nonnegative = True

    @classmethod
    def eval(cls, argument: Expr) -> Expr | None:
        from sympy import log

        return log(1 + exp(argument)) if argument.is_number else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return sigmoid(self.args[0])


def log_sigmoid(x: Any) -> Expr:
    """The logarithm of the logistic function, ``-softplus(-x)``."""
    return -softplus(-x)


def rsqrt(x: Any) -> Expr:
    """``1/sqrt(x)``."""
    return 1 / sqrt(x)


def gelu(x: Any) -> Expr:
    """``x Phi(x)`` with the normal distribution's Phi: ``x (1 + erf(x/sqrt(2))) / 2``.

    References
    ----------
    D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.
    """
    return x * (1 + erf(x / sqrt(2))) / Integer(2)
