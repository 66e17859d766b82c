"""Bags of words: a bounded sample of sentences beside their co-occurrence, and groups of it that have it exactly."""

from dynamics.counts.bags.groups import grouped
from dynamics.counts.bags.raking import balance, raked
from dynamics.counts.bags.sample import BagSample, KeepBags
from dynamics.counts.bags.size import groups_for, holders
from dynamics.counts.bags.weighted import Bags

__all__ = ["BagSample", "Bags", "KeepBags", "balance", "grouped", "groups_for", "holders", "raked"]
