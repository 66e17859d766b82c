"""Linear attention that learns linear regression in context, on the population: what is left of it are two matrices.

A head has a key k, a query q and a value v, and its output is ``v (k . beta) (q . x_q)``, where beta is the correlation
of the N tokens of the context with their answers. For Gaussian inputs of covariance Lambda and weights of covariance
1, the loss depends on the heads by ``A = sum_h v_h k_h q_h^T`` alone, and through two moments: ``E[beta y_q x_q^T]``,
which is Lambda^2, and ``E[beta beta^T] = B``. In the eigenvectors of Lambda both are diagonal.
"""

from __future__ import annotations

from functools import cache

from sympy import Symbol

from derivations.gradient_flow import gradient_flow
from derivations.program.language import SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program
from derivations.registry import reduction, title

__all__ = ["ZHANG", "linear_attention"]

ZHANG = "Zhang, Singh, Latham, Saxe, Training Dynamics of In-Context Learning in Linear Attention, arXiv 2501.16265"

D, H = (Symbol(size, integer=True, positive=True) for size in "DH")
h, d, e = indices("h d e")
Lambda, v, K, Q, A, B = tensors("Lambda v K Q A B")
N, trace, gained, spent, loss = scalars("N trace gained spent loss")


@reduction("linear-attention", "Linear attention on regression in context, on the population")
@cache
def linear_attention() -> Program:
    """The gradient flow of H heads with keys and queries of rank one, in the eigenvectors of the inputs.

    Examples
    --------
    >>> print(*linear_attention().model.definitions[:3], sep="\\n")
    trace = SumOver(Lambda[d], d)
    B[d] = Lambda[d]**2 + (trace*Lambda[d] + Lambda[d]**2)/N
    A[d, e] = SumOver(K[h, d]*Q[h, e]*v[h], h)
    """
    return gradient_flow(
        Program(
            name="linear-attention",
            title=title("linear-attention"),
            source=ZHANG,
            extents={h: H, d: D, e: D},
            data=(Lambda[d],),
            parameters=(N,),
            states=(v[h], K[h, d], Q[h, d]),
            definitions=(
                Definition(trace, SumOver(Lambda[d], d), "mean square of an answer, the first loss"),
                Definition(
                    B[d], Lambda[d] ** 2 + (trace * Lambda[d] + Lambda[d] ** 2) / N, "moment of the correlation"
                ),
                Definition(A[d, e], SumOver(v[h] * K[h, d] * Q[h, e], h), "what all heads do"),
                Definition(gained, SumOver(Lambda[d] ** 2 * A[d, d], d), "overlap with the answer"),
                Definition(spent, SumOver(B[d] * Lambda[e] * A[d, e] ** 2, d, e), "mean square of the prediction"),
                Definition(loss, trace - 2 * gained + spent, "mean squared error"),
            ),
            loss=loss,
            dimensions={h: "head", d: "direction", e: "direction_of_query"},
            domain={},
            meanings={
                "h": "head",
                "d": "eigenvector of the covariance of inputs",
                "e": "eigenvector of the covariance of inputs",
                "Lambda": "variance of the inputs along an eigenvector",
                "v": "value of a head",
                "K": "key of a head",
                "Q": "query of a head",
                "A": "sum over heads of value, key and query",
                "B": "second moment of the correlation in the context",
                "N": "tokens of a context",
                "D": "dimension of inputs",
                "H": "heads",
            },
            assumptions=(
                "inputs are Gaussian, and so are the weights of the regressions, of which each context has its own",
                "the context is read by its correlation beta of inputs with answers alone",
                "infinitely many contexts",
            ),
            reduction=(
                "the prediction is `beta^T A x_q`, with `A[d,e]` the sum over heads of `v[h] K[h,d] Q[h,e]`",
                "`E[beta y_q x_q^T]` is the square of the covariance, as the weights have covariance 1",
                "`E[beta beta^T]` is `B`, by the fourth moments of Gaussian inputs",
                "in the eigenvectors of the covariance both are diagonal",
            ),
        )
    )
