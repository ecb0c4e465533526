"""Slides of drawn kidney tissue: irregular pieces on glass, with cortex and medulla, and all that lies in them."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from kagglekit.api import Size
from kagglekit_glomeruli.stains import Stain, develop, waves
from kagglekit_glomeruli.structures import Sheet, draw_glomerulus, draw_infiltrate, draw_scar, draw_tubules, draw_vessel

COARSE = 8  # pixels of a slide for one of its plan
GROUND = 96  # pink of what lies between all structures, of 255
NUCLEI = 9  # crowd of nuclei there
# pixels of tissue for one of ...
PER_GLOMERULUS = 55_000  # cortex alone
PER_VESSEL = 260_000
PER_SCAR = 420_000  # cortex alone
PER_INFILTRATE = 500_000


class Plan(NamedTuple):
    """Where a slide's tissue lies, bool, `COARSE` times smaller; the medulla is a part of it, the cortex the rest.

    `along` is the direction in radians of the medulla's tubules, from the capsule inwards.
    """

    tissue: np.ndarray
    medulla: np.ndarray
    along: np.ndarray

    @property
    def cortex(self) -> np.ndarray:
        """Where glomeruli may lie."""
        return self.tissue & ~self.medulla


class Section(NamedTuple):
    """A drawn slide: uint8 image `[H, W, 3]` in RGB, uint8 mask `[H, W]` of its glomeruli, and its plan."""

    image: np.ndarray
    mask: np.ndarray
    plan: Plan


def draw_section(rng: np.random.Generator, size: Size, stain: Stain) -> Section:
    """One slide of `size`."""
    plan = make_plan(rng, size)
    tissue = cv2.resize(plan.tissue.astype(np.float32), size[::-1])
    tissue = tissue + 0.12 * waves(rng, size, 12) > 0.5
    sheet = Sheet.of_ground(size, GROUND, NUCLEI)
    mask = np.zeros(size, np.uint8)
    draw_tubules(rng, sheet, plan.medulla, plan.along, COARSE)
    for x, y in scatter(rng, plan.tissue, PER_INFILTRATE, 60):
        draw_infiltrate(rng, sheet, x, y)
    taken: list[tuple[float, float]] = []
    for x, y in scatter(rng, plan.cortex, PER_GLOMERULUS, 62, 128, taken):
        draw_glomerulus(rng, sheet, mask, x, y)
    for x, y in scatter(rng, plan.cortex, PER_SCAR, 50, 110, taken):
        draw_scar(rng, sheet, x, y)
    for x, y in scatter(rng, plan.tissue, PER_VESSEL, 50, 135, taken):
        draw_vessel(rng, sheet, x, y)
    mask &= tissue
    return Section(_stained(rng, sheet, tissue, stain), mask, plan)


def make_plan(rng: np.random.Generator, size: Size) -> Plan:
    """One or two irregular pieces with much glass around, each with its medulla to one side."""
    height, width = size[0] // COARSE, size[1] // COARSE
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    tissue, medulla = np.zeros((2, height, width), bool)
    along = np.zeros((height, width), np.float32)
    pieces = int(rng.integers(1, 3))
    rough = 0.05 * waves(rng, (height, width), 16) + 0.05 * waves(rng, (height, width), 48)
    for number in range(pieces):
        middle = width * (2 * number + 1) / (2 * pieces) + rng.normal(0, 0.015 * width)
        x = (columns - middle) / (width / pieces * rng.uniform(0.37, 0.42))
        y = (rows - height * rng.uniform(0.46, 0.54)) / (height * rng.uniform(0.36, 0.42))
        turn = np.arctan2(y, x)
        lobes = sum(rng.uniform(0.02, 0.09) * np.cos(k * turn + rng.uniform(0, 6.3)) for k in (1, 2, 3, 5))
        piece = np.hypot(x, y) + lobes + rough < 0.95
        inward = rng.uniform(0, 2 * np.pi)
        depth = x * np.cos(inward) + y * np.sin(inward)
        across = y * np.cos(inward) - x * np.sin(inward)
        tissue |= piece
        medulla |= piece & (depth - 0.25 * across**2 + rough > rng.uniform(0.2, 0.38))
        along[piece] = inward
    return Plan(tissue, medulla, along)


def scatter(
    rng: np.random.Generator,
    region: np.ndarray,
    per: float,
    margin: float,
    apart: float = 0,
    taken: list[tuple[float, float]] | None = None,
) -> list[tuple[float, float]]:
    """Points (x, y) in a region of a plan, one for `per` pixels, `margin` pixels inside it.

    They lie `apart` from each other and from those `taken`, where there is room; they are added to those.
    """
    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, columns = np.nonzero(depth > margin / COARSE)
    wanted = round(np.count_nonzero(region) * COARSE**2 / per)
    taken = [] if taken is None else taken
    found: list[tuple[float, float]] = []
    # Many more tries than points: in a full region most of them fail.
    for index in rng.integers(0, max(len(rows), 1), 30 * wanted if len(rows) else 0):
        if len(found) == wanted:
            break
        point = COARSE * (columns[index] + rng.random()), COARSE * (rows[index] + rng.random())
        if all((point[0] - x) ** 2 + (point[1] - y) ** 2 >= apart**2 for x, y in taken if apart):
            found.append(point)
            taken.append(point)
    return found


def outlines(region: np.ndarray) -> list[list[list[int]]]:
    """Closed rings of [x, y] in pixels of the slide around the pieces of a region of a plan."""
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    rings = []
    for contour in sorted(contours, key=cv2.contourArea, reverse=True):
        ring = (cv2.approxPolyDP(contour, 0.8, True)[:, 0] * COARSE + COARSE // 2).tolist()
        if len(ring) >= 3 and cv2.contourArea(contour) > 50:
            rings.append([*ring, ring[0]])
    return rings


def _stained(rng: np.random.Generator, sheet: Sheet, tissue: np.ndarray, stain: Stain) -> np.ndarray:
    """The image of a sheet, empty outside the tissue."""
    size = tissue.shape
    nuclei = (rng.random(size, np.float32) * (255 * 6) < sheet.crowd).astype(np.uint8)
    nuclei |= sheet.nuclei
    large = nuclei * (rng.random(size, np.float32) < 0.3)
    nuclei = cv2.dilate(nuclei, np.ones((2, 3), np.uint8))
    nuclei |= cv2.dilate(large, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (4, 5)))
    nuclei &= tissue
    pink = sheet.pink * tissue * np.float32(1 / 255)
    pink *= 1 + 0.13 * waves(rng, size, 3) + 0.12 * waves(rng, size, 9) + 0.1 * waves(rng, size, 90)
    blue = sheet.blue * tissue * np.float32(1 / 255) + np.float32(0.75) * nuclei
    blue *= 1 + 0.2 * waves(rng, size, 5) + 0.15 * waves(rng, size, 120)
    pink, blue = (cv2.GaussianBlur(np.maximum(plane, 0), (0, 0), 0.75) for plane in (pink, blue))
    return develop(pink, blue, stain)
