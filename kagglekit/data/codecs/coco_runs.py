"""Run lengths as COCO has them: numbers or compressed, down the columns, background first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kagglekit.data.codecs import rle as runs
from kagglekit.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_BITS = 5  # of a number in each character of compressed counts, and one that says whether it goes on
_MORE, _SIGN, _FIRST = 1 << _BITS, 1 << (_BITS - 1), ord("0")


class Rle(msgspec.Struct, frozen=True):
    """A mask of `size` (height, width) as run lengths down the columns, background first: numbers, or compressed."""

    size: tuple[int, int]
    counts: list[int] | str


def rle_counts(rle: Rle) -> np.ndarray:
    """int64 `[N]` run lengths, background first; raises DataError unless they are 0 or more and fill the image."""
    import numpy as np

    pixels, shape = rle.size[0] * rle.size[1], f"{rle.size[0]}x{rle.size[1]} (height x width)"
    try:
        counts = decompress(rle.counts) if isinstance(rle.counts, str) else np.array(rle.counts, np.int64)
    except OverflowError:
        raise DataError(f"run lengths: a number is beyond the {pixels:,} pixels of {shape}") from None
    wrong = (counts < 0) | (counts > pixels)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(f"run lengths: number {at} is {counts[at]}; expected 0 to the {pixels:,} pixels of {shape}")
    if counts.sum() != pixels:
        raise DataError(f"run lengths add up to {counts.sum():,}; expected the {pixels:,} pixels of {shape}")
    return counts


def mask_to_rle(mask: np.ndarray, compressed: bool = False) -> Rle:
    """Run lengths of a mask `[H, W]`, whose foreground is all that is not zero, as pycocotools' encode makes them."""
    import numpy as np

    counts = np.diff(np.concatenate([[0], runs.changes(mask), [mask.size]]))
    return Rle(mask.shape, compress(counts) if compressed else counts.tolist())


def compress(counts: np.ndarray) -> str:
    """The characters of run lengths `[N]`: from the fourth on differences to the last but one, 5 bits to a character.

    The lowest bits come first, in two's complement, as pycocotools' rleToString writes them.
    """
    import numpy as np

    left = np.array(counts, np.int64)
    left[3:] -= np.asarray(counts, np.int64)[1:-2]
    columns = []
    more = np.ones(len(left), bool)
    while more.any():
        written, bits = more, left & (_MORE - 1)
        left = left >> _BITS
        more = written & np.where(bits & _SIGN, left != -1, left != 0)
        columns.append(np.where(written, bits + _MORE * more + _FIRST, 0).astype(np.uint8))
    return np.stack(columns, 1).tobytes().translate(None, b"\0").decode("ascii") if columns else ""


def decompress(text: str) -> np.ndarray:
    """int64 `[N]` run lengths from `compress`; raises DataError with the place of a character that cannot be."""
    import numpy as np

    value = (
        np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8) - _FIRST
    )  # wraps round below the first character
    if (value >= 2 * _MORE).any():
        at = next(i for i, c in enumerate(text) if not _FIRST <= ord(c) < _FIRST + 2 * _MORE)
        raise DataError(f"compressed run lengths: character {at} is {text[at]!r}")
    last = np.flatnonzero(value < _MORE)
    if len(value) and (not len(last) or last[-1] != len(value) - 1):
        raise DataError(f"compressed run lengths end within a number, after {len(text)} characters")
    starts = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    sizes = last - starts + 1
    if len(sizes) and sizes.max() * _BITS > 60:
        at = int(starts[sizes.argmax()])
        raise DataError(f"compressed run lengths: the number at character {at} is beyond any image")
    places = np.arange(len(value)) - np.repeat(starts, sizes)
    parts = (value & (_MORE - 1)).astype(np.int64) << (_BITS * places)
    counts = np.add.reduceat(parts, starts) if len(starts) else np.zeros(0, np.int64)
    counts -= ((value[last] & _SIGN) > 0).astype(np.int64) << (_BITS * sizes)
    for first in (1, 2):
        counts[first::2] = counts[first::2].cumsum()
    return counts


def counts_of(rle: Rle, size: tuple[int, int]) -> np.ndarray:
    """int64 `[N]` as `rle_counts`; raises DataError, too, for run lengths of another (height, width) than `size`."""
    if rle.size != tuple(size):
        height, width = rle.size
        raise DataError(f"run lengths of {height}x{width} pixels (height x width); the image has {size[0]}x{size[1]}")
    return rle_counts(rle)
