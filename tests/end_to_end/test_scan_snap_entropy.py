"""The noise that the entropies of Scan and Snap are predicted with: four contexts a fact, in place of whole batches."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dynamics import load_program, solve

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scan_snap_entropy", EXAMPLES / "scan_snap_entropy.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # its dataclasses look there
    spec.loader.exec_module(found)
    return found


def gradient(Y: np.ndarray, scores: np.ndarray, data: dict[str, np.ndarray]) -> np.ndarray:
    """Minus the slope by the scores of the last token of every row, and by Y, by hand; weighted and packed."""
    bags = data["B"]
    attended = bags * np.exp(scores[data["last"]])
    attended = attended / attended.sum(axis=1, keepdims=True)
    norm = np.sqrt((attended**2).sum(axis=1, keepdims=True))
    f = attended / norm
    P = np.exp(f @ Y)
    P = -P / P.sum(axis=1, keepdims=True)
    P[np.arange(len(P)), data["y"]] += 1
    P *= (data["share"] / len(P))[:, None]
    h = P @ Y.T
    h = (h - f * (f * h).sum(axis=1, keepdims=True)) / norm
    h = attended * (h - (attended * h).sum(axis=1, keepdims=True))
    total = np.zeros_like(scores)
    np.add.at(total, data["last"], h)
    return np.concatenate([(f.T @ P).ravel(), total.ravel()])


def test_the_program_is_the_formula(script: ModuleType) -> None:
    facts, random = script.Facts(2), np.random.default_rng(0)
    data = script.Noise(facts, "contexts")(random, facts.rows("contexts"))
    Y, scores = random.normal(size=(facts.words, facts.tokens)), random.normal(size=(2, facts.words))
    found = solve(
        load_program(script.PROGRAM), data, [0, 1e-6], values={"K": 2, "O": facts.tokens}, initial={"Y": Y, "Z": scores}
    )
    moved = [(found[name].values[1] - found[name].values[0]).ravel() / 1e-6 for name in ("Y", "Z")]
    np.testing.assert_allclose(np.concatenate(moved), gradient(Y, scores, data), atol=1e-5)


def test_four_contexts_a_fact_have_the_mean_gradient_and_the_noise_of_a_batch(script: ModuleType) -> None:
    """Against whole batches of 128 contexts of 127 words, about where runs start; at mean contexts they differ.

    One second difference has noise of its own, which is why the bound is not closer.
    """
    facts, random, count = script.Facts(1), np.random.default_rng(1), 800
    Y, scores = (0.2 * random.normal(size=(k, size)) for k, size in ((facts.words, facts.tokens), (1, facts.words)))

    def batch() -> dict[str, np.ndarray]:
        drawn = random.integers(2, size=script.BATCH)
        bags = random.multinomial(script.LENGTH, facts.p[drawn]) / script.LENGTH
        return {"B": bags, "share": np.ones(script.BATCH), "last": drawn // 2, "y": facts.words + 1 + drawn}

    whole = np.array([gradient(Y, scores, batch()) for _ in range(count)])
    ours = {
        kind: np.array([gradient(Y, scores, script.Noise(facts, kind)(random, facts.rows(kind))) for _ in range(count)])
        for kind in script.NOISES
    }
    error = np.sqrt((whole.var(axis=0) + ours["contexts"].var(axis=0)) / count)

    def apart(kind: str) -> float:
        """Mean squared distance of the mean gradients, in standard errors; 1 of equal ones."""
        moving = error > 1e-12
        return float(np.mean(((ours[kind] - whole).mean(axis=0)[moving] / error[moving]) ** 2))

    assert apart("contexts") < 2
    assert apart("none") > 10
    assert apart("batches") > 10
    ratio = np.sqrt(ours["contexts"].var(axis=0).sum() / whole.var(axis=0).sum())
    assert ratio == pytest.approx(1, abs=0.15)


def test_the_entropy_before_training_is_the_published_one(script: ModuleType) -> None:
    for last in (1, 3):
        facts = script.Facts(last)
        assert facts.entropy(np.zeros((last, facts.words))) == pytest.approx(2.15, abs=0.005)
    peaked = np.zeros((1, 30))
    peaked[0, [12, 22]] = 50.0
    assert script.Facts(1).entropy(peaked) == pytest.approx(0, abs=1e-9)


def test_without_the_table_it_says_so(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="skipped: there is no"):
        script.main(tmp_path / "absent.csv", tmp_path)
