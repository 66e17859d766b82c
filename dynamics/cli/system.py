"""Options that say what is learnt: counts, real text, a task or a program, and the model that learns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.options import INPUT, MODEL, given, named_numbers, refuse_idle
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    from derivations.program import Program
    from dynamics.counts.cooccurrence import CoOccurrence
    from dynamics.problems.kinds.models import Model
    from dynamics.problems.problem import Problem
    from dynamics.tasks import Task
    from dynamics.tasks.examples import Examples

ProgramFile = Annotated[
    Path | None,
    typer.Option(
        help="A model of your own instead: a Python file with definitions and a loss. The file is executed.",
        rich_help_panel=INPUT,
    ),
]
Tokenizer = Annotated[
    str,
    typer.Option(
        help="'words' (Unicode words), 'whitespace' (text that is tokenised already), or a tokenizer.json.",
        rich_help_panel=INPUT,
    ),
]
Lower = Annotated[bool, typer.Option(help="Lower-case the text.", rich_help_panel=INPUT)]
MaxVocab = Annotated[
    int | None, typer.Option(help="Keep this many of the most frequent words a side.", rich_help_panel=INPUT)
]
MinCount = Annotated[int, typer.Option(help="Keep words that occur at least this often.", rich_help_panel=INPUT)]
MaxPairs = Annotated[int | None, typer.Option(help="Read this many sentence pairs at most.", rich_help_panel=INPUT)]

TASKS: Mapping[str, Mapping[str, Any]] = {
    "copying": {"vocab": 12, "length": 8, "replacement": False},
    "lexicon": {"vocab": 12, "length": 8},
    "topics": {"topics": 4, "words_per_topic": 2, "others": 200, "others_per_sentence": 10},
    "boolean": {"function": "and", "length": 8, "support": 3, "noise": 0.0},
}
"""By name, the options of a task with their defaults."""
TEXT = ("tokenizer", "lower", "max_vocab", "min_count", "max_pairs")
SIZES = {"heads": "head", "dimension": "dimension", "hidden": "hidden"}
"""Options that are sizes of a model, and what results call the dimension."""
USUAL = {"dimension": 10, "hidden": 10}
RANDOM = "normal"
"""What --data says for arrays at random."""


def _of(task: str, text: str) -> Any:
    return typer.Option(help=f"{task}: {text}", rich_help_panel=INPUT)


@dataclass(frozen=True)
class Chosen:
    """What is learnt, and from where.

    Attributes
    ----------
    problem : Problem
    initial : mapping
        Initial states, or their standard deviations.
    rates : mapping
        Learning rates of the states relative to tau.
    seed : int
        Of what is drawn: a fixed set of examples, a fixed classifier; the first of several runs.
    right : range, optional
        The right input word of every output, where the task has one.
    """

    problem: Problem
    initial: Mapping[str, Any]
    rates: Mapping[str, float]
    seed: int
    right: range | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The keywords of a solve."""
        return {"initial": self.initial or None, "rates": self.rates or None, "seed": self.seed}


