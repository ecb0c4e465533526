"""Images of clouds above a sea: where which kind lies, light and colour, the gaps between two orbits, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from kagglekit_clouds.contest import SIZE
from kagglekit_clouds.labelling import SIMILAR, Rectangle, Region, label
from kagglekit_clouds.textures import DECK, KINDS, SEA, VEIL, Noise, fractal, make_noise, spread

HALF = SIZE[0] // 2, SIZE[1] // 2
QUARTER = SIZE[0] // 4, SIZE[1] // 4
SOFT = 0.55  # thickness over which a cloud becomes opaque
MIXED = 0.3  # share of the regions in which some clouds of a similar kind are
EDGE = 0.36  # the part of a region's outer half over which it fades into its surroundings


class Image(NamedTuple):
    """uint8 image `[1400, 2100, 3]` in RGB and the mask of each class `[1400, 2100, 4]` as people drew it."""

    image: np.ndarray
    mask: np.ndarray


def draw_image(rng: np.random.Generator, classes: Sequence[int], swath: bool) -> Image:
    """An image that shows `classes`, numbers as in CLASSES, crossed by the gap between two orbits or not."""
    regions = lay_out(rng, classes)
    wind = float(rng.uniform(-0.6, 0.6))
    noise = make_noise(rng)
    thickness, *traits = _weather(rng, noise, regions, wind)
    detail, dust, light = (cv2.resize(trait, SIZE[::-1]) for trait in traits)
    rough = spread(rng, noise.rough, SIZE, 1.35, wind, 1.3)
    thick = cv2.resize(thickness, SIZE[::-1])
    cv2.accumulateProduct(detail, rough, thick)
    cv2.accumulateProduct(dust, spread(rng, fractal(rng, 0.25), SIZE, 1.5, wind, 1.3), thick)
    _shine(thick, rough, light)
    white = np.full((*SIZE, 3), rng.integers(238, 252), np.uint8)
    image = cv2.blendLinear(white, _sea(rng, noise), light, 1 - light)
    mask = label(rng, regions)
    if swath:
        corners = gap(rng)
        for array in (image, mask):
            cv2.fillConvexPoly(array, corners, (0, 0, 0, 0))
    return Image(image, mask)


def lay_out(rng: np.random.Generator, classes: Sequence[int]) -> list[Region]:
    """Regions for all `classes`, one of them perhaps twice, and for what is none of them."""
    labels = list(classes)
    if len(labels) < 3 and rng.random() < 0.35:
        labels.append(labels[0])
    labels += [-1] * int(rng.integers(1, 3))
    cells: list[Rectangle] = [(0, 0, *SIZE)]
    while len(cells) < len(labels):
        cells.sort(key=lambda cell: (cell[2] - cell[0]) * (cell[3] - cell[1]))
        cells += _halves(rng, cells.pop())
    rng.shuffle(cells)
    # The smallest cells would be too small for a pattern to show.
    cells.sort(key=lambda cell: (cell[2] - cell[0]) * (cell[3] - cell[1]) > 0.12 * SIZE[0] * SIZE[1], reverse=True)
    return [Region(label, tuple(map(int, cell))) for label, cell in zip(labels, cells, strict=True)]


def gap(rng: np.random.Generator) -> np.ndarray:
    """int32 `[4, 2]` corners of the slanted band that no orbit has seen."""
    height, width = SIZE
    wide = rng.uniform(0.06, 0.17) * width
    slant = rng.uniform(0.14, 0.3) * rng.choice((-1, 1)) * height  # columns from top to bottom
    left = rng.uniform(-0.3 * wide, width - 0.7 * wide) - slant / 2
    corners = [(left, -1), (left + wide, -1), (left + wide + slant, height), (left + slant, height)]
    return np.rint(corners).astype(np.int32)


def _halves(rng: np.random.Generator, cell: Rectangle) -> list[Rectangle]:
    """A cell cut across its longer side, or across the shorter one if it is not much shorter."""
    top, left, bottom, right = cell
    tall, wide = bottom - top, right - left
    at = rng.uniform(0.4, 0.6)
    if tall * rng.uniform(0.7, 1.4) > wide:
        middle = top + round(at * tall)
        return [(top, left, middle, right), (middle, left, bottom, right)]
    middle = left + round(at * wide)
    return [(top, left, bottom, middle), (top, middle, bottom, right)]


def _weather(
    rng: np.random.Generator, noise: Noise, regions: Sequence[Region], wind: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(thickness, strength of detail, of dust, light), float32 of half the image's size, over all regions."""
    thickness = SEA.field(rng, noise, HALF, wind)
    traits = [np.full(HALF, value, np.float32) for value in SEA[1:]]
    bends = spread(rng, noise.smooth, QUARTER, 0.5)
    for region in regions:
        texture = KINDS[region.label] if region.label >= 0 else (SEA, SEA, VEIL, DECK)[rng.integers(4)]
        at, share = _share(region.box, bends)
        turned = wind + float(rng.normal(0, 0.2))
        field = texture.field(rng, noise, share.shape, turned) + np.float32(rng.normal(0, 0.1))
        if region.label >= 0 and rng.random() < MIXED:
            field = np.maximum(field, KINDS[SIMILAR[region.label]].field(rng, noise, share.shape, turned) - 0.35)
        # Clouds thin out towards the border of their region; a blend of two fields would show neither.
        field += 2.5 * (share - 1)
        inside = share > 0.5
        thickness[at] = np.where(inside, field, np.maximum(thickness[at], field))
        for trait, value in zip(traits, texture[1:], strict=True):
            trait[at][inside] = value
    return thickness, *(cv2.blur(trait, (9, 9)) for trait in traits)


