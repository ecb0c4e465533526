"""The engine's own sampler, and the door to albumentations."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from kagglekit.types import Draw, Sample


@dataclass(frozen=True)
class Shuffle:
    """Every sample once per epoch, whole; the order depends on (seed, epoch) alone."""

    samples: tuple[Sample, ...]
    seed: int

    def __call__(self, epoch: int) -> Iterator[Draw]:
        """The draws of one epoch."""
        import numpy as np

        for index in np.random.default_rng((self.seed, epoch)).permutation(len(self.samples)):
            yield Draw(self.samples[index])


def albumentations():
    """The albumentations module, imported without its look for updates on the network."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations
