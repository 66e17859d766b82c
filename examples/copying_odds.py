"""How often a head finds the right position: training runs from many random first weights beside the closed form.

For permutations of 8 and for 8 of 9 words, at two sizes of the first weights and with 1 to 8 heads: the share of seeds
in which one head at least attends to the right position in the end, beside the closed form and the interval in which
such a share lies in 95 % of cases if the closed form is right. The last column is the share of single heads whose
branch is foretold by the sign of their unstable coordinate.

    python examples/copying_odds.py [seeds, 400] [first seed, 0]
"""

import sys

from scipy.stats import binom

from dynamics import simulate
from dynamics.problems.closed_forms import attention_logit, branch_odds, unstable_coordinate
from dynamics.problems.kinds.models import positional
from dynamics.problems.kinds.reduction import excess
from dynamics.tasks import Copying

CASES = [(8, 8, 0.05, 1), (8, 8, 0.3, 1), (9, 8, 0.05, 1), (9, 8, 0.3, 1)]
CASES += (
    [(8, 8, 0.05, H) for H in (2, 4, 8)] + [(8, 8, 0.3, H) for H in (2, 4, 8)] + [(9, 8, 0.3, H) for H in (2, 4, 8)]
)


def main(seeds: int, first: int) -> None:
    print(" V  L  sigma  H   observed  closed form  interval         foretold")
    for V, L, sigma, H in CASES:
        end = 1500.0 if H == 1 else 900.0 * H  # heads share one context: each moves 1/H as fast
        run = simulate(
            positional(H), Copying(V, L), lr=float(H), batch=32, steps=int(end / H),
            seeds=range(first, first + seeds), records=[0, int(end / H)], initial={"W": sigma, "P": sigma},
            evaluation=16,
        )  # fmt: skip
        W, P = (run[name].values.reshape(seeds, 2, H, n, n) for name, n in (("W", V), ("P", L)))
        good = excess(P[:, 1]) > 0
        coordinate = unstable_coordinate(excess(W[:, 0]), attention_logit(P[:, 0]), V, L)
        foretold = ((coordinate > 0) == good).mean()
        closed = float(branch_odds(V, L, sigma, sigma, H=H))
        low, high = binom.interval(0.95, seeds, closed)
        print(
            f"{V:2d} {L:2d}  {sigma:5.2f}  {H}   {good.any(axis=1).mean():7.3f}  {closed:11.3f}"
            f"  [{low / seeds:.3f}, {high / seeds:.3f}]  {foretold:8.3f}"
        )


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:3]]
    main(*given, *(400, 0)[len(given) :])
