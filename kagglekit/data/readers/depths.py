"""Pixels of any kind of number as the depth that a data set states, or a refusal: no range is ever guessed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.errors import DataError
from kagglekit.types import Depth

if TYPE_CHECKING:
    import numpy as np


def as_depth(path: Path, array: np.ndarray, depth: Depth) -> np.ndarray:
    """The same values as `depth`; raises DataError for those that do not fit: too large, too small, with fractions."""
    import numpy as np

    if array.dtype == depth:
        return array
    limits = np.iinfo(depth)
    low, high = array.min(initial=0), array.max(initial=0)
    if not (np.isfinite(low) and np.isfinite(high)) or low < limits.min or high > limits.max:
        raise DataError(f"{path}: values from {low:g} to {high:g} do not fit {depth} ({limits.min} to {limits.max})")
    if array.dtype == np.uint8:
        raise DataError(f"{path}: 8-bit pixels where {depth} was expected; convert it with its range kept")
    whole = array.astype(depth)
    if array.dtype.kind == "f" and not np.array_equal(whole, array):
        raise DataError(
            f"{path}: {array.dtype} pixels with fractions, from {low:g} to {high:g}; they do not fit whole numbers "
            f"({depth}), save it as such with a range of your choice"
        )
    return whole