@dataclass(frozen=True)
class SystemOptions:
    """What is learnt: at most one of two texts, --labelled, --task and --program; and the model."""

    source: Annotated[Path | None, typer.Argument(help="Input text, a sentence a line; plain or .gz.")] = None
    target: Annotated[Path | None, typer.Argument(help="Output text, line by line its translation.")] = None
    labelled: Annotated[
        Path | None,
        typer.Option(help="Instead of two texts: label and sentence on every line.", rich_help_panel=INPUT),
    ] = None
    task: Annotated[
        str | None, typer.Option(help="Instead of text: copying, lexicon, topics or boolean.", rich_help_panel=INPUT)
    ] = None
    vocab: Annotated[int | None, _of("copying, lexicon", "words V. [default: 12]")] = None
    length: Annotated[int | None, _of("copying, lexicon, boolean", "words of an input L. [default: 8]")] = None
    replacement: Annotated[bool, _of("copying", "words may repeat in an input.")] = False
    topics: Annotated[int | None, _of("topics", "how many. [default: 4]")] = None
    words_per_topic: Annotated[int | None, _of("topics", "words that tell each. [default: 2]")] = None
    others: Annotated[int | None, _of("topics", "other words. [default: 200]")] = None
    others_per_sentence: Annotated[int | None, _of("topics", "other words in a sentence. [default: 10]")] = None
    function: Annotated[str | None, _of("boolean", "and, or, majority, parity. [default: and]")] = None
    support: Annotated[int | None, _of("boolean", "bits that decide. [default: 3]")] = None
    noise: Annotated[float | None, _of("boolean", "share of labels that are flipped. [default: 0]")] = None
    examples: Annotated[
        int | None,
        typer.Option(help="Train on so many fixed examples of the task, not on fresh ones.", rich_help_panel=INPUT),
    ] = None
    program: ProgramFile = None
    arrays: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="program: its arrays by name, FILE.npz (initial states too); normal: at random.",
            rich_help_panel=INPUT,
        ),
    ] = None
    values: Annotated[
        str | None,
        typer.Option("--set", help="program: its parameters, and sizes, such as beta=0.5,R=3.", rich_help_panel=INPUT),
    ] = None
    padding: Annotated[
        str,
        typer.Option(
            help="labelled: masked, or word (inputs are filled up with a word like any other).", rich_help_panel=INPUT
        ),
    ] = "masked"
    tokenizer: Tokenizer = "words"
    lower: Lower = True
    max_vocab: MaxVocab = None
    min_count: MinCount = 1
    max_pairs: MaxPairs = None
    model: Annotated[
        str | None,
        typer.Option(
            help="One that learns from examples; dynamics derive lists them. [default: what fits the data]",
            rich_help_panel=MODEL,
        ),
    ] = None
    heads: Annotated[int | None, typer.Option(help="Attention heads. [default: 1]", rich_help_panel=MODEL)] = None
    dimension: Annotated[
        int | None, typer.Option(help="Dimension of embeddings. [default: 10]", rich_help_panel=MODEL)
    ] = None
    hidden: Annotated[
        int | None, typer.Option(help="Rectified units of topic-TL. [default: 10]", rich_help_panel=MODEL)
    ] = None
    init: Annotated[
        str | None,
        typer.Option(
            help="Standard deviation of the initial states: 0.01, or W=0.01,P=0. [default: the model's]",
            rich_help_panel=MODEL,
        ),
    ] = None
    rate: Annotated[
        str | None, typer.Option(help="Learning rates relative to tau, such as W=1,P=0.5.", rich_help_panel=MODEL)
    ] = None
    seed: Annotated[
        int,
        typer.Option(help="Seed of all that is drawn; the first, if there are several runs.", rich_help_panel=MODEL),
    ] = 0

    @property
    def of_a_model(self) -> bool:
        """Whether it names anything but two texts."""
        named = (self.labelled, self.task, self.model, self.program, self.arrays, self.values, self.examples)
        return any(one is not None for one in named)

    @property
    def text(self) -> dict[str, Any]:
        """How text is read."""
        return {name: getattr(self, name) for name in TEXT}

    @property
    def rates(self) -> dict[str, float]:
        return named_numbers(self.rate, "--rate") if self.rate is not None else {}

    def check(self) -> None:
        """Refuse what says two things at once, or nothing."""
        if self.seed < 0 or self.seed >= 2**64:
            raise InputError(f"--seed {self.seed} must be a whole number from 0 to 2^64 - 1")
        if self.padding not in ("masked", "word") or (self.padding == "word" and self.labelled is None):
            raise InputError(f"--padding {self.padding}: give masked, or with --labelled FILE also word")
        if sum(one is not None for one in (self.source, self.labelled, self.task)) > 1:
            raise InputError("give one of: two texts, --labelled FILE, --task NAME")
        if self.source is not None and self.target is None:
            raise InputError(
                f"{self.source}: a second text is missing; give SOURCE and TARGET, line by line translations"
            )
        if self.program is None and (self.arrays is not None or self.values is not None):
            raise InputError("--data and --set are for --program FILE; leave them out")
        if self.program is not None and any(getattr(self, name) is not None for name in ("model", *SIZES)):
            raise InputError(
                "--program is a model: leave out --model, --heads, --dimension, --hidden; --set gives sizes"
            )

    def chosen(self, cooccurrence: Path | None = None) -> Chosen:
        """The problem that the options name; a text or a task is taken example by example, or by its counts.

        Raises
        ------
        InputError
            Options that do not go together, or that do nothing.
        """
        from derivations.registry import default_model
        from dynamics.problems.kinds.exact import Exact

        self.check()
        own, problem, start = self._program(cooccurrence)
        if problem is not None:
            acting = {"program", "arrays", "values", "init", "rate", "seed"}
            if self._counts_texts(problem.program):
                acting |= {"source", "target", *TEXT}
            elif any(getattr(self, name) is not None for name in ("source", "labelled", "task", "examples")):
                raise InputError(
                    f"{problem.name} has data of its own: leave out texts, --labelled, --task and --examples"
                )
            refuse_idle(self, acting, f"{self.program.name if self.program else ''}, which has data of its own")
            return Chosen(problem, {**start, **initial_states(self.init, problem.program, {})}, self.rates, self.seed)
        data, fits = self._data()
        if own is not None:
            model, usual = own, {}
        else:
            model = named_model(self.model or default_model(fits), data.outputs, self._sizes(), self.seed)
            usual = model.usual
        right = range(data.outputs) if self.task in ("copying", "lexicon", None) and self._is_task else None
        return Chosen(
            Exact(model, data, self.seed),
            initial_states(self.init, model.program, usual),
            self.rates,
            self.seed,
            right if own is None else None,
        )

    @property
    def _is_task(self) -> bool:
        return self.source is None and self.labelled is None

    def _sizes(self) -> dict[str, int]:
        """The sizes of a model that were given, by the names of their options."""
        return {name: value for name in SIZES if (value := getattr(self, name)) is not None}

    def _counts_texts(self, program: Program) -> bool:
        """Whether two texts give a program of one's own its data, as their counts."""
        from dynamics.problems.kinds.on_counts import takes_counts

        return self.source is not None and self.arrays is None and takes_counts(program)

    def _program(self, cooccurrence: Path | None) -> tuple[Model | None, Problem | None, dict[str, Any]]:
        """The program of a file: a model of examples, or a problem that has its data, and initial states."""
        if self.program is None:
            return None, None, {}
        from dynamics.problems.kinds import arrays as on
        from dynamics.problems.kinds.reading import takes_examples
        from dynamics.program_file import load

        program = load(self.program)
        if program.loss is None:
            raise InputError(f"{self.program.name}: has no loss to show over time; give it, model(..., loss=...)")
        numbers = named_numbers(self.values, "--set") if self.values else {}
        if cooccurrence is not None or self._counts_texts(program):
            from dynamics.counts.cooccurrence import CoOccurrence
            from dynamics.problems.kinds.on_counts import on_counts

            if cooccurrence is not None and (self.arrays is not None or self.source is not None):
                raise InputError("--cooccurrence gives a program its counts; leave out texts and --data")
            counts = (
                CoOccurrence.from_parallel_text(self.source, self.target, **self.text)  # type: ignore[arg-type]
                if cooccurrence is None
                else CoOccurrence.load(cooccurrence)
            )
            return None, on_counts(program, counts, numbers), {}
        if self.arrays is None and takes_examples(program):
            return on.on_examples(program, numbers), None, {}
        start: dict[str, Any] = {}
        found: dict[str, Any] = {}
        if self.arrays == RANDOM:
            found = on.normal_arrays(program, numbers, self.seed)
        elif self.arrays is not None:
            found = on.read_arrays(self.arrays)
            start = {name: found.pop(name) for name in program.state_names if name in found}
            numbers = {**on.sizes_of_states(program, start), **numbers}
        return None, on.on_arrays(program, found, numbers), start

    def _data(self) -> tuple[Task | Examples, str]:
        """Where examples come from, and the model that fits them."""
        from dynamics import tasks
        from dynamics.support.files import did_you_mean
        from dynamics.tasks.examples import Examples

        always = {"program", "values", "model", *SIZES, "init", "rate", "seed"}
        if self.source is not None and self.target is not None:
            refuse_idle(self, {*always, "source", "target", *TEXT}, "two texts")
            return Examples.from_parallel_text(self.source, self.target, **self.text), "parallel text"
        if self.labelled is not None:
            refuse_idle(self, {*always, "labelled", "padding", *TEXT}, "labelled text")
            found = Examples.from_labelled_text(self.labelled, **self.text)
            return (found.padded() if self.padding == "word" else found), "labelled text"
        name = self.task or "copying"
        if name not in TASKS:
            raise InputError(f"unknown task {name!r}{did_you_mean(name, TASKS)}; use one of {', '.join(TASKS)}")
        usual = TASKS[name]
        refuse_idle(self, {*always, "task", "examples", *usual}, f"the task {name}")
        values = {key: default if getattr(self, key) is None else getattr(self, key) for key, default in usual.items()}
        kinds: dict[str, Any] = {
            "copying": tasks.Copying, "lexicon": tasks.ToyLexicon, "topics": tasks.TopicSentences,
            "boolean": tasks.SparseBoolean,
        }  # fmt: skip
        task = kinds[name](*values.values())
        if self.examples is None:
            return task, name
        if self.examples < 1:
            raise InputError(f"--examples {self.examples} must be 1 or more")
        return task.examples(self.examples, self.seed), name


