"""The exact flow of a recorded run of the topic classifier (FC), beside descent in PyTorch and the flow in diffrax.

    python -m benchmarks.exact_flow RUN.npz

RUN.npz holds the sentences, the initial parameters and the learning rate of a run of full-batch descent. Everything
runs in turn on one core, in median seconds of CPU, so that other work on the machine weighs little. Only the parallel
gradient is timed by the wall: the least of all repeats, as anything else that runs holds both threads up. Errors are
the largest over all scores and embeddings at the end, against the flow at rtol 1e-10. Peers that are not installed are
named and left out: ``pip install attention-dynamics[benchmark]``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np
from numba import njit

from dynamics import solve
from dynamics.examples import Examples
from dynamics.lowering import runtime
from dynamics.model import Model, topic
from dynamics.threads import limited

RTOL, ATOL = 1e-6, 1e-9
TIMED_STEPS = 100
"""Steps of descent that are timed; the time of all of them is in proportion."""


@dataclass(frozen=True)
class Run:
    """A recorded run: what the model starts from, and how long it was trained."""

    model: Model
    examples: Examples
    rows: np.ndarray
    initial: dict[str, np.ndarray]
    rate: float
    lr: float
    steps: int

    @property
    def tau(self) -> float:
        return self.lr * self.steps


def load(path: str) -> Run:
    file = np.load(path)
    rows = file["context_idxs_train"].astype(np.int64)
    query = file["init_query"][0].astype(float)
    lengths, one = np.full(len(rows), rows.shape[1]), np.ones(len(rows), dtype=int)
    examples = Examples(
        rows.ravel(), lengths, file["target_train"], one, int(file["n_vocab"]), int(file["n_topics"])
    )  # fmt: skip
    initial = {"v": file["init_embeddings"].astype(float), "s": file["init_keys"].astype(float) @ query}
    model = topic("FC", readout=file["init_clf_w"].astype(float))
    return Run(model, examples, rows, initial, float(query @ query), float(file["lr"]), int(file["n_epochs"]))


def timed(
    cases: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = process_time,
    summary: Callable[[list[float]], float] = median,
) -> dict[str, float]:
    """Seconds of each case (the median), all in turn in every repeat, after one warm-up each."""
    seen: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(repeats + 1):
        for name, case in cases.items():
            began = clock()
            case()
            if repeat:
                seen[name].append(clock() - began)
    return {name: summary(values) for name, values in seen.items()}


# -- this package -----------------------------------------------------------------------------------------------------


def flow(run: Run, rtol: float = RTOL, atol: float = ATOL):
    return solve(
        run.model, run.examples, [run.tau], initial=run.initial, rates={"s": run.rate}, rtol=rtol, atol=atol, threads=1
    )


def packed(run: Run) -> np.ndarray:
    return np.concatenate([run.initial["v"].ravel(), run.initial["s"]])


def gradient(run: Run, parallel: bool = False):
    parameters = {**run.model.all_sizes(run.examples), "eta_v": 1.0, "eta_s": run.rate}
    return run.model.kernel(run.examples, parallel=parallel).bind(run.model.arrays(run.examples), parameters)


def descended(run: Run, lr: float) -> np.ndarray:
    """Where descent at a learning rate arrives, whatever computes it: the same steps with the compiled gradient."""
    compiled, y = gradient(run), packed(run)
    slope = np.empty_like(y)
    for _ in range(round(run.tau / lr)):
        compiled(y, slope)
        y += lr * slope
    return y


def by_hand(run: Run) -> Callable[[np.ndarray, np.ndarray], None]:
    """The gradient as a careful author of numba code would write it: fused, nothing allocated, sizes known."""
    D, K = run.model.fixed["U"].shape
    exp = runtime.exp

    @njit(error_model="numpy", fastmath=runtime.FAST)
    def flow(v, s, U, x, y, rate, share, r, z, rbar, dv, ds):
        N, L = x.shape
        dv[:] = 0.0
        ds[:] = 0.0
        for n in range(N):
            top = -np.inf
            for l in range(L):
                share[l] = s[x[n, l]]
                top = max(top, share[l])
            for l in range(L):
                share[l] = exp(share[l] - top)
            whole = 0.0
            for l in range(L):
                whole += share[l]
            r[:] = 0.0
            for l in range(L):
                share[l] /= whole
                for d in range(D):
                    r[d] += share[l] * v[x[n, l], d]
            z[:] = 0.0
            for d in range(D):
                for k in range(K):
                    z[k] += U[d, k] * r[d]
            top = z.max()
            whole = 0.0
            for k in range(K):
                z[k] = exp(z[k] - top)
                whole += z[k]
            for k in range(K):
                z[k] /= whole
            z[y[n]] -= 1.0
            mean = 0.0
            for d in range(D):
                rbar[d] = 0.0
                for k in range(K):
                    rbar[d] -= U[d, k] * z[k] / N
                mean += rbar[d] * r[d]
            for l in range(L):
                i = x[n, l]
                along = 0.0
                for d in range(D):
                    along += rbar[d] * v[i, d]
                    dv[i, d] += share[l] * rbar[d]
                ds[i] += rate * share[l] * (along - mean)

    rows, targets, U = run.rows, run.examples.y, np.ascontiguousarray(run.model.fixed["U"])
    V, L = run.examples.inputs, rows.shape[1]
    scratch = np.empty(L), np.empty(D), np.empty(K), np.empty(D)

    def call(y: np.ndarray, out: np.ndarray) -> None:
        v, s, dv, ds = y[: V * D].reshape(V, D), y[V * D :], out[: V * D].reshape(V, D), out[V * D :]
        flow(v, s, U, rows, targets, run.rate, *scratch, dv, ds)

    return call


# -- peers ------------------------------------------------------------------------------------------------------------


def diffrax_flows(run: Run) -> dict[str, Callable[[], tuple[np.ndarray, int]]]:
    """Tsit5 with ``jax.grad``, jitted, in float64: sentences have one length, so nothing is padded."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x, y = jnp.asarray(run.rows.astype(np.int32)), jnp.asarray(run.examples.y.astype(np.int32))
    U, start = jnp.asarray(run.model.fixed["U"]), (jnp.asarray(run.initial["v"]), jnp.asarray(run.initial["s"]))

    def by_token(v, s):
        return jnp.einsum("nl,nld->nd", jax.nn.softmax(s[x], axis=1), v[x]) @ U

    def weighted(values, s):
        """Attended values with one exponential for each word; scores must not lie far apart."""
        weight = jnp.exp(s - jax.lax.stop_gradient(s.max()))
        sums = jnp.concatenate([weight[:, None] * values, weight[:, None]], axis=1)[x].sum(axis=1)
        return sums[:, :-1] / sums[:, -1:]

    formulations = {
        "by token": by_token,
        "one exp per word": lambda v, s: weighted(v, s) @ U,
        "one exp per word, readout first": lambda v, s: weighted(v @ U, s),
    }

    def case(logits):
        def loss(state):
            return -jnp.mean(jax.nn.log_softmax(logits(*state), axis=1)[jnp.arange(len(y)), y])

        def slope(t, state, args):
            dv, ds = jax.grad(loss)(state)
            return -dv, -run.rate * ds

        @jax.jit
        def integrate(state):
            return diffrax.diffeqsolve(
                diffrax.ODETerm(slope), diffrax.Tsit5(), 0.0, run.tau, None, state, max_steps=4096,
                stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=ATOL),
            )  # fmt: skip

        def solved() -> tuple[np.ndarray, int]:
            found = integrate(start)
            return np.concatenate([np.asarray(part)[-1].ravel() for part in found.ys]), int(found.stats["num_steps"])

        return solved

    return {name: case(logits) for name, logits in formulations.items()}


