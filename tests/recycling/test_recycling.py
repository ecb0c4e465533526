"""The recycling contest: COCO of both editions, overlaps, label maps, and everything that can be wrong with them."""

import json
import shutil
import unicodedata

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from kagglekit import DataError, Prediction, RecipeError, SubmissionError
from kagglekit.metrics import ClassIoU
from kagglekit.predict.submission import check_file, score_file
from kagglekit_recycling.contest import CLASSES, NAMES, SIZE, SUBMITTED, Settings
from kagglekit_recycling.dataset import read
from kagglekit_recycling.labels import Edition, EverySecond, Object, paint
from tests.helpers import kk
from tests.recycling import independent_score

METRIC = ClassIoU(len(CLASSES))


def square(left, top, side):
    """A square as a COCO polygon."""
    return [[left, top, left + side, top, left + side, top + side, left, top + side]]


def categories(edition: int):
    """Ids as the edition has them: from 0 with UNKNOWN, or from 1 without."""
    names = ["UNKNOWN", *NAMES] if edition == 1 else list(NAMES)
    return [{"id": i + (edition != 1), "name": name, "supercategory": name} for i, name in enumerate(names)]


def document(edition: int, numbers, annotated: bool, first_id: int = 0):
    """COCO of images `numbers`: three squares each, the small one over the large one."""
    ids = {c["name"]: c["id"] for c in categories(edition)}
    images, annotations = [], []
    for i, number in enumerate(numbers):
        images.append({"id": first_id + i, "file_name": f"batch_01_vt/{number:04d}.jpg", "height": 512, "width": 512})
        for name, box in (("Paper", (40, 60, 200)), ("Metal", (100, 120, 80)), ("Battery", (300, 10 + 3 * number, 90))):
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": first_id + i,
                    "category_id": ids[name],
                    "segmentation": square(*box),
                    "area": float(box[2] ** 2),
                    "bbox": [*box[:2], box[2], box[2]],
                    "iscrowd": 0,
                }
            )
    made = {"images": images, "categories": categories(edition)}
    return made | ({"annotations": annotations} if annotated else {})


def folder(root, edition: int = 2, train: int = 6, test: int = 3):
    """A faultless data folder; ids of images begin at 1000, so that nothing can take them for positions."""
    (root / "batch_01_vt").mkdir(parents=True)
    for number in range(train + test):
        image = np.full((512, 512, 3), 30 + 10 * number, np.uint8)
        (root / f"batch_01_vt/{number:04d}.jpg").write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
    numbers = range(train, train + test)
    write(root / "train_all.json", document(edition, range(train), True, 1000))
    write(root / "test.json", document(edition, numbers, False, 5))
    write(root / "answers.json", document(edition, numbers, True))
    return root


def write(path, value):
    path.write_text(json.dumps(value))


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    write(path, value)


@pytest.fixture(scope="module", params=[1, 2])
def edition(request):
    return request.param


@pytest.fixture(scope="module")
def made(tmp_path_factory, edition):
    return folder(tmp_path_factory.mktemp("recycling") / "d", edition)


@pytest.fixture
def root(tmp_path):
    return folder(tmp_path / "d")


def dataset(root, **settings):
    return read(root, Settings(**settings))


def problems(data) -> dict[str, str]:
    return {p.sample: f"{p.rule}: {p.detail}" for p in data.problems}


def test_both_editions_are_told_apart_and_read_to_the_same_classes(made, edition):
    data = dataset(made)
    assert (len(data.train), len(data.test), len(data.answers), data.problems) == (6, 3, 3, [])
    assert data.edition.has_unknown == (edition == 1)
    shown = sorted(CLASSES[k] for k in data.train[0].classes)
    assert shown == ["Battery", "Metal", "Paper"]
    labels = data.read_mask(data.train[0])
    assert labels.shape == SIZE and CLASSES[labels[100, 60]] == "Paper" and CLASSES[labels[50, 330]] == "Battery"
    assert labels[400, 400] == 0


def test_where_objects_overlap_the_rule_of_the_edition_decides(made, edition):
    data = dataset(made)
    # Metal has a larger pixel value than Paper and lies on it, being smaller: both rules agree.
    assert CLASSES[data.read_mask(data.train[0])[150, 150]] == "Metal"
    big = Object(CLASSES.index("Metal"), square(0, 0, 100), 10_000.0)
    small = Object(CLASSES.index("Paper"), square(10, 10, 30), 900.0)
    by_rule = {rule: CLASSES[paint([small, big], (128, 128), rule, data.edition)[20, 20]] for rule in ("max", "area")}
    assert by_rule == {"max": "Metal", "area": "Paper"}
    assert data.overlap == {1: "max", 2: "area"}[edition]
    assert dataset(made, overlap="area").overlap == "area"


