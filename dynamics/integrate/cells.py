"""Many integrations of one compiled right-hand side, each with its own steps, on all threads: the compiled loop.

A cell is what :class:`dynamics.integrate.run.Run` integrates: its bits do not depend on other cells, on their order
or on the number of threads. Events are looked for at the end of every step, and found within it by the method's own
states there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dynamics.integrate.run import (
    ATOL,
    BAD,
    BOUND,
    COUNTS,
    DIRECTION,
    EVALUATIONS,
    EXPONENT,
    FINISHED,
    H_LAST,
    MAX_EVALUATIONS,
    MAX_STEP,
    MAX_STEPS,
    NOT_FINITE,
    POWERS,
    RAISED,
    ROWS,
    RTOL,
    RUNNING,
    SHOWN,
    STEP_TOO_SMALL,
    STEPPED,
    STEPS,
    T_OLD,
    T,
)
from dynamics.integrate.whole import PLAIN, advance, between, first_step, prepare
from dynamics.lowering.machine.entries import call, take
from dynamics.support.machine_code import kept

__all__ = ["PRECISION", "run_cells"]

PRECISION = 4 * 2.220446049250313e-16
"""Of the time of an event, as in SciPy."""
BUDGET = 200
"""Steps between two looks at whether all is to be given up."""


@njit(**PLAIN)
def level(function, space, e, t):
    """An event's value within the last step of a cell: what is watched less its threshold."""
    address, words, watch, watch_words, kind, A, B, places, thresholds = function
    y_old, parts, slopes, again, work, clock, counts, state, seen = space
    code = between(
        address, words, kind, A, B, t, clock[T_OLD], clock[H_LAST], y_old, parts,
        clock[POWERS : POWERS + parts.shape[1]], slopes, again, work[0], work[1], state,
    )  # fmt: skip
    counts[EVALUATIONS] += A.shape[0] - 1 if kind == STEPPED else 0
    code |= call(watch, state, seen, watch_words)
    return seen[places[e]] - thresholds[e] if code == 0 else np.nan


@njit(**PLAIN)
def passes(function, space, e, near, far, at_near, at_far):
    """When an event's value is 0 between two times: Chandrupatla's method, to SciPy's tolerances.

    T. R. Chandrupatla, Advances in Engineering Software 28 (1997) 145-149.
    """
    if at_near == 0.0:
        return near
    share = 0.5
    while True:
        time = near + share * (far - near)
        at_time = level(function, space, e, time)
        last, at_last = far, at_far
        if (at_time > 0.0) == (at_near > 0.0):
            last, at_last = near, at_near
        else:
            far, at_far = near, at_near
        near, at_near = time, at_time
        best, at_best = (near, at_near) if abs(at_near) < abs(at_far) else (far, at_far)
        smallest = PRECISION * (1.0 + abs(best)) / abs(far - near)
        if not smallest < 0.5 or at_best == 0.0:
            return best
        place, height = (near - far) / (last - far), (at_near - at_far) / (at_last - at_far)
        share = 0.5
        if height * height < place and (1.0 - height) * (1.0 - height) < 1.0 - place:
            share = at_near / (at_far - at_near) * at_last / (at_far - at_last)
            share += (last - near) / (far - near) * at_near / (at_last - at_near) * at_far / (at_last - at_far)
        share = min(max(share, smallest), 1.0 - smallest)


