"""The contest's folder as samples: people, strata, answers, and a list of everything that is wrong."""

import json
import unicodedata
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kagglekit import Box, DataError, RecipeError
from kagglekit_hair_seg.contest import Settings
from kagglekit_hair_seg.dataset import STRATA, find_root, read
from tests.toy_data import edit_json, hair_folder, photo, ring, write_json

LABELS = "task02_train/labels.json"
FORM = "task02_test/sample_submission.json"


@pytest.fixture
def root(tmp_path):
    """A faultless folder of 12 training and 3 test images."""
    return hair_folder(tmp_path / "data")


def problems(dataset) -> dict[str, list[str]]:
    """Rule -> the samples it found."""
    found = {}
    for problem in dataset.problems:
        found.setdefault(problem.rule, []).append(problem.sample)
    return found


def relabel(root, index: int, polygon) -> str:
    """Give a training image another polygon; returns its name."""
    edit_json(root / LABELS, lambda d: d["annotations"][index].update(polygon1=polygon))
    return json.loads((root / LABELS).read_text())["annotations"][index]["file_name"]


def test_a_faultless_folder_has_every_sample_and_no_problem(root):
    dataset = read(root, Settings())
    assert dataset.problems == []
    assert len(dataset.train) == 12
    assert [s.id for s in dataset.test] == ["t000-0000.jpg", "t000-0001.jpg", "t001-0002.jpg"]
    assert all(s.size == (512, 512) and s.image.is_file() for s in (*dataset.train, *dataset.test))
    assert dataset.channels == 3
    assert {f.name for f in dataset.files} >= {"labels.json", "sample_submission.json"}
    assert {s.image for s in (*dataset.train, *dataset.test)} <= set(dataset.files)


def test_the_folder_may_be_the_one_that_holds_final_data(tmp_path):
    hair_folder(tmp_path / "outer" / "Final_DATA")
    assert find_root(tmp_path / "outer") == tmp_path / "outer" / "Final_DATA"
    assert len(read(tmp_path / "outer", Settings()).train) == 12


def test_one_line_says_which_other_keys_of_the_labels_were_ignored_and_how_often(root):
    edit_json(root / LABELS, lambda d: [e.update(polygon2=[], hair=1) for e in d["annotations"][:3]])
    edit_json(root / LABELS, lambda d: d["annotations"][7].update(polygon2=[]))
    (told,) = read(root, Settings()).problems
    assert (told.sample, told.rule, told.skip, told.damaged) == ("labels.json", "other keys ignored", False, False)
    assert told.detail == "polygon2 (4 entries), hair (3 entries); polygon1 alone is read"


@pytest.mark.parametrize(("in_labels", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_korean_names_are_compared_composed(root, in_labels, on_disk):
    def name(form, number):
        return unicodedata.normalize(form, f"\uba38\ub9ac{number}.jpg")

    for file, folder in ((LABELS, "task02_train/images"), (FORM, "task02_test/images")):

        def rename(document, folder=root / folder):
            for number, entry in enumerate(document["annotations"]):
                (folder / entry["file_name"]).rename(folder / name(on_disk, number))
                entry["file_name"] = name(in_labels, number)

        edit_json(root / file, rename)
    answers = [{"file_name": name(on_disk, n), "polygon1": [{"x": 1, "y": 1}] * 3} for n in range(3)]
    write_json(root / "answers.json", {"annotations": answers})
    dataset = read(root, Settings())
    assert dataset.problems == [] and len(dataset.train) == 12 and len(dataset.answers) == 3
    assert [s.id for s in dataset.test] == [name(in_labels, n) for n in range(3)]
    assert all(dataset.read_image(s).shape == (512, 512, 3) for s in (*dataset.train, *dataset.test))


def test_masks_are_filled_as_the_contest_fills_them(root):
    dataset = read(root, Settings())
    entries = {e["file_name"]: e["polygon1"] for e in json.loads((root / LABELS).read_text())["annotations"]}
    for sample in dataset.train:
        canvas = Image.new("L", (512, 512))
        ImageDraw.Draw(canvas).polygon([(p["x"], p["y"]) for p in entries[sample.id]], outline=1, fill=1)
        mask = dataset.read_mask(sample)
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, np.array(canvas))
        # The image is dark where its mask is.
        dark = dataset.read_image(sample)[..., 1] < 100
        assert (dark & (mask > 0)).sum() / (dark | (mask > 0)).sum() > 0.97


def test_boxes_are_windows_of_image_and_mask(root):
    dataset = read(root, Settings())
    sample, box = dataset.train[0], Box(100, 120, 60, 80)
    assert np.array_equal(dataset.read_image(sample, box), dataset.read_image(sample)[100:160, 120:200])
    assert np.array_equal(dataset.read_mask(sample, box), dataset.read_mask(sample)[100:160, 120:200])


def test_people_are_told_from_file_names_by_the_regular_expression(root):
    assert {s.group for s in read(root, Settings()).train} == {f"p{i:03d}" for i in range(6)}
    whole = read(root, Settings(group_regex=r"^(.*)\.jpg$"))
    assert len({s.group for s in whole.train}) == 12
    assert {s.group for s in whole.test} == {"t000-0000", "t000-0001", "t001-0002"}
    nobody = read(root, Settings(group_regex=r"^person(\d+)"))
    assert [s.group for s in nobody.train] == [s.id for s in nobody.train], (
        "a name that does not match is its own group"
    )


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"group_regex": "("}, "not a regular expression"),
        ({"group_regex": "^abc"}, "has 0 groups"),
        ({"group_regex": "(a)(b)"}, "has 2 groups"),
        ({"min_area": -1}, "must be >= 0"),
        ({"max_points": 2}, "max_points 0 or at least 3"),
        ({"max_points": -1}, "must be >= 0"),
        ({"max_bytes": -5}, "must be >= 0"),
    ],
)
def test_settings_out_of_range_are_errors(settings, fault):
    with pytest.raises(RecipeError, match="settings.*" + fault):
        Settings(**settings)


