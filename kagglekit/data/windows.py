"""Windows of large images: where they lie, and which of them show anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kagglekit.data.store import Store
from kagglekit.types import Box, Draw, Sample, Size, Tiling

if TYPE_CHECKING:
    import numpy as np


def starts(length: int, window: int, step: int) -> list[int]:
    """First pixels of windows that cover 0..length: `step` apart or a little less, evenly, the last one flush.

    One window that begins at 0, and may leave the image, where `length` is smaller than `window`.
    """
    if length <= window:
        return [0]
    count = -(-(length - window) // max(1, step)) + 1
    return [round(i * (length - window) / (count - 1)) for i in range(count)]


def grid(size: Size, window: int, step: int, shift: Size = (0, 0)) -> Iterator[Box]:
    """Boxes that cover an image of `size`, row by row; a `shift` moves the grid up and left, out of the image."""
    for top in starts(size[0] + shift[0], window, step):
        for left in starts(size[1] + shift[1], window, step):
            yield Box(top - shift[0], left - shift[1], window, window)


def tissue(image: np.ndarray, tiling: Tiling) -> np.ndarray:
    """bool `[H, W]`: where a stained image uint8 `[H, W, 3]` shows tissue, by its HSV saturation.

    Black pixels, as scanners write them outside the glass, are none.
    """
    import numpy as np

    if not tiling.min_saturation:
        return np.ones(image.shape[:2], bool)
    high = image.max(-1).astype(np.int32)
    # The saturation of HSV is 255 * (max - min) / max; the threshold is compared without a division.
    return (255 * (high - image.min(-1)) > tiling.min_saturation * high) & (high > 0)


def is_blank(image: np.ndarray, tiling: Tiling) -> bool:
    """Does a window show too little tissue to be looked at?"""
    import numpy as np

    if not tiling.min_saturation:
        return False
    mask = tissue(image, tiling)
    return bool(np.count_nonzero(mask) < tiling.min_tissue * mask.size)


def windows_with_tissue(
    store: Store, samples: Sequence[Sample], window: int, step: int, shift: Size = (0, 0)
) -> list[Draw]:
    """A draw of every window of a grid over the samples that shows tissue; whole samples where nothing is tiled."""
    if store.tiling is None:
        return [Draw(sample) for sample in samples]
    return [
        Draw(sample, box)
        for sample in samples
        for box in grid(store.shape(sample), window, step, shift)
        if not is_blank(store.read(sample, box)[0], store.tiling)
    ]