def test_the_largest_value_of_the_first_edition_puts_unknown_below_everything():
    first = Edition(True)
    assert first.to_file().tolist() == [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1]
    assert Edition(False).to_file().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]
    for one in (first, Edition(False)):
        values = np.arange(len(one.names))
        assert np.array_equal(one.to_file()[one.from_file()[values]], values)
    unknown, paper = CLASSES.index("UNKNOWN"), CLASSES.index("Paper")
    objects = [Object(paper, square(0, 0, 20), 400.0), Object(unknown, square(5, 5, 10), 100.0)]
    assert CLASSES[paint(objects, (32, 32), "max", first)[8, 8]] == "Paper"
    assert CLASSES[paint(objects, (32, 32), "area", first)[8, 8]] == "UNKNOWN"


def test_the_truth_is_every_second_pixel_and_polygons_are_filled_as_the_baselines_do(made):
    data = dataset(made)
    sample = data.train[2]
    assert np.array_equal(data.read_truth(sample), data.read_mask(sample)[::2, ::2])
    assert data.read_truth(sample).shape == SUBMITTED == sample.truth_size
    parts = coco.frPyObjects(square(300, 16, 90), 512, 512)
    battery = coco.decode(coco.merge(parts)) > 0
    assert np.array_equal(data.read_mask(sample) == CLASSES.index("Battery"), battery)


def test_masks_come_back_from_rows_in_the_values_of_the_edition(made, edition, tmp_path):
    data = dataset(made)
    form, truth = data.submission, data.read_truth(data.train[0])
    row = form.encode(truth)
    assert len(row.split()) == 65_536 and np.array_equal(form.decode(row, SUBMITTED), truth)
    assert set(map(int, row.split())) == {0, *({2: (2, 4, 9), 1: (3, 5, 10)}[edition])}
    unknown = np.full(SUBMITTED, CLASSES.index("UNKNOWN"), np.uint8)
    assert set(form.encode(unknown).split()) == ({"1"} if edition == 1 else {"0"})
    form.write(tmp_path / "s.csv", dict.fromkeys(form.names, row))
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "image_id,PredictionString" and lines[1].startswith("batch_01_vt/0006.jpg,0 0 0")
    assert form.read(tmp_path / "s.csv") == dict.fromkeys(form.names, row)


def test_the_truth_scores_one(made, tmp_path):
    data = dataset(made)
    from dataclasses import replace

    rows = {s.id: data.submission.encode(data.read_truth(replace(s, label=data.answers[s.id]))) for s in data.test}
    data.submission.write(tmp_path / "s.csv", rows)
    assert score_file(tmp_path / "s.csv", data, METRIC).value == 1
    assert score_file(tmp_path / "s.csv", data, ClassIoU(len(CLASSES), "image")).value == 1


def test_the_score_of_a_file_is_that_of_independent_code(root, tmp_path):
    data = dataset(root)
    rows = {s.id: data.submission.encode(data.read_truth(t)) for s, t in zip(data.test, data.train[2:], strict=False)}
    data.submission.write(tmp_path / "s.csv", rows)
    score = score_file(tmp_path / "s.csv", data, METRIC)
    assert score.value == pytest.approx(independent_score.score(tmp_path / "s.csv", root / "answers.json"), abs=1e-12)
    assert 0.5 < score.value < 1


def test_train_and_val_are_joined_where_there_is_no_common_file(root):
    both = json.loads((root / "train_all.json").read_text())
    (root / "train_all.json").unlink()
    for name, keep in (("train.json", {1000, 1001, 1002, 1003}), ("val.json", {1003, 1004, 1005})):
        part = dict(both, images=[i for i in both["images"] if i["id"] in keep])
        part["annotations"] = [a for a in both["annotations"] if a["image_id"] in keep]
        write(root / name, part)
    data = dataset(root)
    assert len(data.train) == 6
    assert "val.json lists it again" in problems(data)["batch_01_vt/0003.jpg"]


def test_a_test_image_is_refused_as_training_input(root):
    edit(root / "train_all.json", lambda d: d["images"][0].update(file_name="batch_01_vt/0006.jpg"))
    data = dataset(root)
    assert len(data.train) == 5 and problems(data)["batch_01_vt/0006.jpg"].startswith("leak: ")


def test_missing_images_and_other_sizes_are_listed_and_the_test_part_loses_no_row(root):
    (root / "batch_01_vt/0001.jpg").unlink()
    (root / "batch_01_vt/0007.jpg").unlink()
    edit(root / "train_all.json", lambda d: d["images"][2].update(height=480))
    data = dataset(root)
    told = problems(data)
    assert len(data.train) == 4 and len(data.test) == 3
    assert "does not exist" in told["batch_01_vt/0001.jpg"] and "empty mask" in told["batch_01_vt/0007.jpg"]
    assert "says 480x512 pixels; this contest's are 512x512" in told["batch_01_vt/0002.jpg"]


