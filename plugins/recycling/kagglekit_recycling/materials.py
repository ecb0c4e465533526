"""What all drawn things are made of: outlines, noise, facets, light on round and on crumpled surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

SHIFT = 3  # bits of a pixel in coordinates that are drawn
Colour = Sequence[float]


class Item(NamedTuple):
    """A thing by itself: uint8 `[h, w, 3]` in RGB, opacity float32 `[h, w]` of 0..1, outline float `[N, 2]` (x, y)."""

    image: np.ndarray
    opacity: np.ndarray
    outline: np.ndarray


def make_item(image: np.ndarray, outline: np.ndarray, opacity: float | np.ndarray = 1.0) -> Item:
    """The part of an image of 0..255 inside an outline."""
    inside = cover(outline, image.shape[:2])
    return Item(np.clip(image, 0, 255).astype(np.uint8), (inside * opacity).astype(np.float32), outline)


def cover(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 `size`: 1 inside an outline, 0 outside, between them on its border."""
    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [np.rint(outline * 2**SHIFT).astype(np.int32)], 255, cv2.LINE_AA, SHIFT)
    return canvas.astype(np.float32) * np.float32(1 / 255)


def noise(rng: np.random.Generator, size: tuple[int, int], cell: int) -> np.ndarray:
    """float32 `size` with a deviation near 1 and waves of about `cell` pixels."""
    coarse = rng.standard_normal((size[0] // cell + 3, size[1] // cell + 3), np.float32)
    large = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    return large[cell : cell + size[0], cell : cell + size[1]]


def facets(rng: np.random.Generator, size: tuple[int, int], spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """(number of the facet, distance to its middle) of a surface broken into facets about `spacing` wide."""
    count = max(2, int(size[0] * size[1] / spacing**2))
    free = np.ones(size, np.uint8)
    free[rng.integers(0, size[0], count), rng.integers(0, size[1], count)] = 0
    distance, number = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    return number, distance


def crumple(rng: np.random.Generator, size: tuple[int, int], spacing: float, depth: float) -> np.ndarray:
    """float32 light on a crumpled surface, around 1: facets that look up or down, by up to `depth`."""
    number, _ = facets(rng, size, spacing)
    light = rng.uniform(1 - depth, 1 + 0.4 * depth, number.max() + 1).astype(np.float32)
    return light[number] + 0.3 * depth * noise(rng, size, max(3, int(spacing / 3)))


def roundness(width: int) -> np.ndarray:
    """float32 `[1, width]`: places across a round body, -1 at its left edge, 1 at its right."""
    return np.linspace(-1, 1, width, dtype=np.float32)[None]


def paint(colour: Colour, light: np.ndarray) -> np.ndarray:
    """float32 `[h, w, 3]`: a colour in some light `[h, w]`, 1 leaves it as it is."""
    return light[..., None] * np.asarray(colour, np.float32)


def turned(profile: Sequence[tuple[float, float]], size: tuple[int, int], points: int = 24) -> np.ndarray:
    """float `[2 * points, 2]` outline of a body turned on a lathe, `size` (height, width) pixels large.

    `profile` has (place from top to bottom, half width) in parts of height and width.
    """
    places, halves = np.array(profile, float).T
    at = np.unique(np.concatenate([places, np.linspace(places[0], places[-1], points)]))
    half = np.interp(at, places, halves)
    right = np.stack([(0.5 + half) * (size[1] - 1), at * (size[0] - 1)], -1)
    left = np.stack([(0.5 - half) * (size[1] - 1), at * (size[0] - 1)], -1)
    return np.concatenate([right, left[::-1]])


def lump(rng: np.random.Generator, size: tuple[int, int], uneven: float, corners: int = 40) -> np.ndarray:
    """float `[corners, 2]` outline of something irregular that fills `size` (height, width) pixels."""
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = 1 + rng.normal(0, 0.35 * uneven, corners)
    for waves in (2, 3, 5):
        reach += uneven * rng.normal() * np.cos(waves * turns + rng.uniform(0, 6.3)) / waves * 2
    shape = np.maximum(reach, 0.3)[:, None] * np.stack([np.cos(turns), np.sin(turns)], -1)
    return fit(shape, size)


def fit(shape: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The same shape `[N, 2]`, stretched to fill `size` (height, width) pixels but for a margin of one."""
    low, high = shape.min(0), shape.max(0)
    return 1 + (shape - low) / (high - low) * (np.array(size[::-1]) - 3)


def print_on(rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int], ink: Colour) -> None:
    """Lines of something like writing inside a box (left, top, right, bottom) of an image float32."""
    left, top, right, bottom = box
    step = max(4, (bottom - top) // int(rng.integers(4, 9)))
    for y in range(top + step // 2, bottom - 1, step):
        x = left
        while x < right - 2:
            end = min(right, x + int(rng.integers(3, max(5, (right - left) // 3))))
            cv2.line(image, (x, y), (end, y), tuple(map(float, ink)), max(1, step // 3))
            x = end + max(2, step // 2)


def any_of(rng: np.random.Generator, choices: Sequence) -> object:
    """One of several things; numpy's own choice would make arrays of them."""
    return choices[int(rng.integers(len(choices)))]
