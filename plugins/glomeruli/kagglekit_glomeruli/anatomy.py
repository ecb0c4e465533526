"""The polygons of anatomical structures: an array of GeoJSON features, coordinates (x, y) in pixels of the slide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kagglekit import DataError


def read_regions(path: Path, size: tuple[int, int], small: tuple[int, int]) -> dict[str, np.ndarray]:
    """bool masks of shape `small` by the name of the structure in lower case; raises DataError for a broken file.

    Polygons and multi-polygons are drawn, the rings after the first of each as holes.
    """
    import cv2

    try:
        features = json.loads(path.read_text(encoding="utf-8"))
        scale = np.array([small[1] / size[1], small[0] / size[0]])
        regions: dict[str, np.ndarray] = {}
        for feature in features:
            name = feature["properties"]["classification"]["name"].lower()
            canvas = np.zeros(small, np.uint8)
            for rings in _polygons(feature["geometry"]):
                # Even-odd filling, which cuts the later rings out.
                cv2.fillPoly(canvas, [np.rint(np.array(ring, float) * scale).astype(np.int32) for ring in rings], 1)
            regions[name] = regions.get(name, np.zeros(small, bool)) | (canvas > 0)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not an array of polygon features: {type(error).__name__}: {error}") from None
    return regions


def _polygons(geometry: dict) -> Iterator[list]:
    if geometry["type"] == "Polygon":
        yield geometry["coordinates"]
    elif geometry["type"] == "MultiPolygon":
        yield from geometry["coordinates"]
    else:
        raise ValueError(f"geometry of type {geometry['type']}")
