"""Label maps as text: the class of every pixel, row by row, with a space between two."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from kagglekit import SubmissionError

if TYPE_CHECKING:
    import numpy as np

MAX_CLASSES = 256  # that uint8 holds
_DIGITS = 3  # of the largest class
_SHOWN = 24  # characters of a number that an error repeats


def encode(labels: np.ndarray) -> str:
    """The text of a label map `[h, w]` of whole numbers 0..255; raises ValueError for another shape, type or range."""
    import numpy as np

    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise ValueError(f"labels of shape {labels.shape}, type {labels.dtype}; expected whole numbers [h, w]")
    if labels.size and not 0 <= labels.min() <= labels.max() < MAX_CLASSES:
        raise ValueError(f"labels from {labels.min()} to {labels.max()}; expected 0 to {MAX_CLASSES - 1}")
    words = _words().take(labels.astype(np.uint8).ravel())
    return words.tobytes().translate(None, b"\0")[:-1].decode("ascii")


def decode(text: str, size: tuple[int, int], classes: int) -> np.ndarray:
    """uint8 `[h, w]` label map of a text of exactly h * w numbers below `classes`.

    They are written as `encode` and str.join write them: one space between two and none at the ends, digits alone, no
    leading zero. Raises SubmissionError with the first number that is not (its place counts from 1, its row and column
    from 0) or with how many there are; ValueError for more classes than uint8 holds.
    """
    import numpy as np

    if not 1 <= classes <= MAX_CLASSES:
        raise ValueError(f"{classes} classes; expected 1 to {MAX_CLASSES}")
    # Three spaces before the first number stand for digits that it might have had.
    values = _values(np.frombuffer(f"   {text} ".encode("utf-8", "surrogatepass"), np.uint8))
    if len(values) != size[0] * size[1] or values.max(initial=0) >= classes:
        raise SubmissionError(_fault(text, size, classes))
    return values.astype(np.uint8).reshape(size)


def _values(byte: np.ndarray) -> np.ndarray:
    """uint16 numbers of at most three digits; none if anything is not as it must be."""
    import numpy as np

    space = byte == ord(" ")
    inside = ~space
    digit = (byte - ord("0")) * inside  # wraps round below "0"; 0 for a space
    before, now, after = slice(2, -2), slice(3, -1), slice(4, None)
    wrong = digit[now] > 9
    wrong |= space[now] & space[after]
    wrong |= (digit[now] == 0) & space[before] & inside[now] & inside[after]
    wrong |= inside[now] & inside[before] & inside[1:-3] & inside[:-4]
    if space[3] or wrong.any():
        return np.zeros(0, np.uint16)
    # Numbers are reckoned at every byte and taken where one ends: faster than looking up the digits of each.
    number = (digit[1:-3] * inside[before]).astype(np.uint16)
    number *= 10
    number += digit[before]
    number *= 10
    number += digit[now]
    return number[np.flatnonzero(space[after] & inside[now])]


def _fault(text: str, size: tuple[int, int], classes: int) -> str:
    tokens = text.split(" ") if text else []
    for at, token in enumerate(tokens):
        shown = repr(token if len(token) <= _SHOWN else token[: _SHOWN - 3] + "...")
        where = f"number {at + 1:,}" + (
            f" (row {at // size[1]}, column {at % size[1]})" if at < size[0] * size[1] else ""
        )
        if not token:
            return f"{where}: a space too many before it; expected one between two numbers"
        if not (token.isascii() and token.isdigit()):
            return f"{where}: {shown} is not a whole number in digits"
        if token[0] == "0" and token != "0":
            return f"{where}: {shown} has a leading zero"
        if len(token) > _DIGITS or int(token) >= classes:
            return f"{where}: {shown} is no class; expected 0 to {classes - 1}"
    return f"{len(tokens):,} numbers; expected {size[0] * size[1]:,}, for {size[0]}x{size[1]} pixels (height x width)"


@lru_cache(1)
def _words() -> np.ndarray:
    """uint32 `[256]`: each number as text with its space, NUL where nothing is."""
    import numpy as np

    return np.array([f"{n} " for n in range(MAX_CLASSES)], "S4").view(np.uint32)
