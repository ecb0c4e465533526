"""Whether a class is there at all, from the network's head and its surest pixels together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kagglekit import Metric, PluginError, Postprocess, Prediction
from kagglekit.api import resize_probs
from kagglekit_clouds.contest import SUBMITTED

THRESHOLDS = tuple(round(0.3 + 0.05 * i, 2) for i in range(12))


@dataclass(frozen=True)
class Gated:
    """Empties the masks of `inner` for classes with a low score."""

    inner: Postprocess
    threshold: float
    top_pixels: int
    head: float
    force_best: bool

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """uint8 `[H, W, K]`."""
        return self.inner(prediction) * self._there(self.scores(prediction), self.threshold)

    def scores(self, prediction: Prediction) -> np.ndarray:
        """float `[K]` in 0..1; raises PluginError where the network has no head for classes."""
        if prediction.classes is None:
            raise PluginError("techniques.class-gate: the network says nothing of whole classes; add --with class-head")
        probs = resize_probs(prediction.probs, SUBMITTED).reshape(len(prediction.probs), -1)
        count = min(self.top_pixels, probs.shape[1])
        surest = np.partition(probs, -count, axis=1)[:, -count:].mean(1)
        return self.head * prediction.classes + (1 - self.head) * surest

    def _there(self, scores: np.ndarray, threshold: float) -> np.ndarray:
        there = scores >= threshold
        if self.force_best:
            there[scores.argmax()] = True
        return there.astype(np.uint8)

    def fit(self, predictions: Sequence[Prediction], truths: Sequence[np.ndarray], metric: Metric) -> Gated:
        """`inner` fitted, if it can be, then the threshold with the best score; ties go to the present one."""
        fits = hasattr(self.inner, "fit")
        inner = self.inner.fit(predictions, truths, metric) if fits else self.inner
        grid = sorted({*THRESHOLDS, self.threshold})
        counts: list[list[np.ndarray]] = [[] for _ in grid]
        for prediction, truth in zip(predictions, truths, strict=True):
            mask, scores = inner(prediction), self.scores(prediction)
            for kept, threshold in zip(counts, grid, strict=True):
                kept.append(metric.compare(truth, mask * self._there(scores, threshold)))
        sign = 1 if metric.greater_is_better else -1
        values = [sign * metric.reduce(np.stack(kept)) for kept in counts]
        best = max(range(len(grid)), key=lambda i: (values[i], -abs(grid[i] - self.threshold)))
        return replace(self, inner=inner, threshold=grid[best])
