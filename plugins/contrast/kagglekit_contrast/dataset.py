"""A folder of 16-bit images and their masks as samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kagglekit import Box, DataError, Dataset, Problem, Sample, SubmissionFormat
from kagglekit.api import list_images, pair_files, read_binary_mask, read_image, read_rows, require_ids, rle, write_rows
from kagglekit_contrast.contest import LAYOUT

HEADER = "id", "mask"


@dataclass
class MaskCsv(SubmissionFormat):
    """`id,mask`: run lengths in columns, from 1, at the size of each image."""

    names: list[str]
    filename: str = "submission.csv"

    def encode(self, mask: np.ndarray) -> str:
        """Run lengths of one mask."""
        return rle.encode(mask)

    def decode(self, row: str, size: tuple[int, int]) -> np.ndarray:
        """uint8 `[H, W]`."""
        return rle.decode(row, size)

    def write(self, path: Path, rows: Mapping[str, str]) -> None:
        """A line for each test image; raises SubmissionError for other images."""
        require_ids(path, rows, self.names)
        write_rows(path, HEADER, {name: rows[name] for name in self.names})

    def read(self, path: Path) -> dict[str, str]:
        """Rows by image; raises SubmissionError for a fault of the file, missing and other images."""
        rows = read_rows(path, HEADER)
        require_ids(path, rows, self.names)
        return rows


@dataclass
class GrayImages(Dataset):
    """Samples of train and test; a label is the path of a mask."""

    train: list[Sample]
    test: list[Sample]
    answers: dict[str, Path]
    problems: list[Problem]
    files: list[Path]
    submission: MaskCsv
    channels: int = 1
    depth: str = "uint16"

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint16 `[H, W, 1]`; int16 where the folder holds values below 0."""
        return _window(read_image(sample.image, 1, self.depth, sample.size), box)

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[H, W]`."""
        if sample.label is None:
            raise DataError(f"{sample.id}: has no label")
        return _window(read_binary_mask(sample.label, sample.size), box)


def _window(array: np.ndarray, box: Box | None) -> np.ndarray:
    return array if box is None else array[box.top : box.top + box.height, box.left : box.left + box.width]


def read(root: Path) -> GrayImages:
    """Index a data folder; raises DataError where it is unusable as a whole."""
    root = Path(root)
    for part in ("train/images", "train/masks", "test/images"):
        if not (root / part).is_dir():
            raise DataError(f"{root}: {part} is missing; expected\n{LAYOUT}")
    problems: list[Problem] = []
    images, masks = list_images(root / "train" / "images"), list_images(root / "train" / "masks")
    partners = _partners(images, masks, "mask", problems)
    lowest, train, test = 0.0, [], []
    for path in images:
        if path in partners and (found := _inspect(path, problems, skip=True)) is not None:
            lowest = min(lowest, found[1])
            train.append(Sample(path.name, path, found[0], partners[path]))
    for path in list_images(root / "test" / "images"):
        found = _inspect(path, problems, skip=False) or ((1, 1), 0)
        lowest = min(lowest, found[1])
        test.append(Sample(path.name, path, found[0]))
    if not train:
        raise DataError(f"{root}: no image with a mask; expected\n{LAYOUT}")
    answers = _answers(root / "answers", test, problems)
    files = [path for sample in train for path in (sample.image, sample.label)] + [s.image for s in test]
    depth = "int16" if lowest < 0 else "uint16"
    return GrayImages(train, test, answers, problems, files, MaskCsv([s.id for s in test]), 1, depth)


def _answers(folder: Path, test: list[Sample], problems: list[Problem]) -> dict[str, Path]:
    """The masks of the test images, where there are any; what does not match is listed."""
    if not folder.is_dir():
        return {}
    partners = _partners([s.image for s in test], list_images(folder), "answer", problems)
    return {s.id: partners[s.image] for s in test if s.image in partners}


def _partners(images: list[Path], files: list[Path], what: str, problems: list[Problem]) -> dict[Path, Path]:
    """The file of each image; what has none, more than one, or no image is listed."""
    found, doubtful = pair_files(images, files)
    lacks = {"mask": "image without mask", "answer": "no answer"}[what]
    unused = {"mask": "it is not used", "answer": "it is not scored"}[what]
    for path in images:
        if path in doubtful:
            names = ", ".join(file.name for file in doubtful[path])
            detail = f"{names} could belong to it or to an image of the same name; {unused}, name it {path.name}"
            problems.append(Problem(path.name, f"{what} is in doubt", detail, skip=what == "mask"))
        elif path not in found:
            problems.append(Problem(path.name, lacks, unused, skip=what == "mask"))
    known = {*found.values(), *(file for files in doubtful.values() for file in files)}
    for path in files:
        if path not in known:
            problems.append(Problem(path.stem, f"{what} without image", f"{path} belongs to no image", skip=False))
    return found


def _inspect(path: Path, problems: list[Problem], skip: bool) -> tuple[tuple[int, int], float] | None:
    """(size, lowest value) of an image; None, and a word among the problems, where it cannot be read."""
    try:
        try:
            image = read_image(path, 1, "uint16")
        except DataError as error:
            if "do not fit" not in str(error):  # values below 0, as computed tomography has them
                raise
            image = read_image(path, 1, "int16")
    except DataError as error:
        problems.append(Problem(path.name, "image unreadable", str(error), skip, damaged=True))
        return None
    return image.shape[:2], float(image.min())
