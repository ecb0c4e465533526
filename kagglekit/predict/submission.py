"""Masks -> rows -> file -> read back -> score: what is scored is what is submitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.errors import SubmissionError
from kagglekit.metrics import score_with_interval
from kagglekit.types import Dataset, Metric, Sample, Score, SubmissionFormat

if TYPE_CHECKING:
    import numpy as np


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


def statistics(
    form: SubmissionFormat, rows: Mapping[str, Any], samples: Iterable[Sample], dataset: Dataset, metric: Metric
) -> np.ndarray:
    """The metric's statistics `[N, ...]` of decoded rows against the truth of `samples`, in their order."""
    import numpy as np

    return np.stack([metric.compare(dataset.read_mask(s), form.decode(rows[s.id], s.size)) for s in samples])


def score_file(path: Path, dataset: Dataset, metric: Metric) -> Score | None:
    """The score of a submission file on the test samples whose truth is known; None where none is."""
    known = [replace(s, label=dataset.answers[s.id]) for s in dataset.test if s.id in dataset.answers]
    if not known:
        return None
    rows = dataset.submission.read(path)
    missing = [s.id for s in known if s.id not in rows]
    if missing:
        raise SubmissionError(f"{path}: no row for {missing[0]} ({len(missing)} missing); every test picture needs one")
    return score_with_interval(metric, statistics(dataset.submission, rows, known, dataset, metric))
