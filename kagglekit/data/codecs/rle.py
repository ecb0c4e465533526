"""Masks as Kaggle's run-length text: "start length" pairs, pixels counted from 1 down the columns, left to right.

Inside, a mask is the sorted list of its changes: the column-major positions, from 0, at which the value differs from
that of the pixel before (before the first pixel is background). Runs are pairs of changes, and a window, a stripe or
an empty mask needs no case of its own. A change down a column is a difference between two rows, so that encoding
walks a row-major mask in the order of its memory and sorts the few changes instead of transposing the many pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from kagglekit.errors import SubmissionError

if TYPE_CHECKING:
    import numpy as np

_BLOCK = 1 << 20  # pixels compared at a time; what is made of them stays in the processor's cache
_WORD = 8  # bytes looked at in one step when changes are searched, most of which are none
_WRITTEN = 1 << 14  # runs written at a time, for the same reason
_GROUP = 1000  # numbers are written by groups of three digits


def decode(text: str, size: tuple[int, int]) -> np.ndarray:
    """uint8 `[H, W]` mask of a row's text, 1 is foreground; "" is the empty mask. Raises as `runs` does."""
    return from_columns(fill(_changes_of(runs(text, size)), size[0] * size[1]), size)


def encode(mask: np.ndarray) -> str:
    """The text of a mask `[H, W]`, whose foreground is all that is not zero, in the fewest runs possible."""
    return text(_runs_of(changes(mask), mask.size))


def runs(text: str, size: tuple[int, int]) -> np.ndarray:
    """int64 `[N, 2]` of (start, length), starts from 0, as they stand in a row's text.

    Only decimal digits count, and one space between two numbers: none at either end, no sign, point, tab or line
    break, no leading zero. That is what encoders write; pandas adds no space of its own. Runs may touch, as the
    contests' checkers let them. Raises SubmissionError with the number of the run (from 1) and the value for any other
    character, an odd count of numbers, a start or length of zero, runs out of order or overlapping, and runs that end
    outside the image.
    """
    import numpy as np

    if not text:
        return np.zeros((2, 0), np.int64).T
    if not _is_plain(text):
        raise SubmissionError(_first_fault(text))
    # Of digits and single spaces alone this makes no mistake; what overflows ends up beyond any image.
    numbers = np.fromstring(text, np.int64, sep=" ")
    if len(numbers) % 2:
        raise SubmissionError(f"{len(numbers)} numbers; expected pairs of start and length")
    found = np.ascontiguousarray(numbers.reshape(-1, 2).T).T  # the starts side by side, as searching wants them
    found[:, 0] -= 1
    _check(found, size)
    return found


def text(runs: np.ndarray) -> str:
    """The text of runs `[N, 2]` of (start from 0, length), in their order and unmerged; "" for none."""
    import numpy as np

    pieces = []
    for at in range(0, len(runs), _WRITTEN):
        piece = runs[at : at + _WRITTEN]
        pieces.append(np.hstack([_groups(piece[:, 0] + 1), _groups(piece[:, 1])]).tobytes().translate(None, b"\0"))
    return b"".join(pieces)[:-1].decode("ascii")