@kept(nogil=True, **PLAIN)
def run_cells(
    queue, entries, function_words, scratch, watch_words, watch_scratch, kind, order, A, B, E, A_more, P, initial, ends,
    wanted, places, thresholds, ways, rtol, atol, max_steps, states, observed, event_times, times, status, step_counts,
    evaluations,
):  # fmt: skip
    """Integrate the cells of a queue until it is empty; ``queue[1]`` other than 0 gives up.

    ``entries`` are the addresses of the flow and of what is watched (0: nothing); words (cell, word) are copied with
    scratch of this thread in place of their own. ``ways`` (event, rising, falling, terminal).
    """
    address, watch = entries[0], entries[1]
    n, count, m = initial.shape[1], A.shape[0], observed.shape[2]
    events = places.size
    y, y_old, work = np.empty(n), np.empty(n), np.empty((6, n))
    more = np.empty((count + 1 + A_more.shape[0], n))
    parts = np.empty((n, P.shape[1]) if kind == 0 else (7 if kind == 1 else 0, n))
    again = np.empty((count if kind == STEPPED else 0, n))
    clock, counts = np.zeros(POWERS + P.shape[1]), np.zeros(COUNTS, np.int64)
    no_taken = np.zeros(1, np.int64)
    taken = np.zeros(max(wanted.size, 1), np.int64)
    state, seen, before, root = np.empty(n), np.empty(m), np.empty(events), np.empty(events)
    nothing = np.empty((1, n))
    words, looked = np.empty(function_words.shape[1], np.int64), np.empty(watch_words.shape[1], np.int64)
    function = (address, words, watch, looked, kind, A, B, places, thresholds)
    space = (y_old, parts, more[: count + 1], again, work, clock, counts, state, seen)
    while queue[1] == 0:
        cell = take(queue)
        if cell >= ends.size:
            return
        words[:], looked[:] = function_words[cell], watch_words[cell]
        words[2], looked[2] = scratch.ctypes.data, watch_scratch.ctypes.data
        y[:], y_old[:] = initial[cell], initial[cell]
        clock[:], counts[:] = 0.0, 0
        clock[DIRECTION], clock[BOUND], clock[MAX_STEP] = 1.0, ends[cell], np.inf
        clock[RTOL], clock[ATOL], clock[EXPONENT] = rtol, atol, -1 / (order + 1)
        counts[MAX_STEPS], counts[MAX_EVALUATIONS], counts[EVALUATIONS] = max_steps, 12 * max_steps, 1
        rows = states[cell]
        shown, stop, outcome = 0, ends[cell], RUNNING
        for e in range(events):
            event_times[cell, e] = np.nan
        if wanted.size and wanted[0] == 0.0:
            rows[0], counts[SHOWN], shown = y, 1, 1
        if call(address, y, work[4], words) != 0:
            outcome = RAISED
        elif not np.isfinite(work[4].sum()):
            outcome = NOT_FINITE
        elif ends[cell] == 0.0:
            outcome = FINISHED
        elif first_step(
            address, words, y, work[4], order, clock, counts, work[0], work[1], work[2]
        ) != 0:  # fmt: skip
            outcome = RAISED
        if events:
            call(watch, y, seen, looked)
            for e in range(events):
                before[e] = seen[places[e]] - thresholds[e]
        ended = False
        while outcome == RUNNING:
            budget = 1 if events else BUDGET
            at = wanted[:0] if events else wanted
            outcome = advance(
                address, words, kind, A, B, E, A_more, P, y, y_old, more, parts, again, work, clock, counts,
                at, nothing if events else rows[shown:], no_taken if events else taken[shown:], budget,
            )  # fmt: skip
            if not events:
                shown += counts[ROWS]
            elif outcome in (RUNNING, FINISHED):
                t = clock[T]
                code = call(watch, y, seen, looked)
                passed = False
                first = np.inf
                for e in range(events):
                    now = seen[places[e]] - thresholds[e]
                    root[e] = np.inf
                    up = ways[e, 0] and before[e] <= 0.0 and now >= 0.0
                    down = ways[e, 1] and before[e] >= 0.0 and now <= 0.0
                    if (up or down) and np.isnan(event_times[cell, e]):
                        root[e] = now  # to be found below
                        passed = True
                due = shown < wanted.size and wanted[shown] <= t
                if passed or due:
                    code |= prepare(
                        address, words, kind, A_more, P, y_old, y, more[: count + 1], more, parts, clock[H_LAST],
                        count + 1, work[0], work[1],
                    )  # fmt: skip
                    counts[EVALUATIONS] += A_more.shape[0]
                if passed:
                    for e in range(events):
                        if root[e] < np.inf:
                            root[e] = passes(function, space, e, clock[T_OLD], t, before[e], root[e])
                            if ways[e, 2] and root[e] < first:
                                first = root[e]
                    for e in range(events):
                        if root[e] <= min(t, first):
                            event_times[cell, e] = root[e]
                if first < np.inf:
                    stop, ended = first, True
                while shown < wanted.size and wanted[shown] <= min(t, stop):
                    if wanted[shown] == t:
                        rows[shown] = y
                    else:
                        code |= between(
                            address, words, kind, A, B, wanted[shown], clock[T_OLD], clock[H_LAST], y_old, parts,
                            clock[POWERS : POWERS + parts.shape[1]], more[: count + 1], again, work[0], work[1],
                            rows[shown],
                        )  # fmt: skip
                        counts[EVALUATIONS] += count - 1 if kind == STEPPED else 0
                    shown += 1
                if code != 0:
                    outcome = RAISED
                elif ended:
                    if wanted.size == 0:
                        between(
                            address, words, kind, A, B, stop, clock[T_OLD], clock[H_LAST], y_old, parts,
                            clock[POWERS : POWERS + parts.shape[1]], more[: count + 1], again, work[0], work[1], y,
                        )  # fmt: skip
                    break
                call(watch, y, seen, looked)
                for e in range(events):
                    before[e] = seen[places[e]] - thresholds[e]
            if queue[1] != 0:
                return
        good = ended or outcome == FINISHED
        if wanted.size == 0 and good:
            rows[0], shown = y, 1
        for k in range(rows.shape[0]):
            if k >= shown:
                rows[k] = np.nan
            if m:
                if k < shown:
                    call(watch, rows[k], observed[cell, k], looked)
                else:
                    observed[cell, k] = np.nan
        times[cell] = stop if good else clock[T]
        step_counts[cell], evaluations[cell] = counts[STEPS], counts[EVALUATIONS]
        if ended:
            status[cell] = 1
        elif outcome == FINISHED:
            status[cell] = 0
        elif outcome in (NOT_FINITE, RAISED):
            status[cell] = -1
        elif outcome == STEP_TOO_SMALL:
            finite = True
            for k in range(n):
                finite &= np.isfinite(work[5, k]) or counts[BAD] == 0
            status[cell] = -2 if finite else -1
        else:
            status[cell] = -3
