"""TIFF files read by window: only tiles or strips under a window are decoded, none twice in a row.

Channels may be interleaved `(H, W, 3)`, planes of one image `(3, H, W)`, or images of their own, as in
`(1, 1, 3, H, W)` and in files of three sub-images. `tiff` says which images of a file are the image.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from kagglekit.data.readers import tiff, tiff_pixels
from kagglekit.data.readers.orientation import stored_box, turned, turned_size
from kagglekit.errors import DataError
from kagglekit.types import Box, Size

if TYPE_CHECKING:
    import numpy as np
    from tifffile import TiffPage

MOST = 1 << 30  # bytes that a decoded tile or strip may have


class Part(NamedTuple):
    """A tile or strip: its image, its number there, its place in the image and the channel it holds (-1: all)."""

    page: int
    number: int
    box: Box
    channel: int


class Slide:
    """A TIFF image, large or not, as it is shown; thread-safe.

    `image` is what the file shows, where it is known already. Raises DataError for a file that is damaged, and for
    colours that cannot be read by window (palettes, CMYK).
    """

    def __init__(self, path: Path, image: tiff.TiffImage | None = None):
        self.path = Path(path)
        if image is None and not self.path.is_file():
            raise DataError(f"{path}: no such image")
        self.image = image or tiff.open_tiff(self.path)
        if self.image.strange:
            raise DataError(f"{path}: {self.image.strange}, which cannot be read; convert it to RGB or gray")
        self.pages, self.planes = self.image.pages, self.image.planes
        self.size: Size = turned_size(self.image.size, self.image.orientation)
        self.depth, self.channels = self.image.depth, self.image.channels
        self._kept: dict[Part, np.ndarray] = {}
        self._lock = Lock()
        self._refuse_damage()

    @cached_property
    def _file(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    def __del__(self):
        if "_file" in self.__dict__:
            os.close(self._file)

    def read(self, box: Box | None = None) -> np.ndarray:
        """`[h, w, channels]` of a window inside the image, or of all of it; raises DataError."""
        import numpy as np

        box = box or Box(0, 0, *self.size)
        if box.top < 0 or box.left < 0 or box.top + box.height > self.size[0] or box.left + box.width > self.size[1]:
            raise DataError(f"{self.path}: window {box} leaves the image of {self.size[0]}x{self.size[1]} pixels")
        orientation = self.image.orientation
        stored = stored_box(box, self.image.size, orientation)
        window = self._read_raw(stored) if self._is_raw else self._read_parts(stored)
        window = tiff_pixels.without_associated_alpha(window, self.image)
        return window if orientation == 1 else np.ascontiguousarray(turned(window, orientation))

    def _read_parts(self, box: Box) -> np.ndarray:
        """A window of the image as stored, from its tiles or strips."""
        import numpy as np

        window = np.zeros((box.height, box.width, self.channels), self.depth)
        parts = list(self._parts(box))
        with self._lock:
            kept = {part: self._kept[part] for part in parts if part in self._kept}
        fresh = [part for part in parts if part not in kept]
        workers = min(4, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) if len(fresh) > 1 else nullcontext() as pool:
            many = map if pool is None else pool.map
            # A few at a time: whole rows of tiles would need as much memory again as the window.
            for at in range(0, len(fresh), 16):
                group = fresh[at : at + 16]
                for part, pixels in zip(group, many(self._decode, group), strict=True):
                    _paste(window, box, part, pixels)
                    if part.box.top + part.box.height > box.top + box.height:  # the next band begins in it
                        kept[part] = pixels
        for part in parts:
            if part in kept and part not in fresh:
                _paste(window, box, part, kept[part])
        below = box.top + box.height
        with self._lock:
            self._kept = {part: pixels for part, pixels in kept.items() if part.box.top + part.box.height > below}
        return window

    @property
    def _is_raw(self) -> bool:
        return all(map(tiff.is_one_piece, self.pages))

    def _read_raw(self, box: Box) -> np.ndarray:
        """Uncompressed images in one piece need no decoding, whatever their size."""
        import numpy as np

        rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)

        def mapped(page: TiffPage, shape: tuple) -> np.ndarray:
            kind, start = np.dtype(page.parent.byteorder + np.dtype(page.dtype).char), page.dataoffsets[0]
            if box == Box(0, 0, *self.image.size):
                return np.fromfile(self.path, kind, math.prod(shape), offset=start).reshape(shape)
            return np.memmap(self.path, kind, "r", start, shape)

        first = self.pages[0]
        size, samples = self.image.size, first.samplesperpixel
        if self.planes and samples > 1:
            window = mapped(first, (samples, *size))[:, rows, columns].transpose(1, 2, 0)
        elif self.planes and len(self.pages) > 1:
            window = np.empty((box.height, box.width, len(self.pages)), self.depth)
            for channel, page in enumerate(self.pages):
                window[..., channel] = mapped(page, size)[rows, columns]
        else:
            window = mapped(first, (*size, samples))[rows, columns]
        return tiff_pixels.as_shown(np.ascontiguousarray(window, self.depth), self.image)

    def _parts(self, box: Box) -> Iterator[Part]:
        for number, page in enumerate(self.pages):
            height, width = _segment(page)
            across = -(-self.image.size[1] // width)
            down = -(-self.image.size[0] // height)
            planes = page.samplesperpixel if page.planarconfig == tiff.SEPARATE else 1
            for plane in range(planes):
                channel = number + plane if self.planes else -1
                for row in range(box.top // height, -(-(box.top + box.height) // height)):
                    for column in range(box.left // width, -(-(box.left + box.width) // width)):
                        area = Box(row * height, column * width, height, width)
                        yield Part(number, plane * down * across + row * across + column, area, channel)

    def _decode(self, part: Part) -> np.ndarray:
        import numpy as np

        page = self.pages[part.page]
        count = page.databytecounts[part.number]
        try:
            data = os.pread(self._file, count, page.dataoffsets[part.number]) if count else None
            pixels, _, shape = page.decode(data, part.number, jpegtables=page.jpegtables)
        except Exception as error:  # decoders raise whatever they like on damaged data
            raise DataError(f"{self.path}: damaged at {part.box}: {error}; fetch the file again") from error
        if pixels is None:  # a tile that was left out because it is empty
            empty = np.zeros((*shape[1:3], self.channels if part.channel < 0 else 1), self.depth)
            # Zero is black but for white-is-zero, and but for YCbCr, where nobody means the green that it stands for.
            return tiff_pixels.as_shown(empty, self.image) if page.photometric == tiff.WHITE_IS_ZERO else empty
        return tiff_pixels.as_shown(pixels.reshape(pixels.shape[-3:])[: shape[1], : shape[2]], self.image)

    def _refuse_damage(self) -> None:
        end = self.path.stat().st_size
        for page in self.pages:
            height, width = _segment(page)
            size = height * width * _bytes_of(page) * (1 if self.planes else page.samplesperpixel)
            if size > MOST and not self._is_raw:
                raise DataError(
                    f"{self.path}: stored as compressed pieces of {height}x{width} pixels, which cannot be read by "
                    "window; convert it to tiles"
                )
            counts = list(page.databytecounts)
            pieces = -(-self.image.size[0] // max(1, height)) * -(-self.image.size[1] // max(1, width))
            pieces *= page.samplesperpixel if page.planarconfig == tiff.SEPARATE else 1
            if not len(counts) == len(page.dataoffsets) == pieces:
                raise DataError(
                    f"{self.path}: damaged: {len(page.dataoffsets)} places and {len(counts)} lengths for {pieces} "
                    "pieces; fetch it again"
                )
            if self._is_raw:  # one piece, which is mapped as long as the header says it is
                height, width = self.image.size
                counts = [max(counts[0], height * width * page.samplesperpixel * _bytes_of(page))]
            for offset, count in zip(page.dataoffsets, counts, strict=True):
                if offset + count > end:
                    raise DataError(
                        f"{self.path}: truncated: pixels end at byte {offset + count:,}, the file at {end:,}; fetch "
                        "it again"
                    )


def _bytes_of(page: TiffPage) -> int:
    """Of a sample; 0 where the file does not say."""
    return 0 if page.dtype is None else page.dtype.itemsize


def _segment(page: TiffPage) -> Size:
    """(rows, columns) of a tile or strip."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _paste(window: np.ndarray, box: Box, part: Part, pixels: np.ndarray) -> None:
    """Copy what a part and a window share."""
    top, left = max(box.top, part.box.top), max(box.left, part.box.left)
    bottom = min(box.top + box.height, part.box.top + pixels.shape[0])
    right = min(box.left + box.width, part.box.left + pixels.shape[1])
    channels = slice(None) if part.channel < 0 else slice(part.channel, part.channel + 1)
    inside = pixels[top - part.box.top : bottom - part.box.top, left - part.box.left : right - part.box.left]
    window[top - box.top : bottom - box.top, left - box.left : right - box.left, channels] = inside
