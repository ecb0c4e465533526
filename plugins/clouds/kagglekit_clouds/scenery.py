"""Pictures of clouds above a sea: where which kind lies, light and colour, the gaps between two orbits, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from kagglekit_clouds import CLASSES, SIZE
from kagglekit_clouds.textures import HALF, KINDS, OTHERS, SEA, Texture, fractal, spread

SOFT = 0.55  # thickness over which a cloud becomes opaque
TOLERANCE = 0.05  # how far people miss a border, as part of the region's side
EDGE = 0.3  # the part of a region's outer half over which it fades into its surroundings

Rectangle = tuple[int, int, int, int]  # top, left, bottom, right in pixels of the picture


class Region(NamedTuple):
    """A part of the picture where one kind of cloud prevails; class -1 stands for none of the four."""

    label: int
    box: Rectangle


class Picture(NamedTuple):
    """uint8 image `[1400, 2100, 3]` in RGB and the mask of each class `[1400, 2100, 4]` as people drew it."""

    image: np.ndarray
    mask: np.ndarray


def draw_picture(rng: np.random.Generator, classes: Sequence[int], swath: bool) -> Picture:
    """A picture that shows `classes`, numbers as in CLASSES, crossed by the gap between two orbits or not."""
    regions = lay_out(rng, classes)
    wind = float(rng.uniform(-0.6, 0.6))
    thickness, detail, light = _weather(rng, regions, wind)
    fine = spread(rng, fractal(rng, 0.75), SIZE, 1.35, wind, 1.3)
    thick = cv2.resize(thickness, SIZE[::-1]) + cv2.resize(detail, SIZE[::-1]) * fine
    cover = np.clip(thick * (1 / SOFT), 0, 1)
    # Thick clouds shine more; where they are thick is seen from their shadows too.
    cover *= cv2.resize(light, SIZE[::-1]) * (0.8 + 0.2 * np.clip(0.5 * thick, 0, 1))
    white = np.empty((*SIZE, 3), np.uint8)
    white[:] = rng.integers((236, 236, 232), (247, 245, 240))
    image = cv2.blendLinear(white, _sea(rng), cover, 1 - cover)
    mask = np.zeros((*SIZE, len(CLASSES)), np.uint8)
    for region in regions:
        for top, left, bottom, right in rectangles(rng, region.box) if region.label >= 0 else ():
            mask[top:bottom, left:right, region.label] = 1
    if swath:
        gap = draw_gap(rng)
        image[gap] = 0
        mask[gap] = 0
    return Picture(image, mask)


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


def rectangles(rng: np.random.Generator, box: Rectangle) -> list[Rectangle]:
    """One to three rectangles that people draw around a region: none quite right, some with a part left out."""
    height, width = box[2] - box[0], box[3] - box[1]
    sides = np.array([height, width, height, width])
    found = []
    for number in range(rng.choice((1, 2, 3), p=(0.5, 0.35, 0.15))):
        corners = box + rng.normal(0, TOLERANCE, 4) * sides
        if number or rng.random() < 0.15:
            side = int(rng.integers(4))
            corners[side] += (1 if side < 2 else -1) * rng.uniform(0.05, 0.3) * sides[side]
        top, left, bottom, right = np.clip(np.rint(corners), 0, (*SIZE, *SIZE)).astype(int)
        found.append((int(top), int(left), int(bottom), int(right)))
    return found


def draw_gap(rng: np.random.Generator) -> np.ndarray:
    """bool `[1400, 2100]` of the slanted band that no orbit has seen."""
    height, width = SIZE
    wide = rng.uniform(0.06, 0.17) * width
    slant = rng.uniform(0.14, 0.3) * rng.choice((-1, 1))  # columns per row
    left = rng.uniform(-0.3 * wide, width - 0.7 * wide) - slant * height / 2
    rows, columns = np.ogrid[:height, :width]
    along = columns - slant * rows
    return (along >= left) & (along < left + wide)


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
    rng: np.random.Generator, regions: Sequence[Region], wind: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(thickness, strength of the detail, light), float32 of half the picture's size, over all regions."""
    thickness = SEA.field(rng, wind)
    detail, light = np.full(HALF, SEA.detail, np.float32), np.full(HALF, SEA.light, np.float32)
    bends = spread(rng, fractal(rng, 1.8), HALF, 2.0)
    for region in regions:
        texture: Texture = KINDS[CLASSES[region.label]] if region.label >= 0 else OTHERS[rng.integers(len(OTHERS))]
        share = _share(region.box, bends)
        field = texture.field(rng, wind + float(rng.normal(0, 0.2)))
        # Clouds thin out towards the border of their region; a blend of two fields would show neither.
        field += 2.5 * (share - 1)
        inside = (field > thickness) | (share > 0.5)
        thickness = np.where(inside, np.maximum(field, np.where(share > 0.5, -9, thickness)), thickness)
        detail = np.where(inside, texture.detail, detail)
        light = np.where(inside, texture.light, light)
    return thickness.astype(np.float32), detail.astype(np.float32), cv2.blur(light.astype(np.float32), (5, 5))


def _share(box: Rectangle, bends: np.ndarray) -> np.ndarray:
    """float32 `HALF`: 1 inside a region, 0 far outside, with a border that bends."""
    top, left, bottom, right = (0.5 * value for value in box)
    rows, columns = np.ogrid[: HALF[0], : HALF[1]]
    up = (rows - (top + bottom) / 2) / ((bottom - top) / 2)
    across = (columns - (left + right) / 2) / ((right - left) / 2)
    # A region that begins at the border of the picture goes on beyond it.
    up = np.where(((top == 0) & (up < 0)) | ((bottom == HALF[0]) & (up > 0)), 0.5 * up, up)
    across = np.where(((left == 0) & (across < 0)) | ((right == HALF[1]) & (across > 0)), 0.5 * across, across)
    reach = (up**4 + across**4) ** 0.25 + 0.06 * bends
    return np.clip((1.0 + EDGE / 2 - reach) / EDGE, 0, 1).astype(np.float32)


def _sea(rng: np.random.Generator) -> np.ndarray:
    """uint8 `[1400, 2100, 3]`: dark blue, hazy in places, and grey where the sun is mirrored."""
    haze = 0.5 + 0.5 * spread(rng, fractal(rng, 2.2), HALF, 2.5)
    columns = np.arange(HALF[1], dtype=np.float32)[None]
    rows = np.arange(HALF[0], dtype=np.float32)[:, None]
    glint = np.zeros(HALF, np.float32)
    if rng.random() < 0.5:
        place = rng.uniform(0, HALF[1]) + rng.uniform(-0.2, 0.2) * rows
        glint = np.exp(-(((columns - place) / rng.uniform(60, 170)) ** 2)) * rng.uniform(20, 70)
    dark = rng.uniform((12, 18, 40), (24, 32, 60))
    planes = [
        dark[channel] + strength * np.clip(haze, 0, 2) + glint for channel, strength in enumerate((5, 7, 9))
    ]
    return cv2.resize(np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8), SIZE[::-1])
