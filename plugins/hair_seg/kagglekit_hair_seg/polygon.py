"""Masks as one polygon and back, as labelling contests with a single outline per image want it.

Rasterising is PIL's filled polygon with its boundary pixels, even-odd. Tracing follows the boundary pixels of every
region and hole and joins the rings by closed bridges: out along an edge, around the ring, back along the same edge. The
two passes cancel in the even-odd fill, so a bridge costs a line of pixels between regions, and nothing to a hole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


MOST_POINTS = 1_000_000  # of a polygon; a mask of pixels at random, traced, has a quarter as many
MOST_PASSINGS = 10_000_000  # of rows of pixels by an outline
MOST_PAIRS = 30_000_000_000  # of edges; PIL compares those that lean with all others


def too_much(points: np.ndarray, size: tuple[int, int]) -> str:
    """Why filling a polygon `[N, 2]` of (x, y) would take more than seconds, or ""; no outline of an object comes near.

    What PIL's time grows with is bounded: rows that edges pass, and pairs of edges.
    """
    import numpy as np

    if len(points) > MOST_POINTS:
        return f"{len(points):,} points; an outline has at most {MOST_POINTS:,}"
    if len(points) * size[0] <= MOST_PASSINGS:
        return ""
    corners = points.astype(np.int64)
    rows = corners[:, 1].clip(-1, size[0])
    passings = int(np.abs(rows - np.roll(rows, 1)).sum())
    steps = corners != np.roll(corners, 1, 0)
    pairs = int(np.count_nonzero(steps[:, 1])) * int(np.count_nonzero(steps.all(1)))
    if passings <= MOST_PASSINGS and pairs <= MOST_PAIRS:
        return ""
    return f"{len(points):,} points that pass rows of pixels {passings:,} times, which is no outline"


def fill(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 `[H, W]` mask of the polygon `[N, 2]` of (x, y); all zero for fewer than three points."""
    import numpy as np
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (size[1], size[0]), 0)
    if len(points) >= 3:
        ImageDraw.Draw(canvas).polygon(np.asarray(points).ravel().tolist(), outline=1, fill=1)
    return np.array(canvas)


