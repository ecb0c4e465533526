"""The four kinds of clouds, and what else there is above a sea, as fields of thickness at half the picture's size.

A field says how far the air is from being cloud: above 0 is cloud. Fine detail of its own strength is added at full
size, so that one field makes a cloud with a ragged edge where it is steep, and scattered dots where it lies below 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np

HALF = (700, 1050)
TILE = 512


class Texture(NamedTuple):
    """A kind of cloud: its field for a wind of some direction, how strong its detail is, and how bright it is."""

    field: Callable[[np.random.Generator, float], np.ndarray]
    detail: float
    light: float


def fractal(rng: np.random.Generator, slope: float, side: int = TILE) -> np.ndarray:
    """float32 `[side, side]` noise that continues at its edges, mean 0 and deviation 1.

    `slope` is how fast amplitudes fall with frequency: 0 is white noise, 1 is rough, 2 is smooth.
    """
    along = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.hypot(*along)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((side, side), np.float32)) / frequency**slope
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (side, side))
    return (noise / noise.std()).astype(np.float32)


def spread(
    rng: np.random.Generator,
    tile: np.ndarray,
    size: tuple[int, int],
    zoom: float,
    turn: float = 0.0,
    stretch: float = 1.0,
) -> np.ndarray:
    """float32 field of `size`: a tile, repeated, laid down `zoom` times as large from a random place on.

    It is turned by `turn` radians and drawn out `stretch` times along that direction.
    """
    cos, sin = np.cos(turn) / zoom, np.sin(turn) / zoom
    shift = rng.uniform(0, len(tile), (2, 1))
    move = np.hstack([[[cos / stretch, sin / stretch], [-sin, cos]], shift]).astype(np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(tile, move, size[::-1], flags=flags, borderMode=cv2.BORDER_WRAP)


def fish(rng: np.random.Generator, wind: float) -> np.ndarray:
    """Long spines that branch, with ribs across them and wide dark sea between."""
    spines = spread(rng, fractal(rng, 2.0), HALF, rng.uniform(1.0, 1.4), wind, rng.uniform(2.6, 3.6))
    ribs = spread(rng, fractal(rng, 1.4), HALF, 0.7, wind + np.pi / 2 - 0.35, 2.2)
    return 1.0 - 3.2 * np.abs(spines) + 0.55 * ribs - 0.1


def flower(rng: np.random.Generator, wind: float) -> np.ndarray:
    """Large bright blobs, each with a lane of clear sea around."""
    spacing = rng.uniform(85, 125)
    distance, cell = _nearest(rng, spacing)
    # Some places stay free, so that blobs form groups.
    radius = spacing * rng.uniform(0.33, 0.56, cell.max() + 1) * (rng.random(cell.max() + 1) > 0.12)
    rough = spread(rng, fractal(rng, 1.5), HALF, 0.9)
    return (radius.astype(np.float32)[cell] - distance) / (0.22 * spacing) + 0.62 * rough


def gravel(rng: np.random.Generator, wind: float) -> np.ndarray:
    """Grains that line up to arcs around small cells."""
    spacing = rng.uniform(42, 60)
    distance, cell = _nearest(rng, spacing)
    radius = spacing * rng.uniform(0.45, 0.6, cell.max() + 1)
    arcs = 1.0 - np.abs(distance - radius.astype(np.float32)[cell]) / (0.16 * spacing)
    gaps = spread(rng, fractal(rng, 1.5), HALF, 0.5)
    grains = spread(rng, fractal(rng, 0.8), HALF, 1.8)
    return 0.5 * np.maximum(arcs, -0.6) + 0.45 * gaps + 0.55 * grains - 0.75


def sugar(rng: np.random.Generator, wind: float) -> np.ndarray:
    """Dust of tiny clouds, thick and thin in streaks; no arcs, no grains."""
    streaks = spread(rng, fractal(rng, 1.4), HALF, 0.9, wind, 2.5)
    return 0.28 * streaks - 1.05


def open_sea(rng: np.random.Generator, wind: float) -> np.ndarray:
    """Nearly nothing: a few lost specks."""
    return 0.4 * spread(rng, fractal(rng, 1.6), HALF, 1.5, wind, 1.5) - 2.1


def veil(rng: np.random.Generator, wind: float) -> np.ndarray:
    """High thin clouds in soft streaks, which belong to no class."""
    return 0.5 * spread(rng, fractal(rng, 1.9), HALF, 1.6, wind, 3.0) - 0.1


def deck(rng: np.random.Generator, wind: float) -> np.ndarray:
    """A closed layer of clouds with few gaps, which belongs to no class."""
    folds = spread(rng, fractal(rng, 1.2), HALF, 1.2, wind + np.pi / 2, 3.0)
    return 0.9 + 0.5 * folds + 0.7 * spread(rng, fractal(rng, 2.0), HALF, 1.5)


KINDS: Mapping[str, Texture] = {
    "Fish": Texture(fish, 0.42, 0.95),
    "Flower": Texture(flower, 0.3, 1.0),
    "Gravel": Texture(gravel, 0.4, 0.95),
    "Sugar": Texture(sugar, 0.75, 0.75),
}
SEA = Texture(open_sea, 0.75, 0.7)
OTHERS = (SEA, Texture(veil, 0.12, 0.45), Texture(deck, 0.35, 0.9))


def _nearest(rng: np.random.Generator, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """(distance to the nearest of many points about `spacing` apart, number of that point), both `HALF`."""
    margin = int(2 * spacing)
    height, width = HALF[0] + 2 * margin, HALF[1] + 2 * margin
    places = np.mgrid[spacing / 2 : height : spacing, spacing / 2 : width : spacing].reshape(2, -1).T
    places[:, 1] += 0.5 * spacing * (np.rint(places[:, 0] / spacing - 0.5) % 2)  # rows set off, as of bricks
    places += rng.uniform(-0.3, 0.3, places.shape) * spacing
    places = np.clip(places, 0, (height - 1, width - 1)).astype(int)
    free = np.ones((height, width), np.uint8)
    free[places[:, 0], places[:, 1]] = 0
    distance, cell = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inner = slice(margin, -margin), slice(margin, -margin)
    return distance[inner], cell[inner]
