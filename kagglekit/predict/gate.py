"""One gate for all that is fitted on validation: it stays if images that were left out agree, and no class falls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from kagglekit.metrics import better, fallen
from kagglekit.protocols import Metric

PARTS = 5  # of the nested estimate

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Gated(Generic[Settings]):
    """What fitting gave: the settings that stay, and the scores before, after, and of images not fitted on (`nested`).

    `fell` are the classes that the fitted settings made worse, whatever they did to the score.
    """

    chosen: Settings
    kept: bool
    before: float
    after: float
    nested: float
    fell: tuple[int, ...] = ()


def gated(
    start: Settings,
    fit: Callable[[Sequence[int]], Settings],
    counts: Callable[[Settings, Sequence[int]], np.ndarray],
    images: int,
    metric: Metric,
) -> Gated[Settings] | None:
    """Fit settings on validation; None, and nothing is fitted, where it has too few images to say.

    `fit(indices)` fits them on some images, `counts(settings, indices)` are the metric's counts `[N, ...]` of others.
    The nested score fits on four fifths of the images and scores the fifth that was left out. The fitted settings stay
    only if the score rises, the nested score rises too, and no class falls (as nnU-Net decides on its post-processing,
    Isensee et al. 2021), where the metric has a score for each class.
    """
    if images < 2 * PARTS:
        return None
    everything = range(images)
    fitted = fit(everything)
    counts_before = counts(start, everything)
    before = metric.reduce(counts_before)
    if fitted == start:
        return Gated(start, False, before, before, before)
    counts_after = counts(fitted, everything)
    after, fell = metric.reduce(counts_after), fallen(metric, counts_before, counts_after)
    held_out = []
    for part in range(PARTS):
        inner = fit([i for i in everything if i % PARTS != part])
        held_out.append(counts(inner, everything[part::PARTS]))
    nested = metric.reduce(np.concatenate(held_out))
    kept = better(metric, after, before) and better(metric, nested, before) and not fell
    return Gated(fitted if kept else start, kept, before, after, nested, fell)
