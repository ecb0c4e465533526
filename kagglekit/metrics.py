"""Scores of the competitions, written for truth and not for speed of typing: integer counts, stated edge cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kagglekit.protocols import Metric
from kagglekit.types import Score

if TYPE_CHECKING:
    import numpy as np

FEW = 8  # images below which an interval that draws them anew is too narrow to be trusted


@dataclass(frozen=True)
class MeanIoU:
    """Mean over images of the intersection over union of one binary mask; both empty counts as `both_empty`."""

    name: str = "mean IoU"
    greater_is_better: bool = True
    both_empty: float = 1.0

    def compare(self, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """int64 `[2]`: pixels of intersection and union of two `[H, W]` masks, any non-zero value is foreground."""
        inter, both = _overlap(truth, mask)
        return _counts(inter, both - inter)

    def reduce(self, statistics: np.ndarray) -> float:
        """The mean over `[N, 2]`."""
        return float(_ratio(statistics[..., 0], statistics[..., 1], self.both_empty).mean())


@dataclass(frozen=True)
class MeanDice:
    """Mean over images, and over the classes of a multilabel mask, of the Dice coefficient 2|X∩Y| / (|X| + |Y|).

    A pair of which both are empty counts as `both_empty`; one empty and one not is 0.
    """

    name: str = "mean Dice"
    greater_is_better: bool = True
    both_empty: float = 1.0

    def compare(self, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """int64 `[2]` for `[H, W]` masks, `[K, 2]` for `[H, W, K]`: pixels of the intersection, and of both added."""
        import numpy as np

        if truth.ndim == 2:
            return _counts(*_overlap(truth, mask))
        _refuse_sizes(truth, mask)
        return np.stack([_counts(*_overlap(truth[..., k], mask[..., k])) for k in range(truth.shape[2])])

    def reduce(self, statistics: np.ndarray) -> float:
        """The mean over `[N, 2]` or `[N, K, 2]`."""
        return float(self._dice(statistics).mean())

    def per_class(self, statistics: np.ndarray) -> np.ndarray:
        """float64 `[K]` of `[N, K, 2]`: the mean over images of every class; `[1]` of `[N, 2]`."""
        scores: np.ndarray = self._dice(statistics).reshape(len(statistics), -1).mean(0)
        return scores

    def _dice(self, statistics: np.ndarray) -> np.ndarray:
        return _ratio(2 * statistics[..., 0], statistics[..., 1], self.both_empty)


@dataclass(frozen=True)
class ClassIoU:
    """Mean over the classes of label maps of the IoU, background included.

    `over` says of what: of the pixels of all images together ("dataset"), or of each image, averaged over the
    images ("image"). Classes in neither truth nor prediction are left out.
    """

    classes: int
    over: Literal["dataset", "image", "picture"] = "dataset"
    greater_is_better: bool = True

    @property
    def name(self) -> str:
        """What the score is called."""
        return "mIoU over the data set" if self.over == "dataset" else "mIoU per image"

    def compare(self, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """int64 `[K, K]`: pixels by true class (row) and predicted class (column) of two `[H, W]` label maps."""
        import numpy as np

        _refuse_sizes(truth, mask)
        pairs = truth.ravel().astype(np.int64) * self.classes + mask.ravel()
        return np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def reduce(self, statistics: np.ndarray) -> float:
        """The score of `[N, K, K]`."""
        import numpy as np

        return float(np.nanmean(self._ious(statistics), axis=-1).mean())

    def per_class(self, statistics: np.ndarray) -> np.ndarray:
        """float64 `[K]` of `[N, K, K]`: the IoU of every class, NaN where no image shows or predicts it."""
        import numpy as np

        ious = self._ious(statistics)
        shown = ~np.isnan(ious)
        return np.where(shown.any(0), np.where(shown, ious, 0).sum(0) / np.maximum(shown.sum(0), 1), np.nan)

    def _ious(self, statistics: np.ndarray) -> np.ndarray:
        """float64 `[1 or N, K]`: the IoU of every class, of all images together or of each; NaN where in neither."""
        import numpy as np

        if self.over == "dataset":
            statistics = statistics.sum(0, keepdims=True)
        hits = np.diagonal(statistics, axis1=-2, axis2=-1)
        return _ratio(hits, statistics.sum(-1) + statistics.sum(-2) - hits, np.nan)


@dataclass(frozen=True)
class Pooled:
    """The score that `metric` gives all images as if they were one: for parts of images."""

    metric: Metric

    @property
    def name(self) -> str:
        """What the score is called."""
        return f"{self.metric.name}, pooled"

    @property
    def greater_is_better(self) -> bool:
        """As the metric itself."""
        return self.metric.greater_is_better

    def compare(self, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Counts of one part."""
        return self.metric.compare(truth, mask)

    def reduce(self, statistics: np.ndarray) -> float:
        """The score of the summed counts."""
        return self.metric.reduce(statistics.sum(0, keepdims=True))


def class_scores(metric: Metric, statistics: np.ndarray) -> np.ndarray | None:
    """float64 `[K]`: the score of every class, NaN where it says nothing; None if the metric cannot tell classes."""
    if isinstance(metric, Pooled):
        return class_scores(metric.metric, statistics.sum(0, keepdims=True))
    return metric.per_class(statistics) if hasattr(metric, "per_class") else None


def fallen(metric: Metric, before: np.ndarray, after: np.ndarray) -> tuple[int, ...]:
    """Classes whose score is worse in the statistics `after` than in those `before`; none if it cannot be said."""
    import numpy as np

    scores = class_scores(metric, before), class_scores(metric, after)
    if scores[0] is None:
        return ()
    sign = 1 if metric.greater_is_better else -1
    # Sums of the same numbers in another order differ in their last digits.
    return tuple(int(k) for k in np.flatnonzero(sign * (scores[0] - scores[1]) > 1e-9))


def _refuse_sizes(truth: np.ndarray, mask: np.ndarray) -> None:
    if truth.shape != mask.shape:
        raise ValueError(f"masks of different sizes cannot be compared: {truth.shape} and {mask.shape}")


def _overlap(truth: np.ndarray, mask: np.ndarray) -> tuple[int, int]:
    """Pixels in both masks, and the pixels of one and the other added."""
    import numpy as np

    _refuse_sizes(truth, mask)
    t, m = truth > 0, mask > 0
    return int(np.count_nonzero(t & m)), int(np.count_nonzero(t) + np.count_nonzero(m))


def _counts(*values: int) -> np.ndarray:
    import numpy as np

    return np.array(values, np.int64)


def _ratio(part: np.ndarray, whole: np.ndarray, empty: float) -> np.ndarray:
    import numpy as np

    return np.where(whole == 0, empty, part / np.maximum(whole, 1))


def score_with_interval(metric: Metric, statistics: np.ndarray, seed: int = 0, resamples: int = 1000) -> Score:
    """The score of `[N, ...]` statistics with its 95% percentile-bootstrap interval over images."""
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
