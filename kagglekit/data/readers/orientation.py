"""The eight ways in which a stored image may have to be turned before it is shown (TIFF 6.0, tag 274; EXIF)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.types import Box, Size

if TYPE_CHECKING:
    import numpy as np

TAG = 0x0112
# Orientation -> are rows and columns swapped first, is the result mirrored top to bottom, and left to right?
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def known(value: object) -> int:
    """The orientation that a tag states; 1 (as stored) for what is none."""
    return value if isinstance(value, int) and value in _TURNS else 1


def turned_size(size: Size, orientation: int) -> Size:
    """(height, width) as shown of an image of the stored `size`."""
    return size[::-1] if _TURNS[orientation][0] else size


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """`[H, W, ...]` as stored -> as shown; a view where nothing has to be copied."""
    swap, upside_down, mirrored = _TURNS[orientation]
    array = array.swapaxes(0, 1) if swap else array
    array = array[::-1] if upside_down else array
    return array[:, ::-1] if mirrored else array


def stored_box(box: Box, size: Size, orientation: int) -> Box:
    """The window of the stored image of `size` that `turned` makes to the window `box` of the shown one."""
    swap, upside_down, mirrored = _TURNS[orientation]
    height, width = turned_size(size, orientation)
    top = height - box.top - box.height if upside_down else box.top
    left = width - box.left - box.width if mirrored else box.left
    return Box(left, top, box.width, box.height) if swap else Box(top, left, box.height, box.width)