def test_an_image_that_lost_an_object_is_damaged_and_not_trained_on(root):
    def change(value):
        annotations = value["annotations"]
        annotations[0]["category_id"] = 99
        annotations[1]["image_id"] = 77
        annotations[2]["segmentation"] = [[1, 2, 3, 4]]
        annotations[3]["segmentation"] = [[1, 2, 3, 4, 5]]

    edit(root / "train_all.json", change)
    data = dataset(root)
    details = [f"{p.sample} {p.rule} {p.detail}" for p in data.problems]
    assert len(details) == 3 and all("annotation" in d for d in details)
    assert details[0] == "train_all.json: annotation 1 unknown image image_id 77"
    assert "batch_01_vt/0000.jpg objects lost annotation 0: unknown category: category_id 99 (and 1 more)" in details
    assert [p.damaged for p in data.problems] == [False, True, True]  # no mask lacks what was of an unknown image
    assert [s.id for s in data.train] == [f"batch_01_vt/000{n}.jpg" for n in (2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "train_all.json",
            lambda d: d["categories"][0].update(name="Plutonium"),
            "category 'Plutonium' is not of this",
        ),
        ("train_all.json", lambda d: d["categories"][0].update(name="Papre"), "did you mean Paper?"),
        (
            "test.json",
            lambda d: d["categories"].append({"id": 0, "name": "UNKNOWN"}),
            "do not mix the contest's editions",
        ),
        ("train_all.json", lambda d: d["images"][1].update(id=1000), "1000"),
        ("train_all.json", lambda d: d["images"][0].update(file_name="../../etc/x.jpg"), "leaves the data folder"),
        ("test.json", lambda d: d["images"][0].pop("width"), "images[0]: width is missing; every image to predict"),
        ("test.json", lambda d: d["images"].append(dict(d["images"][0], id=99)), "lists batch_01_vt/0006.jpg twice"),
        ("train_all.json", lambda d: d.update(categories=[]), "lists no categories"),
        ("train_all.json", lambda d: d.update(annotations=[]), "annotates no object"),
        ("train_all.json", lambda d: d.pop("annotations"), "annotates no object"),
        ("train_all.json", lambda d: d.update(images=[], annotations=[]), "no usable image"),
        ("answers.json", lambda d: d["annotations"][0].update(category_id=50), "answers.json: annotation 0"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name_and_reason(root, file, change, message):
    edit(root / file, change)
    with pytest.raises(DataError) as error:
        dataset(root)
    assert file in str(error.value) and message in str(error.value)


def test_boxes_written_as_segmentations_are_damage_of_every_image_and_stop_a_run(root):
    def change(value):
        for one in value["annotations"]:
            one["segmentation"] = [one["bbox"]]

    edit(root / "train_all.json", change)
    with pytest.raises(DataError, match=r"no usable image; .* a box \[x, y, width, height\] is no polygon"):
        dataset(root)


def test_objects_lost_by_wrong_run_lengths_count_to_the_damage_that_a_run_allows(root, tmp_path):
    edit(
        root / "train_all.json", lambda d: d["annotations"][4].update(segmentation={"size": [512, 512], "counts": [9]})
    )
    data = dataset(root)
    assert [p.damaged for p in data.problems] == [True] and len(data.train) == 5
    done = kk(tmp_path, "data", "check", "recycling", root)
    assert done.returncode == 1 and "objects lost: 1" in done.stdout and "annotation 4: bad run lengths" in done.stdout


@pytest.mark.parametrize("area", ["left out", None, 0, -1, "3600", float("nan")])
def test_an_area_that_is_not_stated_is_counted_so_that_the_smaller_object_lies_on_top(root, area):
    def change(value):
        ids = {c["name"]: c["id"] for c in value["categories"]}
        small = {"id": 0, "image_id": 1000, "category_id": ids["Battery"], "segmentation": square(200, 200, 60)}
        big = {"id": 1, "image_id": 1000, "category_id": ids["Paper"], "segmentation": square(100, 100, 300)}
        rest = [a for a in value["annotations"] if a["image_id"] != 1000]
        known = {} if area == "left out" else {"area": area}
        value["annotations"] = [small | known, big | known, *rest]

    edit(root / "train_all.json", change)
    labels = dataset(root, overlap="area").read_mask(dataset(root).train[0])
    shown = {name: int((labels == CLASSES.index(name)).sum()) for name in ("Battery", "Paper")}
    assert shown == {"Battery": 3600, "Paper": 86_400}


def test_an_image_entry_that_cannot_be_read_is_one_damaged_image(root):
    edit(root / "train_all.json", lambda d: d["images"][0].pop("width"))
    data = dataset(root)
    assert len(data.train) == 5 and len(data.problems) == 1 and data.problems[0].damaged
    assert problems(data) == {"batch_01_vt/0000.jpg": "unreadable entry: images[0]: width is missing"}


def test_korean_names_in_parts_on_disk_are_those_in_composed_letters_of_the_labels(root):
    def change(value):
        value["images"][0]["file_name"] = "batch_01_vt/\uba38\ub9ac.jpg"

    edit(root / "train_all.json", change)
    edit(root / "answers.json", lambda d: d["images"][0].update(file_name=unicodedata.normalize("NFD", "\uba38.jpg")))
    edit(root / "test.json", lambda d: d["images"][0].update(file_name="\uba38.jpg"))
    for old, new in (("batch_01_vt/0000.jpg", "batch_01_vt/\uba38\ub9ac.jpg"), ("batch_01_vt/0006.jpg", "\uba38.jpg")):
        (root / old).rename(root / unicodedata.normalize("NFD", new))
    data = dataset(root)
    assert data.problems == [] and data.read_image(data.train[0]).shape == (*SIZE, 3) and len(data.answers) == 3
    assert data.read_image(data.test[0]).shape == (*SIZE, 3)


def test_broken_json_is_named_with_its_place(root):
    (root / "train_all.json").write_text('{"images": [\n{"id": 3,,}]}')
    with pytest.raises(DataError, match=r"train_all\.json.*line 2"):
        dataset(root)


@pytest.mark.parametrize("missing", ["test.json", "train_all.json"])
def test_a_missing_file_is_named_with_the_layout(root, missing):
    (root / missing).unlink()
    with pytest.raises(DataError, match=rf"{missing}.*is missing; expected\nDIR/train_all\.json"):
        dataset(root)


def test_a_data_folder_below_is_found(root):
    outer = root.parent / "outer"
    outer.mkdir()
    shutil.move(root, outer / "data")
    assert len(dataset(outer).train) == 6


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0 " * 65_535 + "0 0", "65537"),
        ("0 " * 65_534 + "0", "65535"),
        ("0 " * 65_535 + "11", "11"),
        ("0 " * 65_535 + "-1", "-1"),
        ("0.0 " * 65_535 + "0", "0.0"),
        ("", "0"),
    ],
)
def test_a_row_that_is_no_label_map_is_listed_with_image_and_reason(root, tmp_path, row, message):
    data = dataset(root)
    good = data.submission.encode(np.zeros(SUBMITTED, np.uint8))
    rows = dict(zip(data.submission.names, (good, row, good), strict=True))
    data.submission.write(tmp_path / "s.csv", rows)
    (fault,) = check_file(tmp_path / "s.csv", data)
    assert fault.startswith("batch_01_vt/0007.jpg: ") and message in fault.replace(",", "")


