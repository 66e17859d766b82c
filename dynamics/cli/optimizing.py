"""Options that say by what steps it is learnt: an optimiser and its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from dynamics.cli.options import OPTIMIZING, given
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    from dynamics.problems.optimisers.optimizer import Optimizer


@dataclass(frozen=True)
class OptimizerOptions:
    """By what steps it is learnt."""

    optimizer: Annotated[
        str | None,
        typer.Option(
            help="descent, momentum, nesterov, rmsprop, adam, adamw or sign, at --lr; time is the sum of lr.",
            rich_help_panel=OPTIMIZING,
        ),
    ] = None
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Of lr: warmup:STEPS, linear:TOTAL[:LEAST], cosine:TOTAL[:LEAST], steps:PERIOD:DROP, table:FILE;"
            " warm-up and one more with a comma.",
            rich_help_panel=OPTIMIZING,
        ),
    ] = None
    betas: Annotated[
        str | None,
        typer.Option(help="adam, adamw: 0.9,0.999; rmsprop: 0.99.", rich_help_panel=OPTIMIZING),
    ] = None
    eps: Annotated[
        float | None, typer.Option(help="rmsprop, adam, adamw, sign: 1e-8 for example.", rich_help_panel=OPTIMIZING)
    ] = None
    weight_decay: Annotated[
        float | None, typer.Option(help="[default: 0; 0.01 of adamw]", rich_help_panel=OPTIMIZING)
    ] = None
    decay: Annotated[
        str | None,
        typer.Option(help="coupled or decoupled. [default: decoupled of adamw]", rich_help_panel=OPTIMIZING),
    ] = None
    flow: Annotated[
        str | None,
        typer.Option(
            help="Which flow: full (running averages are states), limit (they know the present only) or modified"
            " (second order in lr). [default: full]",
            rich_help_panel=OPTIMIZING,
        ),
    ] = None

    def chosen(self, lr: float | None, momentum: float | None, batch: int | None = None) -> Optimizer | None:
        """The optimiser that the options name.

        Raises
        ------
        InputError
            Options of none, or that it does not have.
        """
        if self.optimizer is None:
            for name in given(self):
                flag = f"--{name.replace('_', '-')}"
                raise InputError(f"{flag} is of an optimizer; add --optimizer adam for example, or leave it out")
            return None
        from dynamics.cli.options import numbers
        from dynamics.problems.optimisers.optimizer import Optimizer

        if lr is None:
            raise InputError(f"--optimizer {self.optimizer} needs a learning rate: add --lr 0.001 for example")
        betas = {} if self.betas is None else self.named_betas(numbers(self.betas, "--betas"))
        return Optimizer(
            self.optimizer, lr, self.schedule, momentum, weight_decay=self.weight_decay, decay=self.decay, batch=batch,
            eps=self.eps, form=self.flow, **betas,
        )  # fmt: skip

    def named_betas(self, values: list[float]) -> dict[str, float]:
        names = ("beta_2",) if self.optimizer == "rmsprop" else ("beta_1", "beta_2")
        if len(values) != len(names):
            raise InputError(f"--betas {self.betas}: {self.optimizer} takes {len(names)}, as 0.9,0.999 of adam")
        return dict(zip(names, values, strict=True))
