"""The four kinds of clouds, and what else there is above a sea, as fields of thickness at half the image's size.

A field says how far the air is from being cloud: above 0 is cloud. Detail and dust of their own strengths are added at
full size, so that one field makes a cloud with a ragged edge where it is steep, and scattered dots where it is below 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from kagglekit.api import Size

TILE = 512
REPEATS = 5  # of a tile to each side


class Noise(NamedTuple):
    """Repeated tiles of noise that all fields of an image are made from, from fine to coarse."""

    rough: np.ndarray
    middle: np.ndarray
    smooth: np.ndarray


class Texture(NamedTuple):
    """A kind of cloud: its field of some size in some wind, how strong detail and dust are, how bright it is."""

    field: Callable[[np.random.Generator, Noise, Size, float], np.ndarray]
    detail: float
    dust: float
    light: float


def make_noise(rng: np.random.Generator) -> Noise:
    """The noise of one image."""
    return Noise(fractal(rng, 0.8), fractal(rng, 1.4), fractal(rng, 2.0))


def fractal(rng: np.random.Generator, slope: float) -> np.ndarray:
    """float32 `[REPEATS * TILE, REPEATS * TILE]`: a tile of noise again and again, mean 0 and deviation 1.

    `slope` is how fast amplitudes fall with frequency: 0 is white noise, 1 is rough, 2 is smooth.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE), np.float32))
    noise = np.fft.irfft2(spectrum * _amplitudes(slope), (TILE, TILE))
    return np.tile(noise / noise.std(), (REPEATS, REPEATS))


@cache
def _amplitudes(slope: float) -> np.ndarray:
    """float32 `[TILE, TILE // 2 + 1]`: what frequencies of white noise are multiplied by, as numpy orders them."""
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    frequency[0, 0] = np.inf  # the mean becomes 0
    return (frequency**-slope).astype(np.float32)


