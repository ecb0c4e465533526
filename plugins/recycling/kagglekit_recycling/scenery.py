"""Images of trash: things of ten classes on a ground, the smaller ones on the larger ones, with shadows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from kagglekit_recycling.containers import battery, glass, metal, paper_pack, plastic, styrofoam
from kagglekit_recycling.contest import SIZE
from kagglekit_recycling.grounds import draw_ground, shade
from kagglekit_recycling.materials import Item, cover
from kagglekit_recycling.sheets import clothing, general_trash, paper, plastic_bag

TRIES = 12  # for a place that hides little of others
MOST_HIDDEN = 0.3  # of the smaller of two things
LEAST_AREA = 300.0  # pixels
CARELESS = 0.7  # pixels by which people miss the outline


class Kind(NamedTuple):
    """How things of a class are drawn, and between which lengths in pixels."""

    draw: Callable[[np.random.Generator, int], Item]
    shortest: int
    longest: int


KINDS: Mapping[int, Kind] = {
    1: Kind(general_trash, 80, 210),
    2: Kind(paper, 110, 300),
    3: Kind(paper_pack, 110, 270),
    4: Kind(metal, 90, 220),
    5: Kind(glass, 130, 310),
    6: Kind(plastic, 120, 300),
    7: Kind(styrofoam, 90, 250),
    8: Kind(plastic_bag, 120, 320),
    9: Kind(battery, 55, 110),
    10: Kind(clothing, 160, 320),
}


class Thing(NamedTuple):
    """A thing in its place: class, the polygon `[N, 2]` that was drawn around it, its area, and what it looks like.

    `image` and `opacity` are the part of the image from row `top` and column `left` on that the thing lies in.
    """

    label: int
    polygon: np.ndarray
    area: float
    top: int
    left: int
    image: np.ndarray
    opacity: np.ndarray

    @property
    def part(self) -> tuple[slice, slice]:
        """Where `opacity` lies in the image."""
        height, width = self.opacity.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


class Image(NamedTuple):
    """uint8 image `[512, 512, 3]` in RGB and its things, the largest first."""

    image: np.ndarray
    things: list[Thing]


def draw_image(rng: np.random.Generator, labels: Sequence[int]) -> Image:
    """An image with one thing of each of `labels`, which are classes 1..10 and may repeat."""
    # One factor for all: near or far away.
    zoom = rng.uniform(0.8, 1.25) * (1.35 if len(labels) < 3 else 1.05)
    taken = np.zeros(SIZE, np.float32)
    things = []
    for label in labels:
        kind = KINDS[label]
        item = kind.draw(rng, int(zoom * rng.uniform(kind.shortest, kind.longest)))
        thing = _placed(rng, label, item, taken)
        taken[thing.part] = np.maximum(taken[thing.part], thing.opacity > 0)
        things.append(thing)
    things.sort(key=lambda thing: -thing.area)
    image = draw_ground(rng)
    turn, far, soft = rng.uniform(0, 2 * np.pi), rng.uniform(3, 12), rng.uniform(3, 8)
    dark = rng.uniform(0.25, 0.6)
    for thing in things:
        _cast(image, thing, (far * np.cos(turn), far * np.sin(turn)), soft, dark)
        image[thing.part] += thing.opacity[..., None] * (thing.image - image[thing.part])
    image *= shade(rng) * rng.uniform(0.95, 1.05, 3).astype(np.float32)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9))
    image += rng.uniform(1, 5) * rng.standard_normal((*SIZE, 1), np.float32)
    return Image(np.clip(image, 0, 255).astype(np.uint8), things)


def _placed(rng: np.random.Generator, label: int, item: Item, taken: np.ndarray) -> Thing:
    """A thing turned and put where it hides little of what is there, or as little as was found."""
    height, width = item.opacity.shape
    turn = rng.uniform(-np.pi, np.pi)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned = (item.outline - (width / 2, height / 2)) @ spin.T
    # Things may leave the image a little.
    low = np.minimum(0.4 * np.ptp(turned, axis=0), 256)
    best: tuple[float, np.ndarray] = (np.inf, np.zeros(2))
    for _ in range(TRIES):
        place = rng.uniform(low, np.array(SIZE[::-1]) - low)
        inside = cover(0.125 * (turned + place), (SIZE[0] // 8, SIZE[1] // 8))
        hidden = float((inside * taken[::8, ::8]).sum() / max(inside.sum(), 1))
        if hidden < best[0]:
            best = hidden, place
        if hidden < MOST_HIDDEN:
            break
    outline = turned + best[1]
    left, top = np.clip(outline.min(0).astype(int) - 2, 0, 511).tolist()
    right, bottom = np.clip(outline.max(0).astype(int) + 3, 1, 512).tolist()
    shift = best[1] - spin @ (width / 2, height / 2) - (left, top)
    move, size = np.column_stack([spin, shift]).astype(np.float32), (right - left, bottom - top)
    image = cv2.warpAffine(item.image, move, size, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    opacity = cv2.warpAffine(item.opacity, move, size)
    polygon = careless(rng, outline)
    return Thing(label, polygon, area_of(polygon), top, left, image, opacity)


def _cast(image: np.ndarray, thing: Thing, move: tuple[float, float], soft: float, dark: float) -> None:
    """Darken an image where a thing throws its shadow."""
    margin = int(3 * soft + max(map(abs, move)))
    top, left = max(0, thing.top - margin), max(0, thing.left - margin)
    part = image[top : thing.top + thing.opacity.shape[0] + margin, left : thing.left + thing.opacity.shape[1] + margin]
    shift = np.float32([[1, 0, move[0] + thing.left - left], [0, 1, move[1] + thing.top - top]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(thing.opacity, shift, part.shape[1::-1]), (0, 0), soft)
    part *= 1 - dark * shadow[..., None]


def careless(rng: np.random.Generator, outline: np.ndarray) -> np.ndarray:
    """float `[M, 2]`: an outline as people click it, inside the image, to a hundredth of a pixel."""
    simple = cv2.approxPolyDP(outline.astype(np.float32), 0.8, True)[:, 0].astype(float)
    clicked = simple + rng.normal(0, CARELESS, simple.shape)
    return np.round(clip(clicked, SIZE), 2)


def clip(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of a polygon `[N, 2]` (x, y) in an image of `size` (height, width); Sutherland and Hodgman's way."""
    for axis, sign, limit in ((0, 1, 0.0), (0, -1, -float(size[1])), (1, 1, 0.0), (1, -1, -float(size[0]))):
        depth = sign * polygon[:, axis] - limit
        kept = []
        for index, point in enumerate(polygon):
            before, here = depth[index - 1], depth[index]
            if (before < 0) != (here < 0):
                kept.append(polygon[index - 1] + before / (before - here) * (point - polygon[index - 1]))
            if here >= 0:
                kept.append(point)
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def area_of(polygon: np.ndarray) -> float:
    """The area of a polygon `[N, 2]` in pixels, by the shoelace formula."""
    x, y = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
