"""Curves, strokes and filled shapes in head units, and the pose that places them in an image.

Head units: the origin is the middle of the face, the head is 2 wide, the skull top is at y = -1.3,
the chin at y = 1.25, y points down.
"""

from typing import NamedTuple

import cv2
import numpy as np

SIZE = 512  # pixels, width and height of every image
SUBPIXEL_BITS = 4
FAR_AWAY = 4000.0  # pixels; keeps the fixed-point coordinates of off-image shapes within range


class Pose(NamedTuple):
    """How a person stands in one image: pixels, radians, and yaw in [-1, 1] (positive looks right)."""

    back_view: bool
    scale: float
    x: float
    y: float
    tilt: float
    yaw: float
    smile: float
    blink: bool
    light: float  # direction the light comes from, radians, 0 = right, -pi/2 = above


def to_pixels(points: np.ndarray, pose: Pose) -> np.ndarray:
    """Place (..., 2) points in head units in the image; returns (..., 2) float pixels.

    The head is tilted and the shoulders are not: the angle fades out below the chin, so that hair bends.
    """
    x, y = points[..., 0], points[..., 1]
    fade = np.clip((2.2 - y) / 1.4, 0.0, 1.0)
    angle = pose.tilt * fade * fade * (3 - 2 * fade)
    cos, sin = np.cos(angle), np.sin(angle)
    down = y - 1.4  # the neck is the pivot
    placed = np.stack([cos * x - sin * down, sin * x + cos * down + 1.4], axis=-1)
    return np.clip(placed * pose.scale + (pose.x, pose.y), -FAR_AWAY, FAR_AWAY)


def curve(control: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Catmull-Rom curves through control points (n, k, 2) at t (n, p) in [0, 1]; returns (n, p, 2)."""
    last = control.shape[1] - 1
    place = np.clip(t, 0.0, 1.0) * last
    knot = np.minimum(place.astype(int), last - 1)
    f = (place - knot)[..., None]
    rows = np.arange(len(control))[:, None]
    before, start, end, after = (control[rows, np.clip(knot + step, 0, last)] for step in (-1, 0, 1, 2))
    linear, square = end - before, 2 * before - 5 * start + 4 * end - after
    return start + 0.5 * f * (linear + f * (square + f * (3 * (start - end) + after - before)))


def smooth(points: np.ndarray | list, count: int = 48) -> np.ndarray:
    """One Catmull-Rom curve through (k, 2) points, sampled at `count` points."""
    return curve(np.asarray(points, dtype=float)[None], np.linspace(0, 1, count)[None])[0]


def mirror(points: list | np.ndarray) -> np.ndarray:
    """Left half given from top to bottom, closed with its mirror image; (k, 2) to (2k, 2)."""
    half = np.asarray(points, dtype=float)
    return np.concatenate([half, half[::-1] * (-1, 1)])


def fixed(points: np.ndarray) -> np.ndarray:
    """Float pixels as the fixed-point integers cv2 draws with `shift=SUBPIXEL_BITS`."""
    return np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)


def fill(image: np.ndarray, points: np.ndarray, colour: tuple | np.ndarray | float) -> None:
    """Fill a polygon of (k, 2) float pixels in place, anti-aliased."""
    cv2.fillPoly(image, [fixed(points)], tuple(map(float, np.atleast_1d(colour))), cv2.LINE_AA, SUBPIXEL_BITS)


def draw_lines(
    image: np.ndarray, lines: np.ndarray, colour: tuple | np.ndarray | float, width: int, soft: bool = True
) -> None:
    """Draw (n, p, 2) float pixel lines in place; `soft` lines are anti-aliased and about four times slower."""
    kind = cv2.LINE_AA if soft else cv2.LINE_8
    cv2.polylines(
        image, list(fixed(lines)), False, tuple(map(float, np.atleast_1d(colour))), width, kind, SUBPIXEL_BITS
    )


def blobs(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth random field (SIZE, SIZE) float32 in about [0, 1]; `cells` is the number of blobs across."""
    grid = rng.random((cells, cells), dtype=np.float32)
    return cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