def torch_descents(run: Run) -> dict[str, Callable[[], None]]:
    """TIMED_STEPS steps of ``torch.optim.SGD`` on all sentences, in each idiom and each precision."""
    import torch

    torch.set_num_threads(1)
    x, y = torch.tensor(run.rows), torch.tensor(run.examples.y)
    words = x.reshape(-1)

    def attended(v, s):
        return torch.softmax(s.index_select(0, words).view(x.shape), 1), v.index_select(0, words).view(*x.shape, -1)

    def bmm(v, s):
        shares, values = attended(v, s)
        return torch.bmm(shares.unsqueeze(1), values).squeeze(1)

    def multiply_and_sum(v, s):
        shares, values = attended(v, s)
        return (shares.unsqueeze(2) * values).sum(1)

    def case(context, dtype):
        U = torch.tensor(run.model.fixed["U"], dtype=dtype)
        v, s = (torch.tensor(run.initial[name], dtype=dtype, requires_grad=True) for name in "vs")
        rates = [{"params": [v], "lr": run.lr}, {"params": [s], "lr": run.lr * run.rate}]
        optimizer = torch.optim.SGD(rates)

        def steps() -> None:
            for _ in range(TIMED_STEPS):
                optimizer.zero_grad(set_to_none=True)
                torch.nn.functional.cross_entropy(context(v, s) @ U, y).backward()
                optimizer.step()

        return steps

    idioms = {"index_select and bmm": bmm, "index_select, product and sum": multiply_and_sum}
    types = {"float64": torch.float64, "float32": torch.float32}
    return {f"{idiom}, {name}": case(f, dtype) for idiom, f in idioms.items() for name, dtype in types.items()}


def importable(peers: Mapping[str, Callable]) -> dict[str, Callable]:
    """The peers that are installed."""
    from importlib.util import find_spec

    for name in peers:
        if find_spec(name) is None:
            print(f"{name} is not installed and left out")
    return {name: case for name, case in peers.items() if find_spec(name) is not None}


