"""Submissions: written, read back, and scored as they were written."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kagglekit.errors import SubmissionError
from kagglekit.metrics import MeanIoU
from kagglekit.predict.submission import compare_row, score_file, write
from kagglekit.types import Sample
from tests.toy_data import disc

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
    return truths, SimpleNamespace(
        test=samples, answers=answers, submission=form, tiling=None, read_truth=lambda s: truths[s.label]
    )


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
    encoding = [np.array([99, 100])] * 4
    made = write(form, tmp_path / "s.json", rows, sizes(rows), encoding, metric)
    shrunk = form.shrink(rows)
    counts = np.stack([metric.compare(truths[i], form.decode(shrunk[i], SIZE)) for i in rows])
    assert made.loss == pytest.approx(0.01 + 1 - metric.reduce(counts))
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
    each = [compare_row(data, replace(s, label=s.id), rows[s.id], MeanIoU()) for s in data.test]
    assert [MeanIoU().reduce(counts[None]) for counts in each] == pytest.approx(by_hand)


def test_without_known_truth_there_is_no_score(tmp_path):
    _, data = world(known=False)
    assert score_file(tmp_path / "does not even exist", data, MeanIoU()) is None


def test_a_file_without_a_known_image_is_an_error_that_counts(tmp_path):
    truths, data = world()
    rows = {i: data.submission.encode(mask) for i, mask in list(truths.items())[:2]}
    data.submission.write(tmp_path / "s.json", rows)
    with pytest.raises(SubmissionError, match=r"no row for t2 \(2 missing\); every test image needs one"):
        score_file(tmp_path / "s.json", data, MeanIoU())


class Striped(Rows):
    """The same format, whose rows can also be made and read stripe by stripe."""

    def encode_stripes(self, stripes, size):
        return self.encode(np.concatenate(list(stripes), 1))

    def decode_stripes(self, row, size, width):
        mask = self.decode(row, size)
        return (mask[:, left : left + width] for left in range(0, size[1], width))


def test_counts_of_a_large_image_are_those_of_its_stripes_added(monkeypatch):
    from kagglekit.predict import stripes
    from kagglekit.types import Tiling

    monkeypatch.setattr(stripes, "PIXELS", 300)
    truth, guess = disc(SIZE, 15, 20, 9), disc(SIZE, 13, 24, 8)
    boxes = []

    def read_truth(sample, box=None):
        boxes.append(box)
        return truth if box is None else truth[:, box.left : box.left + box.width]

    data = SimpleNamespace(submission=Striped(), tiling=Tiling(reduce=2), read_truth=read_truth)
    sample = Sample("a", Path("/none"), SIZE)
    counts = compare_row(data, sample, data.submission.encode(guess), MeanIoU())
    assert len(boxes) > 3 and sum(box.width for box in boxes) == SIZE[1]
    assert np.array_equal(counts, MeanIoU().compare(truth, guess))


def test_every_row_that_does_not_decode_is_listed_and_missing_ones_too(tmp_path):
    from kagglekit.predict.submission import check_file

    class Strict(Striped):
        def decode(self, row, size):
            if row == "broken":
                raise SubmissionError("no mask at all")
            return super().decode(row, size)

    truths, data = world(form=Strict())
    rows = {i: data.submission.encode(mask) for i, mask in truths.items()}
    data.submission.write(tmp_path / "s.json", rows)
    assert check_file(tmp_path / "s.json", data) == []
    rows["t1"] = "broken"
    del rows["t3"]
    data.submission.write(tmp_path / "s.json", rows)
    assert check_file(tmp_path / "s.json", data) == [
        "t3: no row; every test image needs one",
        "t1: no mask at all",
    ]


def test_a_row_that_nobody_asked_for_is_named_beside_a_missing_one(tmp_path):
    from kagglekit.predict.submission import check_file

    truths, data = world(form=Striped())
    rows = {i: data.submission.encode(mask) for i, mask in truths.items()}
    rows["nobody"] = rows.pop("t2")
    data.submission.write(tmp_path / "s.json", rows)
    assert check_file(tmp_path / "s.json", data) == [
        "t2: no row; every test image needs one",
        "nobody: not asked for; no test image has this name",
    ]
