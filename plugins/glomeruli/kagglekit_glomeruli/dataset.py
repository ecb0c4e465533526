"""The contest's folder as samples, with everything that is wrong with it listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from kagglekit import Box, DataError, Dataset, Problem, Sample, SubmissionError, Tiling
from kagglekit.api import Slide, read_rows, read_table, rle, say, whole_number
from kagglekit_glomeruli.anatomy import read_regions
from kagglekit_glomeruli.contest import LAYOUT, Settings
from kagglekit_glomeruli.leaks import refuse_leaks
from kagglekit_glomeruli.submission import RleCsv

TRAIN_HEADER = "id", "encoding"
INFO = "HuBMAP-20-dataset_information.csv"
MOST_REDUCE = 8
FEW_BANDS = 4


@dataclass(frozen=True)
class Label:
    """The runs `[N, 2]` (start from 0, length) of a slide of `size`, and the row at which a sample of it begins."""

    runs: np.ndarray
    size: tuple[int, int]
    top: int = 0


@dataclass(frozen=True)
class Information:
    """What the information file says of a slide: its (height, width), and whose it is, "" where it does not say."""

    size: tuple[int, int]
    patient: str


@dataclass
class Slides(Dataset):
    """Samples of train and test, slides or bands of them; labels are `Label`s."""

    train: list[Sample]
    test: list[Sample]
    answers: dict[str, Label]
    problems: list[Problem]
    files: list[Path]
    submission: RleCsv
    slides: Mapping[Path, Slide] = field(repr=False)
    tiling: Tiling | None = None

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[h, w, 3]`."""
        return self.slides[sample.image].read(_placed(sample, box))

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[h, w]`, decoded for the box alone."""
        if sample.label is None:
            raise DataError(f"{sample.id}: has no label")
        box = _placed(sample, box)
        return rle.decode_box(sample.label.runs, sample.label.size, box.top, box.left, box.height, box.width)

    def regions(self, sample: Sample, size: tuple[int, int]) -> Mapping[str, np.ndarray]:
        """Anatomical structures, by their names in lower case; none where there is no file."""
        path, slide = (
            sample.image.with_name(f"{sample.image.stem}-anatomical-structure.json"),
            self.slides[sample.image],
        )
        if not path.exists():
            return {}
        above, height = _placed(sample, None).top, slide.size[0]
        rows = round(size[0] * height / sample.size[0])  # of the whole slide at the scale asked for
        top = min(round(above * rows / height), rows - size[0])
        whole = read_regions(path, slide.size, (rows, size[1]))
        return {name: mask[top : top + size[0]] for name, mask in whole.items()}


def _placed(sample: Sample, box: Box | None) -> Box:
    """A box of a sample as one of its slide."""
    box = box or Box(0, 0, *sample.size)
    top = sample.label.top if sample.label is not None else 0
    return Box(top + box.top, box.left, box.height, box.width)


def read(root: Path, settings: Settings, folds: int) -> Slides:
    """Index a data folder; raises DataError where it is unusable as a whole."""
    root = Path(root)
    _require(root)
    problems: list[Problem] = []
    info = _information(root / INFO, problems)
    form = RleCsv(root / "sample_submission.csv")
    encodings = read_rows(root / "train.csv", TRAIN_HEADER, DataError)
    slides: dict[Path, Slide] = {}
    train = _train(root, refuse_leaks(root, encodings, form.names(), problems), info, slides, problems)
    for path in sorted((root / "train").glob("*.tiff")):
        if path.stem not in encodings:
            problems.append(Problem(path.stem, "slide without label", "it is not used"))
    test = _test(root, form.names(), info, slides, problems)
    if not train:
        raise DataError(
            f"{root}/train.csv: no usable slide of {len(encodings)}"
            + (f"; the first fault: {problems[0].sample}: {problems[0].detail}" if problems else "")
        )
    answers = _answers(root / "answers.csv", test, problems)
    reduce = settings.reduce or choose_reduce([s.label.runs for s in train], settings.glomerulus)
    train = cut_into_bands(train, settings.bands or choose_bands(train, folds), reduce)
    tiling = Tiling(reduce, settings.step, settings.border, settings.min_saturation, settings.min_tissue)
    named = [root / n for n in ("train.csv", "sample_submission.csv", INFO)]
    files = [p for p in (*named, *(root / "train").glob("*-anatomical-structure.json")) if p.exists()]
    return Slides(train, test, answers, problems, [*files, *slides], form, slides, tiling)


def choose_reduce(labels: list[np.ndarray], wanted: int) -> int:
    """The whole number that makes a glomerulus about `wanted` pixels long: nine of ten of its runs are shorter."""
    lengths = np.concatenate([runs[:, 1] for runs in labels])
    if not len(lengths):
        return 1
    reduce = int(np.clip(round(float(np.percentile(lengths, 90)) / wanted), 1, MOST_REDUCE))
    if reduce > 1:
        say(f"slides are shrunk {reduce} times, by the length of their glomeruli (-o settings.reduce=N to choose)")
    return reduce


def choose_bands(train: list[Sample], folds: int) -> int:
    """1, or `FEW_BANDS` where there are fewer patients than folds."""
    patients = len({sample.group for sample in train})
    if patients >= folds:
        return 1
    say(
        f"{patients} patient(s) cannot be split into {folds} folds: slides are cut into {FEW_BANDS} bands, which count "
        "as patients; validation scores are too good for that (-o settings.bands=1 splits by patient)"
    )
    return FEW_BANDS


def cut_into_bands(train: list[Sample], bands: int, reduce: int) -> list[Sample]:
    """Each slide as `bands` samples of whole rows, from top to bottom, each a group of its own; 1 changes nothing."""
    if bands == 1:
        return train
    cut = []
    for sample in train:
        height, width = sample.size
        tall = -(-height // (bands * reduce)) * reduce  # bands begin where a shrunk pixel begins
        for number, top in enumerate(range(0, height, tall)):
            name, size = f"{sample.id}#{number}", (min(tall, height - top), width)
            label = replace(sample.label, top=top)
            cut.append(replace(sample, id=name, size=size, truth_size=size, label=label, group=name))
    return cut


def _require(root: Path) -> None:
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder")
    for part in ("train.csv", "sample_submission.csv", "train", "test"):
        if not (root / part).exists():
            raise DataError(f"{root}: {part} is missing; expected\n{LAYOUT}")


def _information(path: Path, problems: list[Problem]) -> dict[str, Information]:
    """What the information file says of each slide; without the file every slide is its own patient."""
    if not path.exists():
        problems.append(Problem(path.name, "file missing", "every slide counts as a patient of its own", skip=False))
        return {}
    found: dict[str, Information] = {}
    for line, row in read_table(path, ("image_file", "width_pixels", "height_pixels", "patient_number")):
        id, where = PurePosixPath(row["image_file"].strip()).stem, f"{path}: line {line}"
        height, width = (_pixels(where, row, column) for column in ("height_pixels", "width_pixels"))
        number = whole_number(row["patient_number"])
        one = Information((height, width), row["patient_number"].strip() if number is None else str(number))
        if found.setdefault(id, one) != one:
            raise DataError(f"{where}: {id} is listed again with other values; mend or remove one of the lines")
    if not found:
        raise DataError(f"{path}: lists no slide; patients decide the split, so give the whole file, or remove it")
    return found


def _pixels(where: str, row: Mapping[str, str], column: str) -> int:
    value = whole_number(row[column])
    if value is None or value < 1:
        raise DataError(f"{where}: {column} is {row[column]!r}; expected a whole number of pixels")
    return value


def _slide(
    path: Path, info: Information | None, slides: dict[Path, Slide], problems: list[Problem], skip: bool
) -> Slide | None:
    """The slide at `path`; None, and a word among the problems, where it cannot be used."""
    try:
        slide = Slide(path)
        if (slide.channels, slide.depth) != (3, "uint8"):
            raise DataError(f"{path}: {slide.channels} channels of {slide.depth}; expected 3 of uint8")
        size = info.size if info else tuple(slide.size)
        if size != tuple(slide.size):
            raise DataError(
                f"{path}: {slide.size[0]}x{slide.size[1]} pixels (height x width); {INFO} says {size[0]}x{size[1]}"
            )
    except DataError as error:
        problems.append(Problem(path.stem, "slide unreadable", str(error), skip, damaged=True))
        return None
    slides[path] = slide
    return slide


def _train(
    root: Path, encodings: Mapping[str, str], info: Mapping, slides: dict[Path, Slide], problems: list[Problem]
) -> list[Sample]:
    train = []
    for id, encoding in encodings.items():
        path = root / "train" / f"{id}.tiff"
        slide = _slide(path, info.get(id), slides, problems, skip=True)
        if slide is None:
            continue
        try:
            label = rle.runs(encoding, slide.size)
        except SubmissionError as error:
            problems.append(Problem(id, "label unreadable", f"train.csv: {error}", damaged=True))
            continue
        if not len(label):
            problems.append(Problem(id, "empty label", "the slide counts as one without glomeruli", skip=False))
        group = info[id].patient if id in info else ""
        if not group and info:
            text = f"{INFO} names no patient of it; it counts as one of its own, and may stand on both sides of a split"
            problems.append(Problem(id, "patient unknown", text, skip=False))
        train.append(Sample(id, path, slide.size, Label(label, slide.size), group or id))
    return train


def _test(
    root: Path, names: list[str], info: Mapping, slides: dict[Path, Slide], problems: list[Problem]
) -> list[Sample]:
    test = []
    for id in names:
        path = root / "test" / f"{id}.tiff"
        slide = _slide(path, info.get(id), slides, problems, skip=False)
        size = info[id].size if id in info else (1, 1)
        test.append(Sample(id, path, slide.size if slide else size))
    return test


def _answers(path: Path, test: list[Sample], problems: list[Problem]) -> dict[str, Label]:
    """The truth of the test slides, where there is a file; raises DataError for a fault in it."""
    if not path.is_file():
        return {}
    truth, answers = read_rows(path, ("id", "predicted"), DataError), {}
    for sample in test:
        if sample.id not in truth:
            problems.append(Problem(sample.id, "no answer", f"{path.name} leaves it out; it is not scored", skip=False))
            continue
        try:
            answers[sample.id] = Label(rle.runs(truth[sample.id], sample.size), sample.size)
        except SubmissionError as error:
            raise DataError(f"{path}: {sample.id}: {error}; mend or remove it") from None
    return answers
