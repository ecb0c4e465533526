"""From the counts of all variants to what each technique is worth: differences of the metric, with intervals.

Images are drawn anew, the same for all variants of a seed (paired). What seeds add to that is estimated from all
techniques of a kind together: two or three seeds of one alone say next to nothing of their own spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kagglekit.errors import RunError
from kagglekit.protocols import Metric

if TYPE_CHECKING:
    import numpy as np

DRAWS = 800
Comparison = dict[str, float]  # variant -> how often it counts; the difference of two is {a: 1, b: -1}


@dataclass(frozen=True)
class Effect:
    """A difference of the metric, positive where it helps; `seeds` are those of single seeds."""

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """What may be said of it."""
        return "helps" if self.low > 0 else "hurts" if self.high < 0 else "within noise"

    def as_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return {**asdict(self), "seeds": list(self.seeds), "verdict": self.verdict}


class Scores:
    """The metric of every variant and seed: of all its images, and of images drawn anew.

    `counts[seed][variant]` are `[N, ...]` counts by image; within a seed all variants have the same images. Scores
    count upwards: where a smaller metric is better they are negative. Raises RunError for variants of other images.
    """

    def __init__(self, metric: Metric, counts: Sequence[Mapping[str, np.ndarray]], seed: int = 0, draws: int = DRAWS):
        import numpy as np

        sign, rng = 1 if metric.greater_is_better else -1, np.random.default_rng(seed)
        self.seeds = len(counts)
        self.point: list[dict[str, float]] = []
        self.drawn: list[dict[str, np.ndarray]] = []
        for of_seed in counts:
            lengths = {len(one) for one in of_seed.values()}
            if len(lengths) != 1:
                raise RunError("the variants of one seed were judged on different images; remove the ablation's runs")
            (n,) = lengths
            drawn = [rng.integers(n, size=n) for _ in range(min(draws, max(200, int(2e7 // n))))]
            self.point.append({name: sign * metric.reduce(one) for name, one in of_seed.items()})
            self.drawn.append(
                {name: sign * np.array([metric.reduce(one[d]) for d in drawn]) for name, one in of_seed.items()}
            )

    def of_seeds(self, comparison: Comparison) -> list[float]:
        """The comparison in each seed."""
        return [sum(w * scores[name] for name, w in comparison.items()) for scores in self.point]

    def spread(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """How much seeds differ from the mean of their comparison, over all comparisons; empty for one seed."""
        import numpy as np

        if self.seeds < 2:
            return np.zeros(0)
        found = [np.array(self.of_seeds(one)) for one in comparisons]
        return np.concatenate([one - one.mean() for one in found] or [[]]) * math.sqrt(self.seeds / (self.seeds - 1))

    def effect(self, comparison: Comparison, spread: np.ndarray) -> Effect:
        """The mean over the seeds of a comparison with its 95% interval; `spread` as for comparisons like this one."""
        import numpy as np

        seeds = self.of_seeds(comparison)
        count = min(len(one) for scores in self.drawn for one in scores.values())
        drawn = np.mean(
            [np.sum([w * scores[name][:count] for name, w in comparison.items()], axis=0) for scores in self.drawn],
            axis=0,
        )
        if len(spread):
            rng = np.random.default_rng(1)
            drawn = drawn + rng.choice(np.concatenate([spread, -spread]), (count, self.seeds)).mean(1)
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
        return Effect(float(np.mean(seeds)), low, high, tuple(seeds))


def left_out(everything: str, without: str) -> Comparison:
    """What a technique adds to all others."""
    return {everything: 1.0, without: -1.0}


def interaction(everything: str, without_a: str, without_b: str, without_both: str) -> Comparison:
    """What two techniques add together beyond what each adds to all others; negative: they do the same work twice."""
    return {everything: 1.0, without_a: -1.0, without_b: -1.0, without_both: 1.0}
