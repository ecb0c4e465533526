"""The triplet threshold: a class is there if enough pixels are sure of it; then a lower threshold says where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kagglekit import Metric, Prediction
from kagglekit.api import resize_probs
from kagglekit_clouds.contest import SUBMITTED

TOPS = tuple(round(0.35 + 0.05 * i, 2) for i in range(12))  # 0.35 to 0.9
BOTTOMS = tuple(round(0.25 + 0.05 * i, 2) for i in range(9))  # 0.25 to 0.65
AREAS = (0, 1000, 2500, 5000, 7500, 10000, 12500, 15000, 20000, 25000, 30000)  # pixels of 350x525
ENOUGH = 100  # images from which on each class gets settings of its own


@dataclass(frozen=True)
class Triplet:
    """Thresholds and areas by class."""

    top: tuple[float, ...]
    bottom: tuple[float, ...]
    min_area: tuple[int, ...]

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """uint8 `[H, W, K]` at `prediction.size`."""
        probs = resize_probs(prediction.probs, prediction.size)
        unit = prediction.size[0] * prediction.size[1] / (SUBMITTED[0] * SUBMITTED[1])
        mask = np.zeros((*prediction.size, len(probs)), np.uint8)
        for k, plane in enumerate(probs):
            if np.count_nonzero(plane > self.top[k]) >= max(1, self.min_area[k] * unit):
                mask[..., k] = plane > self.bottom[k]
        return mask

    def fit(self, predictions: Sequence[Prediction], truths: Sequence[np.ndarray], metric: Metric) -> Triplet:
        """The settings of the grid with the best mean Dice over images and classes; ties stay near the present ones.

        The contest's metric is a mean over (image, class), so that classes can be fitted one by one.
        """
        grid = Grid(
            tuple(sorted({*TOPS, *self.top})),
            tuple(sorted({*BOTTOMS, *self.bottom})),
            tuple(sorted({*AREAS, *self.min_area})),
        )
        scores = grid.scores(predictions, truths)
        every = range(len(self.top))
        chosen = list(zip(self.top, self.bottom, self.min_area, strict=True))
        for classes in [[k] for k in every] if len(predictions) >= ENOUGH else [list(every)]:
            present = np.mean([scores[(k, *grid.at(*chosen[k]))] for k in classes])
            together = scores[classes].mean(0)
            if together.max() > present + 1e-9:
                best = grid.values(*np.unravel_index(together.argmax(), together.shape))
                for k in classes:
                    chosen[k] = best
        return replace(self, **dict(zip(("top", "bottom", "min_area"), zip(*chosen, strict=True), strict=True)))


@dataclass(frozen=True)
class Grid:
    """All settings that are tried."""

    tops: tuple[float, ...]
    bottoms: tuple[float, ...]
    areas: tuple[int, ...]

    def at(self, top: float, bottom: float, area: int) -> tuple[int, int, int]:
        """The place of settings in the grid."""
        return self.tops.index(top), self.bottoms.index(bottom), self.areas.index(area)

    def values(self, t: int, b: int, a: int) -> tuple[float, float, int]:
        """The settings at a place of the grid."""
        return self.tops[t], self.bottoms[b], self.areas[a]

    def scores(self, predictions: Sequence[Prediction], truths: Sequence[np.ndarray]) -> np.ndarray:
        """float64 `[K, T, B, A]`: the mean Dice of each class with each of the settings; -1 where bottom > top."""
        total: np.ndarray | float = 0.0
        for prediction, truth in zip(predictions, truths, strict=True):
            probs = resize_probs(prediction.probs, truth.shape[:2])
            total = total + np.stack([self._one(plane, truth[..., k]) for k, plane in enumerate(probs)])
        scores = total / len(predictions)
        scores[:, np.array(self.tops)[:, None] < np.array(self.bottoms)] = -1
        return scores

    def _one(self, probs: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """The Dice `[T, B, A]` of one image and class."""
        sure = _above(probs, self.tops)
        inside, both = _above(probs, self.bottoms), _above(probs[truth > 0], self.bottoms)
        size = np.count_nonzero(truth)
        dice = 2 * both / np.maximum(inside + size, 1)
        there = sure[:, None] >= np.maximum(1, self.areas)
        return np.where(there[:, None], dice[None, :, None], float(size == 0))


def _above(probs: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """How many probabilities exceed each of the rising thresholds."""
    # In one pass over the pixels, instead of one for each threshold.
    places = np.searchsorted(np.asarray(thresholds, np.float32), probs.ravel(), side="left")
    return np.bincount(places, minlength=len(thresholds) + 1)[::-1].cumsum()[::-1][1:]