def area(points: np.ndarray) -> float:
    """Absolute shoelace area of the polygon `[N, 2]`, in square pixels."""
    import numpy as np

    x, y = points.astype(np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def trace(mask: np.ndarray, epsilon: float = 0.0, min_area: int = 0) -> np.ndarray:
    """One closed-bridge polygon int32 `[N, 2]` of (x, y) around all regions and holes of a binary mask `[H, W]`.

    `epsilon` is the largest distance in pixels that simplification (Douglas-Peucker) may move the outline; 0 keeps
    every boundary pixel and is lossless but for the bridges. Regions and holes of fewer than `min_area` pixels are
    left out, never the largest region. `[0, 2]` for an empty mask.
    """
    import numpy as np

    rings, worth = _rings((mask > 0).astype(np.uint8), epsilon, min_area)
    return bridge(rings, worth) if rings else np.zeros((0, 2), np.int32)


def bridge(rings: Sequence[np.ndarray], worth: Sequence[float] | None = None) -> np.ndarray:
    """Join rings `[n_i, 2]` into one polygon; starting from the first, the nearest ring is joined next.

    A ring whose `worth` in pixels is below the length of its bridge would cost more than it brings and is left out.
    """
    import numpy as np

    joined = rings[0]
    if len(rings) == 1:
        return joined
    waiting = _Waiting(rings[1:], [math.inf] * len(rings[1:]) if worth is None else worth[1:])
    waiting.meet(joined)
    while (found := waiting.pop()) is not None:
        ring, here, there = found
        at = int(np.flatnonzero((joined == here).all(1))[0])
        start = int(np.flatnonzero((ring == there).all(1))[0])
        corner = _corner(here, there)
        loop = np.concatenate([corner, ring[start:], ring[: start + 1], corner])
        joined = np.concatenate([joined[: at + 1], loop, joined[at:]])
        waiting.meet(loop)
    return joined


class _Waiting:
    """Rings that have not joined, with the shortest bridge to each; arrays, since a ragged mask has hundreds."""

    def __init__(self, rings: Sequence[np.ndarray], worth: Sequence[float]):
        import numpy as np

        self.rings, self.worth = rings, np.array(worth)
        self.low = np.array([ring.min(0) for ring in rings])
        self.high = np.array([ring.max(0) for ring in rings])
        self.distance = np.full(len(rings), math.inf)
        self.open = np.ones(len(rings), bool)
        self.here, self.there = np.zeros((2, len(rings), 2), np.int32)  # the vertices that the bridge would join

    def meet(self, loop: np.ndarray) -> None:
        """Take the bridges from `loop [N, 2]`, which has joined, where they are shorter."""
        import numpy as np
        from scipy.spatial import cKDTree

        # Their boxes are never farther apart than they: most rings of a ragged mask need no search.
        apart = np.maximum(0, np.maximum(self.low - loop.max(0), loop.min(0) - self.high))
        near = np.flatnonzero(self.open & (np.hypot(*apart.T) < self.distance))
        if not len(near):
            return
        points = np.concatenate([self.rings[i] for i in near])
        distances, indices = cKDTree(loop).query(points)
        ends = np.cumsum([len(self.rings[i]) for i in near])
        for i, begin, end in zip(near, [0, *ends], ends, strict=False):
            at = begin + int(distances[begin:end].argmin())
            if distances[at] < self.distance[i]:
                self.distance[i], self.here[i], self.there[i] = distances[at], loop[indices[at]], points[at]

    def pop(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """The nearest ring that is worth its bridge, and the two ends of that; None if none is.

        One that is not worth it yet may be when a neighbour of it has joined, so it goes on waiting.
        """
        import numpy as np

        offered = np.where(self.open & (self.worth >= self.distance), self.distance, math.inf)
        i = int(offered.argmin())
        if offered[i] == math.inf:
            return None
        self.open[i] = False
        return self.rings[i], self.here[i], self.there[i]


def _corner(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The bend `[0 or 1, 2]` that makes a bridge run diagonally, then straight: PIL loses pixels beside other slopes.

    It lies no farther from either end than they from each other, so no boundary is crossed.
    """
    import numpy as np

    way = there - here
    short, long = sorted(abs(way))
    return here[None] + np.sign(way) * short if 0 < short < long else here[None][:0]


def _rings(mask: np.ndarray, epsilon: float, min_area: int) -> tuple[list[np.ndarray], list[float]]:
    """Boundary rings, the largest region first, and the pixels that leaving out each one would cost.

    Holes are rings of their own; their bridges run over pixels of the region, so joining them is always worth it.
    """
    import cv2
    import numpy as np

    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return [], []
    is_hole = hierarchy[0][:, 3] >= 0
    areas = [_pixels(c, hole) for c, hole in zip(contours, is_hole, strict=True)]
    for hole in np.flatnonzero(is_hole):
        areas[hierarchy[0][hole, 3]] -= areas[hole]
    largest = max((i for i in range(len(contours)) if not is_hole[i]), key=lambda i: areas[i])
    kept = [i for i in range(len(contours)) if i != largest and areas[i] >= min_area]
    # A hole of a region that is left out would be filled instead of cut out.
    kept = [i for i in kept if not is_hole[i] or hierarchy[0][i, 3] == largest or hierarchy[0][i, 3] in kept]
    order = [largest, *kept]
    rings = [_simplified(contours[i], epsilon).astype(np.int32) for i in order]
    return rings, [math.inf if is_hole[i] else areas[i] for i in order]


def _pixels(contour: np.ndarray, is_hole: bool) -> float:
    """Pixels in a ring, and on it unless it bounds a hole; by Pick's theorem, exact if it never meets itself."""
    import cv2

    return cv2.contourArea(contour) + (1 - len(contour) / 2 if is_hole else 1 + len(contour) / 2)


def _simplified(contour: np.ndarray, epsilon: float) -> np.ndarray:
    import cv2

    if epsilon > 0:
        shorter = cv2.approxPolyDP(contour, epsilon, True)
        if len(shorter) >= 3:
            contour = shorter
    ring = contour[:, 0, :]
    # PIL draws nothing inside two points; repeating one keeps regions of one or two pixels.
    while len(ring) < 3:
        ring = _repeat_last(ring)
    return ring


def _repeat_last(ring: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.concatenate([ring, ring[-1:]])
