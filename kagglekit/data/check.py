"""Looking at every file of a data folder before training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kagglekit import progress
from kagglekit.data.images import describe
from kagglekit.errors import DataError
from kagglekit.solution import Solution
from kagglekit.types import Dataset, Problem, Sample, Track


def check(solution: Solution, folder: Path) -> tuple[Dataset, list[Problem]]:
    """The data set and everything wrong with it: what the index shows, then every picture and label decoded.

    Raises DataError where the folder is unusable as a whole.
    """
    dataset = solution.dataset(folder)
    problems = list(dataset.problems)
    known = {p.sample for p in problems if p.damaged}

    def look(sample: Sample) -> list[Problem]:
        found = []
        try:
            if sample.image.suffix.lower() not in (".tif", ".tiff"):  # slides have shapes that describe does not know
                found = [Problem(sample.id, "unusual picture", note, skip=False) for note in describe(sample.image)[1]]
            dataset.read_image(sample)
        except DataError as error:
            return [Problem(sample.id, "picture unreadable", str(error), damaged=True)]
        try:
            if sample.label is not None and not dataset.read_mask(sample).any():
                found.append(Problem(sample.id, "empty mask", "the label covers no pixel", skip=False))
        except DataError as error:
            found.append(Problem(sample.id, "label unreadable", str(error), damaged=True))
        return found

    samples = [s for s in (*dataset.train, *dataset.test) if s.id not in known]
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        for found in progress.track(pool.map(look, samples), len(samples), "decoding every picture"):
            problems += found
    return dataset, problems


def unreadable_pictures(dataset: Dataset, samples: Sequence[Sample], track: Track) -> dict[str, str]:
    """Sample id -> reason for pictures that cannot be decoded."""

    def look(sample: Sample) -> str | None:
        try:
            dataset.read_image(sample)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        reasons = list(track(pool.map(look, samples), len(samples), "reading the test pictures"))
    return {sample.id: reason for sample, reason in zip(samples, reasons, strict=True) if reason is not None}
