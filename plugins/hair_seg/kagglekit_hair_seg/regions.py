"""What one polygon can hold: a plain one a single region without holes, one with bridges all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import cv2
import numpy as np

from kagglekit import Metric, Postprocess, Prediction


@dataclass(frozen=True)
class OneRegion:
    """The largest region that `inner` finds, its holes filled: all that a plain polygon can say."""

    inner: Postprocess

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """uint8 `[H, W]`."""
        return largest(self.inner(prediction))

    def fit(self, predictions: Sequence[Prediction], truths: Sequence[np.ndarray], metric: Metric) -> OneRegion:
        """`inner` fitted, if it can be, on all that it finds."""
        if not hasattr(self.inner, "fit"):
            return self
        return replace(self, inner=self.inner.fit(predictions, truths, metric))


def largest(mask: np.ndarray) -> np.ndarray:
    """The region with most pixels of a binary mask `[H, W]`, and what it encloses; pixels touch over corners too."""
    count, regions, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
    if count == 1:
        return np.zeros_like(mask)
    region = (regions == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    # Outside is what can be reached from beyond the edge, from pixel to pixel without going over corners.
    _, around = cv2.connectedComponents(1 - np.pad(region, 1), connectivity=4)
    return (around[1:-1, 1:-1] != around[0, 0]).astype(np.uint8)


def every_region(process: Any) -> tuple[Any, int]:
    """The post-processing with each `OneRegion` in it replaced by what that wraps, and how many there were."""
    if isinstance(process, OneRegion):
        inner, found = every_region(process.inner)
        return inner, found + 1
    changes, total = {}, 0
    if is_dataclass(process):
        for field in fields(process):
            value, found = every_region(getattr(process, field.name))
            changes |= {field.name: value} if found else {}
            total += found
    return (replace(process, **changes) if changes else process), total
