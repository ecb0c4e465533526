"""Looking at all that a run would read, before it trains: images, masks, and the answers of the test part."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kagglekit import Box, DataError, Dataset, Problem, Sample, Tiling, hookimpl
from kagglekit.data.readers.unread_files import strangers
from kagglekit.pipeline.check import check, unusable_answers
from kagglekit.pipeline.prepare import prepare
from tests.helpers import bringing, build, competition, solution

SIZE = (8, 6)
MASK = np.ones(SIZE, np.uint8)


class Memory(Dataset):
    """Images of one colour; a label is the mask itself, an answer too, or the error that reading it ends in."""

    def __init__(self, train=8, test=2, answer=MASK, label=MASK, tiling=None):
        self.train = [Sample(f"a{i}", Path(f"nowhere/a{i}.raw"), SIZE, label) for i in range(train)]
        self.test = [Sample(f"b{i}", Path(f"nowhere/b{i}.raw"), SIZE) for i in range(test)]
        self.answers = {s.id: answer if s.id == "b1" else MASK for s in self.test}
        self.problems, self.files, self.submission, self.tiling = [], [], None, tiling
        self.boxes = []

    def read_image(self, sample, box=None):
        return np.zeros((*SIZE, 3), np.uint8)[_slices(box)]

    def read_mask(self, sample, box=None):
        if isinstance(sample.label, Exception):
            raise sample.label
        self.boxes.append(box)
        return sample.label[_slices(box)]


def _slices(box):
    return ... if box is None else np.s_[box.top : box.top + box.height, box.left : box.left + box.width]


def solved(dataset, **facts):
    """The resolved solution of a competition that has these data."""

    @hookimpl
    def kk_dataset():
        return dataset

    facts = {"folds": 4, "fidelity": {"image_size": 32, "epochs": 1, "fraction": 1.0}} | facts
    return solution(build(toy=bringing("toy", kk_dataset=kk_dataset, __file__=__file__)), **facts)


BAD = {
    "cannot be read": (DataError("b1.png: empty file"), r"b1\.png: empty file"),
    "another size": (np.ones((8, 5), np.uint8), r"its mask is \(8, 5\); expected \(8, 6\)"),
    "planes": (np.ones((8, 6, 3), np.uint8), r"its mask is \(8, 6, 3\); expected \(8, 6\)"),
    "another type": (np.ones(SIZE, np.float32), "its mask is float32 up to 1.0; expected uint8 up to 1"),
    "another range": (MASK * 255, "its mask is uint8 up to 255; expected uint8 up to 1"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_answer_that_cannot_be_scored_against_is_damage_and_stops_a_run_before_it_trains(kind):
    answer, reason = BAD[kind]
    dataset = Memory(answer=answer)
    found, problems = check(solved(dataset), Path("data"))
    assert found is dataset and [(p.sample, p.rule, p.damaged) for p in problems] == [("b1", "answer unreadable", True)]
    with pytest.raises(DataError, match=rf"(?s)^1 of 2 answers cannot be used:\n  b1: {reason}\nmend or remove them"):
        prepare(solved(dataset), dataset, "mark")
    assert prepare(solved(dataset), dataset, "mark", test=False).counts()["test"] == 2


@pytest.mark.parametrize("kind", BAD)
def test_a_mask_that_does_not_fit_its_image_is_damage(kind):
    label, _ = BAD[kind]
    _, problems = check(solved(Memory(train=1, label=label)), Path("data"))
    assert [(p.sample, p.rule, p.damaged) for p in problems] == [("a0", "label unreadable", True)]


def test_sound_data_have_no_problem_and_all_answers_are_read():
    dataset = Memory()
    assert check(solved(dataset), Path("data"))[1] == [] and len(dataset.boxes) == 10


def test_large_answers_are_read_by_band_when_checked_and_at_a_corner_before_a_run():
    dataset = Memory(train=0, tiling=Tiling(reduce=1))
    facts = competition("toy")
    assert unusable_answers(dataset, facts, lambda items, *_: items) == {}
    assert dataset.boxes == [Box(0, 0, 1, 1)] * 2
    dataset.boxes.clear()
    assert unusable_answers(dataset, facts, lambda items, *_: items, whole=True) == {}
    assert dataset.boxes == [Box(0, 0, *SIZE)] * 2


def test_answers_of_overlapping_classes_have_a_plane_for_each():
    facts = competition("toy", task="multilabel", classes=("a", "b"))
    planes = np.ones((*SIZE, 2), np.uint8)
    good = Memory(answer=planes)
    good.answers = dict.fromkeys(good.answers, planes)
    assert unusable_answers(good, facts, lambda items, *_: items) == {}
    assert list(unusable_answers(Memory(), facts, lambda items, *_: items)) == ["b0", "b1"]


def test_answers_have_the_size_of_the_submission():
    dataset = Memory(answer=MASK[:4])
    dataset.test[1] = replace(dataset.test[1], truth_size=(4, 6))
    assert unusable_answers(dataset, competition("toy"), lambda items, *_: items) == {}


def test_data_without_an_image_to_train_on_are_refused_with_the_first_fault():
    dataset = Memory(train=0)
    with pytest.raises(DataError, match=r"^data: no image to train on$"):
        check(solved(dataset), Path("data"))
    dataset.problems = [Problem("a0", "label unreadable", "it is empty", damaged=True)]
    with pytest.raises(DataError, match=r"^data: no image to train on: a0: label unreadable: it is empty$"):
        check(solved(dataset), Path("data"))


def test_data_without_an_image_to_predict_are_told():
    _, problems = check(solved(Memory(test=0)), Path("data"))
    assert [(p.rule, p.damaged) for p in problems] == [("no test image", False)]


def test_what_lies_among_images_and_is_not_read_is_named(tmp_path):
    dataset = Memory()
    for name in ("a0.png", "scan", "b.gif", "old/c.png", ".DS_Store", "Thumbs.db", "notes.txt", "table.csv", "x.png/y"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    dataset.train = [replace(s, image=tmp_path / "images" / s.image.name) for s in dataset.train]
    dataset.test = [replace(s, image=tmp_path / "images" / "test" / s.image.name) for s in dataset.test]
    _, problems = check(solved(dataset), tmp_path)
    (told,) = problems
    assert (told.sample, told.rule, told.skip, told.damaged) == ("images", "not read", False, False)
    assert told.detail.endswith("images holds b.gif, old/, scan, x.png/; neither other endings nor folders are read")
    for number in range(9):
        (tmp_path / "images" / f"{number}.gif").touch()
    assert "0.gif, 1.gif, 2.gif, 3.gif, 4.gif and 8 more" in check(solved(dataset), tmp_path)[1][0].detail


def test_a_data_sets_own_files_and_the_folders_that_hold_them_are_no_strangers(tmp_path):
    for name in ("own.raw", "part/a.png", "other.raw"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    known = [tmp_path / "own.raw", tmp_path / "part/a.png"]
    assert strangers(tmp_path, known) == [tmp_path / "other.raw"]
    assert strangers(tmp_path) == [tmp_path / name for name in ("other.raw", "own.raw", "part")]
    assert strangers(tmp_path / "nothing") == []


def test_a_test_image_whose_name_no_submission_can_hold_is_told_before_anything_is_trained():
    from kagglekit.pipeline.check import unwritable
    from tests.helpers import Folder

    odd = "머리.png".encode("euc-kr").decode("utf-8", "surrogateescape")  # as Python names such a file
    assert unwritable(Folder(train=[odd], test=["a.png", "머리.png", odd])) == [odd]