def test_strata_are_tenths_by_area(tmp_path):
    dataset = read(hair_folder(tmp_path / "data", train=40), Settings())
    assert Counter(s.stratum for s in dataset.train) == dict.fromkeys(range(STRATA), 4)
    areas = {k: [dataset.read_mask(s).sum() for s in dataset.train if s.stratum == k] for k in range(STRATA)}
    for k in range(STRATA - 1):
        assert max(areas[k]) <= min(areas[k + 1]) + 5


def test_answers_are_truths_of_the_test_and_never_labels_of_training(root):
    dataset = read(root, Settings())
    answers = {e["file_name"]: e["polygon1"] for e in json.loads((root / "answers.json").read_text())["annotations"]}
    assert not set(answers) & {s.id for s in dataset.train}
    assert set(dataset.answers) == {s.id for s in dataset.test} == set(answers)
    for sample in dataset.test:
        assert sample.label is None
        truth = dataset.answers[sample.id]
        assert truth.tolist() == [[p["x"], p["y"]] for p in answers[sample.id]]
        assert dataset.read_mask(replace(sample, label=truth)).any()


def test_a_fault_in_the_answers_stops_because_it_would_bend_the_score(root):
    edit_json(root / "answers.json", lambda d: d["annotations"].append(d["annotations"][0]))
    with pytest.raises(DataError, match=r"answers\.json: t000-0000\.jpg: listed twice; mend or remove it"):
        read(root, Settings())
    edit_json(root / "answers.json", lambda d: d["annotations"][-1].update(file_name="x.jpg", polygon1=[{"x": "?"}]))
    with pytest.raises(DataError, match=r"answers\.json: x\.jpg: entry 3: "):
        read(root, Settings())


def test_a_test_image_without_an_answer_is_said_and_not_scored(root):
    edit_json(root / "answers.json", lambda d: d["annotations"].pop())
    dataset = read(root, Settings())
    assert len(dataset.answers) == len(dataset.test) - 1
    assert [p.sample for p in dataset.problems if p.rule == "no answer"] == [dataset.test[-1].id]


def test_answers_for_training_images_change_nothing(root):
    before = [s.label.tolist() for s in read(root, Settings()).train]
    names = [s.id for s in read(root, Settings()).train]
    edit_json(
        root / "answers.json",
        lambda d: d["annotations"].extend({"file_name": n, "polygon1": ring(50, 50, 20)} for n in names),
    )
    assert [s.label.tolist() for s in read(root, Settings()).train] == before


def test_without_answers_the_test_has_no_truth(root):
    (root / "answers.json").unlink()
    dataset = read(root, Settings())
    assert dataset.answers == {}
    with pytest.raises(DataError, match=r"t000-0000\.jpg: has no label"):
        dataset.read_mask(dataset.test[0])


