"""Looking at every file of a data folder before training."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit import progress
from kagglekit.competition import Competition
from kagglekit.data.readers.images import SUFFIXES, describe
from kagglekit.data.readers.unread_files import stranger_problems
from kagglekit.data.store import bands
from kagglekit.errors import DataError
from kagglekit.plugin.solution import Solution
from kagglekit.protocols import Dataset
from kagglekit.types import Box, Problem, Sample, Size, Track

if TYPE_CHECKING:
    import numpy as np


_REGIONS = (64, 64)  # pixels at which named regions are drawn, to see whether they can be


def check(solution: Solution, folder: Path) -> tuple[Dataset, list[Problem]]:
    """The data set and everything wrong with it: what the index shows, then all that a run would read, decoded.

    Raises DataError where the folder is unusable as a whole.
    """
    dataset, competition = solution.dataset(folder), solution.competition
    problems = list(dataset.problems)
    require_training(dataset, folder)
    if not dataset.test:
        problems.append(Problem("test part", "no test image", "there is nothing to predict", skip=False))
    problems += _strangers(dataset)
    known = {p.sample for p in problems if p.damaged}
    samples = [s for s in (*dataset.train, *dataset.test) if s.id not in known]
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        results = pool.map(lambda sample: _check_sample(dataset, competition, sample), samples)
        for found in progress.track(results, len(samples), "decoding every image"):
            problems += found
    for id in unwritable(dataset):
        detail = "its name is no UTF-8 text, which no submission can hold; rename it"
        problems.append(Problem(id, "name of no submission", detail, skip=False, damaged=True))
    for id, reason in unusable_answers(dataset, competition, progress.track, whole=True).items():
        problems.append(Problem(id, "answer unreadable", reason, skip=False, damaged=True))
    return dataset, problems


def _strangers(dataset: Dataset) -> list[Problem]:
    """What lies in the folders of images, masks and answers and is not read."""
    labels = [s.label for s in dataset.train if isinstance(s.label, Path)]
    answers = [path for path in dataset.answers.values() if isinstance(path, Path)]
    read = [*(s.image for s in (*dataset.train, *dataset.test)), *labels, *answers]
    return stranger_problems((path.parent for path in read), [*read, *map(Path, dataset.files)])


def require_training(dataset: Dataset, folder: Path) -> None:
    """Raises DataError for a data set of no training image, with the first fault that it lists."""
    if not dataset.train:
        first = next((f": {p.sample}: {p.rule}: {p.detail}" for p in dataset.problems), "")
        raise DataError(f"{folder}: no image to train on{first}")


def _check_sample(dataset: Dataset, competition: Competition, sample: Sample) -> list[Problem]:
    """What is wrong with one image and its label."""
    found, boxes = [], list(_boxes(dataset, sample))
    try:
        if sample.image.suffix.lower() in SUFFIXES and dataset.tiling is None:
            notes = describe(sample.image)[1]
            # Deep images are read as they are stored.
            notes = notes if dataset.depth == "uint8" else [n for n in notes if not n.endswith("read as RGB")]
            found = [Problem(sample.id, "unusual image", note, skip=False) for note in notes]
        for box in boxes:
            dataset.read_image(sample, box)
    except DataError as error:
        return [Problem(sample.id, "image unreadable", str(error), damaged=True)]
    if sample.label is None:
        return found
    try:
        shown = [_sound(dataset.read_mask(sample, box), sample.size, box, competition).any() for box in boxes]
    except DataError as error:
        return [*found, Problem(sample.id, "label unreadable", str(error), damaged=True)]
    try:
        dataset.regions(sample, _REGIONS)
    except DataError as error:
        found.append(Problem(sample.id, "regions unreadable", str(error), skip=False, damaged=True))
    if not any(shown):
        found.append(Problem(sample.id, "empty mask", "the label covers no pixel", skip=False))
    return found


def _sound(mask: np.ndarray, size: Size, box: Box | None, competition: Competition) -> np.ndarray:
    """The mask; raises DataError for one of another size, type or range than its image and the task ask for."""
    import numpy as np

    planes = (len(competition.classes),) if competition.task == "multilabel" and len(competition.classes) > 1 else ()
    expected = (*(size if box is None else (box.height, box.width)), *planes)
    if mask.shape != expected:
        raise DataError(f"its mask is {mask.shape}; expected {expected}")
    most = len(competition.classes) - 1 if competition.task == "multiclass" else 1
    if mask.dtype != np.uint8 or mask.max(initial=0) > most:
        raise DataError(f"its mask is {mask.dtype} up to {mask.max(initial=0)}; expected uint8 up to {most}")
    return mask


def unwritable(dataset: Dataset) -> list[str]:
    """Ids of test samples that no submission can hold: names of files in other letters than UTF-8 writes."""
    return [s.id for s in dataset.test if s.id.encode("utf-8", "replace").decode("utf-8") != s.id]


def unusable_answers(dataset: Dataset, competition: Competition, track: Track, whole: bool = False) -> dict[str, str]:
    """Sample id -> reason for answers that a submission cannot be scored against; of large ones a corner is read,
    unless `whole`."""
    known = [replace(s, label=dataset.answers[s.id]) for s in dataset.test if s.id in dataset.answers]

    def fault_of(sample: Sample) -> str | None:
        size = sample.truth_size
        boxes: Iterable[Box | None] = [None]
        if dataset.tiling is not None:
            boxes = bands(size, dataset.tiling.reduce) if whole else [Box(0, 0, 1, 1)]
        try:
            for box in boxes:
                _sound(dataset.read_truth(sample, box), size, box, competition)
        except DataError as error:
            return str(error)
        return None

    return _reasons(fault_of, known, track, "reading the answers") if known else {}


def _boxes(dataset: Dataset, sample: Sample) -> Iterable[Box | None]:
    """What to read of an image: all of it, or one band after the other."""
    return [None] if dataset.tiling is None else bands(sample.size, dataset.tiling.reduce)


def unreadable_images(dataset: Dataset, samples: Sequence[Sample], track: Track) -> dict[str, str]:
    """Sample id -> reason for images that cannot be decoded; of tiled ones only a corner is read now."""
    corner = None if dataset.tiling is None else Box(0, 0, 1, 1)

    def fault_of(sample: Sample) -> str | None:
        try:
            dataset.read_image(sample, corner)
        except DataError as error:
            return str(error)
        return None

    return _reasons(fault_of, samples, track, "reading the test images")


def _reasons(
    fault_of: Callable[[Sample], str | None], samples: Sequence[Sample], track: Track, what: str
) -> dict[str, str]:
    """Sample id -> what `look` says, of those of which it says something."""
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        reasons = list(track(pool.map(fault_of, samples), len(samples), what))
    return {sample.id: reason for sample, reason in zip(samples, reasons, strict=True) if reason is not None}
