"""The contest's folder as samples, with everything that is wrong with it listed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kagglekit import Box, DataError, Dataset, Problem, Sample
from kagglekit.api import composed_name, index_by_name, list_images, lookup_by_name, read_rgb
from kagglekit_hair_seg import polygon
from kagglekit_hair_seg.contest import LAYOUT, SIZE, Settings
from kagglekit_hair_seg.labels import read_labels
from kagglekit_hair_seg.submission import PolygonJson

STRATA = 10


@dataclass
class HairDataset(Dataset):
    """Samples of train and test; labels are polygons `[N, 2]`."""

    train: list[Sample]
    test: list[Sample]
    answers: dict[str, np.ndarray]
    problems: list[Problem]
    files: list[Path]
    submission: PolygonJson

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[512, 512, 3]`."""
        return _window(read_rgb(sample.image, SIZE), box)

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[512, 512]`, the polygon filled as all teams did: PIL, boundary included."""
        if sample.label is None:
            raise DataError(f"{sample.id}: has no label")
        return _window(polygon.fill(sample.label, SIZE), box)


def _window(array: np.ndarray, box: Box | None) -> np.ndarray:
    return array if box is None else array[box.top : box.top + box.height, box.left : box.left + box.width]


def read(root: Path, settings: Settings, track=None) -> HairDataset:
    """Index a data folder; raises DataError where it is unusable as a whole."""
    from kagglekit.api import track as default_track

    track = track or default_track
    root = find_root(Path(root))
    problems: list[Problem] = []
    train_folder, test_folder = root / "task02_train", root / "task02_test"
    images = _images(train_folder / "images")
    train = _train(train_folder, images, re.compile(settings.group_regex), problems, track)
    test_images = _images(test_folder / "images")
    form = PolygonJson(
        test_folder / "sample_submission.json", settings.min_area, settings.max_points, settings.max_bytes
    )
    found = {name: test_images.get(composed_name(name)) for name in form.names()}
    test = [Sample(n, found[n] or test_folder / "images" / n, SIZE, None, _person(settings, n)) for n in found]
    answers = _answers(root / "answers.json", form.names(), problems)
    for name in sorted(name for name, path in found.items() if path is None):
        problems.append(
            Problem(
                name,
                "test image missing",
                f"{test_folder}/images/{name} does not exist; its row will hold an empty mask",
                skip=False,
                damaged=True,
            )
        )
    for name in sorted(test_images.keys() - {composed_name(name) for name in found}):
        problems.append(Problem(name, "not in the sample submission", "its image is ignored", skip=False))
    files = [
        train_folder / "labels.json",
        form.sample,
        *(s.image for s in train),
        *(s.image for s in test if found[s.id]),
    ]
    return HairDataset(train, test, answers, problems, files, form)


def _answers(path: Path, names: list[str], problems: list[Problem]) -> dict[str, np.ndarray]:
    """The truth of the test images, where there is a file; raises DataError for a fault in it."""
    if not path.is_file():
        return {}
    truth: dict[str, np.ndarray] = {}
    for name, points, fault in read_labels(path):
        if points is None or name in truth:
            raise DataError(f"{path}: {name}: {fault or 'listed twice'}; mend or remove it")
        truth[name] = points
    answers = lookup_by_name(truth, names)
    for name in names:
        if name not in answers:
            problems.append(Problem(name, "no answer", f"{path.name} leaves it out; it is not scored", skip=False))
    return answers


def find_root(root: Path) -> Path:
    """The folder that holds task02_train: `root` or its `Final_DATA`; raises DataError."""
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder")
    for candidate in (root, root / "Final_DATA"):
        if (candidate / "task02_train").is_dir():
            missing = [
                p
                for p in (
                    "task02_train/labels.json",
                    "task02_train/images",
                    "task02_test/sample_submission.json",
                    "task02_test/images",
                )
                if not (candidate / p).exists()
            ]
            if missing:
                raise DataError(f"{candidate}: {missing[0]} is missing; expected\n{LAYOUT}")
            return candidate
    raise DataError(f"{root}: holds no task02_train; expected\n{LAYOUT}")


def _images(folder: Path) -> dict[str, Path]:
    """Composed name -> path of every image."""
    names = index_by_name(path.name for path in list_images(folder))
    return {name: folder / on_disk for name, on_disk in names.items()}


def _train(
    folder: Path, images: Mapping[str, Path], person: re.Pattern, problems: list[Problem], track
) -> list[Sample]:
    labels: dict[str, np.ndarray] = {}
    named: set[str] = set()
    twice: set[str] = set()
    others: Counter = Counter()
    for name, points, fault in read_labels(folder / "labels.json", track, others):
        name = composed_name(name)
        if name in named and not (points is not None and name in labels and np.array_equal(labels[name], points)):
            twice.add(name)
        named.add(name)
        if points is None:
            problems.append(Problem(name, "label unreadable", fault, damaged=True))
        elif name not in images:
            problems.append(Problem(name, "label without image", f"{folder}/images has no {name}", damaged=True))
        elif fault := _fault(points):
            problems.append(Problem(name, *fault))
        else:
            labels[name] = points
    for name in sorted(twice):
        labels.pop(name, None)
        problems.append(Problem(name, "labelled twice", "two entries with different polygons; neither is used"))
    if others:
        keys = ", ".join(f"{key} ({count:,} entries)" for key, count in others.most_common())
        problems.append(Problem("labels.json", "other keys ignored", f"{keys}; polygon1 alone is read", skip=False))
    for name in sorted(images.keys() - named):
        problems.append(Problem(name, "image without label", "it is not used"))
    problems += [
        Problem(name, "polygon leaves the image", "the part outside is cut off", skip=False)
        for name, points in labels.items()
        if _leaves(points)
    ]
    if not labels:
        raise DataError(
            f"{folder}/labels.json: no usable label of {len(named)}"
            + (f"; the first fault: {problems[0].sample}: {problems[0].detail}" if problems else "")
        )
    areas = np.array([polygon.area(points) for points in labels.values()])
    ranks = areas.argsort(kind="stable").argsort(kind="stable") * STRATA // len(areas)
    return [
        Sample(name, images[name], SIZE, points, _first_group(person, name), int(rank))
        for (name, points), rank in zip(labels.items(), ranks, strict=True)
    ]


def _fault(points: np.ndarray) -> tuple[str, str] | None:
    """(rule, detail) of a label that cannot be used although it is well-formed."""
    if len(points) < 3:
        return "empty label", f"a polygon of {len(points)} points encloses nothing"
    height, width = SIZE
    (left, top), (right, bottom) = points.min(0), points.max(0)
    if right < 0 or bottom < 0 or left > width - 1 or top > height - 1:
        return "polygon outside the image", f"x {left}..{right}, y {top}..{bottom}"
    if polygon.area(points) == 0 and (left == right or top == bottom):
        return "empty label", f"all {len(points)} points lie on one line"
    return None


def _leaves(points: np.ndarray) -> bool:
    return bool(points.min() < 0 or points[:, 0].max() > SIZE[1] - 1 or points[:, 1].max() > SIZE[0] - 1)


def _person(settings: Settings, name: str) -> str:
    return _first_group(re.compile(settings.group_regex), name)


def _first_group(person: re.Pattern, name: str) -> str:
    match = person.search(name)
    return match.group(1) if match else name