def _share(box: Rectangle, bends: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """Where a region lies in a field of size `HALF`, and float32 of that size: 1 inside it, 0 outside.

    Its border bends with `bends` of size `QUARTER`.
    """
    reach, cut = np.zeros((1, 1), np.float32), []
    for axis in (0, 1):
        begin, end = box[axis] // 4, box[axis + 2] // 4
        first = max(0, begin - (end - begin) // 4)
        last = min(QUARTER[axis], end + (end - begin) // 4)
        place = (2 * np.arange(first, last, dtype=np.float32) - begin - end) / (end - begin)
        # A region that begins at the border of the image goes on beyond it.
        if begin == 0:
            place = np.where(place < 0, 0.5 * place, place)
        if end == QUARTER[axis]:
            place = np.where(place > 0, 0.5 * place, place)
        reach = reach + (place**4)[:, None] if axis == 0 else reach + place**4
        cut.append((first, last))
    quarter = tuple(slice(first, last) for first, last in cut)
    share = (1.0 + EDGE / 2 - np.sqrt(np.sqrt(reach)) - 0.09 * bends[quarter]) / EDGE
    share = cv2.resize(np.clip(share, 0, 1), (2 * share.shape[1], 2 * share.shape[0]))
    return tuple(slice(2 * first, 2 * last) for first, last in cut), share


def _shine(thick: np.ndarray, rough: np.ndarray, light: np.ndarray) -> None:
    """Multiply `light` by how much of it clouds send back: all arrays float32 of one size, all of them changed."""
    # In place, because new arrays of this size cost more than what is computed with them.
    rough *= 0.07
    rough += 0.7
    np.minimum(thick, 2.4, out=thick)
    cv2.scaleAdd(thick, 0.1, rough, rough)  # thick clouds shine more, and their tops are not smooth
    np.minimum(rough, 1, out=rough)
    thick *= 1 / SOFT
    np.clip(thick, 0, 1, out=thick)
    light *= rough
    light *= thick


def _sea(rng: np.random.Generator, noise: Noise) -> np.ndarray:
    """uint8 `[1400, 2100, 3]`: dark blue, hazy in places, and grey where the sun is mirrored."""
    haze = np.clip(0.5 + 0.5 * spread(rng, noise.smooth, QUARTER, 1.2), 0, 2)
    glint = np.zeros(QUARTER, np.float32)
    if rng.random() < 0.5:
        rows, columns = np.ogrid[: QUARTER[0], : QUARTER[1]]
        place = rng.uniform(0, QUARTER[1]) + rng.uniform(-0.2, 0.2) * rows
        glint = rng.uniform(20, 70) * np.exp(-(((columns - place) / rng.uniform(30, 85)) ** 2))
    dark = np.array([16, 21, 44]) * rng.uniform(0.75, 1.25) + rng.normal(0, 1.5, 3)
    planes = dark + haze[..., None] * (5, 7, 9) + glint[..., None] * (1, 1, 0.92)
    return cv2.resize(np.clip(planes, 0, 255).astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_LINEAR)
