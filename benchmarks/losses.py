"""Losses whose gradient flows peers integrate, by hand: without this package, which a new process of a peer needs not.

As ``loss(xp, data, *states)``: xp has ``softmax``, ``log_softmax`` and ``einsum`` of JAX or PyTorch.
"""

from __future__ import annotations

from typing import Any


def both_stages(xp: Any, data: Any, W: Any, A: Any) -> Any:
    attended = xp.softmax(A + data["log R"], 0)
    return -(data["q"] * xp.log_softmax(attended.T @ W, 1).diagonal()).sum()


def topic(xp: Any, data: Any, v: Any, s: Any) -> Any:
    x = data["x"]
    context = xp.einsum("nl,nld->nd", xp.softmax(s[x], 1), v[x])
    return -(xp.log_softmax(context @ data["U"], 1) * data["target"]).sum() / x.shape[0]
