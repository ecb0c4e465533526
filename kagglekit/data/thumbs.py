"""All images or masks of a data set at a small size, for what judges a data set as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from kagglekit.data.resize import resize_image, resize_mask
from kagglekit.data.store import bands
from kagglekit.errors import DataError
from kagglekit.protocols import Dataset
from kagglekit.types import Sample, Size, Task, Track, untracked

if TYPE_CHECKING:
    import numpy as np

Answer = TypeVar("Answer")
Thing = TypeVar("Thing")  # a sample, or a window of one
CHUNK = 256  # samples between two looks at progress


def small_image(dataset: Dataset, sample: Sample, size: Size) -> np.ndarray:
    """`[h, w, C]` of the image at about `size`, of a tiled one band by band; raises DataError."""
    if dataset.tiling is None:
        return resize_image(dataset.read_image(sample), size)
    return _joined(sample, size, lambda box, part: resize_image(dataset.read_image(sample, box), part))


def small_mask(dataset: Dataset, sample: Sample, size: Size, task: Task) -> np.ndarray:
    """uint8 `[h, w]` or `[h, w, K]` of the label at about `size`; raises DataError."""
    if dataset.tiling is None:
        return resize_mask(dataset.read_mask(sample), size, task)
    return _joined(sample, size, lambda box, part: resize_mask(dataset.read_mask(sample, box), part, task))


def as_bytes(image: np.ndarray) -> np.ndarray:
    """`[H, W, C]` of any depth as uint8: 8 bits as they are, deeper ones by the rank of each value in its channel.

    No one range shows all of a 16-bit image; ranks give its dark parts as many levels as its bright ones.
    """
    import numpy as np

    if image.dtype == np.uint8:
        return image
    shares = np.linspace(0, 1, 257)[1:-1]
    planes = (np.searchsorted(np.quantile(image[..., c], shares), image[..., c]) for c in range(image.shape[2]))
    return np.stack(list(planes), -1).astype(np.uint8)


def _joined(sample: Sample, size: Size, read: Callable) -> np.ndarray:
    import numpy as np

    # A whole number of bands per row of the thumbnail would need the size to divide; a band gives at least one row.
    reduce = max(1, sample.size[0] // (size[0] * 16))
    rows = [(box, max(1, round(box.height * size[0] / sample.size[0]))) for box in bands(sample.size, reduce)]
    return np.concatenate([read(box, (height, size[1])) for box, height in rows])


def each(
    samples: Sequence[Thing], ask: Callable[[Thing], Answer], track: Track = untracked, description: str = ""
) -> Iterator[tuple[Thing, Answer]]:
    """(sample, `look(sample)`) in order, several at once; samples that raise DataError are left out.

    What cannot be read is the business of the run, which skips and counts it.
    """

    def safe(sample: Thing) -> Answer | None:
        try:
            return ask(sample)
        except DataError:
            return None

    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:

        def answers() -> Iterator[tuple[Sample, Answer | None]]:
            for start in range(0, len(samples), CHUNK):  # a pool that is fed at once would hold every answer
                chunk = samples[start : start + CHUNK]
                yield from zip(chunk, pool.map(safe, chunk), strict=True)

        for sample, answer in track(answers(), len(samples), description):
            if answer is not None:
                yield sample, answer
