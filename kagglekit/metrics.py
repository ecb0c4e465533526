"""Scores of the competitions, written for truth and not for speed of typing: integer counts, stated edge cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.types import Metric, Score

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class MeanIoU:
    """Mean over pictures of the intersection over union of one binary mask; both empty counts as `both_empty`."""

    name: str = "mean IoU"
    greater_is_better: bool = True
    both_empty: float = 1.0

    def compare(self, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """float64 `[1]`: the IoU of two `[H, W]` masks, any non-zero value is foreground."""
        import numpy as np

        if truth.shape != mask.shape:
            raise ValueError(f"masks of different sizes cannot be compared: {truth.shape} and {mask.shape}")
        t, m = truth > 0, mask > 0
        inter = np.count_nonzero(t & m)
        union = np.count_nonzero(t) + np.count_nonzero(m) - inter
        return np.array([self.both_empty if union == 0 else inter / union])

    def reduce(self, statistics: np.ndarray) -> float:
        """The mean over `[N, 1]`."""
        return float(statistics.mean())


def score_with_interval(metric: Metric, statistics: np.ndarray, seed: int = 0, resamples: int = 1000) -> Score:
    """The score of `[N, ...]` statistics with its 95% percentile-bootstrap interval over pictures."""
    import numpy as np

    n = len(statistics)
    rng = np.random.default_rng(seed)
    # Large sets need fewer resamples for the same stability of the interval, and 1000 x 200k draws take minutes.
    resamples = max(200, min(resamples, int(2e7 // n)))
    values = [metric.reduce(statistics[rng.integers(0, n, n)]) for _ in range(resamples)]
    low, high = np.percentile(values, [2.5, 97.5])
    return Score(metric.reduce(statistics), float(low), float(high), n)


def better(metric: Metric, a: float, b: float) -> bool:
    """Is score `a` strictly better than `b`?"""
    return a > b if metric.greater_is_better else a < b