def changes(mask: np.ndarray, before: bool = False) -> np.ndarray:
    """Sorted int64 column-major positions at which a mask `[H, W]` changes between zero and not zero.

    `before` is whether the pixel that comes before the first is foreground. Raises ValueError for an array that is
    not 2-D.
    """
    import numpy as np

    if mask.ndim != 2:
        raise ValueError(f"a mask of shape {mask.shape}; expected [H, W]")
    if not mask.size:
        return np.zeros(0, np.int64)
    height = len(mask)
    if mask.dtype != np.uint8:
        mask = (mask if mask.dtype == bool else mask != 0).view(np.uint8)
    if mask.flags.f_contiguous:  # in memory it is one long column already
        mask = mask.T.reshape(-1, 1)
    rows, width = mask.shape
    first = mask[0] != 0
    first[1:] ^= mask[-1, :-1] != 0  # above a column stands the last pixel of the column before
    first[0] ^= before
    found = [np.flatnonzero(first) * height]
    step = max(1, _BLOCK // width)
    differs = np.empty(-(-min(step, rows) * width // _WORD) * _WORD, bool)
    for top in range(1, rows, step):
        at = _vertical(mask[top - 1 : top + step].reshape(-1), width, differs)
        if width > 1:
            row = at // width
            at = (at - row * width) * height + row
        found.append(at + top)
    changes = np.concatenate(found)
    return np.sort(changes) if width > 1 else changes


def fill(changes: np.ndarray, count: int) -> np.ndarray:
    """uint8 `[count]`: 0 up to the first change, 1 up to the second, and so on; of two at one place none counts."""
    import numpy as np

    lengths = np.diff(np.concatenate([[0], changes, [count]]))
    return np.repeat(np.arange(len(lengths)).astype(np.uint8) & 1, lengths)


def from_columns(flat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 `[H, W]` in row-major memory from column-major pixels `[H * W]`."""
    import cv2

    return cv2.transpose(flat.reshape(size[1], size[0]))  # ten times as fast as numpy's copy


def decode_box(runs: np.ndarray, size: tuple[int, int], top: int, left: int, height: int, width: int) -> np.ndarray:
    """uint8 `[height, width]`: the window of a mask given by its runs (as of `runs`), without making the whole mask.

    Costs as much as the window and the runs in its columns. Raises ValueError for a window that leaves the image.
    """
    import numpy as np

    if min(top, left) < 0 or min(height, width) < 1 or top + height > size[0] or left + width > size[1]:
        raise ValueError(f"a window of {height}x{width} at row {top}, column {left} leaves the image of {size}")
    first, last = left * size[0], (left + width) * size[0]
    begin = max(0, int(np.searchsorted(runs[:, 0], first, "right")) - 1)  # the run before may reach in
    near = runs[begin : int(np.searchsorted(runs[:, 0], last))]
    inside = np.clip(_changes_of(near), first, last) - first
    if height < size[0]:
        inside = _cut_rows(inside, size[0], top, height, width)
    return from_columns(fill(inside, height * width), (height, width))


def decode_stripes(text: str, size: tuple[int, int], width: int) -> Iterator[np.ndarray]:
    """uint8 `[H, w]` stripes of `width` columns from left to right, the last of what is left; raises as `runs` does."""
    found = runs(text, size)
    for left in range(0, size[1], width):
        yield decode_box(found, size, 0, left, size[0], min(width, size[1] - left))


class Encoder:
    """Encodes a mask too large for memory, from stripes of whole columns given left to right; runs cross their borders.

    Keeps the changes alone, 8 bytes each.
    """

    def __init__(self, height: int):
        self.height = height
        self._columns = 0
        self._inside = False
        self._changes: list[np.ndarray] = []

    def add(self, stripe: np.ndarray) -> None:
        """Append a stripe `[H, w]`, whose foreground is all that is not zero; raises ValueError for another H."""
        if stripe.ndim != 2 or len(stripe) != self.height:
            raise ValueError(f"a stripe of shape {stripe.shape}; expected [{self.height}, w]")
        self._changes.append(changes(stripe, self._inside) + self._columns * self.height)
        self._columns += stripe.shape[1]
        self._inside ^= bool(len(self._changes[-1]) % 2)

    def finish(self) -> str:
        """The text of all columns so far."""
        import numpy as np

        found = np.concatenate([np.zeros(0, np.int64), *self._changes])
        return text(_runs_of(found, self._columns * self.height))


def encode_stripes(stripes: Iterable[np.ndarray], height: int) -> str:
    """The text of a mask that comes in stripes `[H, w]` of whole columns from left to right."""
    encoder = Encoder(height)
    for stripe in stripes:
        encoder.add(stripe)
    return encoder.finish()


def _is_plain(text: str) -> bool:
    """Whether a text that is not empty consists of numbers without leading zeros and one space between two."""
    import numpy as np

    if not text.isascii():
        return False
    byte = np.frombuffer(b" " + text.encode("ascii"), np.uint8)
    space = byte == ord(" ")
    starts = byte[1:] - ord("1") < 9  # wraps round below "1"
    follows = byte[1:] - ord("0") < 10
    follows |= space[1:]
    return not space[-1] and bool(np.where(space[:-1], starts, follows).all())


def _first_fault(text: str) -> str:
    for index, token in enumerate(text.split(" ")):
        where, name = f"run {index // 2 + 1}", "length" if index % 2 else "start"
        shown = repr(token if len(token) <= 24 else token[:21] + "...")
        if not token:
            return f"{where}: a space too many before its {name}; expected one between two numbers"
        if not (token.isascii() and token.isdigit()):
            return f"{where}: {name} {shown} is not a whole number in digits"
        if not token.strip("0"):
            return f"{where}: {name} {shown}; expected 1 or more, pixels count from 1"
        if token[0] == "0":
            return f"{where}: {name} {shown} has a leading zero"
    raise AssertionError(f"no fault in {text[:80]!r}")


def _check(runs: np.ndarray, size: tuple[int, int]) -> None:
    starts, lengths = runs.T
    beyond = lengths > size[0] * size[1] - starts  # in this order nothing overflows
    if beyond.any():
        pixels = f"{size[0] * size[1]:,} pixels of {size[0]}x{size[1]} (height x width)"
        raise SubmissionError(f"{_shown(runs, int(beyond.argmax()))} ends beyond the {pixels}")
    early = starts[1:] < (starts + lengths)[:-1]
    if early.any():
        at = int(early.argmax())
        fault = "overlaps" if starts[at + 1] >= starts[at] else "stands behind"
        raise SubmissionError(f"{_shown(runs, at + 1)} {fault} {_shown(runs, at)}; expected runs sorted and apart")


def _shown(runs: np.ndarray, at: int) -> str:
    return f"run {at + 1} (start {runs[at, 0] + 1}, length {runs[at, 1]})"


def _changes_of(runs: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.stack([runs[:, 0], runs[:, 0] + runs[:, 1]], 1).ravel()


def _runs_of(changes: np.ndarray, count: int) -> np.ndarray:
    """Runs of a mask of `count` pixels; a last change without a partner runs to the end."""
    import numpy as np

    pairs = (np.append(changes, count) if len(changes) % 2 else changes).reshape(-1, 2)
    return np.stack([pairs[:, 0], pairs[:, 1] - pairs[:, 0]], 1)


def _cut_rows(changes: np.ndarray, height: int, top: int, rows: int, width: int) -> np.ndarray:
    """Changes of rows top..top + rows of columns that are `height` high."""
    import numpy as np

    column, row = np.divmod(changes, height)
    kept = (row > top) & (row < top + rows)
    within = column[kept] * rows + row[kept] - top
    tops = np.arange(width) * height + top
    at_top = np.searchsorted(changes, tops, "right") & 1
    at_foot = np.searchsorted(changes, tops + rows - 1, "right") & 1
    turned = at_top != np.append(0, at_foot[:-1])
    return np.sort(np.concatenate([within, np.flatnonzero(turned) * rows]))


def _vertical(pixels: np.ndarray, width: int, differs: np.ndarray) -> np.ndarray:
    """Where, from the second row on, a pixel of the row-major rows `pixels` is foreground and that above is not, or
    the other way round; positions from 0 at the second row. `differs` is memory to work in."""
    import numpy as np

    count = len(pixels) - width
    np.not_equal(pixels[width:], pixels[:count], out=differs[:count])
    differs[count:] = False
    # Nearly all is False: words of 8 flags are searched first, then the flags of the few that are not zero.
    words = differs.view(np.uint64)
    hit = (words != 0).nonzero()[0]
    flag = words[hit].view(bool).nonzero()[0]
    at = hit[flag >> 3] * _WORD + (flag & 7)
    if len(at) and pixels.max() > 1:  # two values that differ may both be foreground
        at = at[np.minimum(pixels[at], pixels[at + width]) == 0]
    return at


def _groups(numbers: np.ndarray) -> np.ndarray:
    """uint32 `[N, G]`: numbers > 0 as text, three digits and a byte for the space to a group, NUL where nothing is."""
    import numpy as np

    table, largest = _table(), int(numbers.max())
    if largest < 1 << 32:
        numbers = numbers.astype(np.uint32)  # divides several times as fast
    groups = np.empty((len(numbers), -(-len(str(largest)) // 3)), np.uint32)
    for group in reversed(range(groups.shape[1])):
        above = numbers // _GROUP
        padded = numbers - above * _GROUP + _GROUP
        groups[:, group] = table[np.minimum(numbers, padded)]
        numbers = above
    groups[:, -1] |= np.frombuffer(b"\0\0\0 ", np.uint32)
    return groups


@lru_cache(1)
def _table() -> np.ndarray:
    """uint32 `[2000]`: the digits of 0..999 as they begin a number (0 is none), then as they go on, with zeros."""
    import numpy as np

    numbers = np.arange(_GROUP)[:, None]
    digits = numbers // [100, 10, 1] % 10 + ord("0")
    first = np.where(numbers < [100, 10, 1], 0, digits)
    return np.pad(np.concatenate([first, digits]), ((0, 0), (0, 1))).astype(np.uint8).view(np.uint32)[:, 0]
