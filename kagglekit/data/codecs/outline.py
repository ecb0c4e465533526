"""Polygons as masks, pixel by pixel as pycocotools draws them.

The rule is that of its rleFrPoly (Piotr Dollár and Tsung-Yi Lin, https://github.com/cocodataset/cocoapi): the outline
is walked on a grid five times as fine, and where it passes the middle of a column of pixels, the column changes between
outside and inside. A polygon that overlaps itself is filled even-odd, several polygons are united. Only the steps that
pass the middle of a column of the image are reckoned, so that corners far outside cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kagglekit.data.codecs.rle import fill, from_columns
from kagglekit.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_FINE = 5  # steps of the grid per pixel
_MIDDLE = _FINE // 2
_CHUNK = 1_000_000  # passings that are reckoned at once
MOST_PASSINGS = 20_000_000  # of one polygon; takes seconds, no outline of an object has a hundredth of it


class _Edges(NamedTuple):
    """Edges of a polygon, from the end that comes first along the longer side; int64 `[N]` but for the slope.

    `low` and `high` are the first and the last column of pixels whose middle an edge passes, where `low` is not above.
    """

    x: np.ndarray
    y: np.ndarray
    slope: np.ndarray  # steps along the shorter side for one along the longer
    steps: np.ndarray
    upright: np.ndarray  # bool: y is the longer side
    low: np.ndarray
    high: np.ndarray


def polygons_to_mask(segmentation: Sequence[Sequence[float]], size: tuple[int, int]) -> np.ndarray:
    """uint8 `[H, W]` mask, 0 or 1: the union of polygons `[x, y, x, y, ...]` of three points or more, cut at the edge.

    Equal to pycocotools' frPyObjects, merge and decode for every finite coordinate, which are not checked here. Raises
    DataError for a polygon that passes columns of pixels more than `MOST_PASSINGS` times.
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

    edges = _edges((_FINE * points + 0.5).astype(np.int64), size[1])
    passings = int((edges.high - edges.low + 1).sum())
    if passings > MOST_PASSINGS:
        raise DataError(f"a polygon of {len(points):,} points passes columns {passings:,} times, which is no outline")
    if passings <= _CHUNK:
        return np.sort(_passed(edges, size))
    odd = np.zeros(size[0] * size[1] + 1, np.uint8)
    for part in _chunks(edges):
        odd ^= (np.bincount(_passed(part, size), minlength=len(odd)) & 1).astype(np.uint8)
    return np.flatnonzero(odd)


def _edges(corners: np.ndarray, width: int) -> _Edges:
    """The edges of a polygon with corners int64 `[N, 2]` that pass columns of an image, always reckoned from the same
    of their ends, so that two polygons that share an edge draw it alike."""
    import numpy as np

    begin, end = corners, np.roll(corners, -1, 0)
    left, right = np.minimum(begin[:, 0], end[:, 0]), np.maximum(begin[:, 0], end[:, 0])
    low = np.maximum(-((_MIDDLE - left) // _FINE), 0)
    high = np.minimum((right - 1 - _MIDDLE) // _FINE, width - 1)
    passing = low <= high
    begin, end, low, high = begin[passing], end[passing], low[passing], high[passing]
    spans = np.abs(end - begin)
    upright = spans[:, 0] < spans[:, 1]
    rows, along = np.arange(len(begin)), upright.astype(np.intp)
    flipped = (begin[rows, along] > end[rows, along])[:, None]
    begin, end = np.where(flipped, end, begin), np.where(flipped, begin, end)
    steps = spans[rows, along]
    slope = (end - begin)[rows, 1 - along] / np.maximum(steps, 1)
    return _Edges(begin[:, 0], begin[:, 1], slope, steps, upright, low, high)


def _chunks(edges: _Edges) -> Iterator[_Edges]:
    """Parts of the edges that pass about `_CHUNK` columns each."""
    import numpy as np

    done = np.cumsum(edges.high - edges.low + 1)
    starts = np.searchsorted(done, np.arange(_CHUNK, done[-1], _CHUNK))
    for part in np.split(np.arange(len(done)), starts):
        yield _Edges(*(values[part] for values in edges))


def _passed(edges: _Edges, size: tuple[int, int]) -> np.ndarray:
    """Column-major positions at which edges pass the middles of columns: the first row that lies below."""
    import numpy as np

    counts = edges.high - edges.low + 1
    which = np.repeat(np.arange(len(counts)), counts)
    column = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts - edges.low, counts)
    above = np.empty(len(which), np.int64)
    upright = edges.upright[which]
    for part, of in ((~upright, _above_flat), (upright, _above_upright)):
        if part.any():
            above[part] = of(edges, which[part], _FINE * column[part] + _MIDDLE)
    row = ((above + _MIDDLE) // _FINE).clip(0, size[0])
    return column * size[0] + row


def _above_flat(edges: _Edges, which: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The upper y of the step from `middle` to the next x, of edges whose longer side is x."""
    import numpy as np

    y, slope, step = edges.y[which], edges.slope[which], middle - edges.x[which]
    # In this order of additions, and cut rather than rounded, the numbers are those of the C code to the last bit.
    return np.minimum((y + slope * step + 0.5).astype(np.int64), (y + slope * (step + 1) + 0.5).astype(np.int64))


def _above_upright(edges: _Edges, which: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The upper y of the step in which x goes from `middle` to the next or back, of edges whose longer side is y."""
    import numpy as np

    x, slope, steps = edges.x[which], edges.slope[which], edges.steps[which]
    right = slope > 0

    def beyond(step: np.ndarray) -> np.ndarray:
        """Has x passed, after so many steps?"""
        return ((x + slope * step + 0.5).astype(np.int64) > middle) == right

    # Dividing finds the step but for the last bit, which decides only with the C code's own numbers.
    step = np.ceil((middle + 0.5 - x) / slope).astype(np.int64).clip(1, steps)
    for _ in range(2):
        step -= beyond(step - 1) & (step > 1)
        step += ~beyond(step) & (step < steps)
    return edges.y[which] + step - 1
