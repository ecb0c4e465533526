"""Submissions: written, read back, and scored as they were written."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kagglekit.errors import SubmissionError
from kagglekit.metrics import MeanIoU, better, score_with_interval
from kagglekit.predict.submission import score_file, statistics, write
from kagglekit.types import Sample
from tests.worlds import disc

SIZE = (30, 40)


class Rows:
    """A format: each mask as a list of its rows; `shrink` keeps every `step`-th row of pixels, when told to."""

    filename = "submission.json"

    def __init__(self, step: int = 1):
        self.step = step

    def encode(self, mask):
        return mask.tolist()

    def decode(self, row, size):
        mask = np.zeros(size, np.uint8)
        mask[: len(row)] = np.array(row, np.uint8)
        return mask

    def shrink(self, rows, share=1.0):
        if self.step == 1:
            return rows
        return {i: [r if y % self.step == 0 else [0] * len(r) for y, r in enumerate(row)] for i, row in rows.items()}

    def write(self, path, rows):
        path.write_text(json.dumps(rows))

    def read(self, path):
        return json.loads(path.read_text())


class Shuffled(Rows):
    def read(self, path):
        return dict(sorted(super().read(path).items(), reverse=True))


class Forgetful(Rows):
    def read(self, path):
        rows = super().read(path)
        rows.popitem()
        return rows


def world(count: int = 4, form: Rows | None = None, known: bool = True):
    """Test samples with truths, and a data set that holds them."""
    truths = {f"t{i}": disc(SIZE, 15, 10 + 5 * i, 6 + i) for i in range(count)}
    samples = [Sample(i, Path("/none"), SIZE) for i in truths]
    answers = {i: i for i in truths} if known else {}
    form = form or Rows()
    return truths, SimpleNamespace(test=samples, answers=answers, submission=form, read_mask=lambda s: truths[s.label])


def sizes(rows) -> dict:
    return dict.fromkeys(rows, SIZE)


def test_a_written_submission_reads_back_and_knows_its_size(tmp_path):
    truths, data = world()
    rows = {i: data.submission.encode(mask) for i, mask in truths.items()}
    made = write(data.submission, tmp_path / "s.json", rows, sizes(rows), [], MeanIoU())
    assert made.path == tmp_path / "s.json"
    assert (made.rows, made.bytes, made.loss) == (4, made.path.stat().st_size, 0.0)
    assert json.loads(made.path.read_text()) == rows


@pytest.mark.parametrize("form", [Shuffled(), Forgetful()])
def test_a_format_that_reads_back_other_ids_than_it_wrote_is_refused(tmp_path, form):
    truths, _ = world()
    rows = {i: form.encode(mask) for i, mask in truths.items()}
    with pytest.raises(
        SubmissionError, match=r"s\.json: reading it back gave other ids.*fault of the competition's plu"
    ):
        write(form, tmp_path / "s.json", rows, sizes(rows), [], MeanIoU())


def test_the_loss_is_what_encoding_and_shrinking_took_together(tmp_path):
    form = Rows(step=2)
    truths, _ = world(form=form)
    rows = {i: form.encode(mask) for i, mask in truths.items()}
    metric = MeanIoU()
    encoding = [np.array([0.99])] * 4
    made = write(form, tmp_path / "s.json", rows, sizes(rows), encoding, metric)
    shrunk = form.shrink(rows)
    ious = [metric.compare(truths[i], form.decode(shrunk[i], SIZE))[0] for i in rows]
    assert made.loss == pytest.approx(0.01 + 1 - np.mean(ious))
    assert 0.4 < made.loss < 0.6


def test_the_score_is_of_the_rows_in_the_file(tmp_path):
    truths, data = world()
    rows = {i: data.submission.encode(np.roll(mask, 3, 1)) for i, mask in truths.items()}
    data.submission.write(tmp_path / "s.json", rows)
    score = score_file(tmp_path / "s.json", data, MeanIoU())
    by_hand = []
    for mask in truths.values():
        moved = np.roll(mask, 3, 1)
        by_hand.append((mask & moved).sum() / (mask | moved).sum())
    assert score.value == pytest.approx(np.mean(by_hand))
    assert score.count == 4
    assert score.low <= score.value <= score.high
    assert statistics(data.submission, rows, [replace(s, label=s.id) for s in data.test], data, MeanIoU())[
        :, 0
    ] == pytest.approx(by_hand)


def test_without_known_truth_there_is_no_score(tmp_path):
    _, data = world(known=False)
    assert score_file(tmp_path / "does not even exist", data, MeanIoU()) is None


def test_a_file_without_a_known_picture_is_an_error_that_counts(tmp_path):
    truths, data = world()
    rows = {i: data.submission.encode(mask) for i, mask in list(truths.items())[:2]}
    data.submission.write(tmp_path / "s.json", rows)
    with pytest.raises(SubmissionError, match=r"no row for t2 \(2 missing\); every test picture needs one"):
        score_file(tmp_path / "s.json", data, MeanIoU())


def brute_force(truth: np.ndarray, mask: np.ndarray) -> float:
    inter = union = 0
    for a, b in zip(truth.ravel().tolist(), mask.ravel().tolist(), strict=True):
        inter += bool(a) and bool(b)
        union += bool(a) or bool(b)
    return 1.0 if union == 0 else inter / union


def test_iou_equals_counting_pixel_by_pixel():
    rng = np.random.default_rng(0)
    swept = 0
    for shape in ((1, 1), (1, 7), (9, 1), (5, 8), (32, 32)):
        masks = [np.zeros(shape, np.uint8), np.ones(shape, np.uint8), np.full(shape, 255, np.uint8)]
        masks += [(rng.random(shape) < p).astype(np.uint8) for p in (0.1, 0.5, 0.9)]
        for truth in masks:
            for mask in masks:
                assert MeanIoU().compare(truth, mask)[0] == brute_force(truth, mask)
                swept += 1
    assert swept == 5 * 36


def test_two_empty_masks_count_as_told_and_one_as_nothing():
    empty, full = np.zeros((4, 4)), np.ones((4, 4))
    assert MeanIoU().compare(empty, empty)[0] == 1.0
    assert MeanIoU(both_empty=0.0).compare(empty, empty)[0] == 0.0
    assert MeanIoU().compare(empty, full)[0] == MeanIoU().compare(full, empty)[0] == 0.0


def test_masks_of_different_sizes_are_never_compared():
    with pytest.raises(ValueError, match="different sizes"):
        MeanIoU().compare(np.zeros((4, 4)), np.zeros((4, 5)))


def test_the_interval_holds_the_mean_and_narrows_with_more_pictures():
    rng = np.random.default_rng(0)
    few, many = (score_with_interval(MeanIoU(), rng.uniform(0.5, 1, (n, 1))) for n in (20, 2000))
    for score in (few, many):
        assert score.low < score.value < score.high
    assert many.high - many.low < 0.3 * (few.high - few.low)
    expected = 2 * 1.96 * (0.5 / np.sqrt(12)) / np.sqrt(2000)
    assert many.high - many.low == pytest.approx(expected, rel=0.15)
    one = score_with_interval(MeanIoU(), np.array([[0.7]]))
    assert (one.low, one.value, one.high, one.count) == (0.7, 0.7, 0.7, 1)


def test_better_knows_the_direction_and_is_strict():
    up = MeanIoU()
    down = MeanIoU(greater_is_better=False)
    assert better(up, 0.6, 0.5)
    assert not better(up, 0.5, 0.5)
    assert better(down, 0.5, 0.6)
    assert not better(down, 0.6, 0.6)
