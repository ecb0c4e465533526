"""The polygons of anatomical structures: an array of GeoJSON features, coordinates (x, y) in pixels of the slide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kagglekit import DataError

_FARTHEST = 1_000_000  # pixels; OpenCV's own arithmetic overflows far beyond


def read_regions(path: Path, size: tuple[int, int], small: tuple[int, int]) -> dict[str, np.ndarray]:
    """bool masks of shape `small` by the name of the structure in lower case; raises DataError for a broken file.

    Polygons and multi-polygons are drawn, the rings after the first of each as holes.
    """
    import cv2

    try:
        features = json.loads(path.read_text(encoding="utf-8-sig"))
        scale = np.array([small[1] / size[1], small[0] / size[0]])
        regions: dict[str, np.ndarray] = {}
        for feature in features:
            name = feature["properties"]["classification"]["name"].lower()
            canvas = np.zeros(small, np.uint8)
            for rings in _polygons(feature["geometry"]):
                # Even-odd filling, which cuts the later rings out.
                cv2.fillPoly(canvas, [_points(ring, scale) for ring in rings], 1)
            regions[name] = regions.get(name, np.zeros(small, bool)) | (canvas > 0)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, cv2.error) as error:
        raise DataError(f"{path}: not an array of polygon features: {type(error).__name__}: {error}") from None
    return regions


def _points(ring: list, scale: np.ndarray) -> np.ndarray:
    """int32 `[N, 2]` of a ring; raises ValueError for what is no coordinate, or too far away to be drawn."""
    points = np.array(ring, float) * scale
    if not (np.abs(points) <= _FARTHEST).all():
        raise ValueError(f"a coordinate is no number, or beyond {_FARTHEST:,} pixels")
    return np.rint(points).astype(np.int32)


def _polygons(geometry: dict) -> Iterator[list]:
    if geometry["type"] == "Polygon":
        yield geometry["coordinates"]
    elif geometry["type"] == "MultiPolygon":
        yield from geometry["coordinates"]
    else:
        raise ValueError(f"geometry of type {geometry['type']}")
