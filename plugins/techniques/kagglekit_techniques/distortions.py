"""Distortions around a distortion, and two whole sets of them.

Both forms in which a loader calls are kept: albumentations' (`set_random_seed`, then keywords) for ourselves, and
either for what is inside. With p 0 the result is, bit by bit, that of what is inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from kagglekit.api import Augment, apply_augment, seed_augment


@dataclass
class Distortion:
    """`(image, mask) -> {"image", "mask"}`: `inner`, and with probability `p` what a subclass does in `change`."""

    inner: Augment
    p: float
    rng: np.random.Generator = field(default_factory=np.random.default_rng, init=False, repr=False, compare=False)

    def set_random_seed(self, seed: int) -> None:
        """Everything random that follows depends on `seed`, inside too."""
        seed_augment(self.inner, seed)
        # Two techniques of one recipe must not draw the same numbers.
        self.rng = np.random.default_rng((seed, crc32(type(self).__name__.encode())))

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> Mapping[str, np.ndarray]:
        """As albumentations calls it; inputs stay as they are."""
        image, mask = self.before(image, mask)
        if self.rng.random() < self.p:
            image, mask = self.change(image, mask)
        image, mask = self.after(image, mask)
        return {"image": image, "mask": mask}

    def before(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What happens first, here `inner`."""
        return apply_augment(self.inner, image, mask)

    def change(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a subclass does, in copies."""
        return image, mask

    def after(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What happens last, here nothing."""
        return image, mask


@dataclass
class SelfMixed(Distortion):
    """Copies a box of the image, and of its mask, to another place."""

    least: float
    most: float

    def change(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The copy, or nothing where a box would leave the image."""
        size = np.array(image.shape[:2])
        sides = np.maximum(1, np.round(self.rng.uniform(self.least, self.most, 2) * size).astype(int))
        corners = np.round(self.rng.uniform(0.1, 0.9, (2, 2)) * size - sides / 2).astype(int)
        if (corners < 0).any() or (corners + sides > size).any():
            return image, mask
        there, here = (tuple(slice(a, a + n) for a, n in zip(corner, sides, strict=True)) for corner in corners)
        mixed = image.copy(), mask.copy()
        for new, old in zip(mixed, (image, mask), strict=True):
            new[there] = old[here]
        return mixed


@dataclass
class Colored(Distortion):
    """Dyes what the mask shows."""

    most: float

    def change(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Green and blue of the pixels under the mask, brighter."""
        gains = 1 + np.array([0, *self.rng.uniform(0, self.most, 2)], np.float32)
        under = mask.any(-1) if mask.ndim == 3 else mask > 0
        dyed = image.copy()
        dyed[under] = np.minimum(image[under] * gains, 255).round()
        return dyed, mask


def light(vertical: bool, depth: str) -> Augment:
    """An albumentations transform that changes little."""
    from kagglekit.api import albumentations

    A = albumentations()
    steps = [
        A.HorizontalFlip(p=0.5),
        A.Affine(scale=(0.9, 1.1), translate_percent=(-0.05, 0.05), rotate=(-10, 10), p=0.5),
    ]
    steps += [A.VerticalFlip(p=0.5)] if vertical else []
    steps += [A.RandomBrightnessContrast(0.1, 0.1, p=0.5)] if depth == "uint8" else []
    return A.Compose(steps)


def heavy(strength: float, vertical: bool, channels: int, depth: str) -> Augment:
    """An albumentations transform that changes much."""
    from kagglekit.api import albumentations

    A = albumentations()

    def around(middle: float, by: float) -> tuple[float, float]:
        return middle - by * strength, middle + by * strength

    turn = around(0, 30)
    steps = [A.HorizontalFlip(p=0.5)]
    steps += [A.VerticalFlip(p=0.5)] if vertical else []
    steps += [
        A.Affine(scale=around(1, 0.3), translate_percent=around(0, 0.1), rotate=turn, p=0.8),
        A.OneOf(
            [
                A.GridDistortion(distort_limit=around(0, 0.3)),
                A.OpticalDistortion(distort_limit=around(0, 0.3)),
                A.ElasticTransform(alpha=60 * strength, sigma=8),
            ],
            p=0.4,
        ),
    ]
    if depth == "uint8":
        colours = [A.HueSaturationValue(*(round(n * strength) for n in (20, 40, 20)))] if channels == 3 else []
        colours += [A.RandomGamma((round(100 - 30 * strength), round(100 + 40 * strength)))]
        limit = min(0.3 * strength, 1.0)
        steps += [
            A.RandomBrightnessContrast(limit, limit, p=0.6),
            A.OneOf(colours, p=0.5),
            A.OneOf([A.GaussNoise(std_range=(0.02, 0.1 * strength + 0.02)), A.GaussianBlur((3, 7))], p=0.3),
        ]
    holes = (0.05, 0.05 + 0.1 * strength)
    steps += [A.CoarseDropout(num_holes_range=(1, 4), hole_height_range=holes, hole_width_range=holes, p=0.3)]
    return A.Compose(steps)
