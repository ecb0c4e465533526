"""The black swaths between two passes of a satellite: no cloud is labelled in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kagglekit import Metric, PluginError, Postprocess, Prediction
from kagglekit.api import apply_augment, seed_augment

BLACK = 10  # of 255: the brightest channel of a pixel of a swath, which JPEG leaves not quite black


def black(image: np.ndarray) -> np.ndarray:
    """bool `[H, W]`: where an image uint8 `[H, W, 3]` shows a swath."""
    return image.max(-1) <= BLACK


@dataclass(frozen=True)
class WithoutSwaths:
    """Empties the masks of `inner` in swaths."""

    inner: Postprocess

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """uint8 `[H, W, K]`."""
        import cv2

        if prediction.image is None:
            raise PluginError("techniques.swath-zero: needs the image, which is not at hand where images are tiled")
        mask = self.inner(prediction)
        swath = black(prediction.image).astype(np.uint8)
        if not swath.any():
            return mask
        here = cv2.resize(swath, mask.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return mask * (1 - here)[(...,) + (None,) * (mask.ndim - 2)]

    def fit(self, predictions: Sequence[Prediction], truths: Sequence[np.ndarray], metric: Metric) -> WithoutSwaths:
        """`inner` fitted, if it can be."""
        if not hasattr(self.inner, "fit"):
            return self
        return replace(self, inner=self.inner.fit(predictions, truths, metric))


@dataclass(frozen=True)
class Painted:
    """`(image, mask) -> (image, mask)`: a distortion and, with probability `p`, a swath.

    Its width is `least` to `most` of the width of the image.
    """

    inner: object
    p: float
    least: float
    most: float

    def set_random_seed(self, seed: int) -> None:
        """Everything random that follows depends on `seed`."""
        seed_augment(self.inner, seed)
        np.random.seed(seed)

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> Mapping[str, np.ndarray]:
        """As albumentations calls it."""
        image, mask = apply_augment(self.inner, image, mask)
        if np.random.random() >= self.p:
            return {"image": image, "mask": mask}
        swath = draw_swath(image.shape[:2], self.least, self.most)
        image, mask = image.copy(), mask.copy()
        image[swath] = 0
        mask[swath] = 0
        return {"image": image, "mask": mask}


def draw_swath(size: tuple[int, int], least: float, most: float) -> np.ndarray:
    """bool `[H, W]` of a slanted band, drawn with numpy's own generator."""
    height, width = size
    wide = np.random.uniform(least, most) * width
    slant = np.random.uniform(-0.35, 0.35)  # columns per row: orbits run nearly north and south
    rows, columns = np.ogrid[:height, :width]
    left = np.random.uniform(-0.5 * wide, width - 0.5 * wide) - slant * height / 2
    along = columns - slant * rows
    return (along >= left) & (along < left + wide)
