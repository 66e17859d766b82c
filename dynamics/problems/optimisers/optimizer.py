"""An optimiser with its options: which apply is known from its rule, and the others are refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from derivations.gradient_flow.optimised import FORMS
from derivations.gradient_flow.rules import DECAYS, RULES, Rule
from dynamics.problems.optimisers.schedule import CONSTANT, schedule_of
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.typing import Vector

__all__ = ["NAMES", "Optimizer", "optimizer_of"]

NAMES = tuple(RULES)
USUAL: Mapping[str, Mapping[str, float]] = {
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9},
    "rmsprop": {"beta_2": 0.99, "eps": 1e-8},
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "eps": 1e-8},
    "adamw": {"beta_1": 0.9, "beta_2": 0.999, "eps": 1e-8},
    "sign": {"eps": 1e-6},
}
"""What options are if they are not given: those of PyTorch."""
USUAL_DECAY = {"adamw": 0.01}
MEMORIES = {"velocity": "momentum", "mean": "beta_1", "square": "beta_2"}
"""Averages, and the option that says what they keep from one step to the next."""


@dataclass(frozen=True)
class Optimizer:
    """An optimiser: what ``optimizer=`` of solve, simulate and compare takes, beside its name.

    Attributes
    ----------
    name : str
        ``descent``, ``momentum``, ``nesterov``, ``rmsprop``, ``adam``, ``adamw`` or ``sign``.
    lr : float
        Learning rate, above 0: the peak, if there is a schedule.
    schedule : Schedule, str or table
        As for :func:`dynamics.problems.optimisers.schedule.schedule_of`.
    momentum : float
        momentum, nesterov: what the velocity keeps in a step.
    beta_1, beta_2 : float
        rmsprop, adam, adamw: what the average of the gradient, and of its square, keep in a step.
    eps : float
        rmsprop, adam, adamw: added to the root of the square. sign: the size of a full gradient at which the flow (not
        the steps) crosses from one direction to the other.
    weight_decay : float
        Times the state, added to its gradient (``coupled``), or to what it moves by (``decoupled``).
    decay : str
        Which of the two; that of the optimiser if not given: decoupled for adamw.
    batch : int
        Examples of a step, drawn anew: the noise of their gradients enters the normaliser of adaptive optimisers. In a
        flow without it, gradients are those of all examples.
    form : str
        The flow that is followed: ``full``, with running averages as states; ``limit``, of averages that only know the
        present; ``modified``, of the full gradient to second order in the learning rate. Full if not given; of descent,
        which has no averages, modified.

    Raises
    ------
    InputError
        An optimiser that does not exist, an option that it does not have, or a number out of range.

    Examples
    --------
    >>> Optimizer("adam", lr=1e-3).numbers
    {'beta_1': 0.9, 'beta_2': 0.999, 'eps': 1e-08}
    >>> Optimizer("momentum", lr=0.1, beta_1=0.5)
    Traceback (most recent call last):
    dynamics.support.errors.InputError: beta_1 does not apply to momentum, which takes momentum; leave it out
    """

    name: str
    lr: float
    schedule: Any = CONSTANT
    momentum: float | None = None
    beta_1: float | None = None
    beta_2: float | None = None
    eps: float | None = None
    weight_decay: float | None = None
    decay: str | None = None
    batch: int | None = None
    form: str | None = None

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise InputError(
                f"unknown optimizer {self.name!r}{did_you_mean(self.name, NAMES)}; use one of {', '.join(NAMES)}"
            )
        object.__setattr__(self, "schedule", schedule_of(self.schedule))
        usual = USUAL.get(self.name, {})
        self.require("lr", self.lr, 0.0, math.inf, "above 0", strictly=True)
        for name in ("momentum", "beta_1", "beta_2", "eps"):
            value = getattr(self, name)
            if value is not None and name not in usual:
                takes = f"takes {', '.join(usual)}" if usual else "takes none of the kind"
                raise InputError(f"{name} does not apply to {self.name}, which {takes}; leave it out")
            if value is not None and name == "eps":
                self.require(name, value, 0.0, math.inf, "from 0 on")
            elif value is not None:
                self.require(name, value, 0.0, 1.0, "from 0 to below 1")
        if self.weight_decay is not None:
            self.require("weight_decay", self.weight_decay, 0.0, math.inf, "from 0 on")
        if self.decay is not None:
            if self.decay not in DECAYS[1:]:
                raise InputError(f"decay = {self.decay!r} must be coupled or decoupled")
            if not self.shrinks:
                raise InputError(f"decay = {self.decay!r} says how weights decay; give weight_decay, or leave it out")
        if self.batch is not None and (
            isinstance(self.batch, bool) or not float(self.batch).is_integer() or self.batch < 1
        ):
            raise InputError(f"batch = {self.batch} must be a whole number from 1")
        if self.form is not None and self.form not in FORMS:
            raise InputError(f"form = {self.form!r} must be one of {', '.join(FORMS)}")
        if self.form == "modified" and self.name in ("rmsprop", "sign"):
            raise InputError(f"there is no modified flow of {self.name}; use form='full', or adam or momentum")
        if self.followed == "modified" and self.rule.is_adaptive and self.batch is not None:
            raise InputError("the modified flow of Adam is that of the full gradient; leave batch out, or form")

    def require(self, name: str, value: Any, low: float, high: float, said: str, strictly: bool = False) -> None:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (low <= number < high) or (strictly and number == low):
            raise InputError(f"{name} = {value!r} must be a number {said}")

    @property
    def rule(self) -> Rule:
        return RULES[self.name]

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers of its rule, given or usual."""
        usual = USUAL.get(self.name, {})
        return {name: float(v if (v := getattr(self, name)) is not None else usual[name]) for name in usual}

    @property
    def shrinks(self) -> float:
        """The weight decay."""
        return float(USUAL_DECAY.get(self.name, 0.0) if self.weight_decay is None else self.weight_decay)

    @property
    def decays(self) -> str:
        """How weights decay, one of :data:`derivations.gradient_flow.rules.DECAYS`."""
        return (self.decay or self.rule.decay) if self.shrinks else "none"

    @property
    def followed(self) -> str:
        """The form of the flow."""
        return self.form or ("modified" if self.name == "descent" else "full")

    @property
    def is_modified_descent(self) -> bool:
        """Whether its flow is the modified flow of descent, whose time is tau."""
        return (self.name, self.followed, self.decays) == ("descent", "modified", "none") and self.schedule.is_constant

    def require_noise(self) -> None:
        """Raise InputError if a batch is given that the flow does not know: noise enters by normalisers alone."""
        if self.batch is not None and not self.rule.is_adaptive:
            raise InputError(
                f"the flow of {self.name} is the same at any batch: its noise has no normaliser to enter; leave batch"
                " out, or simulate or compare"
            )

    def passed(self, tau: Vector) -> Vector:
        """The steps at which learning rates have added up to some times."""
        return self.schedule.steps(tau / self.lr)

    @property
    def remembered(self) -> tuple[str, ...]:
        """The averages that have a memory; a ``beta`` of 0 keeps nothing."""
        numbers = self.numbers
        return tuple(str(one.symbol) for one in self.rule.averages if numbers[MEMORIES[str(one.symbol)]] > 0)

    @property
    def speed(self) -> float:
        """How far it goes for a gradient that stays, in steps of descent: 1/(1 - momentum)."""
        return 1 / (1 - self.numbers.get("momentum", 0.0))

    @property
    def attrs(self) -> dict[str, Any]:
        """What results say of it."""
        return {
            "optimizer": self.name, "lr": self.lr, **self.numbers,
            **({"weight_decay": self.shrinks, "decay": self.decays} if self.shrinks else {}),
            **({} if self.schedule.is_constant else {"schedule": str(self.schedule)}),
        }  # fmt: skip


