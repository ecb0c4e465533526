"""How stained tissue looks: how much light two dyes take away, and noise that makes tissue uneven."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from kagglekit.api import Size


class Stain(NamedTuple):
    """Absorbance of red, green and blue in full pink (protein) and in full blue (nuclei); the light of bare glass."""

    pink: Sequence[float]
    blue: Sequence[float]
    glass: float


# From purple to pink; laboratories differ in dyes, times and scanners.
STAINS = (
    Stain((0.33, 0.78, 0.21), (1.05, 1.30, 0.50), 244),
    Stain((0.26, 1.15, 0.62), (0.95, 1.25, 0.62), 242),
    Stain((0.24, 0.68, 0.30), (0.80, 1.00, 0.42), 246),
    Stain((0.46, 1.10, 0.40), (1.15, 1.35, 0.55), 240),
    Stain((0.20, 0.98, 0.42), (0.85, 1.15, 0.60), 243),
)


def vary(rng: np.random.Generator, stain: Stain) -> Stain:
    """The same stain on another day."""
    strength = rng.uniform(0.88, 1.12)
    pink = np.array(stain.pink) * strength * rng.uniform(0.92, 1.08, 3)
    return Stain(tuple(pink), tuple(np.array(stain.blue) * rng.uniform(0.92, 1.08)), stain.glass + rng.uniform(-2, 2))


def develop(pink: np.ndarray, blue: np.ndarray, stain: Stain) -> np.ndarray:
    """uint8 `[H, W, 3]` in RGB of float32 `[H, W]` amounts of both dyes, 0 to about 1, after Beer and Lambert."""
    image = np.empty((*pink.shape, 3), np.uint8)
    for channel in range(3):
        taken = cv2.addWeighted(pink, -stain.pink[channel], blue, -stain.blue[channel], 0)
        image[..., channel] = cv2.convertScaleAbs(cv2.exp(taken), alpha=stain.glass)
    return image


def waves(rng: np.random.Generator, size: Size, cell: int) -> np.ndarray:
    """float32 `size` noise with a deviation near 1 and waves of about `cell` pixels."""
    coarse = rng.standard_normal((size[0] // cell + 3, size[1] // cell + 3), np.float32)
    large = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    return large[cell : cell + size[0], cell : cell + size[1]]
