"""Drawn things that are soft or flat: paper, bags, clothes, and what no other class holds."""

from __future__ import annotations

import cv2
import numpy as np

from kagglekit_recycling.containers import DARK
from kagglekit_recycling.materials import (
    Item,
    any_of,
    crumple,
    facets,
    fit,
    lump,
    make_item,
    noise,
    paint,
    print_on,
)

CLOTHS = ((52, 72, 118), (58, 58, 64), (116, 34, 48), (88, 92, 58), (150, 90, 110), (40, 96, 110))


def paper(rng: np.random.Generator, length: int) -> Item:
    """A page of a newspaper, a ball of paper, or a piece of cardboard."""
    size = length, int(length * rng.uniform(0.6, 0.95))
    kind = rng.random()
    if kind < 0.4:
        return _newspaper(rng, size)
    if kind < 0.7:
        light = crumple(rng, size, rng.uniform(20, 34), 0.24)
        return make_item(paint(np.array([236, 233, 226]) + rng.normal(0, 4, 3), light), lump(rng, size, 0.07, 26))
    rows = np.arange(size[0], dtype=np.float32)[:, None]
    light = 1 + 0.05 * np.cos(rows * 2 * np.pi / rng.uniform(4, 7)) + 0.05 * noise(rng, size, 40)
    image = paint(np.array([178, 138, 94]) * rng.uniform(0.85, 1.12), light)
    if rng.random() < 0.6:  # tape
        at, wide = int(size[1] * rng.uniform(0.3, 0.6)), int(size[1] * rng.uniform(0.08, 0.15))
        image[:, at : at + wide] = 0.6 * image[:, at : at + wide] + 0.4 * np.array([215, 190, 140])
    return make_item(image, _sheet(rng, size))


