"""What lies in drawn kidney tissue: tubules, vessels, scars, and the glomeruli that are looked for.

All lengths are pixels. Clear spaces are places without any dye, through which the lamp shines.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import cv2
import numpy as np

from kagglekit.api import Size

SHIFT = 3  # bits of a pixel in coordinates that are drawn
SPACING = 26  # between neighbouring tubules
RADIUS = (30, 58)  # of glomeruli, half their length


class Sheet(NamedTuple):
    """Tissue before it is stained: uint8 `[H, W]` amounts of pink and of blue, crowd and places of nuclei."""

    pink: np.ndarray
    blue: np.ndarray
    crowd: np.ndarray
    nuclei: np.ndarray

    @classmethod
    def of_ground(cls, size: Size, pink: int, crowd: int) -> Self:
        """A sheet of plain tissue."""
        planes = [np.full(size, value, np.uint8) for value in (pink, 12, crowd, 0)]
        return cls(*planes)

    def fill(self, shape: np.ndarray, pink: int, blue: int, crowd: int) -> None:
        """Give the inside of a polygon `[N, 2]` amounts of its own; nuclei that lie there are gone."""
        points = np.rint(shape * 2**SHIFT).astype(np.int32)
        for plane, value in zip(self, (pink, blue, crowd, 0), strict=True):
            cv2.fillPoly(plane, [points], int(value), cv2.LINE_8 if plane is self.nuclei else cv2.LINE_AA, SHIFT)

    def line(self, shape: np.ndarray, pink: int, thickness: int) -> None:
        """Draw a closed line in pink."""
        points = np.rint(shape * 2**SHIFT).astype(np.int32)
        cv2.polylines(self.pink, [points], True, int(pink), thickness, cv2.LINE_AA, SHIFT)


def rounded(
    rng: np.random.Generator, x: float, y: float, radius: float, uneven: float = 0.06, corners: int = 48
) -> np.ndarray:
    """float `[corners, 2]` outline of an oval around (x, y), a little longer than wide and not quite regular."""
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = np.ones(corners)
    for waves in (2, 3, 5):
        reach += uneven * rng.normal() * np.cos(waves * turns + rng.uniform(0, 6.3)) * 2 / waves
    axes = radius * np.array([1, rng.uniform(0.78, 1.0)])
    angle = rng.uniform(0, np.pi)
    spin = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (x, y) + np.maximum(reach, 0.2)[:, None] * np.stack([np.cos(turns), np.sin(turns)], -1) * axes @ spin


def draw_glomerulus(rng: np.random.Generator, sheet: Sheet, mask: np.ndarray, x: float, y: float) -> None:
    """A glomerulus, and its outline filled in `mask`: a tuft of loops in a thin clear space within a capsule."""
    radius = rng.uniform(*RADIUS)
    capsule = rounded(rng, x, y, radius)
    cv2.fillPoly(mask, [np.rint(capsule).astype(np.int32)], 1)
    centre = np.array([x, y])
    sheet.line(centre + 1.06 * (capsule - centre), 165, int(rng.integers(3, 7)))
    sheet.fill(capsule, 4, 0, 0)
    # The space is wider on one side; in some glomeruli there is nearly none.
    turns = np.linspace(0, 2 * np.pi, len(capsule), endpoint=False)
    space = rng.choice((0.03, 0.08, 0.13), p=(0.2, 0.5, 0.3))
    space = space * (1.3 + np.cos(turns - rng.uniform(0, 6.3))) + 0.025 * np.abs(rng.normal(0, 1, len(turns)))
    tuft = centre + (1 - np.clip(space, 0.02, 0.5))[:, None] * (capsule - centre)
    sheet.fill(tuft, rng.integers(110, 155), rng.integers(30, 55), rng.integers(50, 85))
    _loops(rng, sheet, centre, 0.8 * radius)


def _loops(rng: np.random.Generator, sheet: Sheet, centre: np.ndarray, reach: float) -> None:
    """Capillaries of a tuft: small pale rings and arcs all over it."""
    for _ in range(int(reach * 0.9)):
        turn, far = rng.uniform(0, 2 * np.pi), reach * np.sqrt(rng.random()) * 0.92
        place = centre + far * np.array([np.cos(turn), np.sin(turn)])
        at = tuple(int(value) for value in np.rint(place * 2**SHIFT))
        axes = tuple(int(value) for value in rng.uniform(2.0, 6.0, 2) * 2**SHIFT)
        angle, begin = rng.uniform(0, 180), rng.uniform(0, 200)
        cv2.ellipse(sheet.pink, at, axes, angle, begin, begin + 230, int(rng.integers(20, 60)), 2, cv2.LINE_AA, SHIFT)
        cv2.ellipse(sheet.blue, at, axes, angle, begin, begin + 230, 10, 2, cv2.LINE_AA, SHIFT)


def draw_vessel(rng: np.random.Generator, sheet: Sheet, x: float, y: float) -> None:
    """A vessel: an empty hole, sometimes with blood, in a wall that may be thick."""
    radius = rng.uniform(14, 44)
    hole = rounded(rng, x, y, radius, 0.12)
    centre = np.array([x, y])
    wall = rng.choice((0.15, 0.35, 0.7))
    for layer in np.linspace(1 + wall, 1, 4)[:-1]:
        sheet.fill(centre + layer * (hole - centre), rng.integers(135, 185), 15, rng.integers(15, 35))
    sheet.fill(hole, 2, 0, 0)
    if rng.random() < 0.35:
        sheet.fill(centre + rng.uniform(0.4, 0.8) * (hole - centre) + rng.normal(0, 2, 2), 235, 0, 0)


def draw_scar(rng: np.random.Generator, sheet: Sheet, x: float, y: float) -> None:
    """A ball of dense protein with few nuclei: a glomerulus that has died, which nobody labels."""
    ball = rounded(rng, x, y, rng.uniform(22, 40))
    sheet.fill(ball, rng.integers(165, 200), 10, rng.integers(8, 20))
    for _ in range(int(rng.integers(2, 5))):
        fold = rounded(rng, x + rng.normal(0, 6), y + rng.normal(0, 6), rng.uniform(6, 20), 0.15)
        sheet.line(fold, rng.integers(125, 150), 2)


def draw_infiltrate(rng: np.random.Generator, sheet: Sheet, x: float, y: float) -> None:
    """A crowd of nuclei without a border."""
    radius = rng.uniform(40, 110)
    top, left = max(0, int(y - 2 * radius)), max(0, int(x - 2 * radius))
    part = sheet.crowd[top : int(y + 2 * radius), left : int(x + 2 * radius)]
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    near = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (0.8 * radius**2))
    np.maximum(part, (rng.uniform(90, 150) * near).astype(np.uint8), out=part)


def draw_tubules(rng: np.random.Generator, sheet: Sheet, medulla: np.ndarray, along: np.ndarray, coarse: int) -> None:
    """Tubules all over a sheet: coiled ones in the cortex, cut across; straight ones in the medulla, cut lengthwise.

    `medulla` and `along`, the direction of the straight ones, are `coarse` times smaller than the sheet.
    """
    height, width = sheet.pink.shape
    places = np.mgrid[0 : width + SPACING : SPACING, 0 : height + SPACING : SPACING].reshape(2, -1).T.astype(float)
    places[:, 0] += SPACING / 2 * (places[:, 1] // SPACING % 2)  # rows are set off, as those of bricks
    places += rng.uniform(-0.22, 0.22, places.shape) * SPACING
    columns, rows = np.minimum(places.astype(int) // coarse, np.array(medulla.T.shape) - 1).T
    straight, angles = medulla[rows, columns], along[rows, columns]
    thick = rng.uniform(9.0, 13.5, len(places))
    long = np.where(straight, rng.uniform(20, 45, len(places)), thick * rng.uniform(1.0, 1.7, len(places)))
    angles = np.where(straight, angles + rng.normal(0, 0.08, len(places)), rng.uniform(0, np.pi, len(places)))
    free = np.where(straight, rng.uniform(0.25, 0.55, len(places)), rng.uniform(0.15, 0.6, len(places)))
    cast = rng.random(len(places)) < 0.03
    pink = rng.integers(120, 185, len(places))
    for index in rng.permutation(len(places)):
        at = tuple(int(value) for value in np.rint(places[index] * 2**SHIFT))
        turn = np.degrees(angles[index])
        for share, amounts in ((1.0, (int(pink[index]), 30)), (free[index], (225, 0) if cast[index] else (3, 0))):
            inner = share * thick[index], long[index] - (1 - share) * thick[index]
            axes = int(inner[1] * 2**SHIFT), int(inner[0] * 2**SHIFT)
            for plane, value in zip(sheet[:2], amounts, strict=True):
                cv2.ellipse(plane, at, axes, turn, 0, 360, value, -1, cv2.LINE_AA, SHIFT)
    _line_up(rng, sheet.nuclei, places, thick * (1 + free) / 2, long, angles)


def _line_up(
    rng: np.random.Generator,
    nuclei: np.ndarray,
    places: np.ndarray,
    thick: np.ndarray,
    long: np.ndarray,
    angles: np.ndarray,
) -> None:
    """Set nuclei into the walls of tubules."""
    count = 6
    turns = rng.uniform(0, 2 * np.pi, (len(places), count))
    ahead, aside = 0.85 * long[:, None] * np.cos(turns), thick[:, None] * np.sin(turns)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    columns = np.rint(places[:, :1] + cos * ahead - sin * aside).astype(int).ravel()
    rows = np.rint(places[:, 1:] + sin * ahead + cos * aside).astype(int).ravel()
    inside = (rows >= 0) & (rows < nuclei.shape[0]) & (columns >= 0) & (columns < nuclei.shape[1])
    nuclei[rows[inside], columns[inside]] = 1
