"""The topic classifier FC in the span of its fixed classifier: the keyword classifier with a metric."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from sympy import Symbol

from derivations.models import keyword_classifier
from derivations.models.symbols import LU, TINY, D, K, U, d, i, k
from derivations.program.glossary import GLOSSARY
from derivations.program.language import SumOver, indices, tensors
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.reductions.metric import with_flow
from derivations.registry import reduction, title

__all__ = ["in_span"]

(metric,) = tensors("metric")
(p,) = indices("p")


@reduction("topic-FC-span", "Topic classifier FC in the span of its classifier")
@cache
def in_span() -> Program:
    """The topic classifier FC in its logits: model 1a with a metric.

    With a fixed linear classifier U, embeddings move in the span of its columns. What they do to the loss goes through
    the K numbers W = v U of each word, whose flow is that of model 1a times the metric U^T U; ``eta_W`` is the rate of
    the embeddings. So the state has K + 1 numbers a word, whatever the dimension of the embeddings.

    Examples
    --------
    >>> in_span().state_names
    ('s', 'W')
    """
    flow = keyword_classifier()
    (slope,), (rate,) = tensors("Wbar"), tensors(flow.flow["W"])
    eta = Symbol("eta_W", real=True)
    moved = Definition(rate[i, k], SumOver(-eta * metric[k, p] * slope[i, p], p), "gradient flow of W = v U")
    of_logits = Definition(metric[k, p], SumOver(U[d, k] * U[d, p], d), "metric of the logits")
    return replace(
        with_flow(flow, [moved], {d: D, p: K}, (U[d, k],), before=(of_logits,)),
        name="topic-FC-span",
        title=title("topic-FC-span"),
        source=LU,
        assumptions=("one query for all sentences, fixed: the rate of the scores is ||query||^2",),
        reduction=(
            "from topic-FC: the loss depends on the embeddings v through the logits of words, `W = v U`",
            "`vbar = Wbar U^T`, so that W moves by `-eta Wbar U^T U`: the gradient flow of keyword with the metric "
            "`U^T U` (theorem topic-span); `eta_W` is the rate of the embeddings",
        ),
        meanings=GLOSSARY,
        roles={**flow.roles, "U": Role.READOUT},
        initial={"W": TINY},
        conserved=flow.conserved[:1],  # the metric moves the sum of the values of a word
    )
