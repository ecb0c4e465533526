"""Laws of what is submitted and how it is scored: encoding, the file, the metric."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from kagglekit.errors import SubmissionError
from kagglekit.metrics import better
from kagglekit.predict.submission import check_file, compare_row, score_file
from kagglekit.testing.laws import NotApplicable, law, require

SMALLEST = (1, 1), (3, 7), (40, 25)  # sizes of masks that metrics are tried on
CLOSE = 1e-6


@law("competition")
def what_survives_encoding_once_survives_again(subject):
    """Encoding and decoding a mask that was decoded from a row gives the same mask."""
    form = subject.dataset.submission
    for name, mask in trial_masks(subject):
        once = form.decode(form.encode(mask), mask.shape[:2])
        require(
            once.shape == mask.shape and once.dtype == np.uint8,
            f"a mask of shape {mask.shape} comes back as {once.dtype} {once.shape}",
        )
        twice = form.decode(form.encode(once), mask.shape[:2])
        require(np.array_equal(once, twice), f"{name}: encoding what was decoded changes {_apart(once, twice)} pixels")


@law("competition")
def encoding_loses_nothing_but_what_it_says(subject):
    """decode(encode(mask)) is the mask: empty, full, one pixel, random; unless the format says what it loses."""
    form = subject.dataset.submission
    if form.loses:
        raise NotApplicable(f"the format says that it loses {form.loses}")
    for name, mask in trial_masks(subject):
        once = form.decode(form.encode(mask), mask.shape[:2])
        # What survives once is another law; here only what came back the first time counts.
        require(
            once.shape != mask.shape or np.array_equal(once, mask),
            f"{name}: encoding and decoding changes {_apart(once, mask) if once.shape == mask.shape else 0} pixels; "
            "mend it, or say in `loses` what the format cannot hold",
        )


@law("competition")
def stripes_say_what_the_whole_says(subject):
    """Rows of masks that come by stripe are those of the whole, and decoding by stripe gives its columns."""
    dataset, form = subject.dataset, subject.dataset.submission
    for name, mask in trial_masks(subject):
        row, size = form.encode(mask), mask.shape[:2]
        whole = form.decode(row, size)
        width = max(1, size[1] // 3)
        stripes = list(form.decode_stripes(row, size, width))
        require(
            np.array_equal(np.concatenate(stripes, 1), whole), f"{name}: decoded by stripe it differs from the whole"
        )
        if dataset.tiling is not None:
            cut = (mask[:, left : left + width] for left in range(0, size[1], width))
            require(same(form.encode_stripes(cut, size), row), f"{name}: encoded by stripe it differs from the whole")


@law("competition")
def a_submission_has_the_ids_that_are_asked_for(subject):
    """The file lists the test samples in their order, and refuses others and fewer."""
    dataset, form = subject.dataset, subject.dataset.submission
    rows = _rows(subject)
    path = _written(subject, rows)
    back = list(form.read(path))
    require(
        back == [s.id for s in dataset.test], f"the file lists {back[:3]}..., the test part begins {list(rows)[:3]}"
    )
    first = next(iter(rows))
    (subject.folder / "wrong").mkdir(exist_ok=True)
    for wrong, what in (
        (dict(list(rows.items())[1:]), "a missing id"),
        ({**rows, "nobody": rows[first]}, "a strange id"),
    ):
        try:
            form.write(subject.folder / "wrong" / form.filename, wrong)
        except SubmissionError:
            continue
        require(False, f"write() takes {what} without SubmissionError; the host would refuse the file")


@law("competition")
def a_file_reads_back_as_it_was_written(subject):
    """Rows read from the file are those that were written, and a check of the file finds no fault."""
    form, rows = subject.dataset.submission, _rows(subject)
    path = _written(subject, rows)
    back = form.read(path)
    for sample in subject.dataset.test:
        if sample.id in back:  # which ids there are is another law
            require(same(back[sample.id], rows[sample.id]), f"the row of {sample.id} comes back changed")
    if set(back) == set(rows):
        faults = check_file(path, subject.dataset)
        require(not faults, f"checking its own file finds a fault: {faults[0] if faults else ''}")


@law("competition")
def missing_and_strange_rows_are_named(subject):
    """Checking a file in which an image that nobody asked for stands instead of a test image names both."""
    if "a_submission_has_the_ids_that_are_asked_for" in subject.failed:
        raise NotApplicable("first mend the ids that are written")
    dataset, path = subject.dataset, _written(subject, _rows(subject))
    ids = [s.id for s in dataset.test]
    missing = max(ids, key=len)
    strange = _other_name(missing)
    data = path.read_bytes()
    if strange in ids or missing.encode() not in data:
        raise NotApplicable("the file does not hold the ids as they are, so that none can be exchanged")
    path.write_bytes(data.replace(missing.encode(), strange.encode()))
    try:
        complaints = "\n".join(check_file(path, dataset))
    except SubmissionError as error:
        complaints = str(error)
    finally:
        path.write_bytes(data)
    what = f"a file with {strange} instead of {missing}"
    require(complaints, f"{what} is said to be in order; compare its ids with those asked for")
    unnamed = [id for id in (missing, strange) if id not in complaints]
    require(not unnamed, f"{what} is refused without naming {' and '.join(unnamed)}")


def _other_name(name: str) -> str:
    """A name of the same length, so that it can stand where the other stood in any file."""
    turned = [chr(ord(c) + 1) if c in "abcdefghijklmnopqrstuvwxy012345678" else c for c in name.partition(".")[0]]
    return "".join(turned) + name[len(turned) :]


@law("competition")
def the_truth_scores_best(subject):
    """The truth, submitted, scores the best value there is: by the file where answers are known, else row by row."""
    dataset, metric, form = subject.dataset, subject.competition.metric, subject.dataset.submission
    subject.truths  # noqa: B018  (masks that do not fit are another law)
    known = [replace(s, label=dataset.answers[s.id]) for s in dataset.test if s.id in dataset.answers]
    whole = len(known) == len(dataset.test)
    rows, counts = {}, []
    for sample in known if whole else subject.some:
        truth = dataset.read_truth(sample)
        rows[sample.id] = form.encode(truth)
        counts.append(metric.compare(truth, form.decode(rows[sample.id], sample.truth_size) if form.loses else truth))
    best = metric.reduce(np.stack(counts))
    if whole:
        path = subject.folder / "answers" / form.filename
        path.parent.mkdir(exist_ok=True)
        form.write(path, form.shrink(rows))
        score = score_file(path, dataset, metric).value
    else:
        score = metric.reduce(np.stack([compare_row(dataset, s, rows[s.id], metric) for s in subject.some]))
    require(abs(score - best) <= CLOSE, f"the truth, submitted, scores {score}; the best that it can score is {best}")


@law("competition")
def the_metric_knows_the_edges(subject):
    """Counts have one shape and scores are finite for empty, full and one-pixel masks, non-square and 1x1 too."""
    metric, shapes = subject.competition.metric, set()
    for size in SMALLEST:
        for truth in edge_masks(subject.competition, size):
            for mask in edge_masks(subject.competition, size):
                counts = np.asarray(metric.compare(truth, mask))
                shapes.add(counts.shape)
                score = metric.reduce(counts[None])
                require(np.isfinite(score), f"masks of {size} score {score}; say what both empty, and one empty, are")
    require(len(shapes) == 1, f"counts of different images have the shapes {sorted(shapes)}; they must be stacked")


@law("competition")
def counts_of_parts_add_up(subject):
    """Counts of two parts of an image add up to the counts of the whole."""
    metric, rng = subject.competition.metric, np.random.default_rng(0)
    for size in SMALLEST[1:]:
        truth, mask = (random_mask(subject.competition, size, rng) for _ in range(2))
        cut = size[1] // 2
        parts = metric.compare(truth[:, :cut], mask[:, :cut]) + metric.compare(truth[:, cut:], mask[:, cut:])
        whole = metric.compare(truth, mask)
        require(
            np.shape(parts) != np.shape(whole) or np.array_equal(parts, whole),
            f"counts of two halves of {size} add up to something else than the whole; count pixels, not ratios",
        )


@law("competition")
def nothing_scores_better_than_the_truth(subject):
    """No mask scores better than the truth itself, and a wrong one scores worse."""
    metric, rng = subject.competition.metric, np.random.default_rng(1)
    for _ in range(5):
        truth = random_mask(subject.competition, (40, 25), rng)
        best = metric.reduce(metric.compare(truth, truth)[None])
        other = metric.reduce(metric.compare(truth, random_mask(subject.competition, (40, 25), rng))[None])
        require(
            better(metric, best, other),
            f"the truth scores {best:.4g}, a random mask {other:.4g}; see greater_is_better and compare(truth, mask)",
        )


def trial_masks(subject) -> list[tuple[str, np.ndarray]]:
    """(name, mask) at submission size: empty, full, the last pixel, random, and true ones where they are sound."""
    size, competition = subject.dataset.test[0].truth_size, subject.competition
    rng = np.random.default_rng(0)
    names = "empty", "full", "last pixel"
    found = list(zip(names, edge_masks(competition, size), strict=True))
    coarse = random_mask(competition, (4, 4), rng)
    index = np.ix_(np.arange(size[0]) * 4 // size[0], np.arange(size[1]) * 4 // size[1])
    found += [("random", random_mask(competition, size, rng))] if size[0] * size[1] < 4e6 else []
    return [*found, ("blocks", np.ascontiguousarray(coarse[index]))]


def edge_masks(competition, size: tuple[int, int]) -> list[np.ndarray]:
    """Empty, full, and the last pixel alone."""
    top = len(competition.classes) - 1 if competition.task == "multiclass" else 1
    planes = (len(competition.classes),) if competition.task == "multilabel" and len(competition.classes) > 1 else ()
    empty = np.zeros((*size, *planes), np.uint8)
    last = empty.copy()
    last[-1, -1] = top
    return [empty, np.full_like(empty, top), last]


def random_mask(competition, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Every pixel by lot."""
    empty = edge_masks(competition, size)[0]
    return rng.integers(0, len(competition.classes) if competition.task == "multiclass" else 2, empty.shape, np.uint8)


def same(one, other) -> bool:
    """Are two rows equal, arrays in them included?"""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def _apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.count_nonzero(one != other))


def _rows(subject) -> dict:
    """Rows of blocks for every test sample."""
    form, rng = subject.dataset.submission, np.random.default_rng(2)
    rows = {}
    for sample in subject.dataset.test:
        size = sample.truth_size
        coarse = random_mask(subject.competition, (3, 3), rng)
        index = np.ix_(np.arange(size[0]) * 3 // size[0], np.arange(size[1]) * 3 // size[1])
        rows[sample.id] = form.encode(np.ascontiguousarray(coarse[index]))
    return rows


def _written(subject, rows: dict) -> Path:
    form = subject.dataset.submission
    path = subject.folder / "submitted" / form.filename
    path.parent.mkdir(exist_ok=True)
    form.write(path, rows)
    return path
