"""A data set of coloured blobs with labels that can be spoiled one by one, and copies of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kagglekit import DataError, Dataset, Sample
from kagglekit.types import Tiling
from tests.toy_data import cropped

Spoil = Callable[[np.ndarray], np.ndarray]


def blob(seed: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 mask of a slanted ellipse away from the middle, so that a turned one lies elsewhere."""
    rng = np.random.default_rng(seed)
    h, w = size
    mask = np.zeros(size, np.uint8)
    centre = int(w * rng.uniform(0.4, 0.6)), int(h * rng.uniform(0.25, 0.35))
    axes = int(w * rng.uniform(0.2, 0.24)), int(h * rng.uniform(0.13, 0.17))
    cv2.ellipse(mask, centre, axes, float(rng.uniform(10, 30)), 0, 360, 1, -1)
    return mask


def scene(seed: int, mask: np.ndarray) -> np.ndarray:
    """uint8 image: a smooth ground of its own, the blob in one reddish colour, a little noise."""
    rng = np.random.default_rng(1000 + seed)
    ground = cv2.resize(
        rng.integers(0, 150, (5, 5, 3)).astype(np.uint8), mask.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    ground[..., 0] //= 2
    painted = np.where(mask[..., None] > 0, np.array([220, 40, 60], np.uint8), ground).astype(int)
    return np.clip(painted + rng.integers(-6, 7, painted.shape), 0, 255).astype(np.uint8)


@dataclass
class Flawed(Dataset):
    """`spoilt`: position -> how its mask is made wrong; `copies`: position -> the position whose image it repeats."""

    count: int
    spoilt: Mapping[int, Spoil] = field(default_factory=dict)
    copies: Mapping[int, int] = field(default_factory=dict)
    size: tuple[int, int] = (96, 128)
    task: str = "binary"
    damaged: tuple[str, ...] = ()
    group_size: int = 2
    channels: int = 3
    depth: str = "uint8"
    tiling: Tiling | None = None
    test: tuple = ()
    problems: tuple = ()
    files: tuple = ()
    submission: Any = None
    answers: Any = field(default_factory=dict)

    def __post_init__(self):
        self.train = [
            Sample(f"s{i:03d}", Path(f"/nowhere/s{i:03d}.png"), self.size, i, f"g{i // self.group_size}")
            for i in range(self.count)
        ]

    def truth(self, sample: Sample) -> np.ndarray:
        """The mask before it was spoilt."""
        return blob(self.copies.get(sample.label, sample.label), sample.size)

    def read_image(self, sample: Sample, box=None) -> np.ndarray:
        if sample.id in self.damaged:
            raise DataError(f"{sample.id}: this image is broken")
        origin = self.copies.get(sample.label, sample.label)
        image = scene(origin, blob(origin, sample.size))
        if origin != sample.label:
            image = np.clip(np.roll(image, (1, 1), (0, 1)) * 1.05, 0, 255).astype(np.uint8)
        image = np.concatenate([image, image], -1)[..., : self.channels]
        return cropped(image if self.depth == "uint8" else image.astype(np.uint16) * 200, box)

    def read_mask(self, sample: Sample, box=None) -> np.ndarray:
        mask = self.spoilt.get(sample.label, lambda m: m)(self.truth(sample))
        if self.task == "multilabel":
            mask = np.stack([mask, np.zeros_like(mask), mask], -1)
        return cropped(np.ascontiguousarray(mask) * (2 if self.task == "multiclass" else 1), box)


CLASSES = {"binary": ("thing",), "multilabel": ("a", "b", "c"), "multiclass": ("background", "a", "b")}


def empty(mask: np.ndarray) -> np.ndarray:
    """No label."""
    return mask * 0


def tiny(mask: np.ndarray) -> np.ndarray:
    """One pixel of it."""
    out = mask * 0
    out[tuple(np.argwhere(mask)[0])] = 1
    return out


def huge(mask: np.ndarray) -> np.ndarray:
    """Everything."""
    return np.ones_like(mask)


def small(mask: np.ndarray) -> np.ndarray:
    """A fiftieth of the area."""
    return cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (21, 21)))


def turned(mask: np.ndarray) -> np.ndarray:
    """Upside down."""
    return mask[::-1, ::-1]


def wide(mask: np.ndarray) -> np.ndarray:
    """Far beyond the edge."""
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (17, 17)))


def shredded(mask: np.ndarray) -> np.ndarray:
    """Every fifth column and row away."""
    out = mask.copy()
    out[::5], out[:, ::5] = 0, 0
    return out


def half(mask: np.ndarray) -> np.ndarray:
    """The right half away."""
    out = mask.copy()
    out[:, int(np.argwhere(mask)[:, 1].mean()) :] = 0
    return out
