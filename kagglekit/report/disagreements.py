"""Test images on which two submissions disagree most, read from the submitted rows; nothing is predicted again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kagglekit.data.thumbs import small_image
from kagglekit.predict.stripes import stripe_width
from kagglekit.predict.submission import compare_row
from kagglekit.protocols import Dataset, Metric
from kagglekit.report.clean_page import visible
from kagglekit.types import Box, Sample, Track, untracked

SIDE = 360  # pixels of the longer side of what is shown, at most
WHOLE = 4096  # columns of a stripe where images are no slides


@dataclass(frozen=True)
class Disagreement:
    """One image: uint8 `[h, w, 3]`, both masks and the truth (None where it is not known) at that size.

    `share` is the part of what either marks on which they differ, 0..1; `scores` are those of the metric, or None.
    """

    sample: str
    share: float
    image: np.ndarray
    masks: tuple[np.ndarray, np.ndarray]
    truth: np.ndarray | None
    scores: tuple[float, float] | None


def disagreements(
    dataset: Dataset, metric: Metric, files: tuple[Path, Path], most: int = 8, track: Track = untracked
) -> list[Disagreement]:
    """The `most` test images that both submissions have, the largest disagreement first, equal ones left out.

    Slides go through memory by stripe. Raises SubmissionError for files that cannot be read, DataError for images.
    """
    rows = [dataset.submission.read(path) for path in files]
    samples = [s for s in dataset.test if all(s.id in some for some in rows)]
    shares = {}
    for sample in track(samples, len(samples), "comparing masks"):
        shares[sample.id] = share_of(dataset, sample, rows[0][sample.id], rows[1][sample.id])
    chosen = sorted((s for s in samples if shares[s.id] > 0), key=lambda s: (-shares[s.id], s.id))[:most]
    found = track(chosen, len(chosen), "drawing what differs")
    return [_shown(dataset, metric, s, shares[s.id], [some[s.id] for some in rows]) for s in found]


def share_of(dataset: Dataset, sample: Sample, one: Any, other: Any) -> float:
    """The part of the pixels that either row marks on which the two rows differ, 0..1; 0 where both mark none."""
    differing = marked = 0
    for a, b in zip(_stripes(dataset, sample, one), _stripes(dataset, sample, other), strict=True):
        unequal, either = a != b, (a > 0) | (b > 0)
        if a.ndim == 3:
            unequal, either = np.asarray(unequal.any(-1)), np.asarray(either.any(-1))
        differing, marked = differing + int(unequal.sum()), marked + int(either.sum())
    return differing / marked if marked else 0.0


def _stripes(dataset: Dataset, sample: Sample, row: Any) -> Iterator[np.ndarray]:
    return dataset.submission.decode_stripes(row, sample.truth_size, _width(dataset, sample))


def _width(dataset: Dataset, sample: Sample) -> int:
    return stripe_width(sample.truth_size, dataset.tiling.reduce) if dataset.tiling else WHOLE


def _shown(dataset: Dataset, metric: Metric, sample: Sample, share: float, rows: list[Any]) -> Disagreement:
    step = max(1, -(-max(sample.truth_size) // SIDE))
    masks = [_small(_stripes(dataset, sample, row), step) for row in rows]
    image = small_image(dataset, sample, masks[0].shape[:2])
    truth = scores = None
    if sample.id in dataset.answers:
        known = replace(sample, label=dataset.answers[sample.id])
        one, other = (metric.reduce(compare_row(dataset, known, row, metric)[None]) for row in rows)
        scores = one, other
        truth = _small(_truths(dataset, known), step)
    # A plugin's own reading by bands may round the size of an image otherwise.
    height, width = (min(one.shape[axis] for one in (image, *masks)) for axis in (0, 1))
    image, first, second = (np.ascontiguousarray(one[:height, :width]) for one in (image, *masks))
    truth = None if truth is None else truth[:height, :width]
    return Disagreement(sample.id, share, visible(image), (first, second), truth, scores)


def _truths(dataset: Dataset, sample: Sample) -> Iterator[np.ndarray]:
    if dataset.tiling is None:
        yield dataset.read_truth(sample)
        return
    (height, width), wide = sample.truth_size, _width(dataset, sample)
    for left in range(0, width, wide):
        yield dataset.read_truth(sample, Box(0, left, height, min(wide, width - left)))


def _small(stripes: Iterator[np.ndarray], step: int) -> np.ndarray:
    """Every `step`-th row and column of a mask that comes as stripes of columns."""
    parts, left = [], 0
    for stripe in stripes:
        first = -left % step  # the columns that count are multiples of `step` of the whole, not of the stripe
        parts.append(stripe[::step, first::step])
        left += stripe.shape[1]
    return np.concatenate(parts, axis=1)
