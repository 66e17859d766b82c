"""``dynamics cooccurrence``: counts from real text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynamics.cli.common import Labelled, Lower, MaxPairs, MaxVocab, MinCount, Source, Target, Tokenizer
from dynamics.errors import InputError


def cooccurrence(
    source: Source = None,
    target: Target = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npz file to write.")] = Path("cooccurrence.npz"),
    labelled: Labelled = None,
    tokenizer: Tokenizer = "words",
    lower: Lower = True,
    max_vocab: MaxVocab = None,
    min_count: MinCount = 1,
    max_pairs: MaxPairs = None,
    gram: Annotated[bool, typer.Option(help="Count the Gram matrix, too; the Gram closure needs it.")] = False,
) -> None:
    """Count the co-occurrence of input words with outputs in real text.

    Example: dynamics cooccurrence train.en train.de --min-count 2 -o en-de.npz
    """
    from dynamics.cooccurrence import CoOccurrence

    if labelled is not None and source is None:
        found = CoOccurrence.from_labelled_text(
            labelled, tokenizer=tokenizer, lower=lower, max_vocab=max_vocab, min_count=min_count, max_pairs=max_pairs,
            gram=gram,
        )  # fmt: skip
    elif source is not None and target is not None and labelled is None:
        found = CoOccurrence.from_parallel_text(
            source, target, tokenizer=tokenizer, lower=lower, max_vocab=max_vocab, min_count=min_count,
            max_pairs=max_pairs, gram=gram,
        )  # fmt: skip
    else:
        raise InputError("give SOURCE and TARGET, or --labelled FILE")
    found.save(output)
    print(f"{found!r}\nwritten to {output}")
