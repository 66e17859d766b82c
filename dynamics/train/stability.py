"""The learning rate from which descent is unstable, and whether a run was."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dynamics.problems.exact import Exact
from dynamics.problems.optimisers.curvature import Stability, by_differences, limit_of, looks
from dynamics.problems.optimisers.looking import looked_at
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    from dynamics.train.descent import Descent
    from dynamics.train.snapshot import Snapshot

LOOK, SHARE, LOOKS = 30, 0.05, (2, 5)
"""Gradients of a look, roughly; the share of those of a run that may be spent; and how many looks there are."""


def of_run(descent: Descent, run: Snapshot, seeds: int) -> Stability | None:
    """The curvature at some records of a run, and a warning if its steps were too long for it.

    None for adaptive optimisers, whose curvature is relative to averages that are not kept.
    """
    optimizer = descent.optimizer
    if optimizer is None:
        moving = descent.momentum > 0
        optimizer = Optimizer("momentum" if moving else "descent", descent.lr, momentum=descent.momentum or None)
    limit = limit_of(optimizer)
    if limit is None or optimizer.rule.is_adaptive:
        return None
    apply = by_differences(descent.evaluated(descent.flow))
    batch = descent.source.batch or descent.source.count
    of_evaluation = len(descent.evaluation.examples) if isinstance(descent.evaluation, Exact) else descent.source.count
    affordable = SHARE * descent.steps * seeds * batch / (LOOK * of_evaluation)
    at = list(looks(len(run.loss), int(np.clip(affordable, *LOOKS))))
    states: list[Vector | None] = [run.states[k] for k in at]
    eta = np.ones(run.y.size) if descent.optimizer is None else descent.stepping(run.y).rates
    return looked_at(apply, optimizer, eta, descent.times[at], descent.records[at].astype(float), states)


def stable_rate(
    flow: Callable[[Vector, Vector], None], y: Vector, momentum: float = 0.0, iterations: int = 40
) -> float:
    """The learning rate from which descent along a flow is unstable at a state: 2 (1 + momentum) / curvature.

    The curvature is the largest eigenvalue of minus the flow's Jacobian (the Hessian, for a flow down a loss), found by
    power iteration on differences of the flow.

    Returns
    -------
    float
        Infinity where there is no positive curvature, or none that is finite.

    Examples
    --------
    >>> def flow(y, out):
    ...     out[:] = -np.array([0.5, 4.0, -5.0]) * y
    >>> round(stable_rate(flow, np.zeros(3)), 6)
    0.5
    """
    up, down = np.empty_like(y), np.empty_like(y)
    h = 1e-5 * (1 + np.abs(y).max())
    shift = 0.0
    with np.errstate(all="ignore"):
        for _ in range(2):  # the largest in size first; if it is negative, shifted, the largest
            v = np.random.default_rng(0).standard_normal(y.size)
            v /= np.linalg.norm(v)
            value = 0.0
            for _ in range(iterations):
                flow(y + h * v, up)
                flow(y - h * v, down)
                w = (down - up) / (2 * h) + shift * v
                value, norm = float(v @ w) - shift, float(np.linalg.norm(w))
                if not (math.isfinite(norm) and norm > 0):
                    return math.inf
                v = w / norm
            if value > 0:
                return 2 * (1 + momentum) / value
            shift = -value
    return math.inf
