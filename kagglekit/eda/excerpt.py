"""A part of a data set, for whoever asks about all of its training samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kagglekit.protocols import Dataset
from kagglekit.types import Box, Sample, Size

if TYPE_CHECKING:
    import numpy as np


class Excerpt(Dataset):
    """`inner` with these training samples only; everything else as it is."""

    def __init__(self, inner: Dataset, train: Sequence[Sample]):
        self.inner, self.train = inner, list(train)
        self.test, self.problems, self.files = inner.test, inner.problems, inner.files
        self.submission, self.answers = inner.submission, inner.answers
        self.channels, self.depth, self.tiling = inner.channels, inner.depth, inner.tiling

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """As `inner` reads it."""
        return self.inner.read_image(sample, box)

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """As `inner` reads it."""
        return self.inner.read_mask(sample, box)

    def read_truth(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """As `inner` reads it."""
        return self.inner.read_truth(sample, box)

    def regions(self, sample: Sample, size: Size) -> Mapping[str, np.ndarray]:
        """As `inner` names them."""
        return self.inner.regions(sample, size)

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not there yet while it is being copied
            raise AttributeError(name)
        return getattr(self.inner, name)