def named_model(name: str, outputs: int, sizes: Mapping[str, int], seed: int) -> Model:
    """A model of the registry at some sizes; what it has fixed is drawn as its authors did.

    Raises
    ------
    InputError
        Nothing that learns from examples has this name, or a size that it does not have.
    """
    import numpy as np

    from derivations import registry
    from derivations.program import Role, name_of, subscript
    from dynamics.problems.kinds.models import Model
    from dynamics.problems.kinds.reading import reading
    from dynamics.problems.problem import size_of
    from dynamics.support.files import did_you_mean

    heads = sizes.get("heads", 1)
    if heads < 1:
        raise InputError(f"--heads {heads} must be 1 or more")
    wanted = f"{name}-heads" if heads > 1 and f"{name}-heads" in registry.names() else name
    if name not in registry.names() or reading(registry.program(wanted)) is None:
        known = [one.name for one in registry.entries("model") if not one.family]
        hint = did_you_mean(name, known) or f"; use one of {', '.join(known)}"
        raise InputError(f"unknown model {name!r}{hint}")
    program = registry.program(wanted)
    read = reading(program)
    assert read is not None
    dims = {str(program.extents[index]): dim for index, dim in program.dimensions.items() if index in program.extents}
    free = {str(extent) for extent in program.extents.values() if not extent.is_Indexed} - read.sizes
    found: dict[str, int] = {}
    for option, dim in SIZES.items():
        size = next((one for one in sorted(free) if dims.get(one) == dim), None)
        value = sizes.get(option)
        if size is None:
            if value is not None and not (option == "heads" and value == 1):
                told = "has one head" if option == "heads" else f"has no {option}"
                raise InputError(f"{name} {told}; leave --{option} out")
            continue
        found[size] = USUAL.get(option, 1) if value is None else value
        if found[size] < 1:
            raise InputError(f"--{option} {found[size]} must be 1 or more")
    fixed = {}
    known_sizes = {**found, **dict.fromkeys(read.outputs, outputs)}
    for access in program.data:
        if name_of(access) in program.with_role(Role.READOUT):
            shape = [size_of(program.extents[index], known_sizes) for index in subscript(access)]
            readout = np.random.default_rng(seed).standard_normal(shape)
            np.fill_diagonal(readout, 1.0)  # the authors': standard normal with ones on the diagonal
            fixed[name_of(access)] = readout
    missing = sorted(free - set(found))
    lacking = [name_of(a) for a in program.data if name_of(a) not in {*read.data, *fixed}]
    if missing or lacking:
        raise InputError(f"{name} needs {', '.join([*missing, *lacking])}, which no option gives; solve it from Python")
    return Model(program, found, fixed)


