"""Random streams of a seed: what is drawn for one purpose does not depend on what is drawn for another."""

from __future__ import annotations

import numpy as np

INITIAL, MINIBATCHES, SHUFFLES, EVALUATED = range(4)
"""What a random stream of a seed is for: the key with which it is spawned."""


def sequence(seed: int, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=key)


def stream(seed: int, *key: int) -> np.random.Generator:
    """A random stream of a seed."""
    return np.random.Generator(np.random.PCG64(sequence(seed, *key)))