def test_the_test_has_the_order_of_the_sample_submission(root):
    edit_json(root / FORM, lambda d: d["annotations"].reverse())
    assert [s.id for s in read(root, Settings()).test] == ["t001-0002.jpg", "t000-0001.jpg", "t000-0000.jpg"]


@pytest.mark.parametrize("part", [LABELS, "task02_train/images", FORM, "task02_test/images"])
def test_a_missing_part_of_the_folder_is_named_with_the_layout(root, part):
    import shutil

    path = root / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=rf"{part} is missing; expected\nDIR/task02_train/labels\.json"):
        read(root, Settings())


def test_a_folder_of_something_else_is_shown_the_layout(tmp_path):
    with pytest.raises(DataError, match=r"holds no task02_train; expected\nDIR/task02_train"):
        read(tmp_path, Settings())
    with pytest.raises(DataError, match="no such data folder"):
        read(tmp_path / "nothing", Settings())


def test_a_label_without_its_image_is_damage(root):
    (root / "task02_train/images/p001-0003.jpg").unlink()
    dataset = read(root, Settings())
    (problem,) = dataset.problems
    assert (problem.sample, problem.rule) == ("p001-0003.jpg", "label without image")
    assert problem.damaged
    assert problem.skip
    assert len(dataset.train) == 11


def test_an_image_without_its_label_is_passed_by(root):
    photo(200, 200, 50).save(root / "task02_train/images/p900-0000.jpg")
    dataset = read(root, Settings())
    (problem,) = dataset.problems
    assert (problem.sample, problem.rule, problem.damaged) == ("p900-0000.jpg", "image without label", False)
    assert len(dataset.train) == 12
    assert "p900-0000.jpg" not in {f.name for f in dataset.files}


@pytest.mark.parametrize(
    ("polygon", "detail"),
    [
        ([], "0 points"),
        ([{"x": 5, "y": 5}], "1 points"),
        ([{"x": 5, "y": 5}, {"x": 9, "y": 9}], "2 points"),
        ([{"x": 5, "y": 5}] * 3, "on one line"),
        ([{"x": 5, "y": 5}, {"x": 90, "y": 5}, {"x": 40, "y": 5}], "on one line"),
    ],
)
def test_a_polygon_that_encloses_nothing_is_an_empty_label(root, polygon, detail):
    name = relabel(root, 4, polygon)
    dataset = read(root, Settings())
    (problem,) = dataset.problems
    assert (problem.sample, problem.rule, problem.skip, problem.damaged) == (name, "empty label", True, False)
    assert detail in problem.detail
    assert name not in {s.id for s in dataset.train}


@pytest.mark.parametrize(("y", "x"), [(900, 200), (-300, 200), (200, 1200), (200, -300)])
def test_a_polygon_all_outside_is_skipped(root, y, x):
    name = relabel(root, 4, ring(y, x, 60))
    (problem,) = read(root, Settings()).problems
    assert (problem.sample, problem.rule, problem.skip) == (name, "polygon outside the image", True)


@pytest.mark.parametrize(("y", "x"), [(500, 200), (10, 200), (200, 500), (200, 10)])
def test_a_polygon_that_leaves_the_image_is_cut_and_used(root, y, x):
    name = relabel(root, 4, ring(y, x, 60))
    dataset = read(root, Settings())
    (problem,) = dataset.problems
    assert (problem.sample, problem.rule) == (name, "polygon leaves the image")
    assert not problem.skip
    assert not problem.damaged
    sample = next(s for s in dataset.train if s.id == name)
    assert dataset.read_mask(sample).any()


def test_a_polygon_along_the_very_border_is_no_problem(root):
    relabel(root, 4, [{"x": 0, "y": 0}, {"x": 511, "y": 0}, {"x": 511, "y": 511}, {"x": 0, "y": 511}])
    dataset = read(root, Settings())
    assert dataset.problems == []
    assert dataset.read_mask(dataset.train[4]).all()


def test_a_polygon_that_crosses_itself_is_filled_even_odd(root):
    bow = [{"x": 100, "y": 100}, {"x": 300, "y": 300}, {"x": 300, "y": 100}, {"x": 100, "y": 300}]
    relabel(root, 4, bow)
    dataset = read(root, Settings())
    assert dataset.problems == []
    assert 0.4 < dataset.read_mask(dataset.train[4])[100:301, 100:301].mean() < 0.6


