"""Looking at every file of a data folder before training."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kagglekit import progress
from kagglekit.data.images import SUFFIXES, describe
from kagglekit.data.store import bands
from kagglekit.errors import DataError
from kagglekit.protocols import Dataset
from kagglekit.solution import Solution
from kagglekit.types import Box, Problem, Sample, Track


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
            if sample.image.suffix.lower() in SUFFIXES and dataset.tiling is None and dataset.depth == "uint8":
                found = [Problem(sample.id, "unusual picture", note, skip=False) for note in describe(sample.image)[1]]
            for box in _boxes(dataset, sample):
                dataset.read_image(sample, box)
        except DataError as error:
            return [Problem(sample.id, "picture unreadable", str(error), damaged=True)]
        try:
            shown = (dataset.read_mask(sample, box).any() for box in _boxes(dataset, sample))
            if sample.label is not None and not any(list(shown)):
                found.append(Problem(sample.id, "empty mask", "the label covers no pixel", skip=False))
        except DataError as error:
            found.append(Problem(sample.id, "label unreadable", str(error), damaged=True))
        return found

    samples = [s for s in (*dataset.train, *dataset.test) if s.id not in known]
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        for found in progress.track(pool.map(look, samples), len(samples), "decoding every picture"):
            problems += found
    return dataset, problems


def _boxes(dataset: Dataset, sample: Sample) -> Iterable[Box | None]:
    """What to read of a picture: all of it, or one band after the other."""
    return [None] if dataset.tiling is None else bands(sample.size, dataset.tiling.reduce)


def unreadable_pictures(dataset: Dataset, samples: Sequence[Sample], track: Track) -> dict[str, str]:
    """Sample id -> reason for pictures that cannot be decoded; of tiled ones only a corner is read now."""
    corner = None if dataset.tiling is None else Box(0, 0, 1, 1)

    def look(sample: Sample) -> str | None:
        try:
            dataset.read_image(sample, corner)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        reasons = list(track(pool.map(look, samples), len(samples), "reading the test pictures"))
    return {sample.id: reason for sample, reason in zip(samples, reasons, strict=True) if reason is not None}
