"""Polygons as masks, pixel by pixel as pycocotools draws them.

The rule is that of its rleFrPoly (Piotr Dollár and Tsung-Yi Lin, https://github.com/cocodataset/cocoapi): the outline
is walked on a grid five times as fine, and where it passes the middle of a column of pixels, the column changes between
outside and inside. A polygon that overlaps itself is filled even-odd, several polygons are united.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kagglekit.data.rle import fill, from_columns

if TYPE_CHECKING:
    import numpy as np

_FINE = 5  # steps of the grid per pixel


def polygons_to_mask(segmentation: Sequence[Sequence[float]], size: tuple[int, int]) -> np.ndarray:
    """uint8 `[H, W]` mask, 0 or 1: the union of polygons `[x, y, x, y, ...]` of three points or more, cut at the edge.

    Equal to pycocotools' frPyObjects, merge and decode for every finite coordinate, which are not checked here.
    """
    import numpy as np

    flat = np.zeros(size[0] * size[1], np.uint8)
    for polygon in segmentation:
        changes = _changes(np.asarray(polygon, np.float64).reshape(-1, 2), size)
        if len(changes):
            first, last = changes[0], changes[-1]
            flat[first:last] |= fill(changes - first, last - first)
    return from_columns(flat, size)


def _changes(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sorted column-major positions at which a column passes the outline of a polygon `[N, 2]` of (x, y)."""
    import numpy as np

    across, down = _walk((_FINE * points + 0.5).astype(np.int64))
    steps = np.flatnonzero(np.diff(across))
    left = np.minimum(across[steps], across[steps + 1])
    above = np.minimum(down[steps], down[steps + 1])
    middle = _FINE // 2
    column = (left - middle) // _FINE
    kept = (left % _FINE == middle) & (column >= 0) & (column < size[1])
    row = ((above[kept] + middle) // _FINE).clip(0, size[0])  # the first row whose middle lies at or below the outline
    return np.sort(column[kept] * size[0] + row)


def _walk(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grid points (x, y) of a walk around corners int64 `[N, 2]`, both ends of every edge included.

    An edge is walked a step at a time along its longer side and rounded along the other, always reckoned from the
    same of its ends, so that two polygons that share an edge draw it alike.
    """
    import numpy as np

    begin, end = corners, np.roll(corners, -1, 0)
    spans = np.abs(end - begin)
    upright = spans[:, 0] < spans[:, 1]  # edges whose longer side is y
    edges, along = np.arange(len(corners)), upright.astype(np.intp)
    count = spans[edges, along]
    flipped = begin[edges, along] > end[edges, along]
    begin, end = np.where(flipped[:, None], end, begin), np.where(flipped[:, None], begin, end)
    slope = (end - begin)[edges, 1 - along] / np.maximum(count, 1)
    points = count + 1
    sign = np.where(flipped, -1, 1)
    zero = np.where(flipped, count, 0) - sign * (np.cumsum(points) - points)
    step = np.repeat(sign, points) * np.arange(points.sum()) + np.repeat(zero, points)
    longer = np.repeat(begin[edges, along], points) + step
    # In this order of additions, and cut rather than rounded, the numbers are those of the C code to the last bit.
    shorter = (np.repeat(begin[edges, 1 - along], points) + np.repeat(slope, points) * step + 0.5).astype(np.int64)
    upright = np.repeat(upright, points)
    return np.where(upright, shorter, longer), np.where(upright, longer, shorter)
