"""The engine's own samplers, and the door to albumentations."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from kagglekit.types import Draw


@dataclass(frozen=True)
class Shuffle:
    """Every draw once per epoch; the order depends on (seed, epoch) alone."""

    draws: tuple[Draw, ...]
    seed: int

    def __call__(self, epoch: int) -> Iterator[Draw]:
        """The draws of one epoch."""
        import numpy as np

        for index in np.random.default_rng((self.seed, epoch)).permutation(len(self.draws)):
            yield self.draws[index]


def albumentations():
    """The albumentations module, imported without its look for updates on the network."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations
