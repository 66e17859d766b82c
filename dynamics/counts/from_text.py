"""From text to a distribution: counts, and where they come from."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dynamics.counts.bags.sample import KeepBags
from dynamics.counts.counting import Part, Tally, count, files, sides, symmetric, value, within
from dynamics.counts.distribution import Attrs, Distribution, normalised
from dynamics.counts.text.corpus import LabelledText
from dynamics.counts.text.lines import Files, is_empty, matching
from dynamics.counts.text.options import TextOptions
from dynamics.support.errors import InputError


def from_parts(
    texts: Sequence[Part],
    options: TextOptions,
    gram: bool,
    scheduler: str | None = None,
    progress: Callable[[float], None] | None = None,
    keep: KeepBags | None = None,
) -> Distribution:
    """Count the texts, which are one corpus.

    Parameters
    ----------
    texts : sequence of ParallelText or LabelledText
    options : TextOptions
    gram : bool
        Count the Gram matrix too.
    scheduler, progress, keep
        As for `dynamics.counts.counting.count`.

    Raises
    ------
    InputError
        If there is no text, and as `count`.
    """
    if not texts:
        raise InputError("all files are empty")
    parts = within(texts, options.max_pairs)
    counted = count(parts, options.max_vocab, options.min_count, gram, scheduler, progress, keep)
    return from_tally(
        counted.tally,
        counted.inputs,
        counted.outputs,
        {
            "origin": "labelled text" if isinstance(parts[0], LabelledText) else "parallel text",
            **_provenance(parts, counted.digests),
            **options.attrs,
            "pairs": counted.pairs,
            "input_words": counted.words[0],
            "output_words": counted.words[1],
        },
    )


def from_tally(sums: Tally, inputs: tuple[str, ...], outputs: tuple[str, ...], attrs: Attrs) -> Distribution:
    """Exact sums as a distribution."""
    return normalised(
        value(sums.counts),
        inputs,
        outputs,
        sums.words_of_targets / sums.targets,
        (symmetric(sums.gram) / sums.targets).toarray() if sums.gram else None,
        {
            **attrs,
            "pairs_kept": sums.pairs,
            "input_words_kept": sums.words,
            "output_words_kept": sums.targets,
            **({"bags": len(sums.bags), "bags_seed": sums.bags.keep.seed} if sums.bags is not None else {}),
        },
        bags=sums.bags,
    )


def file_pairs(source: Files, target: Files, scheduler: str | None) -> list[Sequence[Path]]:
    """Each source file with its target file, without pairs of empty files.

    Raises
    ------
    InputError
        If there is no file, the sides have unequal numbers of files, or one file of a pair is empty.
    """
    sources, targets = matching(source, "source"), matching(target, "target")
    if len(sources) != len(targets):
        raise InputError(
            f"{len(sources):,} source files ({_span(sources)}) and {len(targets):,} target files "
            f"({_span(targets)}): give each source file its target file"
        )
    paths = []
    for pair in zip(sources, targets, strict=True):
        full = [path for path in pair if not is_empty(path)]
        if len(full) == 1:
            raise InputError(f"one file of the pair {pair[0]} and {pair[1]} is empty: {full[0]} has no partner")
        if full:
            paths.append(for_workers(pair, scheduler))
    return paths


def for_workers(paths: Sequence[Path], scheduler: str | None) -> Sequence[Path]:
    """Workers may run in another directory."""
    return paths if scheduler is None else [path.absolute() for path in paths]


def _provenance(parts: Sequence[Part], digests: Sequence[Mapping[str, str]]) -> Attrs:
    found: dict[str, str | int] = {}
    for name in sides(parts[0]):
        read = [files(part)[name] for part in parts if name in files(part)]
        if not read:
            found[f"{name}_file"] = "(in memory)"
            continue
        found[f"{name}_file"] = read[0].name if len(read) == 1 else f"{read[0].name} ... {read[-1].name}"
        if len(read) > 1:
            found[f"{name}_files"] = len(read)
        listed = [of_part[name] for of_part in digests]
        text = "".join(f"{digest}\n" for digest in listed)
        found[f"{name}_sha256"] = listed[0] if len(listed) == 1 else hashlib.sha256(text.encode()).hexdigest()
    return found


def _span(paths: Sequence[Path]) -> str:
    return paths[0].name if len(paths) == 1 else f"{paths[0].name} to {paths[-1].name}"
