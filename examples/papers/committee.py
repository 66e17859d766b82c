"""A committee of soft units waits on a plateau, until its units choose a teacher each.

The figure shows what Saad and Solla (Phys. Rev. E 52, 1995, 4225, figures 1 and 2) show: the error of a student with
two units that learns a teacher with two, and the overlaps of its units with those of the teacher. Lines are the flow of
the order parameters, which knows neither inputs nor weights; points are students of 500 inputs, trained on a fresh
example a step.

    python examples/papers/committee.py [output directory]
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.special import erf

from dynamics import load_program, solve
from dynamics.plot import save
from dynamics.plot.frame import COLOURS, house_style
from dynamics.plot.layout import PAGE

PROGRAM = Path(__file__).parents[1] / "programs" / "committee.py"
RATE, TEACHER = 0.7, np.eye(2)


def start(inputs: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a student, small, and of a teacher, orthonormal."""
    random = np.random.default_rng(seed)
    teacher = np.linalg.qr(random.standard_normal((inputs, 2)))[0].T
    return 0.3 * random.standard_normal((2, inputs)) / inputs**0.5, teacher


def flow(times: np.ndarray, student: np.ndarray, teacher: np.ndarray) -> xr.Dataset:
    """The order parameters, from those of some weights; time is the number of examples by that of inputs."""
    initial = {"R": student @ teacher.T, "Q": student @ student.T}
    return solve(load_program(PROGRAM), {"T": TEACHER}, times, values={"K": 2, "eta": RATE}, initial=initial)


def trained(
    times: np.ndarray, student: np.ndarray, teacher: np.ndarray, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """R and Q of a student that descends half its squared error on a fresh example a step."""
    random, J, inputs = np.random.default_rng(seed), student.copy(), student.shape[1]
    found, done = [], 0
    for wanted in np.round(times * inputs).astype(int):
        for _ in range(wanted - done):
            x = random.standard_normal(inputs)
            field = J @ x
            error = erf(teacher @ x / 2**0.5).sum() - erf(field / 2**0.5).sum()
            J += RATE / inputs * (error * (2 / np.pi) ** 0.5 * np.exp(-(field**2) / 2))[:, None] * x
        done = wanted
        found.append((J @ teacher.T, J @ J.T))
    R, Q = zip(*found, strict=True)
    return np.array(R), np.array(Q)


def error(R: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """The generalisation error of order parameters, by its arcsines."""
    q, t = 1 + np.diagonal(Q, axis1=-2, axis2=-1), 1 + np.diag(TEACHER)
    of_student = np.arcsin(Q / np.sqrt(q[..., :, None] * q[..., None, :])).sum((-2, -1))
    between = np.arcsin(R / np.sqrt(q[..., :, None] * t)).sum((-2, -1))
    return np.asarray((of_student - 2 * between + np.arcsin(TEACHER / np.sqrt(t[:, None] * t)).sum()) / np.pi)


def figure(theory: xr.Dataset, times: np.ndarray, R: np.ndarray, Q: np.ndarray) -> Figure:
    with house_style():
        drawn = Figure((PAGE, 2.4), layout="constrained")
        ax, beside = drawn.subplots(1, 2)
        ax.semilogy(theory.time, theory.loss, color=COLOURS[2], label="order parameters")
        ax.semilogy(times, error(R, Q), "o", color=COLOURS[1], markersize=3, label="a student of 500 inputs")
        ax.set_ylabel("generalisation error (1)")
        ax.legend(loc="lower left")
        for i in range(2):
            for n in range(2):
                colour = COLOURS[1 + 2 * i + n]
                dashes = "-" if i == n else (0, (4, 1.5))
                name = f"unit {i + 1}, teacher {n + 1}"
                beside.plot(theory.time, theory.R[:, i, n], color=colour, linestyle=dashes, label=name)
                beside.plot(times, R[:, i, n], "o", color=colour, markersize=3)
        beside.legend(loc="upper left")
        ax.yaxis.set_major_formatter("{x:g}")
        beside.set_ylabel("overlap with the teacher R (1)")
        for one in (ax, beside):
            one.set_xlim(0, float(theory.time[-1]))
            one.set_xlabel("examples / inputs (1)")
    return drawn


def main(output: Path) -> None:
    student, teacher = start()
    latest = 250.0
    theory, times = flow(np.linspace(0, latest, 301), student, teacher), np.linspace(0, latest, 51)
    R, Q = trained(times, student, teacher)
    print(f"error at the end: {float(theory.loss[-1]):.2e} by order parameters, {error(R, Q)[-1]:.2e} of the student")
    save(figure(theory, times, R, Q), output / "committee.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