def spread(
    rng: np.random.Generator,
    noise: np.ndarray,
    size: Size,
    zoom: float,
    turn: float = 0.0,
    stretch: float = 1.0,
) -> np.ndarray:
    """float32 field of `size`: noise laid down `zoom` times as large, from a random place on.

    It is turned by `turn` radians and drawn out `stretch` times along that direction.
    """
    cos, sin = np.cos(turn) / zoom, np.sin(turn) / zoom
    turned = np.array([[cos / stretch, sin / stretch], [-sin, cos]])
    reach = turned @ np.array([(0, 0), (size[1], 0), (0, size[0]), size[::-1]]).T
    # Inside the noise, because reading across its border takes ten times as long.
    room = np.maximum(len(noise) - 2 - np.ptp(reach, axis=1), 0)
    shift = rng.uniform(0, room) - reach.min(axis=1)
    move = np.column_stack([turned, shift]).astype(np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(noise, move, size[::-1], flags=flags, borderMode=cv2.BORDER_WRAP)


def fish(rng: np.random.Generator, noise: Noise, size: Size, wind: float) -> np.ndarray:
    """Long spines that branch, with ribs that leave them, and wide dark sea between."""
    spine = np.abs(spread(rng, noise.smooth, size, rng.uniform(0.5, 0.75), wind, rng.uniform(3.2, 4.2)))
    ribs = np.abs(spread(rng, noise.middle, size, 1.1, wind + rng.choice((-1, 1)) * 1.1, 3.0))
    body = spread(rng, noise.middle, size, 0.8, wind, 1.6)
    # Ribs show only near a spine.
    return np.maximum(1.0 - 3.4 * spine, 0.95 - 2.6 * ribs - 1.1 * spine) + 0.55 * body - 0.1


def flower(rng: np.random.Generator, noise: Noise, size: Size, wind: float) -> np.ndarray:
    """Large bright blobs, each with a lane of clear sea around."""
    spacing = rng.uniform(85, 125)
    places = _places(rng, size, spacing)
    # Some places stay free, so that blobs form groups.
    places = places[rng.random(len(places)) > 0.1]
    blobs = np.zeros(size, np.uint8)
    for place, radius in zip(places, spacing * rng.uniform(0.2, 0.38, len(places)), strict=True):
        for bump in place + rng.normal(0, 0.4 * radius, (3, 2)):
            cv2.circle(blobs, tuple(map(int, bump)), int(radius * rng.uniform(0.6, 1.0)), 1, -1)
    inner = cv2.distanceTransform(blobs, cv2.DIST_L2, 3)
    outer = cv2.distanceTransform(1 - blobs, cv2.DIST_L2, 3)
    return (inner - outer) * np.float32(1 / (0.16 * spacing)) + 0.75 * spread(rng, noise.middle, size, 0.9)


def gravel(rng: np.random.Generator, noise: Noise, size: Size, wind: float) -> np.ndarray:
    """Grains that line up to arcs around small cells."""
    spacing = rng.uniform(44, 64)
    rings = np.ones(size, np.uint8)
    for x, y in _places(rng, size, spacing):
        turn, axes = rng.uniform(0, 360), spacing * rng.uniform(0.38, 0.55, 2)
        open_at = rng.uniform(0, 200)  # degrees that are missing from the ring
        cv2.ellipse(rings, (int(x), int(y)), tuple(map(int, axes)), turn, open_at, 360, 0, 2)
    distance = cv2.distanceTransform(rings, cv2.DIST_L2, 3)
    groups = spread(rng, noise.middle, size, 0.6)
    grains = spread(rng, noise.rough, size, 2.2)
    return np.maximum(0.6 - 0.1 * distance, -0.5) + 0.42 * groups + 0.6 * grains - 0.62


def sugar(rng: np.random.Generator, noise: Noise, size: Size, wind: float) -> np.ndarray:
    """Dust of tiny clouds, thick and thin in streaks; no arcs, no grains."""
    return 0.22 * spread(rng, noise.middle, size, 0.9, wind, 2.5) - 0.5


def open_sea(rng: np.random.Generator, noise: Noise, size: Size, wind: float) -> np.ndarray:
    """Some lost specks and scraps, too few for a pattern."""
    return 0.75 * spread(rng, noise.middle, size, 0.8, wind, 1.5) - 1.75


def veil(rng: np.random.Generator, noise: Noise, size: Size, wind: float) -> np.ndarray:
    """High thin clouds in soft streaks, which belong to no class."""
    return 0.5 * spread(rng, noise.smooth, size, 1.6, wind, 3.0) - 0.1


def deck(rng: np.random.Generator, noise: Noise, size: Size, wind: float) -> np.ndarray:
    """A broken layer of clouds, which belongs to no class."""
    folds = spread(rng, noise.middle, size, 0.9, wind + np.pi / 2, 2.0)
    return 0.1 + 0.55 * folds + 0.8 * spread(rng, noise.smooth, size, 1.2)


KINDS = (  # in the order of the classes
    Texture(fish, 0.38, 0.12, 0.95),
    Texture(flower, 0.3, 0.05, 1.0),
    Texture(gravel, 0.3, 0.22, 0.95),
    Texture(sugar, 0.2, 0.62, 0.72),
)
SEA = Texture(open_sea, 0.5, 0.4, 0.75)
VEIL = Texture(veil, 0.12, 0.02, 0.45)
DECK = Texture(deck, 0.4, 0.08, 0.85)


def _places(rng: np.random.Generator, size: Size, spacing: float) -> np.ndarray:
    """float `[N, 2]` points (x, y) all over a field, about `spacing` apart, some beyond its borders."""
    places = np.mgrid[-spacing : size[1] + 2 * spacing : spacing, -spacing : size[0] + 2 * spacing : spacing]
    places = places.reshape(2, -1).T
    places[:, 0] += 0.5 * spacing * (np.rint(places[:, 1] / spacing) % 2)  # rows are set off, as those of bricks
    return places + rng.uniform(-0.3, 0.3, places.shape) * spacing