def test_a_label_of_a_wrong_type_is_damage_with_its_entry(root):
    name = relabel(root, 4, [{"x": "left", "y": 3}])
    (problem,) = read(root, Settings()).problems
    assert (problem.sample, problem.rule, problem.damaged) == (name, "label unreadable", True)
    assert problem.detail.startswith("entry 4: ")


def test_an_image_labelled_twice_alike_is_used_once(root):
    edit_json(root / LABELS, lambda d: d["annotations"].append(d["annotations"][0]))
    dataset = read(root, Settings())
    assert len(dataset.train) == len({s.id for s in dataset.train}) == 12


@pytest.mark.parametrize("second", [ring(300, 300, 20), [], None, "nonsense"])
@pytest.mark.parametrize("first", [True, False])
def test_an_image_labelled_twice_differently_is_not_used(root, second, first):
    def double(document):
        entry = {**document["annotations"][5], "polygon1": second}
        document["annotations"].insert(0 if first else 12, entry)

    name = json.loads((root / LABELS).read_text())["annotations"][5]["file_name"]
    edit_json(root / LABELS, double)
    dataset = read(root, Settings())
    assert name in problems(dataset)["labelled twice"]
    assert name not in {s.id for s in dataset.train}
    assert len(dataset.train) == 11


def test_a_test_image_that_is_missing_is_damage_and_stays_in_the_submission(root):
    (root / "task02_test/images/t000-0001.jpg").unlink()
    dataset = read(root, Settings())
    (problem,) = dataset.problems
    assert (problem.sample, problem.rule, problem.damaged, problem.skip) == (
        "t000-0001.jpg",
        "test image missing",
        True,
        False,
    )
    assert "its row will hold an empty mask" in problem.detail
    assert "t000-0001.jpg" in {s.id for s in dataset.test}


def test_a_test_image_that_nobody_asks_for_is_noted(root):
    photo(200, 200, 50).save(root / "task02_test/images/stranger.jpg")
    dataset = read(root, Settings())
    assert problems(dataset) == {"not in the sample submission": ["stranger.jpg"]}
    assert len(dataset.test) == 3


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda d: d["annotations"].append(d["annotations"][0]),
            r"t000-0000\.jpg is listed twice \(again in entry 3\)",
        ),
        (lambda d: d["annotations"].clear(), "lists no image"),
        (lambda d: d["annotations"].append({"polygon1": []}), r"entry 3 has no usable file_name \(None\)"),
        (lambda d: d["annotations"].append({"file_name": "../x.jpg"}), r"entry 3 has no usable file_name"),
        (lambda d: d["annotations"].append("x.jpg"), r"entry 3 has no usable file_name"),
    ],
)
def test_a_sample_submission_of_wrong_form_is_an_error_with_its_entry(root, change, fault):
    edit_json(root / FORM, change)
    with pytest.raises(DataError, match=r"sample_submission\.json: " + fault):
        read(root, Settings())


def test_labels_of_which_none_is_usable_are_an_error_that_says_the_first_fault(root):
    write_json(root / LABELS, {"annotations": [{"file_name": "p000-0000.jpg", "polygon1": []}]})
    with pytest.raises(
        DataError, match=r"no usable label of 1; the first fault: p000-0000\.jpg: a polygon of 0 points"
    ):
        read(root, Settings())
    write_json(root / LABELS, {"annotations": []})
    with pytest.raises(DataError, match=r"labels\.json: no usable label of 0"):
        read(root, Settings())


def test_many_faults_at_once_are_all_listed(root):
    relabel(root, 0, [])
    relabel(root, 1, [{"x": None, "y": 1}])
    relabel(root, 2, ring(900, 900, 50))
    relabel(root, 3, ring(0, 0, 50))
    (root / "task02_train/images/p002-0004.jpg").unlink()
    photo(9, 9, 5).save(root / "task02_train/images/new.jpg")
    dataset = read(root, Settings())
    assert problems(dataset) == {
        "empty label": ["p000-0000.jpg"],
        "label unreadable": ["p000-0001.jpg"],
        "polygon outside the image": ["p001-0002.jpg"],
        "polygon leaves the image": ["p001-0003.jpg"],
        "label without image": ["p002-0004.jpg"],
        "image without label": ["new.jpg"],
    }
    assert len(dataset.train) == 12 - 4