def optimizer_of(
    given: Optimizer | str | None, lr: float | None = None, batch: int | None = None, schedule: Any = None,
    **options: Any,
) -> Optimizer | None:  # fmt: skip
    """An optimiser from its name and its options, or as it is.

    Raises
    ------
    InputError
        What is said twice, or lacks a learning rate.

    Examples
    --------
    >>> optimizer_of("adam", 1e-3, batch=32).batch
    32
    """
    told = {**options, "lr": lr, "batch": batch, "schedule": schedule}
    told = {name: value for name, value in told.items() if value is not None}
    if given is None:
        if set(told) - {"lr", "batch"}:
            extra = next(name for name in told if name not in ("lr", "batch"))
            raise InputError(f"{extra} is of an optimizer; name one, optimizer='momentum' for example, or leave it out")
        return None
    if isinstance(given, Optimizer):
        own = {one.name for one in fields(given)}
        for name, value in told.items():
            before = getattr(given, name) if name in own else None
            if name == "batch" and before in (None, value):
                continue
            if before != value:
                raise InputError(f"{name} is said by the optimizer already; leave it out")
        return replace(given, batch=told.get("batch", given.batch))
    if "lr" not in told:
        raise InputError(f"optimizer={given!r} needs a learning rate; give lr=0.001 for example")
    return Optimizer(str(given), **told)
