"""Whether the steps of a run were short enough for the curvature that they met."""

from __future__ import annotations

import numpy as np

from dynamics.problems.kinds.exact import Exact
from dynamics.problems.optimisers.curvature import Stability, by_differences, limit_of, looks
from dynamics.problems.optimisers.looking import looked_at
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.support.typing import Vector
from dynamics.train.descent import Descent
from dynamics.train.snapshot import Snapshot

__all__ = ["of_run"]

LOOK, SHARE, LOOKS = 30, 0.05, (2, 5)
"""Gradients of a look, roughly; the share of those of a run that may be spent; and how many looks there are."""


def of_run(descent: Descent, run: Snapshot, seeds: int) -> Stability | None:
    """The curvature at some records of a run, and a warning if its steps were too long for it.

    Adaptive optimisers are looked at where they end: their curvature is relative to averages, of which a run keeps the
    last. None for those whose steps have no limit.
    """
    optimizer = descent.optimizer
    if optimizer is None:
        moving = descent.momentum > 0
        optimizer = Optimizer("momentum" if moving else "descent", descent.lr, momentum=descent.momentum or None)
    limit = limit_of(optimizer)
    if limit is None:
        return None
    apply = by_differences(descent.evaluated(descent.flow))
    if optimizer.rule.is_adaptive:
        if not run.step or run.step != descent.records[-1]:
            return None
        stepping, end = descent.stepping(run.y), descent.records[-1:].astype(float)
        size = stepping.divisor(run.step, run.velocity)
        return looked_at(apply, optimizer, stepping.rates, descent.times[-1:], end - 1, [run.y], lambda _: size)
    batch = descent.source.batch or descent.source.count
    of_evaluation = len(descent.evaluation.examples) if isinstance(descent.evaluation, Exact) else descent.source.count
    affordable = SHARE * descent.steps * seeds * batch / (LOOK * of_evaluation)
    at = list(looks(len(run.loss), int(np.clip(affordable, *LOOKS))))
    states: list[Vector | None] = [run.states[k] for k in at]
    eta = np.ones(run.y.size) if descent.optimizer is None else descent.stepping(run.y).rates
    return looked_at(apply, optimizer, eta, descent.times[at], descent.records[at].astype(float), states)
