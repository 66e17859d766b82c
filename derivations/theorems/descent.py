"""Gradient descent beside gradient flow: which flow its steps follow, to second order in the learning rate."""

from __future__ import annotations

from sympy import Function, Integer, Matrix, diff, log

from derivations.program.language import scalars
from derivations.registry import theorem
from derivations.theorems.theorem import Step, Theorem

__all__ = ["modified_loss"]

BARRETT = "Barrett, Dherin, Implicit Gradient Regularization, arXiv 2009.11162"

x, y, k, w = scalars("x y k w")
lr, eta_x, eta_y = scalars("lr eta_x eta_y", positive=True)
loss_modified, of_point, rate, lr_unstable = scalars("loss_modified loss rate lr_unstable")
g_x, g_y, h_xx, h_xy, h_yy = scalars("g_x g_y h_xx h_xy h_yy")


@theorem("descent", "Gradient descent follows the flow of a modified loss", about=("{}-descent",))
def modified_loss() -> Theorem:
    """Of any loss of two numbers with rates of their own; more numbers only make the vectors longer."""
    loss = Function("loss")(x, y)
    rates = Matrix([[eta_x, 0], [0, eta_y]])
    place = Matrix([x, y])
    length = eta_x * diff(loss, x) ** 2 + eta_y * diff(loss, y) ** 2
    modified = loss + lr / 4 * length
    field = -rates * Matrix([diff(modified, x), diff(modified, y)])
    first = field.subs(lr, 0)
    second = field.diff(lr).subs(lr, 0) + first.jacobian(place) * first / 2
    quadratic = k * w**2 / 2
    follows = quadratic + lr / 4 * diff(quadratic, w) ** 2
    slopes = {
        diff(loss, x, x): h_xx, diff(loss, x, y): h_xy, diff(loss, y, y): h_yy, diff(loss, x): g_x, diff(loss, y): g_y,
    }  # fmt: skip
    bend = (first.jacobian(place) * first / 2).subs(slopes)
    decay = -log(1 - lr * k) / lr
    return Theorem(
        hypotheses=("a loss with three derivatives", "steps over all examples, without momentum"),
        statement=(
            "A step of descent, `x - lr eta_x dloss/dx` for each number x, is not where the gradient flow is after the "
            "time `lr`: they differ by the order of `lr^2`. The flow of `loss_modified` is there but for the order of "
            "`lr^3`, so that over a fixed time descent stays within the order of `lr^2` of it, and within that of "
            "`lr` of the gradient flow. What is added penalises a steep loss: `g_x` and `g_y` are its slopes. In the "
            "example of a quadratic loss `k w^2/2` the modified flow decays at `rate`, descent at "
            "`-log(1 - lr k)/lr`."
        ),
        results={
            loss_modified: of_point + lr / 4 * (eta_x * g_x**2 + eta_y * g_y**2),
            rate: k * (1 + lr * k / 2),
            lr_unstable: 2 / k,
        },
        steps=(
            Step(
                "the flow of the modified loss over the time `lr` is `x + lr x_1 + lr^2 x_2` and so on; x_1 is that of "
                "the step",
                first.subs(slopes),
                Matrix([-eta_x * g_x, -eta_y * g_y]),
                ("x_1", "y_1"),
            ),
            Step("and x_2 vanishes", second.subs(slopes), Matrix([0, 0]), ("x_2", "y_2")),
            Step(
                "of the gradient flow it does not, with the curvatures h",
                bend,
                Matrix(
                    [
                        eta_x * (eta_x * h_xx * g_x + eta_y * h_xy * g_y),
                        eta_y * (eta_x * h_xy * g_x + eta_y * h_yy * g_y),
                    ]
                )
                / 2,
                ("x_2", "y_2"),
            ),
            Step(
                "for a quadratic loss the modified flow decays at", diff(follows, w) / w, k * (1 + lr * k / 2), "rate"
            ),
            Step(
                "and descent, `-log(1 - lr k)/lr`, at the same rate to that order",
                decay.series(lr, 0, 2).removeO(),
                k * (1 + lr * k / 2),
                "rate",
            ),
            Step(
                "descent neither grows nor decays where", (1 - lr * k).subs(lr, 2 / k), Integer(-1), "1 - lr_unstable k"
            ),
        ),
        limits=(
            "second order in `lr` over a fixed time; descent is unstable from the learning rate `2/curvature`, "
            "`lr_unstable` in the example, and no order in `lr` shows it"
        ),
        source=BARRETT,
        meanings={
            "loss": "as a function of the numbers x and y that are trained",
            "eta_x": "learning rate of x, relative to `lr`",
            "eta_y": "learning rate of y, relative to `lr`",
            "g_x": "slope of the loss in x",
            "g_y": "slope of the loss in y",
            "lr": "learning rate",
            "k": "curvature",
        },
    )
