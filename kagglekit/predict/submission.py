"""Masks -> rows -> file -> read back -> score: what is scored is what is submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.errors import SubmissionError
from kagglekit.metrics import score_with_interval
from kagglekit.predict.stripes import stripe_width
from kagglekit.protocols import Dataset, Metric, SubmissionFormat
from kagglekit.types import Box, Sample, Score, Track, untracked

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Submission:
    """A written submission: rows, bytes, and `loss`, the score that encoding took from the predicted masks."""

    path: Path
    rows: int
    bytes: int
    loss: float


def write(
    form: SubmissionFormat,
    path: Path,
    rows: Mapping[str, Any],
    sizes: Mapping[str, tuple],
    encoding: Sequence[np.ndarray],
    metric: Metric,
) -> Submission:
    """Bring `rows` within the format's limits, write them, read them back and compare; raises SubmissionError.

    `encoding` holds the metric's statistics of each predicted mask against its own row decoded.
    """
    import numpy as np

    small = form.shrink(rows)
    form.write(path, small)
    back = form.read(path)
    if list(back) != list(small):
        raise SubmissionError(
            f"{path}: reading it back gave other ids or another order than were written; this is a fault of the "
            "competition's plugin, report it to its author"
        )
    loss = abs(1 - metric.reduce(np.stack(encoding))) if len(encoding) else 0.0
    if small is not rows:
        shrunk = [metric.compare(form.decode(row, sizes[i]), form.decode(back[i], sizes[i])) for i, row in rows.items()]
        loss += abs(1 - metric.reduce(np.stack(shrunk)))
    return Submission(path, len(back), path.stat().st_size, loss)


def compare_row(dataset: Dataset, sample: Sample, row: Any, metric: Metric) -> np.ndarray:
    """The metric's counts of a row, decoded as the competition's scorer does, against the truth of its sample."""
    form, size = dataset.submission, sample.truth_size
    if dataset.tiling is None:
        return metric.compare(dataset.read_truth(sample), form.decode(row, size))
    width, left, counts = stripe_width(size, dataset.tiling.reduce), 0, np.zeros((), np.int64)
    for mask in form.decode_stripes(row, size, width):
        box = Box(0, left, size[0], mask.shape[1])
        counts = counts + metric.compare(dataset.read_truth(sample, box), mask)
        left += mask.shape[1]
    return counts


def score_file(path: Path, dataset: Dataset, metric: Metric) -> Score | None:
    """The score of a submission file on the test samples whose truth is known; None where none is."""
    import numpy as np

    counts = compare_file(path, dataset, metric)
    return score_with_interval(metric, np.stack(list(counts.values()))) if counts else None


def compare_file(path: Path, dataset: Dataset, metric: Metric, track: Track = untracked) -> dict[str, np.ndarray]:
    """Sample id -> the metric's counts of a submission file's row, for the test samples whose truth is known.

    Raises SubmissionError for a file that cannot be read, or lacks one of them.
    """
    known = [replace(s, label=dataset.answers[s.id]) for s in dataset.test if s.id in dataset.answers]
    if not known:
        return {}
    rows = dataset.submission.read(path)
    missing = [s.id for s in known if s.id not in rows]
    if missing:
        raise SubmissionError(f"{path}: no row for {missing[0]} ({len(missing)} missing); every test image needs one")
    return {
        s.id: compare_row(dataset, s, rows[s.id], metric) for s in track(known, len(known), "scoring the test part")
    }


def check_file(path: Path, dataset: Dataset) -> list[str]:
    """What is wrong with the rows of a submission, one line each; raises SubmissionError for the file as a whole."""
    form = dataset.submission
    rows = form.read(path)
    faults = [f"{s.id}: no row; every test image needs one" for s in dataset.test if s.id not in rows]
    asked = {s.id for s in dataset.test}
    faults += [f"{id}: not asked for; no test image has this name" for id in rows if id not in asked]
    for sample in dataset.test:
        if sample.id not in rows:
            continue
        try:
            # Stripes, because a mask of a slide fills the memory.
            for _ in form.decode_stripes(rows[sample.id], sample.truth_size, 2048):
                pass
        except SubmissionError as error:
            faults.append(str(error) if sample.id in str(error) else f"{sample.id}: {error}")
    return faults
