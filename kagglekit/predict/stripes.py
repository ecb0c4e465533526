"""Masks of large images, one stripe after the other: probabilities enlarged, post-processed, never whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from kagglekit.protocols import Postprocess
from kagglekit.types import Prediction, Size, Task, Tiling

if TYPE_CHECKING:
    import numpy as np

MARGIN = 1  # shrunk pixels around a stripe that linear enlarging looks at
PIXELS = 32_000_000  # of a stripe of the full image; decides its width


def stripe_width(size: Size, reduce: int) -> int:
    """Columns of the full image in one stripe: a multiple of `reduce`."""
    return max(1, PIXELS // (size[0] * reduce)) * reduce


def column_stripes(process: Postprocess, prediction: Prediction, tiling: Tiling, task: Task) -> Iterator[np.ndarray]:
    """Masks uint8 `[H, w]` (`[H, w, K]` for a multilabel task) of whole columns, left to right, of a large image.

    `prediction.probs` are those of the image shrunk by `tiling.reduce`, float16 or float32. Rows of a stripe that no
    window looked at are background, whatever `process` would make of them.
    """
    width = stripe_width(prediction.size, tiling.reduce)
    for left in range(0, prediction.size[1], width):
        yield _part(process, prediction, tiling.reduce, task, left, min(left + width, prediction.size[1]))


def row_stripes(
    process: Postprocess, prediction: Prediction, tiling: Tiling, task: Task, height: int
) -> Iterator[np.ndarray]:
    """The same for stripes of `height` whole rows, top to bottom."""
    turned = replace(prediction, probs=prediction.probs.swapaxes(1, 2), size=prediction.size[::-1])
    for top in range(0, prediction.size[0], height):
        part = _part(process, turned, tiling.reduce, task, top, min(top + height, prediction.size[0]))
        yield part.swapaxes(0, 1)


def _part(process: Postprocess, prediction: Prediction, reduce: int, task: Task, left: int, right: int) -> np.ndarray:
    """The mask of columns `left` to `right`; only rows with any probability are enlarged."""
    import cv2
    import numpy as np

    height, probs = prediction.size[0], prediction.probs
    planes = (len(probs),) if task == "multilabel" else ()
    mask = np.zeros((height, right - left, *planes), np.uint8)
    columns = slice(max(0, left // reduce - MARGIN), -(-right // reduce) + MARGIN)
    rows = np.flatnonzero(probs[:, :, columns].any(axis=(0, 2)))
    if not len(rows):
        return mask
    top = max(0, int(rows[0]) - MARGIN)
    small = probs[:, top : int(rows[-1]) + 1 + MARGIN, columns].astype(np.float32)
    # A whole factor keeps the places of pixels whatever part is enlarged; edges repeat as they do in the whole.
    size = small.shape[2] * reduce, small.shape[1] * reduce
    large = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in small])
    skip, kept = left - columns.start * reduce, min(size[1], height - top * reduce)
    part = large[:, :kept, skip : skip + right - left]
    found = process(Prediction(part, part.shape[1:], prediction.sample, prediction.classes))
    mask[top * reduce : top * reduce + kept] = found
    return mask
