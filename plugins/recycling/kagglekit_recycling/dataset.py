"""The contest's folder as samples, with everything that is wrong with it listed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from kagglekit import Box, DataError, Dataset, Problem, Sample
from kagglekit.api import coco, did_you_mean, find_file, lookup_by_name, read_rgb
from kagglekit_recycling.contest import CLASSES, LAYOUT, NAMES, SIZE, SUBMITTED, UNKNOWN, Settings
from kagglekit_recycling.labels import Edition, Object, paint
from kagglekit_recycling.submission import LabelCsv


@dataclass
class Trash(Dataset):
    """Samples of train and test; labels are tuples of `Object`s."""

    train: list[Sample]
    test: list[Sample]
    answers: dict[str, tuple[Object, ...]]
    problems: list[Problem]
    files: list[Path]
    submission: LabelCsv
    edition: Edition
    overlap: str

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[512, 512, 3]`."""
        return _window(read_rgb(sample.image, sample.size), box)

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[512, 512]`, the class as in CLASSES."""
        if sample.label is None:
            raise DataError(f"{sample.id}: has no label")
        return _window(paint(sample.label, sample.size, self.overlap, self.edition), box)

    def read_truth(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[256, 256]`, every second pixel of the mask: what all baselines submit, and the host scores."""
        return _window(np.ascontiguousarray(self.read_mask(sample)[::2, ::2]), box)


def _window(array: np.ndarray, box: Box | None) -> np.ndarray:
    return array if box is None else array[box.top : box.top + box.height, box.left : box.left + box.width]


def read(root: Path, settings: Settings) -> Trash:
    """Index a data folder; raises DataError where it is unusable as a whole."""
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder")
    root = root / "data" if (root / "data" / "test.json").exists() else root
    problems: list[Problem] = []
    train_files = _train_files(root)
    documents = {path: coco.read_coco(path) for path in (*train_files, root / "test.json")}
    edition = _edition(documents)
    _require_labels(train_files, documents)
    train: dict[str, Sample] = {}
    for path in train_files:
        for sample in _samples(root, path, documents[path], settings, problems, labelled=True):
            if train.setdefault(sample.id, sample) is not sample:
                problems.append(Problem(sample.id, "listed twice", f"{path.name} lists it again; the first counts"))
    if not train:
        first = f"the first fault: {problems[0].sample}: {problems[0].detail}" if problems else f"expected\n{LAYOUT}"
        raise DataError(f"{root}: {', '.join(p.name for p in train_files)}: no usable image; {first}")
    test = _samples(root, root / "test.json", documents[root / "test.json"], settings, problems, labelled=False)
    _refuse_twice(root / "test.json", [s.id for s in test])
    both = sorted(train.keys() & {s.id for s in test})
    for name in both:
        del train[name]
        problems.append(Problem(name, "leak", "is a test image too; refused as training input"))
    form = LabelCsv([s.id for s in test], edition)
    answers = _answers(root, form.names, edition, problems)
    overlap = settings.overlap if settings.overlap != "auto" else ("max" if edition.has_unknown else "area")
    files = [*documents, *(s.image for s in (*train.values(), *test) if s.image.exists())]
    return Trash(list(train.values()), test, answers, problems, files, form, edition, overlap)


def _train_files(root: Path) -> list[Path]:
    whole, parts = root / "train_all.json", (root / "train.json", root / "val.json")
    found = [whole] if whole.exists() else [p for p in parts if p.exists()]
    if not found or not (root / "test.json").exists():
        missing = "test.json" if found else "train_all.json (or train.json)"
        raise DataError(f"{root}: {missing} is missing; expected\n{LAYOUT}")
    return found


def _require_labels(paths: Sequence[Path], documents: Mapping[Path, coco.Coco]) -> None:
    """Raises DataError for training files without categories, or that annotate nothing at all."""
    for path in paths:
        if documents[path].images and not documents[path].categories:
            raise DataError(f"{path}: lists no categories; every object needs one")
    whole = [documents[path] for path in paths]
    if not any(document.images for document in whole):
        return
    if not any(document.faults or document.broken or any(document.annotations.values()) for document in whole):
        raise DataError(f"{paths[0]}: annotates no object; take the file with the labels, not the one of the test part")


def _refuse_twice(path: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{path}: lists {twice[0]} twice; every image has one row in the submission")


def _edition(documents: Mapping[Path, coco.Coco]) -> Edition:
    """The edition that the categories tell; raises DataError for names of another contest, and for a mixture."""
    editions = {}
    for path, document in documents.items():
        names = [category.name for category in document.categories.values()]
        for name in names:
            if name not in (*NAMES, UNKNOWN):
                raise DataError(f"{path}: category {name!r} is not of this contest{did_you_mean(name, CLASSES[1:])}")
        if names:
            editions[path] = UNKNOWN in names
    if len(set(editions.values())) > 1:
        one = next(path.name for path, has_unknown in editions.items() if has_unknown)
        raise DataError(f"{one} has a category {UNKNOWN} and others have not; do not mix the contest's editions")
    return Edition(any(editions.values()))


def _samples(
    root: Path, path: Path, document: coco.Coco, settings: Settings, problems: list[Problem], labelled: bool
) -> list[Sample]:
    if document.broken and not labelled:
        raise DataError(f"{path}: {next(iter(document.broken.values()))}; every image to predict needs a row")
    problems += [Problem(name, "unreadable entry", text, damaged=True) for name, text in document.broken.items()]
    lost = _lost_objects(path, document, problems) if labelled else {}
    group, samples = re.compile(settings.group_regex), []
    for entry in document.images.values():
        name, size = entry.file_name, (entry.height, entry.width)
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DataError(f"{path}: image {entry.id}: file_name {name!r} leaves the data folder")
        if entry.id in lost:
            problems.append(Problem(name, "objects lost", lost[entry.id], damaged=True))
            continue
        image = find_file(root, name)
        fault = "" if image.is_file() else f"{root / name} does not exist"
        if not fault and size != SIZE:
            fault = f"{path.name} says {size[0]}x{size[1]} pixels; this contest's are {SIZE[0]}x{SIZE[1]}"
        if fault:
            detail = fault if labelled else f"{fault}; its row will hold an empty mask"
            problems.append(Problem(name, "image missing or of wrong size", detail, skip=labelled, damaged=True))
            if labelled:
                continue
        objects = _objects(document, entry.id) if labelled else None
        match = group.search(name) if settings.group_regex else None
        shown = tuple(sorted({one.label for one in objects})) if labelled else ()
        samples.append(Sample(name, image, SIZE, objects, match.group(1) if match else "", 0, shown, SUBMITTED))
    return samples


def _objects(document: coco.Coco, image: int) -> tuple[Object, ...]:
    found = []
    for one in document.annotations[image]:
        label = CLASSES.index(document.categories[one.category_id].name)
        found.append(Object(label, one.segmentation, one.area))
    return tuple(found)


def _lost_objects(path: Path, document: coco.Coco, problems: list[Problem]) -> dict[coco.Id, str]:
    """Image id -> what it lost, of images whose masks would lack an object; faults that cost nothing are listed."""
    lost: dict[coco.Id, list[str]] = {}
    for fault in document.faults:
        if fault.image is not None:
            lost.setdefault(fault.image, []).append(f"{fault.name}: {fault.rule}: {fault.detail}")
        else:
            bad = fault.rule == coco.UNREADABLE  # of some image, nobody knows which
            problems.append(Problem(f"{path.name}: {fault.name}", fault.rule, fault.detail, skip=bad, damaged=bad))
    return {id: texts[0] + (f" (and {len(texts) - 1} more)" if texts[1:] else "") for id, texts in lost.items()}


def _answers(root: Path, names: list[str], edition: Edition, problems: list[Problem]) -> dict[str, tuple[Object, ...]]:
    """The truth of the test images, where there is a file; raises DataError for one that does not fit."""
    path = root / "answers.json"
    if not path.is_file():
        return {}
    document = coco.read_coco(path)
    if document.broken:
        raise DataError(f"{path}: {next(iter(document.broken.values()))}; mend or remove it")
    if document.faults:
        raise DataError(f"{path}: {document.faults[0].name}: {document.faults[0].detail}; mend or remove it")
    if _edition({path: document}) != edition:
        raise DataError(f"{path}: is of another edition of the contest than test.json")
    truth = lookup_by_name({entry.file_name: _objects(document, entry.id) for entry in document.images.values()}, names)
    for name in names:
        if name not in truth:
            problems.append(Problem(name, "no answer", f"{path.name} leaves it out; it is not scored", skip=False))
    return truth
