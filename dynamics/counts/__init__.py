"""Co-occurrence statistics: from text, from counts, from files of either."""

from dynamics.counts.bundled import bundled
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.counts.text.options import TextOptions

__all__ = ["CoOccurrence", "TextOptions", "bundled"]
