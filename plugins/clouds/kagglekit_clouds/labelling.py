"""How people label clouds: with rectangles that are never quite right, and not always of the right kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kagglekit_clouds.contest import CLASSES, SIZE

FISH, FLOWER, GRAVEL, SUGAR = range(len(CLASSES))
SIMILAR = {FISH: GRAVEL, FLOWER: FISH, GRAVEL: SUGAR, SUGAR: GRAVEL}  # what a kind is taken for

TOLERANCE = 0.06  # how far people miss a border, as part of the region's side
# share of the regions, besides the first of an image, that ...
MISSED = 0.12  # nobody labels
MISTAKEN = 0.12  # are taken for a similar kind

Rectangle = tuple[int, int, int, int]  # top, left, bottom, right in pixels of the image


class Region(NamedTuple):
    """A part of the image where one kind of cloud prevails; class -1 stands for none of the four."""

    label: int
    box: Rectangle


def label(rng: np.random.Generator, regions: Sequence[Region]) -> np.ndarray:
    """uint8 `[1400, 2100, 4]`: what people say about the regions of an image.

    The first region is given its own class always, so that each class occurs even in the smallest sample.
    """
    mask = np.zeros((*SIZE, len(CLASSES)), np.uint8)
    for number, region in enumerate(regions):
        labelled, chance = region.label, rng.random()
        if labelled < 0 or (number and chance < MISSED):
            continue
        if number and chance > 1 - MISTAKEN:
            labelled = SIMILAR[labelled]
        for top, left, bottom, right in rectangles(rng, region.box):
            mask[top:bottom, left:right, labelled] = 1
    return mask


def rectangles(rng: np.random.Generator, box: Rectangle) -> list[Rectangle]:
    """One to three rectangles around a region, as that many people draw them: some leave a part of it out."""
    height, width = box[2] - box[0], box[3] - box[1]
    sides = np.array([height, width, height, width])
    found = []
    for number in range(rng.choice((1, 2, 3), p=(0.5, 0.35, 0.15))):
        corners = box + rng.normal(0, TOLERANCE, 4) * sides
        if number or rng.random() < 0.25:
            side = int(rng.integers(4))
            corners[side] += (1 if side < 2 else -1) * rng.uniform(0.05, 0.35) * sides[side]
        top, left, bottom, right = map(int, np.clip(np.rint(corners), 0, (*SIZE, *SIZE)))
        found.append((top, left, bottom, right))
    return found
