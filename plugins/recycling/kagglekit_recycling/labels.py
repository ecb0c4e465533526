"""Objects as label maps: which one a pixel belongs to, and how maps are brought to the submission's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kagglekit import Prediction
from kagglekit.api import coco, resize_probs
from kagglekit_recycling.contest import CLASSES, NAMES, UNKNOWN


@dataclass(frozen=True)
class Object:
    """One object: its class as in CLASSES, where it lies, and its area as the file states it, None if it does not."""

    label: int
    segmentation: coco.Segmentation
    area: float | None


@dataclass(frozen=True)
class Edition:
    """Which pixel values an edition's files use: the first one begins with UNKNOWN, the later ones have none."""

    has_unknown: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by pixel value."""
        return ("Background", UNKNOWN, *NAMES) if self.has_unknown else ("Background", *NAMES)

    def to_file(self) -> np.ndarray:
        """uint8 `[12]`: the pixel value of each class of CLASSES; UNKNOWN counts as background where there is none."""
        names = self.names
        return np.array([names.index(c) if c in names else 0 for c in CLASSES], np.uint8)

    def from_file(self) -> np.ndarray:
        """uint8 `[11 or 12]`: the class of each pixel value."""
        return np.array([CLASSES.index(c) for c in self.names], np.uint8)


def paint(objects: Sequence[Object], size: tuple[int, int], overlap: str, edition: Edition) -> np.ndarray:
    """uint8 label map `[H, W]`; where objects overlap the rule decides: the largest pixel value, or the smallest area.

    An area that the file does not state is counted: the pixels of the object. Objects of equal rank are painted in the
    order of the file. Raises DataError for one that cannot be drawn.
    """
    values = edition.to_file()
    if overlap == "max":
        order = sorted(objects, key=lambda one: values[one.label])
    else:
        order = sorted(objects, key=lambda one: -_area(one, size))
    labels = np.zeros(size, np.uint8)
    for one in order:
        labels[coco.annotation_mask(one.segmentation, size) > 0] = one.label
    return labels


def _area(one: Object, size: tuple[int, int]) -> float:
    return np.count_nonzero(coco.annotation_mask(one.segmentation, size)) if one.area is None else one.area


@dataclass(frozen=True)
class EverySecond:
    """The likeliest class of every pixel of the image, which is twice the submission's size; every second is kept."""

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """uint8 label map `[H, W]` at `prediction.size`."""
        height, width = prediction.size
        return resize_probs(prediction.probs, (2 * height, 2 * width)).argmax(0)[::2, ::2].astype(np.uint8)
