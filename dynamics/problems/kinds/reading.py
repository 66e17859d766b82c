"""How examples enter a program: which of its data are words, lengths and answers, and which sizes they decide.

Nothing is told by a name. Words are a table ``x[n, l]`` of whole numbers whose rows have lengths of their own; answers
are a table of one for each example, or ``y[n, t]`` likewise. Where both have rows, the answers are the table that picks
an entry of something computed, such as the logit of the right answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from derivations.program import Program, accesses, name_of, subscript
from dynamics.support.recipes import fact

__all__ = ["Reading", "looked_up", "reading", "takes_examples"]


@dataclass(frozen=True)
class Reading:
    """What a program calls the parts of its examples.

    Attributes
    ----------
    words, lengths, answers : str
        The data that hold input words, how many each example has, and what it is answered with.
    targets : str, optional
        The data that hold the number of answers of each example; None if each has one.
    rows : str
        The size that counts examples.
    inputs, outputs : frozenset of str
        Sizes that are looked up by words and by answers: those of the two vocabularies.
    longest, most : frozenset of str
        Sizes that the places of words and of answers walk: there must be as many places.
    """

    words: str
    lengths: str
    answers: str
    targets: str | None
    rows: str
    inputs: frozenset[str]
    outputs: frozenset[str]
    longest: frozenset[str]
    most: frozenset[str]

    @property
    def data(self) -> tuple[str, ...]:
        """The names of all data that examples give."""
        return tuple(name for name in (self.words, self.lengths, self.answers, self.targets) if name is not None)

    @property
    def sizes(self) -> frozenset[str]:
        """The sizes that examples decide."""
        return self.inputs | self.outputs | self.longest | self.most | {self.rows}


@fact
def reading(program: Program) -> Reading | None:
    """How examples enter a program, or None if its data are not theirs.

    Examples
    --------
    >>> from derivations.closures import both_stages
    >>> from derivations.models import keyword_classifier, positional_attention
    >>> found = reading(keyword_classifier())
    >>> found.words, found.answers, sorted(found.inputs), sorted(found.outputs)
    ('x', 'y', ['V'], ['K'])
    >>> sorted(reading(positional_attention()).longest), reading(both_stages())
    (['L'], None)
    """
    tables = {name_of(access): access for access in program.data if access.is_integer}
    rows_of = {
        name: name_of(program.extents[subs[1]])
        for name, access in tables.items()
        if len(subs := subscript(access)) == 2 and program.extents[subs[1]].is_Indexed
    }
    lengths = set(rows_of.values())
    single = [name for name, access in tables.items() if len(subscript(access)) == 1 and name not in lengths]
    if len(rows_of) == 1 and len(single) == 1:
        (words,), (answers,), targets = rows_of, single, None
    elif len(rows_of) == 2 and not single:
        model = program.model or program
        computed = {d.name for d in model.definitions} - {*model.adjoints.values(), *model.flow.values()}
        asked = {name_of(sub) for access, _, sub, _ in looked_up(model) if name_of(access) in computed}
        found = [name for name in rows_of if name in asked]
        if len(found) != 1:
            return None
        (answers,) = found
        (words,) = (name for name in rows_of if name != answers)
        targets = rows_of[answers]
    else:
        return None
    own = {words, answers, *lengths}
    first = {subscript(tables[name])[0] for name in own}
    if len(first) != 1 or own != set(tables):
        return None
    (example,) = first
    places = {subscript(tables[name])[1]: name for name in rows_of}
    vocabularies: dict[str, set[str]] = {words: set(), answers: set()}
    walked: dict[str, set[str]] = {words: set(), answers: set()}
    for _, _, sub, extent in looked_up(program):
        if sub.is_Indexed and name_of(sub) in vocabularies and extent.is_Symbol:
            vocabularies[name_of(sub)].add(str(extent))
        if sub in places and extent.is_Symbol:
            walked[places[sub]].add(str(extent))
    return Reading(
        words,
        rows_of[words],
        answers,
        targets,
        str(program.extents[example]),
        frozenset(vocabularies[words]),
        frozenset(vocabularies[answers]),
        frozenset(walked[words]),
        frozenset(walked[answers]),
    )


def takes_examples(program: Program) -> bool:
    """Whether examples alone give all the data of a program.

    Examples
    --------
    >>> from derivations.models import keyword_classifier, topic_classifier
    >>> takes_examples(keyword_classifier()), takes_examples(topic_classifier("FC"))  # which has a fixed classifier
    (True, False)
    """
    found = reading(program)
    return found is not None and set(found.data) == {name_of(access) for access in program.data}


class LookUp(NamedTuple):
    """Where a tensor is read by a table or a number.

    Attributes
    ----------
    access, by : str
        As they are written.
    tensor : str
    axis : int
    number : int, optional
    table : str
        Its name, if it is one.
    """

    access: str
    by: str
    tensor: str
    axis: int
    number: int | None
    table: str


@fact
def look_ups(program: Program) -> tuple[LookUp, ...]:
    """Every tensor that is read by a table or a number; of places, there are as many as the longest row has."""
    found = []
    for access, axis, sub, _ in looked_up(program):
        if sub.is_Integer or sub.is_Indexed:
            number, table = (int(sub), "") if sub.is_Integer else (None, name_of(sub))
            found.append(LookUp(str(access), str(sub), name_of(access), axis, number, table))
    return tuple(found)


def looked_up(program: Program) -> Iterator[tuple[Any, int, Any, Any]]:
    """(access, axis, subscript, extent) wherever something else than the tensor's own kind of index is a subscript.

    A table, a number, or an index with rows of different lengths. Compiled code does not check them: what is out of
    range would be other memory.
    """
    declared = program.declarations
    for access in dict.fromkeys(access for d in program.definitions for access in (*d.reads, d.lhs, *accesses(d.lhs))):
        if name_of(access) not in declared:
            continue  # a size that stands as a number
        own_indices = subscript(declared[name_of(access)])
        for axis, (sub, index) in enumerate(zip(subscript(access), own_indices, strict=True)):
            own = program.extents.get(sub)
            if not sub.is_Symbol or (own is not None and own.is_Indexed and own != program.extents[index]):
                yield access, axis, sub, program.extents[index]
