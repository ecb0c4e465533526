"""Sizes of network inputs, and resizing images, masks and probabilities without half-pixel shifts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kagglekit.types import Size, Task, Tiling

if TYPE_CHECKING:
    import numpy as np

MOST_SQUARES = 16  # an image of 1x9000 pixels would else be enlarged to 590 million
STRIDE = 32  # the total downsampling of the encoders; sizes must be multiples of it


def input_size(size: Size, image_size: int) -> Size:
    """The network size of an image: shorter side `image_size`, the longer in proportion, to multiples of 32.

    An image is enlarged to `MOST_SQUARES` squares of `image_size` at most: a thin one is shown smaller, and one that
    is thinner than the stride is compressed along its longer side.
    """
    height, width = size
    most = max(MOST_SQUARES * image_size**2, height * width)
    scale = min(image_size / min(height, width), math.sqrt(most / (height * width)))
    short, long = (_to_stride(side * scale) for side in sorted(size))
    long = max(STRIDE, min(long, most // short // STRIDE * STRIDE))
    return (short, long) if height <= width else (long, short)


def _to_stride(side: float) -> int:
    return max(STRIDE, round(side / STRIDE) * STRIDE)


def stored_size(size: Size, image_size: int, tiling: Tiling | None) -> Size:
    """The size at which an image is stored: that of the network, or shrunk by a whole number where it is tiled."""
    if tiling is None:
        return input_size(size, image_size)
    return -(-size[0] // tiling.reduce), -(-size[1] // tiling.reduce)


def tiling_of(tiling: Tiling | None) -> Tiling:
    """The tiling, where there has to be one; raises ValueError for images that are not tiled."""
    if tiling is None:
        raise ValueError("these images are not tiled")
    return tiling


def shrink_image(image: np.ndarray, reduce: int) -> np.ndarray:
    """`[H, W, C]` to `[ceil(H / reduce), ceil(W / reduce), C]`, the mean of each block; edges fill up the last ones."""
    import cv2

    padded = _padded(image, reduce, cv2.BORDER_REPLICATE)
    return _resize(padded, (padded.shape[0] // reduce, padded.shape[1] // reduce), cv2.INTER_AREA)


def shrink_mask(mask: np.ndarray, reduce: int, task: Task) -> np.ndarray:
    """A mask shrunk as `shrink_image` shrinks its image."""
    import cv2

    padded = _padded(mask, reduce, cv2.BORDER_REPLICATE)
    return resize_mask(padded, (padded.shape[0] // reduce, padded.shape[1] // reduce), task)


def _padded(array: np.ndarray, multiple: int, border: int) -> np.ndarray:
    import cv2

    below, right = -array.shape[0] % multiple, -array.shape[1] % multiple
    if not below and not right:
        return array
    padded = cv2.copyMakeBorder(array, 0, below, 0, right, border)
    return padded.reshape(*padded.shape[:2], *array.shape[2:])  # OpenCV drops an axis of one


def resize_image(image: np.ndarray, size: Size) -> np.ndarray:
    """`[H, W, C]` to `size`: area average when shrinking, linear when growing."""
    import cv2

    if image.shape[:2] == tuple(size):
        return image
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    return _resize(image, size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize_mask(mask: np.ndarray, size: Size, task: Task) -> np.ndarray:
    """A mask to `size`: a pixel is set where most of its area was; class indices of label maps are never mixed."""
    import cv2
    import numpy as np

    if mask.shape[:2] == tuple(size):
        return mask
    if task == "multiclass":
        return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    shrinks = size[0] * size[1] < mask.shape[0] * mask.shape[1]
    share = _resize(mask * np.uint8(255), size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return (share >= 128).astype(np.uint8)


def resize_probs(probs: np.ndarray, size: Size) -> np.ndarray:
    """float32 `[K, h, w]` probabilities to `[K, *size]`, linear."""
    import cv2
    import numpy as np

    if probs.shape[1:] == tuple(size):
        return probs
    return np.stack([cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in probs])


def _resize(array: np.ndarray, size: Size, interpolation: int) -> np.ndarray:
    """`cv2.resize` for any number of channels: it refuses more than four, and drops an axis of one."""
    import cv2
    import numpy as np

    if array.ndim == 2 or 1 < array.shape[2] <= 4:
        return cv2.resize(array, size[::-1], interpolation=interpolation)
    planes = (np.ascontiguousarray(array[..., k]) for k in range(array.shape[2]))
    return np.stack([cv2.resize(plane, size[::-1], interpolation=interpolation) for plane in planes], -1)
