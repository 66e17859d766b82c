"""Sentences about a topic that one word tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.tasks.examples import Examples
from dynamics.tasks.task import Task, as_examples, as_population, check_sizes, whole


@dataclass(frozen=True)
class TopicSentences(Task):
    """Topic classification: one topic word, then m other words drawn with replacement; the target is the topic.

    The topic word is uniform over all topic words; it comes first, as in the authors' data (their model is blind to
    order). Topic words have the first ids, word w tells topic w // words_per_topic, and the other words follow.

    Attributes
    ----------
    topics, words_per_topic : int
        How many topics there are, and how many words tell each.
    others : int
        Number of other words in the vocabulary.
    others_per_sentence : int
        m.

    Raises
    ------
    InputError
        If a size is not a whole number from 1.

    References
    ----------
    Lu, Mao and Nayak, "On the Dynamics of Training Attention Models", arXiv 2011.10036.

    Examples
    --------
    >>> task = TopicSentences(topics=4, words_per_topic=2, others=5000, others_per_sentence=20)
    >>> data = task.examples(3)
    >>> data.x[::21], data.y
    (array([6, 5, 4]), array([3, 2, 2]))
    """

    topics: int
    words_per_topic: int
    others: int
    others_per_sentence: int

    def __post_init__(self) -> None:
        check_sizes(self, "topics", "words_per_topic", "others", "others_per_sentence")

    @property
    def topic_words(self) -> int:
        """Number of topic words; their ids are below it."""
        return self.topics * self.words_per_topic

    @property
    def inputs(self) -> int:
        return self.topic_words + self.others

    @property
    def outputs(self) -> int:
        return self.topics

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        n = whole("n", n)
        x = np.empty((n, 1 + self.others_per_sentence), dtype=np.int64)
        x[:, 0] = rng.integers(self.topic_words, size=n)
        x[:, 1:] = rng.integers(self.topic_words, self.inputs, size=(n, self.others_per_sentence))
        return as_examples(self, x, x[:, :1] // self.words_per_topic)

    def population(self, gram: bool = False) -> CoOccurrence:
        first, m = self.topic_words, self.others_per_sentence
        length = 1 + m
        words = np.arange(first)
        C = np.full((self.inputs, self.topics), m / length / self.others / self.topics)
        C[:first] = 0
        C[words, words // self.words_per_topic] = 1 / length / first
        G = None
        if gram:  # two words of the sentence, drawn with replacement
            G = np.full((self.inputs, self.inputs), m * (m - 1) / self.others**2)
            G[first:, first:] += np.diag(np.full(self.others, m / self.others))
            G[:first, first:] = G[first:, :first] = m / first / self.others
            G[:first, :first] = np.diag(np.full(first, 1 / first))
            G /= length**2
        return as_population(self, C, length, G)
