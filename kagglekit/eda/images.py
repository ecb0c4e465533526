"""Facts of images: sizes, ranges of intensity, and the windows of it in which objects separate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from kagglekit.eda.summaries import ImageSummary
from kagglekit.types import Sample

LEVELS = 16  # gray levels that a window is judged by
ENDS = 25  # quantiles that windows are tried between
NARROW = 0.5  # of the full range: a wider window is no other one
GAIN = 0.05  # of total variation: what a second window has to add
PERCENTILES = (0.1, 1, 25, 50, 75, 99, 99.9)
SLACK = 0.05  # of total variation, that a wider window may separate less than the best
BINS = 64  # of a histogram that is shown
SIZES = 6  # that are listed


def sizes(train: Sequence[Sample], test: Sequence[Sample]) -> dict[str, Any]:
    """(height, width) of images, the most frequent first, with how many of each part; smallest and largest."""
    parts = Counter(s.size for s in train), Counter(s.size for s in test)
    both = parts[0] + parts[1]
    listed = [
        {"size": list(size), "train": parts[0][size], "test": parts[1][size]} for size, _ in both.most_common(SIZES)
    ]
    ordered = sorted(both, key=lambda size: (size[0] * size[1], size))
    ends = {"smallest": list(ordered[0]), "largest": list(ordered[-1])} if ordered else {}
    return {"different": len(both), "listed": listed, **ends}


class Intensities:
    """Adds up histograms of pixel values, inside and outside of labels, one look at a time.

    `depth` is the type of pixels; every value has a bin of its own.
    """

    def __init__(self, channels: int, depth: str):
        limits = np.iinfo(depth)
        self.lowest, self.depth = int(limits.min), depth
        self.all = np.zeros((channels, limits.max - limits.min + 1), np.int64)
        self.inside = np.zeros_like(self.all)
        self.labelled = np.zeros_like(self.all)

    def add(self, summary: ImageSummary) -> None:
        """Count the pixels of one image."""
        if summary.values is None:
            return
        for c in range(len(self.all)):
            values = summary.values[:, c].astype(np.int64) - self.lowest
            counts = np.bincount(values, minlength=self.all.shape[1])
            self.all[c] += counts
            if summary.inside is not None:
                self.labelled[c] += counts
                self.inside[c] += np.bincount(values[summary.inside], minlength=self.all.shape[1])

    def facts(self) -> dict[str, Any]:
        """By channel: percentiles, lowest and highest value, histograms; windows where pixels have more than 8 bits."""
        channels = [self._channel(c) for c in range(len(self.all)) if self.all[c].any()]
        windows = []
        if self.depth != "uint8" and channels:
            windows = suggest_windows(self.inside.sum(0), (self.labelled - self.inside).sum(0), self.lowest)
        return {"depth": self.depth, "channels": channels, "windows": windows}

    def _channel(self, c: int) -> dict[str, Any]:
        shown = np.flatnonzero(self.all[c])
        at = percentile(self.all[c], PERCENTILES) + self.lowest
        low, high = (0, self.all.shape[1] - 1) if self.depth == "uint8" else percentile(self.all[c], (0, 99.9))
        outside = self.labelled[c] - self.inside[c]
        return {
            "lowest": int(shown[0]) + self.lowest,
            "highest": int(shown[-1]) + self.lowest,
            "percentiles": {f"p{q:g}": int(v) for q, v in zip(PERCENTILES, at, strict=True)},
            "from": int(low) + self.lowest,
            "to": int(high) + self.lowest,
            "all": binned(self.all[c], int(low), int(high)),
            "inside": binned(self.inside[c], int(low), int(high)) if self.inside[c].any() else [],
            "outside": binned(outside, int(low), int(high)) if self.inside[c].any() and outside.any() else [],
        }


def percentile(counts: np.ndarray, percents: Sequence[float]) -> np.ndarray:
    """The bins of a histogram at which these percentages of it are reached."""
    total = np.cumsum(counts)
    wanted = np.maximum(1, np.ceil(np.asarray(percents) / 100 * total[-1]))
    return np.searchsorted(total, wanted)


def binned(counts: np.ndarray, low: int, high: int) -> list[float]:
    """Shares of a fine histogram in at most `BINS` equal bins from `low` to `high`; what lies beyond is at the ends."""
    bins = min(BINS, high - low + 1)
    cells = np.clip((np.arange(len(counts)) - low) * bins // max(1, high - low + 1), 0, bins - 1)
    shares = np.bincount(cells, counts, bins) / max(1, counts.sum())
    return np.round(shares, 5).tolist()


def separation(inside: np.ndarray, outside: np.ndarray, low: int, high: int) -> float:
    """How well one window tells objects from the rest: total variation (0..1) of `LEVELS` gray levels.

    `inside` and `outside` are histograms of bins from 0; the window goes from bin `low` to `high`, both cut off.
    """
    ends = np.clip(np.round(np.linspace(low, high + 1, LEVELS + 1)).astype(int)[1:-1], 0, len(inside))
    shares = []
    for counts in (inside, outside):
        total = np.concatenate([[0], np.cumsum(counts)])
        shares.append(np.diff(np.concatenate([[0], total[ends], [total[-1]]])) / max(1, total[-1]))
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def suggest_windows(inside: np.ndarray, outside: np.ndarray, lowest: int = 0) -> list[dict[str, Any]]:
    """Intensity windows worth a look, the full range first: {"low", "high", "separates", "inside", "outside"}.

    A second one is named if a window at most `NARROW` as wide, between quantiles of the pixels, separates objects
    (histogram `inside`) from the rest (`outside`) better than the full range does, by `GAIN`. Bin 0 is `lowest`.
    """
    if not inside.any() or not outside.any():
        return []
    # Objects and the rest count alike, whichever is rarer.
    both = inside / inside.sum() + outside / outside.sum()
    low, high = (int(end) for end in percentile(both * 1e6, (0.05, 99.95)))
    full = separation(inside, outside, low, high)
    ends = np.unique(percentile(both * 1e6, np.linspace(0.1, 99.9, ENDS).tolist()))
    tried = [
        (separation(inside, outside, a, b), a, b)
        for a, b in combinations(ends.tolist(), 2)
        if LEVELS <= b - a <= NARROW * (high - low)
    ]
    windows = [(full, low, high)]
    best = max((gain for gain, _, _ in tried), default=0.0)
    if best >= full + GAIN:
        # Of windows that are about as good the widest: other devices move objects out of a tight one.
        near = [one for one in tried if one[0] >= max(best - SLACK, full + GAIN)]
        windows.append(max(near, key=lambda one: (one[2] - one[1], one[0])))
    return [
        {
            "low": a + lowest,
            "high": b + lowest,
            "separates": round(gain, 4),
            "inside": binned(inside, a, b),
            "outside": binned(outside, a, b),
        }
        for gain, a, b in windows
    ]
