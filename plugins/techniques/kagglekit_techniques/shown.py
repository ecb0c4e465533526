"""Which classes, and how much of them, images show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kagglekit import Draw, Sample
from kagglekit.api import Store, track


def classes_shown(samples: Sequence[Sample], store: Store) -> list[tuple[int, ...]]:
    """The classes that each image shows, without the background (class 0) of label maps.

    What the data set says of its samples counts; where it says nothing, their masks are looked at.
    """
    first = 1 if store.task == "multiclass" else 0
    if any(sample.classes for sample in samples):
        return [tuple(k for k in sample.classes if k >= first) for sample in samples]
    found = []
    for sample in track(samples, len(samples), "looking for classes"):
        _, mask = store.read(sample)
        if store.task == "multiclass":
            found.append(tuple(int(k) for k in np.unique(mask) if k))
        else:
            planes = mask.reshape(mask.shape[0] * mask.shape[1], -1)
            found.append(tuple(int(k) for k in np.flatnonzero(planes.any(0))))
    return found


def rare_classes(samples: Sequence[Sample], store: Store) -> list[int]:
    """Classes that some images show, but no more of them than show the median class."""
    counts = np.zeros(store.classes, int)
    for shown in classes_shown(samples, store):
        counts[list(shown)] += 1
    present = np.flatnonzero(counts)
    first = 1 if store.task == "multiclass" else 0
    rare = [int(k) for k in present if counts[k] <= np.median(counts[present])]
    return rare or list(range(first, store.classes))


def foreground_share(store: Store, draw: Draw) -> float:
    """The part of a draw's pixels that belong to any class."""
    _, mask = store.read(draw.sample, draw.box)
    present = mask.any(-1) if mask.ndim == 3 else mask
    return np.count_nonzero(present) / present.size
