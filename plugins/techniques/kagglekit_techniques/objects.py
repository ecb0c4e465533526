"""A bank of objects cut out of images, with alpha masks of their own, and pasting them into others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kagglekit import Sample
from kagglekit.api import Size, Store, Task, track
from kagglekit_techniques.distortions import Distortion

TRIES = 5  # places that are tried
BYTES = 2**28  # of images and masks in a bank
LARGEST = 0.5  # of an image; what covers more is ground rather than an object


@dataclass(frozen=True)
class Object:
    """A cut-out: `image` `[h, w, C]` with its surroundings, `alpha` uint8 `[h, w]`, 1 where it is the object.

    `mask` is uint8 `[h, w]` or `[h, w, K]`, as in its image under the alpha and 0 elsewhere; `share` the part of its
    image that it covered.
    """

    image: np.ndarray
    mask: np.ndarray
    alpha: np.ndarray
    share: float

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return self.image.nbytes + self.mask.nbytes + self.alpha.nbytes


@dataclass(frozen=True)
class Bank:
    """Objects by class; classes without any are not in it."""

    objects: dict[int, list[Object]]

    @classmethod
    def build(
        cls, store: Store, samples: Sequence[Sample], classes: Sequence[int], min_area: float, most: int, seed: int
    ) -> Bank:
        """At most `most` objects of these classes, as many of each as there are; the same for the same arguments.

        Images are looked at in an order drawn by lot until there are enough, so that few need to be read.
        """
        quota, size = {k: max(1, most // len(classes)) for k in classes}, 0
        found: dict[int, list[Object]] = {k: [] for k in classes}
        order = np.random.default_rng((seed, len(samples))).permutation(len(samples))
        for at in track(order, len(order), "cutting out objects"):
            image, mask = store.read(samples[at])
            for k in classes:
                if len(found[k]) >= quota[k]:
                    continue
                cut = list(cut_out(image, mask, k, store.task, min_area))[: quota[k] - len(found[k])]
                found[k] += cut
                size += sum(one.bytes for one in cut)
            if size > BYTES or all(len(found[k]) >= quota[k] for k in classes):
                break
        return cls({k: objects for k, objects in found.items() if objects})

    def draw(self, rng: np.random.Generator) -> Object:
        """An object: every class is as likely as any other, and every object of it."""
        objects = self.objects[list(self.objects)[rng.integers(len(self.objects))]]
        return objects[rng.integers(len(objects))]


def cut_out(image: np.ndarray, mask: np.ndarray, label: int, task: Task, min_area: float):
    """Every connected part of the class `label`, from `min_area` to `LARGEST` of the image, as an `Object`."""
    shown = mask == label if task == "multiclass" else (mask[..., label] if mask.ndim == 3 else mask)
    pixels = image.shape[0] * image.shape[1]
    if np.count_nonzero(shown) < min_area * pixels:
        return
    _, parts, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(shown, np.uint8), connectivity=8)
    for part, (left, top, width, height, area) in enumerate(stats):
        if part and min_area * pixels <= area <= LARGEST * pixels:
            window = slice(top, top + height), slice(left, left + width)
            alpha = (parts[window] == part).astype(np.uint8)
            under = mask[window] * (alpha if mask.ndim == 2 else alpha[..., None])
            yield Object(image[window].copy(), under, alpha, area / pixels)


def transformed(one: Object, scale: float, angle: float, flips: tuple[bool, bool]) -> Object:
    """The object mirrored (rows, columns), turned by `angle` degrees, scaled.

    Its alpha and mask take the nearest pixel, so that both stay what they are: 0 or 1, and class indices.
    """
    turned = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    image, mask, alpha = one.image[turned], one.mask[turned], one.alpha[turned]
    if scale != 1 or angle:
        size, matrix = _placement(alpha.shape, scale, angle)
        image = _warp(image, matrix, size, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
        mask, alpha = (_warp(a, matrix, size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) for a in (mask, alpha))
    return Object(image, mask, alpha, one.share * scale**2)


def _placement(size: Size, scale: float, angle: float) -> tuple[Size, np.ndarray]:
    """(height, width) that holds a rectangle when it is turned and scaled, and the matrix that brings it there."""
    height, width = size
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    new = math.ceil(height * cos + width * sin), math.ceil(width * cos + height * sin)
    matrix[:, 2] += (new[1] - width) / 2, (new[0] - height) / 2
    return new, matrix


def _warp(array: np.ndarray, matrix: np.ndarray, size: Size, interpolation: int, border: int) -> np.ndarray:
    """`cv2.warpAffine` for any number of channels: it refuses more than four, and drops an axis of one."""
    planes = np.ascontiguousarray(array)
    if array.ndim == 2 or 1 < array.shape[2] <= 4:
        return cv2.warpAffine(planes, matrix, size[::-1], flags=interpolation, borderMode=border)
    warped = [
        cv2.warpAffine(np.ascontiguousarray(plane), matrix, size[::-1], flags=interpolation, borderMode=border)
        for plane in np.moveaxis(planes, -1, 0)
    ]
    return np.stack(warped, -1)


@dataclass
class Pasted(Distortion):
    """Pastes an object into the image before `inner` distorts both; the settings are those of `object-paste`."""

    bank: Bank
    task: Task
    avoid: tuple[int, ...]
    max_overlap: float
    scale: tuple[float, float]
    area: tuple[float, float]
    rotate: float

    def before(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nothing."""
        return image, mask

    def after(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is inside."""
        return super().before(image, mask)

    def change(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """An image with one object more, or the same one where no place was found."""
        one = self._moved(self.bank.draw(self.rng), image.shape[:2])
        alpha = one.alpha.astype(bool)
        free = np.array(image.shape[:2]) - alpha.shape
        if not alpha.any() or (free < 0).any():
            return image, mask
        for _ in range(TRIES):
            top, left = (int(self.rng.integers(n + 1)) for n in free)
            window = slice(top, top + alpha.shape[0]), slice(left, left + alpha.shape[1])
            if self._fits(mask, mask[window], alpha):
                image, mask = image.copy(), mask.copy()
                np.copyto(image[window], one.image, where=alpha[..., None])
                np.copyto(mask[window], one.mask, where=alpha if mask.ndim == 2 else alpha[..., None])
                return image, mask
        return image, mask

    def _moved(self, one: Object, size: Size) -> Object:
        """The object as it is to be pasted into an image of `size`, never larger than that."""
        rng = self.rng
        wanted = math.exp(rng.uniform(*np.log(self.area)))  # of the image; as many small ones as large ones
        scale = float(np.clip(math.sqrt(wanted / one.share), *self.scale))
        angle = float(rng.uniform(-self.rotate, self.rotate))
        flips = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
        whole, _ = _placement(one.alpha.shape, scale, angle)
        return transformed(
            one, scale * min(1.0, *((n - 1) / w for n, w in zip(size, whole, strict=True))), angle, flips
        )

    def _fits(self, mask: np.ndarray, under: np.ndarray, alpha: np.ndarray) -> bool:
        """Does the object leave alone what it must not touch, and enough of all classes?"""
        hidden = self._pixels(under[alpha])
        if any(hidden[k] for k in self.avoid):
            return False
        if not hidden.any():
            return True
        return bool((hidden <= self.max_overlap * self._pixels(mask.reshape(-1, *mask.shape[2:]))).all())

    def _pixels(self, labels: np.ndarray) -> np.ndarray:
        """Pixels of each class among `[N]` or `[N, K]`; none of the background."""
        if labels.ndim == 2:
            return np.count_nonzero(labels, 0)
        if self.task == "multiclass":
            counts = np.bincount(labels, minlength=256)
            counts[0] = 0
            return counts
        return np.array([np.count_nonzero(labels)])
