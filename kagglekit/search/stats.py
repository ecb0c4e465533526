"""What the ladder's own results say about the ladder: does a low rung rank as the high one does, and is a win a win?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.search.propose import quiet_optuna
from kagglekit.search.space import contains

if TYPE_CHECKING:
    import numpy as np

DRAWS = 800  # of a ladder, or of images
FEWEST = 4  # trials on both rungs below which nothing can be said


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How well one rung ranks what another does; `count` trials ran on both, of `total` on the lower one."""

    spearman: Estimate
    kendall: Estimate
    count: int
    total: int

    @property
    def warning(self) -> str:
        """What a reader must know before they trust the promotion; empty where nothing is wrong."""
        if self.spearman.low > 0.2:
            return ""
        if self.spearman.high < 0.5:
            return "the lower rung does not rank as the upper one does: what it rejected may well be better"
        return f"{self.count} trials on both rungs cannot tell whether the lower one ranks as the upper one does"


def agreement(low: Sequence[float], both: Sequence[int], high: Sequence[float], seed: int = 0) -> Agreement | None:
    """Rank correlation, over all trials, of the scores `low` and of what the upper rung would say of them.

    Only the trials at positions `both` were seen on the upper rung, with scores `high`; most of them were chosen for
    their low score, so that the plain correlation of the pairs would be far too small. So for every correlation that
    the two rungs could have (a Gaussian copula; any marginal) ladders like this one are drawn, with the same ranks of
    `low` chosen, and those correlations are kept under which the pairs agree about as well as they were seen to. None
    for fewer than `FEWEST` pairs, or scores that are all equal.
    """
    import numpy as np
    from scipy.stats import rankdata

    if len(both) < FEWEST or np.ptp(high) == 0 or np.ptp(np.asarray(low, float)[list(both)]) == 0:
        return None
    rng, total, chosen = np.random.default_rng(seed), len(low), np.asarray(both)
    positions = rankdata(low, method="ordinal")[chosen] - 1
    drawn = np.sort(rng.normal(size=(DRAWS, total)), axis=1)[:, positions]  # of trials that rank as these do
    noise = rng.normal(size=drawn.shape)
    observed = _spearman(rankdata(np.asarray(low, float)[chosen])[None], rankdata(high)[None])[0]
    ranks = drawn.argsort(1).argsort(1)
    grid = np.tanh(np.linspace(-3.3, 3.3, 133))
    below, above = np.empty(len(grid)), np.empty(len(grid))
    for i, rho in enumerate(grid):
        upper = rho * drawn + math.sqrt(1 - rho * rho) * noise
        correlations = _spearman(ranks, upper.argsort(1).argsort(1))
        below[i], above[i] = (correlations <= observed + 1e-9).mean(), (correlations >= observed - 1e-9).mean()
    possible = grid[np.minimum(below, above) > 0.025]
    middle = grid[np.abs(below - above).argmin()]
    ends = [float(possible[0]), float(middle), float(possible[-1])] if len(possible) else [float(middle)] * 3
    bottom, value, top = (-1.0 if end == grid[0] else 1.0 if end == grid[-1] else end for end in ends)
    forms = {"spearman": lambda r: 6 / math.pi * math.asin(r / 2), "kendall": lambda r: 2 / math.pi * math.asin(r)}
    found = {name: Estimate(form(value), form(bottom), form(top)) for name, form in forms.items()}
    return Agreement(**found, count=len(chosen), total=total)


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation of each pair of rows of ranks."""
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return (a * b).sum(1) / ((a**2).sum(1) * (b**2).sum(1)) ** 0.5


def regret(final: dict[int, float], leader: int) -> float | None:
    """How much the trial that led the lower rung misses of the best score on the upper one, higher being better."""
    return max(final.values()) - final[leader] if leader in final else None


def paired(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], seed: int = 0) -> Estimate:
    """The difference of two mean scores, image by image `[seeds][images]`, with its bootstrap interval.

    Seeds and, within each, images are drawn anew, both trials alike. Means of images stand for scores that are no
    such means.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    gaps = [np.asarray(a, float) - np.asarray(b, float) for a, b in zip(ours, theirs, strict=True)]
    drawn = []
    for _ in range(DRAWS):
        seeds = rng.integers(len(gaps), size=len(gaps))
        drawn.append(np.mean([gaps[s][rng.integers(len(gaps[s]), size=len(gaps[s]))].mean() for s in seeds]))
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return Estimate(float(np.mean([gap.mean() for gap in gaps])), low, high)


def importances(params: Sequence[dict], space: dict, scores: Sequence[float], seed: int = 0) -> dict[str, Estimate]:
    """The share of each setting in how scores differ (0..1, optuna's PED-ANOVA), the largest first.

    Intervals by drawing the trials anew. Empty where fewer than eight trials have scores.
    """
    import numpy as np
    import optuna

    keys = [key for key in space if not space[key].single()]

    def fits(one: dict) -> bool:
        return all(key in one and contains(space[key], one[key]) for key in keys)

    rows = [i for i, one in enumerate(params) if fits(one)]
    if len(rows) < 8 or len({scores[i] for i in rows}) < 3 or len(keys) < 2:
        return {}

    def shares(chosen: Sequence[int]) -> dict[str, float]:
        study = optuna.create_study(direction="maximize")
        used = {key: space[key] for key in keys}
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params={key: params[i][key] for key in keys}, distributions=used, value=float(scores[i])
                )
                for i in chosen
            ]
        )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
        return optuna.importance.get_param_importances(study, evaluator=evaluator)

    with quiet_optuna():
        point, rng = shares(rows), np.random.default_rng(seed)
        again = [shares(rng.choice(rows, len(rows)).tolist()) for _ in range(30)]
    drawn = {key: [one.get(key, 0.0) for one in again] for key in point}
    found = {
        key: Estimate(float(value), *np.quantile(drawn[key], [0.025, 0.975]).tolist()) for key, value in point.items()
    }
    return dict(sorted(found.items(), key=lambda pair: -pair[1].value))
