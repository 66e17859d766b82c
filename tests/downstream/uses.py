"""What a package that uses this one may write; checked by mypy --strict against the installed package."""

from dynamics import CoOccurrence, copying, load, solve

counts: CoOccurrence = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
found = solve(counts, [0, 10, 100], stages=["joint", "frozen"])
last: float = float(found.beta.isel(stages=0, time=-1).sel(input="Hund", output="dog"))
words: tuple[str, ...] = counts.inputs
reduced = solve(copying(vocab=8, length=8), t=[0.0, 1.0], initial={"u": 0.1})
again = load("trajectory.nc")

solve(counts, [0, 1], threads="two")  # type: ignore[call-overload]  # types are seen: this is wrong
CoOccurrence.from_counts([[1]], inputs=3)  # type: ignore[arg-type]