def initial_states(init: str | None, program: Program, default: Mapping[str, float]) -> dict[str, float]:
    """Standard deviations of initial states, and the values of those that are scalars."""
    from derivations.program import name_of, subscript

    if init is None:
        return dict(default)
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


def counts_of(
    options: SystemOptions, cooccurrence: Path | None, text: str | None, vocabulary: int, keep_bags: int | None = None
) -> CoOccurrence:
    """The co-occurrence that options name: of a file, of two texts, or of a bundled text."""
    from dynamics.counts.cooccurrence import CoOccurrence

    options.check()
    always = {"init", "rate", "seed"}
    if cooccurrence is not None:
        if options.of_a_model or options.source is not None or text is not None:
            raise InputError(
                "--cooccurrence gives counts alone; leave out texts, --text, --labelled, --task and --model"
            )
        refuse_idle(options, always, "--cooccurrence, which has its counts")
        if keep_bags is not None:
            raise InputError("--keep-bags keeps sentences of a text; give it to dynamics cooccurrence, or leave it out")
        return CoOccurrence.load(cooccurrence)
    source, target, max_vocab = options.source, options.target, options.max_vocab
    if source is None:
        from dynamics.counts.bundled import bundled

        refuse_idle(options, {*always, *TEXT}, "the bundled text")
        source, target = bundled(text or "english-french")
        max_vocab = vocabulary if max_vocab is None else max_vocab
    elif text is not None:
        raise InputError("--text is a bundled text, and two texts are given; leave one of them out")
    else:
        refuse_idle(options, {*always, "source", "target", "model", *TEXT}, "two texts")
    assert target is not None  # as checked
    return CoOccurrence.from_parallel_text(
        source, target, keep_bags=keep_bags, **{**options.text, "max_vocab": max_vocab}
    )


__all__ = ["Chosen", "ProgramFile", "SystemOptions", "counts_of", "given", "initial_states", "named_model"]
