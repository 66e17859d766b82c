"""``dynamics cooccurrence``: counts from real text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynamics.cli.console import progress, say
from dynamics.cli.options import KeepBags
from dynamics.cli.system import Lower, MaxPairs, MaxVocab, MinCount, Tokenizer
from dynamics.support.errors import InputError

Sources = Annotated[
    str | None,
    typer.Argument(help="Input text, a sentence a line, plain or .gz: a file, a directory or 'corpus/*.en'."),
]
Targets = Annotated[
    str | None, typer.Argument(help="Output text, line by line its translation; files pair up in the order of names.")
]
Labelled = Annotated[str | None, typer.Option(help="Instead of two texts: label and sentence on every line.")]


def cooccurrence(
    source: Sources = None,
    target: Targets = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The .npz file to write; .csv or .tsv for a table of the counts alone."),
    ] = Path("cooccurrence.npz"),
    labelled: Labelled = None,
    tokenizer: Tokenizer = "words",
    lower: Lower = True,
    max_vocab: MaxVocab = None,
    min_count: MinCount = 1,
    max_pairs: MaxPairs = None,
    gram: Annotated[bool, typer.Option(help="Count the Gram matrix, too; the Gram closure needs it.")] = False,
    keep_bags: KeepBags = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a Dask scheduler whose workers count the files, such as tcp://10.0.0.1:8786."),
    ] = None,
) -> None:
    """Count the co-occurrence of input words with outputs in real text.

    A corpus of many files is named by directories or by patterns in quotes. Its counts are those of all files one after
    the other, to the last bit.

    Example: dynamics cooccurrence 'corpus/*.en' 'corpus/*.de' --min-count 2 -o en-de.npz
    """
    from dynamics.counts.cooccurrence import CoOccurrence

    with progress("counting") as show:
        if labelled is not None and source is None:
            found = CoOccurrence.from_labelled_files(
                labelled, tokenizer=tokenizer, lower=lower, max_vocab=max_vocab, min_count=min_count,
                max_pairs=max_pairs, gram=gram, keep_bags=keep_bags, scheduler=scheduler, progress=show,
            )  # fmt: skip
        elif source is not None and target is not None and labelled is None:
            found = CoOccurrence.from_parallel_files(
                source, target, tokenizer=tokenizer, lower=lower, max_vocab=max_vocab, min_count=min_count,
                max_pairs=max_pairs, gram=gram, keep_bags=keep_bags, scheduler=scheduler, progress=show,
            )  # fmt: skip
        else:
            raise InputError("give SOURCE and TARGET, or --labelled FILE")
    if output.suffix.lower() in (".csv", ".tsv"):
        found.to_csv(output)
    else:
        found.save(output)
    say(f"{found!r}\nwritten to {output}")
