"""The contest's folder as samples, with everything that is wrong with it listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kagglekit import Box, DataError, Dataset, Problem, Sample, SubmissionError
from kagglekit.api import (
    composed_name,
    did_you_mean,
    index_by_name,
    list_images,
    lookup_by_name,
    read_rgb,
    read_rows,
    resize_mask,
    rle,
    track,
)
from kagglekit_clouds.contest import CLASSES, LAYOUT, SIZE, SUBMITTED, Settings
from kagglekit_clouds.submission import HEADER, CloudCsv


@dataclass(frozen=True)
class Label:
    """The run lengths of each class, over 1400x2100."""

    runs: tuple[str, ...]


@dataclass
class Clouds(Dataset):
    """Samples of train and test; labels are `Label`s."""

    train: list[Sample]
    test: list[Sample]
    answers: dict[str, Label]
    problems: list[Problem]
    files: list[Path]
    submission: CloudCsv
    truth_resize: str

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[1400, 2100, 3]`."""
        return _window(read_rgb(sample.image, SIZE), box)

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[1400, 2100, 4]`."""
        return _window(_decode(sample), box)

    def read_truth(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[350, 525, 4]`."""
        return _window(_shrink(_decode(sample), self.truth_resize), box)


def _decode(sample: Sample) -> np.ndarray:
    if sample.label is None:
        raise DataError(f"{sample.id}: has no label")
    return np.stack([rle.decode(runs, SIZE) for runs in sample.label.runs], -1)


def _shrink(mask: np.ndarray, way: str) -> np.ndarray:
    if way == "nearest":
        return np.ascontiguousarray(mask[:: SIZE[0] // SUBMITTED[0], :: SIZE[1] // SUBMITTED[1]])
    if way == "area":
        return resize_mask(mask, SUBMITTED, "multilabel")
    blocks = mask.reshape(SUBMITTED[0], SIZE[0] // SUBMITTED[0], SUBMITTED[1], SIZE[1] // SUBMITTED[1], -1)
    return blocks.max(axis=(1, 3))


def _window(array: np.ndarray, box: Box | None) -> np.ndarray:
    return array if box is None else array[box.top : box.top + box.height, box.left : box.left + box.width]


def read(root: Path, settings: Settings) -> Clouds:
    """Index a data folder; raises DataError where it is unusable as a whole."""
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder")
    for part in ("train.csv", "sample_submission.csv", "train_images", "test_images"):
        if not (root / part).exists():
            raise DataError(f"{root}: {part} is missing; expected\n{LAYOUT}")
    problems: list[Problem] = []
    train = _train(root, problems)
    form = CloudCsv(root / "sample_submission.csv")
    test = _test(root, form, problems)
    answers = _answers(root / "answers.csv", form.names(), problems)
    present = [s.image for s in test if s.image.exists()]
    files = [root / "train.csv", form.sample, *(s.image for s in train), *present]
    return Clouds(train, test, answers, problems, files, form, settings.truth_resize)


def split_rows(path: Path, rows: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Run lengths by image and class; raises DataError for a row that names no class."""
    images: dict[str, dict[str, str]] = {}
    for id, runs in rows.items():
        name, underscore, label = id.rpartition("_")
        if not underscore or label not in CLASSES:
            raise DataError(
                f"{path}: {id}: names no class of this competition{did_you_mean(label, CLASSES)}; expected NAME.jpg_"
                "CLASS"
            )
        images.setdefault(name, {})[label] = runs
    return images


def _train(root: Path, problems: list[Problem]) -> list[Sample]:
    folder, path = root / "train_images", root / "train.csv"
    images = index_by_name(p.name for p in list_images(folder))
    labels = split_rows(path, read_rows(path, HEADER, DataError))
    train = []
    for name, runs in track(labels.items(), len(labels), "reading train.csv"):
        fault = _fault(runs)
        if fault:
            problems.append(Problem(name, "label unreadable", fault, damaged=True))
        elif composed_name(name) not in images:
            problems.append(Problem(name, "label without image", f"{folder} has no {name}", damaged=True))
        else:
            texts = tuple(runs[c] for c in CLASSES)
            shown = tuple(k for k, text in enumerate(texts) if text)
            train.append(
                Sample(name, folder / images[composed_name(name)], SIZE, Label(texts), "", 0, shown, SUBMITTED)
            )
    for name in sorted(images.keys() - {composed_name(name) for name in labels}):
        problems.append(Problem(name, "image without label", "it is not used"))
    if not train:
        raise DataError(
            f"{path}: no usable label of {len(labels)}"
            + (f"; the first fault: {problems[0].sample}: {problems[0].detail}" if problems else "")
        )
    return train


def _fault(runs: Mapping[str, str]) -> str:
    """What is wrong with the rows of one image, or ""."""
    missing = [c for c in CLASSES if c not in runs]
    if missing:
        return f"no row for {missing[0]}; every image needs one for each of {', '.join(CLASSES)}"
    for label in CLASSES:
        try:
            rle.runs(runs[label], SIZE)
        except SubmissionError as error:
            return f"{label}: {error}"
    return ""


def _test(root: Path, form: CloudCsv, problems: list[Problem]) -> list[Sample]:
    folder = root / "test_images"
    images = index_by_name(p.name for p in list_images(folder))
    names = form.names()
    for name in sorted(name for name in names if composed_name(name) not in images):
        detail = f"{folder}/{name} does not exist; its rows will hold empty masks"
        problems.append(Problem(name, "test image missing", detail, skip=False, damaged=True))
    for name in sorted(images.keys() - {composed_name(name) for name in names}):
        problems.append(Problem(name, "not in the sample submission", "its image is ignored", skip=False))
    paths = [folder / images.get(composed_name(name), name) for name in names]
    return [Sample(name, path, SIZE, truth_size=SUBMITTED) for name, path in zip(names, paths, strict=True)]


def _answers(path: Path, names: list[str], problems: list[Problem]) -> dict[str, Label]:
    """The truth of the test images, where there is a file; raises DataError for a fault in it."""
    if not path.is_file():
        return {}
    truth, answers = lookup_by_name(split_rows(path, read_rows(path, HEADER, DataError)), names), {}
    for name in names:
        if name not in truth:
            problems.append(Problem(name, "no answer", f"{path.name} leaves it out; it is not scored", skip=False))
            continue
        if fault := _fault(truth[name]):
            raise DataError(f"{path}: {name}: {fault}; mend or remove it")
        answers[name] = Label(tuple(truth[name][c] for c in CLASSES))
    return answers