# -- tables -----------------------------------------------------------------------------------------------------------


def whole_runs(run: Run, repeats: int = 5) -> None:
    """The whole run, one core."""
    tight = flow(run, 1e-10, 1e-13)
    exact = np.concatenate([tight.v[-1].values.ravel(), tight.s[-1].values])

    def error(y: np.ndarray) -> str:
        return f"{np.abs(y - exact).max():.1e}"

    peers = importable({"diffrax": diffrax_flows, "torch": torch_descents})
    flows = peers["diffrax"](run) if "diffrax" in peers else {}
    descents = peers["torch"](run) if "torch" in peers else {}
    seconds = timed({"": lambda: flow(run), **flows, **descents}, repeats)
    found = flow(run)
    ours = seconds[""]
    print(f"\nto tau = {run.tau:g}, one core | s of CPU | ratio | error |\n|---|---|---|---|")
    name = f"exact flow, rtol {RTOL:g}, {found.attrs['evaluations']} evaluations"
    state = np.concatenate([found.v[-1].values.ravel(), found.s[-1].values])
    print(f"| {name} | {ours:.3f} | 1 | {error(state)} |")
    for name, case in flows.items():
        y, steps = case()
        what = f"diffrax Tsit5, rtol {RTOL:g}, {steps} steps, {name}"
        print(f"| {what} | {seconds[name]:.3f} | {seconds[name] / ours:.2f} | {error(y)} |")
    errors = {factor: error(descended(run, factor * run.lr)) for factor in (1, 2, 5, 10, 20, 50)}
    for name in descents:
        time = seconds[name] * run.steps / TIMED_STEPS
        single = " (of the steps, without rounding)" if "float32" in name else ""
        what = f"PyTorch, {run.steps} steps at lr {run.lr:g}, {name} ({TIMED_STEPS} steps timed)"
        print(f"| {what} | {time:.1f} | {time / ours:.0f} | {errors[1]}{single} |")
    if descents:
        best = min(seconds[name] for name in descents) / TIMED_STEPS
        for factor in (2, 5, 10, 20, 50):
            steps = round(run.steps / factor)
            what = f"PyTorch, best of these, {steps} steps at lr {factor * run.lr:g}"
            print(f"| {what} | {best * steps:.2f} | {best * steps / ours:.0f} | {errors[factor]} |")


def evaluations(run: Run, repeats: int = 15) -> None:
    """One gradient: generated and by hand on one core, and the least that any could take; then on two."""
    compiled, hand, shared = gradient(run), by_hand(run), gradient(run, parallel=True)
    y = packed(run)
    out, other = np.empty_like(y), np.empty_like(y)
    cases = {"generated": lambda: compiled(y, out), "by hand": lambda: hand(y, other)}
    many = {name: (lambda case=case: [case() for _ in range(20)]) for name, case in cases.items()}
    seconds = {name: value / 20 for name, value in timed(many, repeats).items()}
    np.testing.assert_allclose(out, other, rtol=1e-9, atol=1e-15)
    ours = seconds["generated"]
    print("\n| gradient, one core | ms | ratio |\n|---|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {1e3 * value:.3f} | {value / ours:.2f} |")
    tokens, (D, K), N = run.rows.size, run.model.fixed["U"].shape, len(run.rows)
    # Rows of v are read twice and rows of its slope read and written, wherever they are cached; ids are read twice.
    moved = tokens * (4 * D + 2 + 4) * 8
    products = tokens * (3 * D + 3) + 2 * N * D * K
    print(
        f"each: {moved / 1e6:.0f} MB moved to and from registers ({moved / ours / 1e9:.0f} GB/s),"
        f" {products / 1e6:.1f} million multiply-adds ({2 * products / ours / 1e9:.1f} GFlop/s),"
        f" {run.examples.inputs + N * K} exponentials"
    )
    print("\n| parallel gradient | ms of wall time, least | ratio to one core |\n|---|---|---|")
    threads: dict[str, Callable[[], object]] = {}
    for number in (1, 2):

        def on(number: int = number) -> None:
            with limited(number, 0):
                for _ in range(20):
                    shared(y, other)

        threads[f"{number} thread{'s' * (number > 1)}"] = on
    threads["not parallel"] = many["generated"]
    wall = {name: value / 20 for name, value in timed(threads, repeats, perf_counter, min).items()}
    for name, value in wall.items():
        print(f"| {name} | {1e3 * value:.3f} | {wall['not parallel'] / value:.2f} |")


def main(path: str) -> None:
    run = load(path)
    N, L = run.rows.shape
    print(f"{N} sentences of {L} words out of {run.examples.inputs}, {packed(run).size} numbers in the state")
    with limited(1, 0):
        evaluations(run)
        whole_runs(run)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
