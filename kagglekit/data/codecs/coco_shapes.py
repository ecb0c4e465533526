"""Shapes of COCO annotations, polygons or run lengths, as masks, and what is wrong with those that are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from kagglekit.data.codecs import rle as runs
from kagglekit.data.codecs.coco_forms import Segmentation
from kagglekit.data.codecs.coco_runs import Rle, counts_of
from kagglekit.data.codecs.outline import polygons_to_mask
from kagglekit.errors import DataError

if TYPE_CHECKING:
    import numpy as np

FEWEST = 6  # numbers of a polygon
_FARTHEST = 100_000  # pixels from the origin; nobody labels so far outside of an image
_BOX = "; a box [x, y, width, height] is no polygon"


def annotation_mask(segmentation: Segmentation | Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """uint8 `[H, W]` mask, 0 or 1, of an annotation's polygons or run lengths, compressed or not.

    Raises DataError with the reason for no polygon, one of fewer than three points or with half a point, a coordinate
    that is not finite or absurdly far, run lengths that do not add up, and those of an image of another size.
    """
    if isinstance(segmentation, list):
        if not segmentation:
            raise DataError("no polygon")
        for index, polygon in enumerate(segmentation):
            if fault := polygon_fault(polygon):
                raise DataError(f"polygon {index}: {fault}")
        return polygons_to_mask(segmentation, size)
    if isinstance(segmentation, Mapping):
        try:
            segmentation = msgspec.convert(segmentation, Rle)
        except msgspec.ValidationError as error:
            raise DataError(f"run lengths: {error}") from None
    changes = counts_of(segmentation, size).cumsum()[:-1]
    return runs.from_columns(runs.fill(changes, size[0] * size[1]), size)


def nowhere(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> str:
    """Why none of the polygons of an object shows in an image of `size`, or ""."""
    height, width = size
    lows, highs = [], []
    for polygon in polygons:
        x, y = polygon[::2], polygon[1::2]
        lows.append((min(x), min(y)))
        highs.append((max(x), max(y)))
    if all(
        low[0] >= width or low[1] >= height or high[0] < 0 or high[1] < 0 for low, high in zip(lows, highs, strict=True)
    ):
        return f"lies outside of the image of {height}x{width} pixels (height x width)"
    if min(map(min, lows)) >= 0 and max(map(max, highs)) <= 1 < min(size):
        return "all coordinates lie in 0..1; expected pixels"
    return ""


def polygon_fault(polygon: Sequence[float]) -> str:
    """Why a polygon `[x, y, x, y, ...]` cannot be drawn, or ""."""
    import numpy as np

    if len(polygon) % 2:
        return f"{len(polygon)} numbers; expected pairs of x and y"
    if len(polygon) < FEWEST:
        return f"{len(polygon) // 2} points; expected 3 or more{_BOX if len(polygon) == 4 else ''}"
    wrong = ~(np.abs(np.asarray(polygon, np.float64)) <= _FARTHEST)
    if wrong.any():
        at = int(wrong.argmax())
        return f"{'y' if at % 2 else 'x'} of point {at // 2} is {polygon[at]}; expected at most {_FARTHEST:,} pixels"
    return ""
