"""Sample data in the layout of the contest: drawn clouds, labelled with rectangles as careless people draw them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from kagglekit.api import new_folder, rle, write_rows
from kagglekit_clouds.contest import CLASSES
from kagglekit_clouds.scenery import draw_image
from kagglekit_clouds.submission import HEADER

JPEG_QUALITY = 82
SHOWN = (1, 2, 2, 3, 3)  # how many classes an image shows, each as likely; half of the pairs are empty so
SWATH_EVERY = 3  # one image of so many has a swath
NAMES = 16**7  # names are seven hexadecimal digits
ANYTHING = "1 1"  # what the contest's sample submission holds in every row


class Job(NamedTuple):
    """One image to draw: where it goes, its number among all, the classes it shows, whether a swath crosses it."""

    folder: str
    name: str
    number: int
    classes: tuple[int, ...]
    swath: bool


def draw_sample(root: Path, count: int, seed: int, track: Callable) -> None:
    """Write a sample of `count` training images and max(4, count // 5) test images to the folder `root`.

    Writes train.csv, sample_submission.csv, answers.csv, train_images/ and test_images/. Labels of the test part are
    as careless as those of the training part, as in the contest. The same arguments write the same bytes. `root`
    appears only when it is complete. Raises FileExistsError if `root` exists and is not empty, ValueError if `count`
    is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    with new_folder(root) as part:
        _write(part, plan(count, seed), seed, track)


def plan(count: int, seed: int) -> list[Job]:
    """What every image shows; each class is there in four images that follow each other, swaths come in turn."""
    rng = np.random.default_rng((seed, 0))
    total = count + max(4, count // 5)
    names = [f"{value:07x}" for value in rng.choice(NAMES, total, replace=False)]
    first, swath = rng.integers(len(CLASSES)), rng.integers(SWATH_EVERY)
    jobs = []
    for number, name in enumerate(names):
        main = (first + number) % len(CLASSES)
        others = [label for label in rng.permutation(len(CLASSES)) if label != main][: rng.choice(SHOWN) - 1]
        folder = "train_images" if number < count else "test_images"
        classes = (int(main), *map(int, others))
        jobs.append(Job(folder, f"{name}.jpg", number, classes, number % SWATH_EVERY == swath))
    return jobs


def _write(part: Path, jobs: Sequence[Job], seed: int, track: Callable) -> None:
    """Draw all images into `part` and write the three tables."""
    rows: dict[str, dict[str, str]] = {"train_images": {}, "test_images": {}}
    for folder in rows:
        (part / folder).mkdir(parents=True)
    for job in track(jobs, len(jobs), "drawing the sample"):
        image = draw_image(np.random.default_rng((seed, 1, job.number)), job.classes, job.swath)
        done, data = cv2.imencode(
            ".jpg", cv2.cvtColor(image.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        assert done, "cv2 could not encode an image"
        (part / job.folder / job.name).write_bytes(data.tobytes())
        for label, name in enumerate(CLASSES):
            rows[job.folder][f"{job.name}_{name}"] = rle.encode(image.mask[..., label])
    write_rows(part / "train.csv", HEADER, _sorted(rows["train_images"]))
    answers = _sorted(rows["test_images"])
    write_rows(part / "answers.csv", HEADER, answers)
    write_rows(part / "sample_submission.csv", HEADER, dict.fromkeys(answers, ANYTHING))


def _sorted(rows: Mapping[str, str]) -> dict[str, str]:
    """Rows by the names of images; the classes of one keep their order, which is that of their names."""
    return {id: rows[id] for id in sorted(rows)}
