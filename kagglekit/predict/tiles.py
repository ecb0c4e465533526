"""Large images through a small network: windows with Gaussian weights, blended row by row.

An image is read once, from top to bottom, in bands of rows; only the rows that windows still need are in memory.
Windows that show no tissue never reach the network: what no window looked at has probability 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kagglekit.data.resize import shrink_image
from kagglekit.data.windows import is_blank, starts
from kagglekit.predict.infer import Predictor, to_batch
from kagglekit.types import Box, Size, Tiling

if TYPE_CHECKING:
    import numpy as np

Rows = Callable[[int, int], "np.ndarray"]
"""`rows(top, bottom)` gives `[bottom - top, w, C]` of the shrunk image; neither argument ever falls."""


def predict_rows(
    predictor: Predictor, rows: Rows, size: Size, window: int, tiling: Tiling, batch_size: int
) -> Iterator[tuple[int, np.ndarray]]:
    """(top, probabilities `[M, K, rows, w]`) of a shrunk image of `size`, whole rows from top to bottom.

    Windows at the image's edges count fully up to the edge; elsewhere their outer `tiling.border` counts nothing.
    """
    import numpy as np

    step = max(1, round(window * tiling.step))
    tops, lefts = starts(size[0], window, step), starts(size[1], window, step)
    sums: np.ndarray | None = None
    total = np.zeros(())
    with ThreadPoolExecutor(1) as pool:  # reads the next band while the network works
        bands = [(top, min(top + window, size[0])) for top in tops]
        ahead = pool.submit(rows, *bands[0])
        for at, (top, bottom) in enumerate(bands):
            band = ahead.result()
            if at + 1 < len(bands):
                ahead = pool.submit(rows, *bands[at + 1])
            boxes = [Box(top, left, window, window) for left in lefts]
            for box, probs in _predict_band(predictor, band, boxes, tiling, batch_size):
                if sums is None:
                    sums, total = _buffers(probs.shape[:2], window, size[1])
                right, height = min(box.left + window, size[1]), bottom - top
                weight = window_weights(box, size, tiling)[:height, : right - box.left]
                sums[:, :, :height, box.left : right] += probs[:, :, :height, : right - box.left] * weight
                total[:height, box.left : right] += weight
            done = bottom if at + 1 == len(bands) else bands[at + 1][0]
            if sums is None:
                yield top, np.zeros((0, 0, done - top, size[1]), np.float32)
                continue
            yield top, sums[:, :, : done - top] / np.maximum(total[: done - top], 1e-12)
            sums, total = _scrolled(sums, done - top), _scrolled(total, done - top)


def _buffers(members: Sequence[int], window: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    return np.zeros((*members, window, width), np.float32), np.zeros((window, width), np.float32)


def _scrolled(array: np.ndarray, rows: int) -> np.ndarray:
    """The array `[..., window, w]` without its first rows, and as many empty ones at the end."""
    import numpy as np

    scrolled = np.zeros_like(array)
    scrolled[..., : array.shape[-2] - rows, :] = array[..., rows:, :]
    return scrolled


def _predict_band(
    predictor: Predictor, band: np.ndarray, boxes: Sequence[Box], tiling: Tiling, batch_size: int
) -> Iterator[tuple[Box, np.ndarray]]:
    import numpy as np

    waiting: list[tuple[Box, np.ndarray]] = []
    for box in boxes:
        image = band[:, box.left : box.left + box.width]
        if is_blank(image, tiling):
            continue
        short = box.height - image.shape[0], box.width - image.shape[1]
        if any(short):
            image = np.pad(image, ((0, short[0]), (0, short[1]), (0, 0)), "edge")
        waiting.append((box, image))
    for at in range(0, len(waiting), batch_size):
        group = waiting[at : at + batch_size]
        probs, _ = predictor(to_batch([image for _, image in group]))
        yield from ((box, probs[:, i]) for i, (box, _) in enumerate(group))


def window_weights(box: Box, size: Size, tiling: Tiling) -> np.ndarray:
    """float32 `[window, window]`: how much each pixel of a window counts, from 1 in its middle to near 0 at its edge.

    The product of two Gaussians with a sigma of an eighth of the window (as in nnU-Net), 0 within the border, except
    where the image ends.
    """
    import numpy as np

    top = _weights(box.height, tiling.border, box.top <= 0, box.top + box.height >= size[0])
    left = _weights(box.width, tiling.border, box.left <= 0, box.left + box.width >= size[1])
    return np.outer(top, left)


def _weights(length: int, border: float, is_first: bool, is_last: bool) -> np.ndarray:
    import numpy as np

    distance = np.arange(length) - (length - 1) / 2
    weights: np.ndarray = np.exp(-0.5 * (distance / (length / 8)) ** 2).astype(np.float32)
    weights = np.maximum(weights, 1e-3)  # pixels that one window alone sees must not vanish beside rounding errors
    context = int(border * length)
    if context:
        weights[: 0 if is_first else context] = 0
        weights[length - (0 if is_last else context) :] = 0
    return weights


class ShrunkRows:
    """Rows of a large image shrunk by a whole number, each read from its file once; use it as `Rows`.

    `read(box)` gives the image's own pixels. Rows above the last `top` that was asked for are forgotten.
    """

    def __init__(self, read: Callable[[Box], np.ndarray], size: Size, reduce: int):
        self.read, self.size, self.reduce = read, size, reduce
        self.kept: np.ndarray | None = None
        self.top = self.bottom = 0

    def __call__(self, top: int, bottom: int) -> np.ndarray:
        """Rows `top` to `bottom` of the shrunk image."""
        import numpy as np

        parts = [] if self.kept is None else [self.kept[max(0, top - self.top) :]]
        if bottom > self.bottom:
            start = max(self.bottom, top) * self.reduce
            box = Box(start, 0, min(bottom * self.reduce, self.size[0]) - start, self.size[1])
            parts.append(shrink_image(self.read(box), self.reduce))
        self.kept = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self.top, self.bottom = top, max(bottom, self.bottom)
        return self.kept[: bottom - top]


def stitched(parts: Iterable[tuple[int, np.ndarray]], size: Size, combine: Callable, classes: int) -> np.ndarray:
    """float16 `[K, h, w]`: the parts of `predict_rows` put together, members combined."""
    import numpy as np

    whole = np.zeros((classes, *size), np.float16)
    for top, probs in parts:
        if probs.size:
            whole[:, top : top + probs.shape[2]] = combine(probs)
    return whole
