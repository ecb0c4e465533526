"""Gigapixel TIFF files read by window: only tiles or strips under a window are decoded, none twice in a row.

Channels may be interleaved `(H, W, 3)`, planes of one image `(3, H, W)`, or images of their own, as in
`(1, 1, 3, H, W)` and in files of three sub-images. What follows the first image (pyramid levels, labels) is ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from kagglekit.errors import DataError
from kagglekit.types import Box, Size

if TYPE_CHECKING:
    import numpy as np
    from tifffile import TiffPage

MOST = 1 << 30  # bytes that a decoded tile or strip may have
SEPARATE = 2  # TIFF's planar configuration


class Part(NamedTuple):
    """A tile or strip: its image, its number there, its place in the picture and the channel it holds (-1: all)."""

    page: int
    index: int
    box: Box
    channel: int


class Slide:
    """A large TIFF picture; thread-safe. Raises DataError for a file that is damaged or of no known form."""

    def __init__(self, path: Path):
        self.path = Path(path)
        self.pages, self.planes = _open(self.path)
        first = self.pages[0]
        self.size: Size = (first.imagelength, first.imagewidth)
        self.depth = str(first.dtype)
        self.channels = 3 if self.planes else first.samplesperpixel
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
        """`[h, w, channels]` of a window inside the picture, or of all of it; raises DataError."""
        import numpy as np

        box = box or Box(0, 0, *self.size)
        if box.top < 0 or box.left < 0 or box.top + box.height > self.size[0] or box.left + box.width > self.size[1]:
            raise DataError(f"{self.path}: window {box} leaves the picture of {self.size[0]}x{self.size[1]} pixels")
        if self._is_raw:
            return self._read_raw(box)
        window = np.zeros((box.height, box.width, self.channels), self.depth)
        parts = list(self._parts(box))
        with self._lock:
            kept = {part: self._kept[part] for part in parts if part in self._kept}
        fresh = [part for part in parts if part not in kept]
        with ThreadPoolExecutor(min(4, (os.cpu_count() or 1))) as pool:
            # A few at a time: whole rows of tiles would need as much memory again as the window.
            for at in range(0, len(fresh), 16):
                group = fresh[at : at + 16]
                for part, pixels in zip(group, pool.map(self._decode, group), strict=True):
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
        page = self.pages[0]
        return page.compression == 1 and not page.is_tiled and len(page.dataoffsets) == 1 and page.fillorder == 1

    def _read_raw(self, box: Box) -> np.ndarray:
        """Uncompressed images in one piece need no decoding, whatever their size."""
        import numpy as np

        rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)

        def mapped(page: TiffPage, shape: tuple) -> np.ndarray:
            return np.memmap(
                self.path, np.dtype(page.parent.byteorder + page.dtype.char), "r", page.dataoffsets[0], shape
            )

        first = self.pages[0]
        if self.planes and len(self.pages) == 1:
            window = mapped(first, (3, *self.size))[:, rows, columns].transpose(1, 2, 0)
        elif self.planes:
            window = np.stack([mapped(page, self.size)[rows, columns] for page in self.pages], -1)
        else:
            window = mapped(first, (*self.size, self.channels))[rows, columns]
        return np.ascontiguousarray(window, self.depth)

    def _parts(self, box: Box) -> Iterator[Part]:
        for number, page in enumerate(self.pages):
            height, width = _segment(page)
            across = -(-self.size[1] // width)
            down = -(-self.size[0] // height)
            planes = 3 if page.planarconfig == SEPARATE and page.samplesperpixel > 1 else 1
            for plane in range(planes):
                channel = number + plane if self.planes else -1
                for row in range(box.top // height, -(-(box.top + box.height) // height)):
                    for column in range(box.left // width, -(-(box.left + box.width) // width)):
                        place = Box(row * height, column * width, height, width)
                        yield Part(number, plane * down * across + row * across + column, place, channel)

    def _decode(self, part: Part) -> np.ndarray:
        import numpy as np

        page = self.pages[part.page]
        count = page.databytecounts[part.index]
        try:
            data = os.pread(self._file, count, page.dataoffsets[part.index]) if count else None
            pixels, _, shape = page.decode(data, part.index, jpegtables=page.jpegtables)
        except Exception as error:  # decoders raise whatever they like on damaged data
            raise DataError(f"{self.path}: damaged at {part.box}: {error}; fetch the file again") from error
        if pixels is None:  # a tile that was left out because it is empty
            return np.zeros((*shape[1:3], self.channels if part.channel < 0 else 1), self.depth)
        return pixels.reshape(pixels.shape[-3:])[: shape[1], : shape[2]]

    def _refuse_damage(self) -> None:
        end = self.path.stat().st_size
        for page in self.pages:
            height, width = _segment(page)
            size = height * width * page.dtype.itemsize * (1 if self.planes else page.samplesperpixel)
            if size > MOST and not self._is_raw:
                raise DataError(
                    f"{self.path}: stored as compressed pieces of {height}x{width} pixels, which cannot be read by "
                    "window; convert it to tiles"
                )
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                if offset + count > end:
                    raise DataError(
                        f"{self.path}: truncated: pixels end at byte {offset + count:,}, the file at {end:,}; fetch "
                        "it again"
                    )


def _open(path: Path) -> tuple[Sequence[TiffPage], bool]:
    """The images that hold a picture's channels, and whether each channel is a plane of its own."""
    import tifffile

    if not path.is_file():
        raise DataError(f"{path}: no such picture")
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            first = series.keyframe
            pages = [page for page in file.pages[:4] if page.shape == first.shape] if first.index == 0 else [first]
            pages = [page.aspage() if hasattr(page, "aspage") else page for page in pages]
            for page in pages:
                _ = page.dtype, page.jpegtables, page.decode  # read from the file now, used when it is closed
            shape, one_piece = series.shape, len(file.pages) == 1 and len(series) > 1
    except Exception as error:
        raise DataError(f"{path}: not a TIFF file that can be read: {error}; fetch it again") from error
    if first.samplesperpixel in (3, 4):
        return [first], first.planarconfig == SEPARATE
    if first.samplesperpixel == 1 and len(pages) == 3 and not one_piece:
        return pages, True
    raise DataError(
        f"{path}: its pixels have shape {tuple(shape)}; expected (H, W, 3), (3, H, W), (1, 1, 3, H, W) or three "
        "images of one size"
    )


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
