"""Options that name a problem: real text or a task, and the model that learns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.common import Labelled, Lower, MaxPairs, MaxVocab, MinCount, Source, Target, Tokenizer, named_numbers
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    from derivations.program.language import Program
    from dynamics.problems.models import Model
    from dynamics.tasks import Task
    from dynamics.tasks.examples import Examples

ProgramFile = Annotated[
    Path | None,
    typer.Option(help="A model of your own instead: a Python file with definitions and a loss. The file is executed."),
]
TASKS = ("copying", "lexicon", "topics", "boolean")
MODELS = {"copying": "positional", "lexicon": "lexical", "topics": "topic-FC", "boolean": "keyword-bias"}
"""The model of each task."""
NAMES = ("keyword", "keyword-bias", "lexical", "positional", "topic-FC", "topic-FC-span", "topic-TC", "topic-TL")
POPULATION = 2000
"""Examples that stand for all of a task where a fixed set is needed."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is learnt, and by what.

    Attributes
    ----------
    data : Task or Examples
    model : Model
    initial : mapping
        Initial states, or their standard deviations.
    rates : mapping
        Learning rates of the states relative to tau.
    seed : int
        Of what is drawn: a fixed set of examples, a fixed classifier; the first of several runs.
    right : ndarray of int, shape (outputs,), optional
        The right input word of every output, where the task has one.
    """

    data: Task | Examples
    model: Model
    initial: Mapping[str, Any]
    rates: Mapping[str, float]
    seed: int
    right: Any = None

    @property
    def examples(self) -> Examples:
        """The examples, or a fixed set that stands for the task."""
        from dynamics.tasks.examples import Examples

        return self.data if isinstance(self.data, Examples) else self.data.examples(POPULATION, self.seed)


def problem(
    source: Source = None,
    target: Target = None,
    labelled: Labelled = None,
    task: Annotated[
        str | None, typer.Option(help="Instead of text: copying, lexicon, topics or boolean. [default: copying]")
    ] = None,
    vocab: Annotated[int, typer.Option(help="copying, lexicon: words V.")] = 12,
    length: Annotated[int, typer.Option(help="copying, lexicon, boolean: words of an input L.")] = 8,
    replacement: Annotated[bool, typer.Option(help="copying: words may repeat in an input.")] = False,
    topics: Annotated[int, typer.Option(help="topics: how many.")] = 4,
    words_per_topic: Annotated[int, typer.Option(help="topics: words that tell each.")] = 2,
    others: Annotated[int, typer.Option(help="topics: other words.")] = 200,
    others_per_sentence: Annotated[int, typer.Option(help="topics: other words in a sentence.")] = 10,
    function: Annotated[str, typer.Option(help="boolean: and, or, majority, parity.")] = "and",
    support: Annotated[int, typer.Option(help="boolean: bits that decide.")] = 3,
    noise: Annotated[float, typer.Option(help="boolean: share of labels that are flipped.")] = 0.0,
    examples: Annotated[
        int | None, typer.Option(help="Train on so many fixed examples of the task, not on fresh ones.")
    ] = None,
    model: Annotated[str | None, typer.Option(help=f"{', '.join(NAMES)}. [default: what fits the data]")] = None,
    heads: Annotated[int, typer.Option(help="lexical, positional: attention heads.")] = 1,
    dimension: Annotated[int, typer.Option(help="topic models: dimension of the embeddings.")] = 10,
    hidden: Annotated[int, typer.Option(help="topic-TL: rectified units.")] = 10,
    program: ProgramFile = None,
    arrays: Annotated[
        str | None,
        typer.Option("--data", help="--program: its arrays by name, FILE.npz (initial states too); normal: at random."),
    ] = None,
    values: Annotated[
        str | None, typer.Option("--set", help="--program: its parameters, and sizes, such as beta=0.5,R=3.")
    ] = None,
    padding: Annotated[
        str, typer.Option(help="--labelled: masked, or word (inputs are filled up with a word like any other).")
    ] = "masked",
    tokenizer: Tokenizer = "words",
    lower: Lower = True,
    max_vocab: MaxVocab = None,
    min_count: MinCount = 1,
    max_pairs: MaxPairs = None,
    init: Annotated[
        str | None,
        typer.Option(help="Standard deviation of the initial states: 0.01, or W=0.01,P=0. [default: the model's]"),
    ] = None,
    rate: Annotated[str | None, typer.Option(help="Learning rates relative to tau, such as W=1,P=0.5.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn; the first, if there are several runs.")] = 0,
) -> Problem:
    from dynamics.support.files import did_you_mean
    from dynamics.tasks import Copying, SparseBoolean, TopicSentences, ToyLexicon
    from dynamics.tasks.examples import Examples

    if seed < 0:
        raise InputError(f"--seed {seed} must be a whole number from 0")
    text: dict[str, Any] = {
        "tokenizer": tokenizer, "lower": lower, "max_vocab": max_vocab, "min_count": min_count, "max_pairs": max_pairs,
    }  # fmt: skip
    if padding not in ("masked", "word") or (padding == "word" and labelled is None):
        raise InputError(f"--padding {padding}: give masked, or with --labelled FILE also word")
    if sum(one is not None for one in (source, labelled, task)) > 1:
        raise InputError("give one of: two texts, --labelled FILE, --task NAME")
    rates = named_numbers(rate, "--rate") if rate else {}
    own: Model | None = None
    if program is not None:
        from dynamics.cli.programs import own_model

        if model is not None or (heads, dimension, hidden) != (1, 10, 10):
            raise InputError(
                "--program is a model: leave out --model, --heads, --dimension, --hidden; --set gives sizes"
            )
        own, given, start = own_model(program, arrays, values, seed)
        if given is not None:
            if source is not None or labelled is not None or task is not None or examples is not None:
                raise InputError(f"{own.name} has data of its own: leave out texts, --labelled, --task and --examples")
            return Problem(given, own, start | initial_states(init, own.program, {}), rates, seed)
    elif arrays is not None or values is not None:
        raise InputError("--data and --set are for --program FILE; leave them out")
    data: Task | Examples
    if source is not None:
        if target is None:
            raise InputError(f"{source}: a second text is missing; give SOURCE and TARGET, line by line translations")
        data, fits = Examples.from_parallel_text(source, target, **text), "lexical"
    elif labelled is not None:
        data, fits = Examples.from_labelled_text(labelled, **text), "keyword-bias"
        data = data.padded() if padding == "word" else data
    else:
        task = task or "copying"
        if task not in TASKS:
            raise InputError(f"unknown task {task!r}{did_you_mean(task, TASKS)}; use one of {', '.join(TASKS)}")
        data = {
            "copying": lambda: Copying(vocab, length, replacement),
            "lexicon": lambda: ToyLexicon(vocab, length),
            "topics": lambda: TopicSentences(topics, words_per_topic, others, others_per_sentence),
            "boolean": lambda: SparseBoolean(function, length, support, noise),
        }[task]()
        fits = MODELS[task]
    if examples is not None:
        if isinstance(data, Examples):
            raise InputError("--examples draws from a task; of a text, --max-pairs keeps so many lines")
        if examples < 1:
            raise InputError(f"--examples {examples} must be 1 or more")
        data = data.examples(examples, seed)
    chosen = model or fits
    if chosen not in NAMES:
        raise InputError(f"unknown model {chosen!r}{did_you_mean(chosen, NAMES)}; use one of {', '.join(NAMES)}")
    built, initial = (own, {}) if own is not None else _model(chosen, data.outputs, heads, dimension, hidden, seed)
    right = range(data.outputs) if task in ("copying", "lexicon") and own is None else None
    return Problem(data, built, initial_states(init, built.program, initial), rates, seed, right)


def initial_states(init: str | None, program: Program, default: dict[str, float]) -> dict[str, float]:
    """Standard deviations of initial states, and the values of those that are scalars."""
    from derivations.program.language import name_of, subscript

    if init is None:
        return default
    if "=" in init:
        found = named_numbers(init, "--init")
    else:
        try:
            found = dict.fromkeys(program.state_names, float(init))
        except ValueError:
            raise InputError(f"--init {init!r} is neither a number nor a list such as W=0.01,P=0") from None
    scalars = {name_of(state) for state in program.states if not subscript(state)}
    for name, size in found.items():
        if not (0 <= size < float("inf") or (name in scalars and abs(size) < float("inf"))):
            raise InputError(f"--init: {name} = {size} must be a number from 0 on")
    return found


def _model(
    name: str, outputs: int, heads: int, dimension: int, hidden: int, seed: int
) -> tuple[Model, dict[str, float]]:
    """A model, and the standard deviations of its initial states as the papers have them."""
    import numpy as np

    from dynamics.problems import models as model

    if heads != 1 and name not in ("lexical", "positional"):
        raise InputError(f"{name} has one head; leave --heads out, or use --model lexical or positional")
    if name in ("keyword", "keyword-bias"):
        return model.keyword(name == "keyword-bias"), {}
    if name == "lexical":
        return model.lexical(heads), {"W": 0.01, "A": 0.01} if heads > 1 else {}
    if name == "positional":
        return model.positional(heads), {"W": 0.01, "P": 0.01}
    classifier, span = name.removeprefix("topic-").removesuffix("-span"), name.endswith("-span")
    if dimension < 1:
        raise InputError(f"--dimension {dimension} must be 1 or more")
    readout = None
    if classifier == "FC":  # the authors': standard normal with ones on the diagonal
        readout = np.random.default_rng(seed).standard_normal((dimension, outputs))
        np.fill_diagonal(readout, 1.0)
    found = model.topic(classifier, dimension, hidden, readout, span=span)
    if span:
        return found, {"W": 1e-3}
    trained = {"FC": {}, "TC": {"U": dimension**-0.5}, "TL": {"F": dimension**-0.5, "G": hidden**-0.5}}[classifier]
    return found, {"v": 1e-3, **trained}
