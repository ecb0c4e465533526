"""Pictures of clouds above a sea: where which kind lies, light and colour, the gaps between two orbits, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from kagglekit_clouds import CLASSES, SIZE
from kagglekit_clouds.textures import DECK, HALF, KINDS, SEA, VEIL, Noise, fractal, make_noise, spread

QUARTER = (350, 525)
SOFT = 0.55  # thickness over which a cloud becomes opaque
TOLERANCE = 0.05  # how far people miss a border, as part of the region's side
EDGE = 0.36  # the part of a region's outer half over which it fades into its surroundings

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
    noise = make_noise(rng)
    thickness, *traits = _weather(rng, noise, regions, wind)
    detail, dust, light = (cv2.resize(trait, SIZE[::-1]) for trait in traits)
    rough = spread(rng, noise.rough, SIZE, 1.35, wind, 1.3)
    thick = cv2.resize(thickness, SIZE[::-1]) + detail * rough
    thick += dust * spread(rng, fractal(rng, 0.25), SIZE, 1.5, wind, 1.3)
    cover = np.minimum(np.maximum(thick * np.float32(1 / SOFT), 0), 1)
    # Relief: thick clouds shine more, and their tops are not smooth.
    cover *= light * np.minimum(0.7 + 0.1 * np.minimum(thick, 2.4) + 0.07 * rough, 1)
    white = np.empty((*SIZE, 3), np.uint8)
    white[:] = rng.integers(238, 252) - np.array([0, 1, 4])
    image = cv2.blendLinear(white, _sea(rng, noise), cover, 1 - cover)
    mask = np.zeros((*SIZE, len(CLASSES)), np.uint8)
    for region in regions:
        for top, left, bottom, right in rectangles(rng, region.box) if region.label >= 0 else ():
            mask[top:bottom, left:right, region.label] = 1
    if swath:
        corners = gap(rng)
        for array in (image, mask):
            cv2.fillConvexPoly(array, corners, (0, 0, 0, 0))
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
    """(thickness, strength of detail, of dust, light), float32 of half the picture's size, over all regions."""
    thickness = SEA.field(rng, noise, wind)
    detail, dust, light = (np.full(HALF, value, np.float32) for value in SEA[1:])
    bends = spread(rng, noise.smooth, QUARTER, 0.5)
    for region in regions:
        other = (SEA, SEA, VEIL, DECK)[rng.integers(4)]
        texture = KINDS[CLASSES[region.label]] if region.label >= 0 else other
        share = _share(region.box, bends)
        # Clouds thin out towards the border of their region; a blend of two fields would show neither.
        field = texture.field(rng, noise, wind + float(rng.normal(0, 0.2))) + 2.5 * (share - 1)
        inside = share > 0.5
        thickness = np.where(inside, field, np.maximum(thickness, field))
        for trait, value in ((detail, texture.detail), (dust, texture.dust), (light, texture.light)):
            trait[inside] = value
    return thickness, *(cv2.blur(trait, (9, 9)) for trait in (detail, dust, light))


def _share(box: Rectangle, bends: np.ndarray) -> np.ndarray:
    """float32 `HALF`: 1 inside a region, 0 far outside, with a border that bends."""
    reach = np.zeros(QUARTER, np.float32)
    for axis, along in enumerate(np.ogrid[: SIZE[0] : 4, : SIZE[1] : 4]):
        begin, end = box[axis], box[axis + 2]
        place = (2 * along.astype(np.float32) - begin - end) / (end - begin)
        # A region that begins at the border of the picture goes on beyond it.
        if begin == 0:
            place = np.where(place < 0, 0.5 * place, place)
        if end == SIZE[axis]:
            place = np.where(place > 0, 0.5 * place, place)
        reach = reach + place**4
    share = (1.0 + EDGE / 2 - np.sqrt(np.sqrt(reach)) - 0.09 * bends) / EDGE
    return cv2.resize(np.clip(share, 0, 1), HALF[::-1])


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
