"""Words in which mathematics is marked: all between backquotes in a title, a note or a statement is a formula."""

from __future__ import annotations

__all__ = ["unmarked"]


def unmarked(text: str) -> str:
    """Words without the marks of what is mathematics in them, for plain text.

    Examples
    --------
    >>> unmarked("the loss at `W = 0`")
    'the loss at W = 0'
    """
    return text.replace("`", "")