def test_a_submission_of_other_images_is_refused(root, tmp_path):
    data = dataset(root)
    (tmp_path / "s.csv").write_text("image_id,PredictionString\nbatch_01_vt/0006.jpg,0\n")
    with pytest.raises(SubmissionError, match=r"ids missing: 2 of 3, first 'batch_01_vt/0007\.jpg'"):
        data.submission.read(tmp_path / "s.csv")


def test_the_likeliest_class_is_found_at_the_size_of_the_image_and_every_second_pixel_kept():
    rng = np.random.default_rng(0)
    probs = rng.random((5, 512, 512)).astype(np.float32)
    mask = EverySecond()(Prediction(probs, SUBMITTED))
    assert mask.dtype == np.uint8 and np.array_equal(mask, probs.argmax(0)[::2, ::2])
    assert EverySecond()(Prediction(probs[:, :128, :128], SUBMITTED)).shape == SUBMITTED


@pytest.mark.parametrize("regex", ["(", "abc", "(a)(b)"])
def test_a_group_expression_without_exactly_one_group_is_refused(regex):
    with pytest.raises(RecipeError, match=r"settings\.group_regex"):
        Settings(group_regex=regex)


def test_groups_follow_the_file_names(root):
    data = dataset(root, group_regex=r"/000([0-2])")
    assert [s.group for s in data.train] == ["0", "1", "2", "", "", ""]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ([[600, 600, 700, 600, 700, 700, 600, 700]], "lies outside of the image of 512x512 pixels"),
        ([[0.1, 0.1, 0.4, 0.1, 0.4, 0.4, 0.1, 0.4]], r"all coordinates lie in 0\.\.1; expected pixels"),
    ],
)
def test_an_object_that_shows_nowhere_is_lost_and_its_image_damaged(root, shape, reason):
    import re

    edit(root / "train_all.json", lambda d: d["annotations"][0].update(segmentation=shape))
    data = dataset(root)
    (lost,) = [p for p in data.problems if p.rule == "objects lost"]
    assert lost.damaged and re.search(reason, lost.detail)
    assert lost.sample not in {s.id for s in data.train}
