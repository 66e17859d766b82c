"""Tasks: the papers' synthetic distributions of examples, sampled quickly, with their co-occurrence in closed form."""

from dynamics.tasks.boolean import BOOLEAN, SparseBoolean
from dynamics.tasks.copying import Copying
from dynamics.tasks.examples import Examples
from dynamics.tasks.lexicon import ToyLexicon
from dynamics.tasks.task import Task
from dynamics.tasks.topics import TopicSentences

__all__ = ["BOOLEAN", "Copying", "Examples", "SparseBoolean", "Task", "TopicSentences", "ToyLexicon"]