def _newspaper(rng: np.random.Generator, size: tuple[int, int]) -> Item:
    """Columns of print with images, folded once."""
    height, width = size
    image = paint(np.array([224, 220, 208]) + rng.normal(0, 5, 3), 1 + 0.03 * noise(rng, size, 30))
    print_on(rng, image, (width // 10, height // 20, width - width // 10, height // 8), DARK)
    columns = int(rng.integers(2, 5))
    for column in range(columns):
        left, right = (int(width * (0.06 + 0.88 * (column + part) / columns)) for part in (0.04, 0.94))
        for top in range(int(0.16 * height), int(0.92 * height), 5):
            cv2.line(image, (left, top), (int(right - rng.integers(0, 6)), top), (112.0, 110.0, 108.0), 2)
    for _ in range(int(rng.integers(0, 3))):
        x, y = int(rng.uniform(0.1, 0.6) * width), int(rng.uniform(0.2, 0.7) * height)
        corner = x + int(0.28 * width), y + int(0.16 * height)
        cv2.rectangle(image, (x, y), corner, (float(rng.integers(60, 130)),) * 3, -1)
    fold = int(rng.uniform(0.4, 0.6) * height)
    image[fold:] *= rng.uniform(0.84, 0.95)
    return make_item(image, _sheet(rng, size))


def _sheet(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """The outline of a sheet: four corners, not quite right angles, one of them torn off or bent."""
    height, width = size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    corners += rng.uniform(-0.06, 0.06, (4, 2)) * (width, height)
    torn = int(rng.integers(4))
    share = rng.uniform(0.1, 0.3)
    before, after = corners[torn - 1], corners[(torn + 1) % 4]
    bent = [corners[torn] + share * (before - corners[torn]), corners[torn] + share * (after - corners[torn])]
    return fit(np.array([*corners[:torn], *bent, *corners[torn + 1 :]]), size)


def plastic_bag(rng: np.random.Generator, length: int) -> Item:
    """A wrinkled bag with two handles, or tied and without; half transparent, it shines along its wrinkles."""
    size = length, int(length * rng.uniform(0.65, 0.95))
    if rng.random() < 0.7:
        handles = [
            (0.08, 0.34),
            (0.1, 0.02),
            (0.26, 0),
            (0.34, 0.27),
            (0.5, 0.33),
            (0.66, 0.27),
            (0.74, 0),
            (0.9, 0.02),
        ]
        shape = np.array([*handles, (0.92, 0.34), (1, 0.7), (0.93, 0.97), (0.5, 1), (0.07, 0.97), (0, 0.7)])
        outline = fit(_bent(rng, shape, 0.022), size)
    else:
        outline = lump(rng, size, 0.1, 44)
    ridges = 1 - np.minimum(np.abs(noise(rng, size, 22)), 1)
    wrinkles = 0.55 * crumple(rng, size, 15, 0.6) + 0.3 * ridges**2 + 0.05 * noise(rng, size, 5)
    colours = ((238, 240, 242), (238, 240, 242), (40, 42, 46), (60, 110, 190), (206, 214, 90))
    image = paint(any_of(rng, colours), 0.62 + 0.5 * wrinkles)
    image += (60 * np.maximum(wrinkles, 0) ** 3)[..., None]
    opacity = np.clip(rng.uniform(0.6, 0.9) + 0.35 * (wrinkles - 0.6), 0.35, 1)
    return make_item(image, outline, opacity)


def clothing(rng: np.random.Generator, length: int) -> Item:
    """A shirt, trousers or a sock of woven cloth in folds, plain or striped."""
    shapes = (
        [(0.3, 0), (0.5, 0.07), (0.7, 0), (1, 0.22), (0.88, 0.4), (0.76, 0.32), (0.77, 1), (0.23, 1), (0.24, 0.32)],
        [(0.15, 0), (0.85, 0), (1, 1), (0.64, 1), (0.5, 0.35), (0.36, 1), (0, 1)],
        [(0.1, 0), (0.55, 0), (0.58, 0.55), (1, 0.78), (0.95, 1), (0.6, 1), (0.1, 0.8)],
    )
    size = length, int(length * rng.uniform(0.75, 0.95))
    shape = _bent(rng, np.array(any_of(rng, shapes)), 0.012)
    rows, columns = np.ogrid[: size[0], : size[1]]
    weave = 0.09 * np.where((rows // 2 + columns // 2) % 2, 1.0, -1.0).astype(np.float32)
    folds = cv2.resize(noise(rng, (size[0] // 4, size[1]), 14), size[::-1])
    light = 0.92 + weave + 0.16 * folds + 0.04 * noise(rng, size, 3)
    image = paint(any_of(rng, CLOTHS), light)
    if rng.random() < 0.5:
        stripes = (rows // int(rng.integers(8, 20)) % 2 == 0)[..., None]
        image = np.where(stripes, image, paint((215, 212, 205), light))
    return make_item(image, fit(shape, size))


def _bent(rng: np.random.Generator, shape: np.ndarray, much: float) -> np.ndarray:
    """A shape `[N, 2]` of the unit square with edges that are not straight: float `[4 * N, 2]`."""
    steps = np.linspace(0, 1, 5)[:-1, None]
    edges = zip(shape, np.roll(shape, -1, 0), strict=True)
    bent = np.concatenate([begin + steps * (end - begin) for begin, end in edges])
    return bent + rng.normal(0, much, bent.shape)


def general_trash(rng: np.random.Generator, length: int) -> Item:
    """Scraps of food, or a peel: mottled and without a clear shape."""
    if rng.random() < 0.35:
        return _peel(rng, length)
    size = length, int(length * rng.uniform(0.6, 1.0))
    number, distance = facets(rng, size, rng.uniform(13, 22))
    scraps = np.array(
        [(112, 72, 40), (150, 104, 52), (84, 104, 44), (186, 120, 48), (92, 52, 38), (160, 58, 40)], float
    )
    colours = scraps[rng.integers(0, len(scraps), number.max() + 1)] * rng.uniform(0.7, 1.15, (number.max() + 1, 1))
    light = 1.1 - 0.035 * distance + 0.14 * noise(rng, size, 4)
    return make_item(colours[number] * light[..., None], lump(rng, size, 0.15))


def _peel(rng: np.random.Generator, length: int) -> Item:
    """A banana, bent and spotted."""
    turns = np.linspace(0.15 * np.pi, rng.uniform(0.75, 0.95) * np.pi, 16)
    thick = rng.uniform(0.16, 0.24) * np.sin(np.linspace(0.12, np.pi - 0.12, 16)) ** 0.6
    ring = np.stack([np.cos(turns), np.sin(turns)], -1)
    size = int(0.5 * length), length
    outline = fit(np.concatenate([ring * (1 + thick)[:, None], (ring * (1 - thick)[:, None])[::-1]]), size)
    light = 1 + 0.1 * noise(rng, size, 12)
    image = paint((214, 176, 52), light)
    spots = (noise(rng, size, 7) > rng.uniform(0.7, 1.5))[..., None]
    return make_item(np.where(spots, paint((92, 60, 28), light), image), outline)
