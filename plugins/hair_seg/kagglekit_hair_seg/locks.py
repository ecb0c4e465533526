"""Locks of hair: what a haircut is, and strands spread between guide curves, in head units."""

from typing import NamedTuple

import numpy as np

from .strokes import curve

POINTS = 18  # per strand


class Cut(NamedTuple):
    """What stays the same about one person's hair in all images; lengths in head units."""

    style: str
    parting: float  # x of the parting, in [-0.5, 0.5]
    length: float  # y of the tips
    volume: float  # height above the skull, in [0.03, 0.35]
    wave: float  # sideways swing of a strand, 0 = straight
    fringe: str  # "none", "straight", "swept" or "strands"
    forward: int  # side (-1, 1) whose hair falls over the shoulder, 2 = both, 0 = none


class Lock(NamedTuple):
    """Strands (n, POINTS, 2) of one mass of hair; `width` of the undercoat strokes in head units."""

    strands: np.ndarray
    width: float
    behind: bool = False  # behind neck and shoulders
    part: str = "hair"  # "left" or "right" for a pigtail
    solid: bool = True  # False: single ropes (dreadlocks, wet hair) with gaps between them


def sheet(
    rng: np.random.Generator,
    guides: list,
    count: int,
    *,
    spread: float = 0.03,
    wave: float = 0.0,
    curls: float = 2.0,
    ragged: float = 0.15,
) -> np.ndarray:
    """Spread `count` strands between neighbouring guides, g lists of k points; returns (count, POINTS, 2).

    `wave` is the swing in head units, `curls` the number of swings along a strand, `ragged` the share by
    which strands may fall short.
    """
    control = np.asarray(guides, dtype=float)
    along = np.sort(rng.random(count)) * (len(control) - 1)
    along[[0, -1]] = 0, len(control) - 1
    lower = np.minimum(along.astype(int), len(control) - 2)
    share = (along - lower)[:, None, None]
    ctrl = control[lower] * (1 - share) + control[lower + 1] * share
    ctrl = ctrl + rng.normal(0, spread, (count, 1, 2)) + rng.normal(0, spread * 0.5, ctrl.shape)
    reach = 1 - ragged * rng.random(count) ** 2
    t = np.linspace(0, 1, POINTS)[None] * reach[:, None]
    strands = curve(ctrl, t)
    if wave:
        clump = (along * 7 / (len(control) - 1)).astype(int)  # neighbours swing together
        phase = 2 * np.pi * (rng.random(8)[clump][:, None] * min(1.0, wave * 8) + curls * t)
        phase += rng.normal(0, 0.35, (count, 1))
        swing = wave * np.minimum(1.0, 0.25 + t)[..., None]
        strands = strands + swing * np.stack([np.sin(phase), 0.45 * np.cos(phase)], axis=-1)
    return strands


def hairline(a: np.ndarray | float) -> np.ndarray:
    """Point of the hairline, a in [-1, 1] from the left temple over the forehead to the right temple."""
    return np.stack([0.95 * np.sin(a * np.pi / 2), -0.02 - 0.85 * np.cos(a * np.pi / 2) ** 0.8], axis=-1)


def outline(a: np.ndarray | float, volume: float) -> np.ndarray:
    """Point of the outline of hair of that volume over the skull, a as in `hairline`."""
    reach = 1 + volume
    return np.stack([1.06 * reach * np.sin(a * np.pi / 2), -0.12 - 1.26 * reach * np.cos(a * np.pi / 2)], axis=-1)
