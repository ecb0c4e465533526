"""The drawn sample data of hair-seg: its layout, its labels and the flaws in them."""

import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from kagglekit_hair_seg.draw_person import draw_image
from kagglekit_hair_seg.sample import draw_sample, outline, rasterise

COUNT, SEED = 70, 7
FEW = 12


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """One sample of COUNT training images."""
    root = tmp_path_factory.mktemp("drawn") / "sample"
    draw_sample(root, COUNT, SEED)
    return root


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A small sample to compare others with."""
    root = tmp_path_factory.mktemp("drawn") / "few"
    draw_sample(root, FEW, 1)
    return root


def annotations(path: Path) -> list[dict]:
    """The entries of an annotation file that holds nothing else."""
    content = json.loads(path.read_text(encoding="utf-8"))
    assert list(content) == ["annotations"]
    return content["annotations"]


def labels_and_truths(root: Path) -> list[tuple[dict, dict]]:
    """Every training label with the truth about it."""
    labels, truths = annotations(root / "task02_train/labels.json"), annotations(root / "truth.json")
    assert [label["file_name"] for label in labels] == [truth["file_name"] for truth in truths]
    return list(zip(labels, truths, strict=True))


def flawed(root: Path, flaw: str | None) -> list[tuple[dict, dict]]:
    """The labels with one kind of flaw; fails if there is none, so that no test passes on nothing."""
    found = [pair for pair in labels_and_truths(root) if pair[1]["flaw"] == flaw]
    assert found, f"no label is {flaw}"
    return found


def mask_of(annotation: dict) -> np.ndarray:
    """Fill a polygon by the contest's convention, written out once more here."""
    canvas = Image.new("L", (512, 512))
    points = [(point["x"], point["y"]) for point in annotation["polygon1"]]
    if len(points) > 2:
        ImageDraw.Draw(canvas).polygon(points, outline=1, fill=1)
    return np.array(canvas) > 0


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def person_of(file_name: str) -> str:
    return file_name.split("-")[0]


def test_the_folder_has_the_layout_of_the_contest_and_nothing_else(sample, few):
    files = files_of(sample)
    train = [name for name in files if name.startswith("task02_train/images/")]
    test = [name for name in files if name.startswith("task02_test/images/")]
    assert len(train) == COUNT
    assert len(test) == COUNT // 5
    assert len(list((few / "task02_test/images").iterdir())) == 4  # at least
    assert sorted(set(files) - set(train) - set(test)) == [
        "answers.json",
        "task02_test/sample_submission.json",
        "task02_train/labels.json",
        "truth.json",
    ]
    assert not list(sample.parent.glob("*.part"))


def test_every_image_is_a_colour_jpeg_of_512_pixels(sample):
    for path in sample.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (512, 512), "RGB")


def test_every_annotation_file_names_exactly_the_images_of_its_folder(sample):
    train, test = ["task02_train/labels.json", "truth.json"], ["answers.json", "task02_test/sample_submission.json"]
    for file, folder in [(file, "task02_train") for file in train] + [(file, "task02_test") for file in test]:
        names = [entry["file_name"] for entry in annotations(sample / file)]
        assert names == sorted(path.name for path in (sample / folder / "images").iterdir()), file


def test_the_sample_submission_holds_three_zero_points_per_image(sample):
    for entry in annotations(sample / "task02_test/sample_submission.json"):
        assert entry == {"file_name": entry["file_name"], "polygon1": [{"x": 0, "y": 0}] * 3}


def test_the_same_seed_writes_the_same_bytes(few, tmp_path):
    draw_sample(tmp_path / "again", FEW, 1)
    assert files_of(tmp_path / "again") == files_of(few)


def test_another_seed_draws_other_images(few, tmp_path):
    draw_sample(tmp_path / "other", FEW, 2)
    images, others = (
        {data for name, data in files_of(root).items() if name.endswith("jpg")} for root in (few, tmp_path / "other")
    )
    assert not images & others


def test_all_coordinates_are_integers_inside_the_image(sample):
    for file in ("task02_train/labels.json", "truth.json", "answers.json"):
        for entry in annotations(sample / file):
            for point in entry["polygon1"]:
                assert set(point) == {"x", "y"}
                assert all(type(value) is int and 0 <= value <= 511 for value in point.values()), (
                    file,
                    entry["file_name"],
                )


def test_true_polygons_have_as_many_points_as_real_ones(sample):
    sizes = [len(entry["polygon1"]) for entry in annotations(sample / "truth.json")]
    assert min(sizes) >= 40
    assert max(sizes) <= 600
    assert 100 <= np.median(sizes) <= 500


def test_a_true_polygon_covers_the_hair_that_was_drawn(few):
    for _, truth in flawed(few, None):
        person, number = truth["file_name"].removeprefix("KHD").removesuffix(".jpg").split("-")
        drawn = draw_image(1, int(person), int(number)).hair
        assert iou(mask_of(truth), drawn) > 0.95, truth["file_name"]


def test_labels_without_a_flaw_are_true(sample):
    for label, truth in flawed(sample, None) + flawed(sample, "duplicate"):
        assert iou(mask_of(label), mask_of(truth)) == 1, label["file_name"]


def test_empty_labels_have_fewer_than_three_points(sample):
    for label, _ in flawed(sample, "empty"):
        assert len(label["polygon1"]) < 3


def test_tiny_labels_cover_some_pixels_only(sample):
    for label, truth in flawed(sample, "tiny"):
        assert 0 < mask_of(label).sum() < 50 < mask_of(truth).sum()


def test_wide_labels_hold_all_the_hair_and_much_more(sample):
    for label, truth in flawed(sample, "wide"):
        wide, true = mask_of(label), mask_of(truth)
        assert (wide & true).sum() > 0.99 * true.sum()
        assert wide.sum() > 1.15 * true.sum()


def test_rotated_labels_are_the_truth_turned_by_90_degrees(sample):
    for label, truth in flawed(sample, "rotated"):
        assert iou(mask_of(label), np.rot90(mask_of(truth), -1)) > 0.99
        assert iou(mask_of(label), mask_of(truth)) < 0.8


def test_labels_that_miss_a_pigtail_lie_inside_the_truth_and_lack_a_whole_piece(sample):
    for label, truth in flawed(sample, "pigtail"):
        lacking, true = mask_of(label), mask_of(truth)
        assert (lacking & true).sum() > 0.99 * lacking.sum()
        _, _, stats, _ = cv2.connectedComponentsWithStats((true & ~lacking).astype(np.uint8))
        assert stats[1:, cv2.CC_STAT_AREA].max() >= 250


def test_duplicates_show_nearly_the_same_image_of_the_same_person(sample):
    for _, truth in flawed(sample, "duplicate"):
        assert person_of(truth["of"]) == person_of(truth["file_name"])
        assert truth["of"] != truth["file_name"]
        images = (cv2.imread(str(sample / "task02_train/images" / truth[key])) for key in ("file_name", "of"))
        small, original = (cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).ravel() for image in images)
        assert np.corrcoef(small, original)[0, 1] > 0.95
        assert (small != original).any()


def test_the_flaws_come_at_their_known_rates(sample):
    flaws = Counter(truth["flaw"] for _, truth in labels_and_truths(sample))
    pigtails = sum(truth["pigtails"] for _, truth in labels_and_truths(sample))
    assert pigtails >= 4
    assert {flaw: count for flaw, count in flaws.items() if flaw} == {
        "empty": 1,
        "tiny": 1,
        "wide": 2,
        "rotated": 1,
        "duplicate": 2,
        "pigtail": round(pigtails / 2),
    }


def test_there_are_several_images_per_person_and_nobody_is_in_both_halves(sample):
    train, test = (
        Counter(person_of(path.name) for path in (sample / folder / "images").iterdir())
        for folder in ("task02_train", "task02_test")
    )
    assert not set(train) & set(test)
    assert np.mean([count > 1 for count in train.values()]) > 0.9
    assert max(train.values()) <= 8


def test_images_of_one_person_differ(sample):
    by_person = defaultdict(list)
    repeats = {truth["file_name"] for _, truth in flawed(sample, "duplicate")}
    for path in sorted((sample / "task02_train/images").iterdir()):
        if path.name not in repeats:
            by_person[person_of(path.name)].append(
                cv2.resize(cv2.imread(str(path)), (32, 32), interpolation=cv2.INTER_AREA).ravel()
            )
    for images in by_person.values():
        for one, other in pairwise(images):
            assert np.corrcoef(one, other)[0, 1] < 0.95


def test_no_threshold_on_one_colour_channel_finds_the_hair(sample):
    scores = defaultdict(list)
    for _, truth in labels_and_truths(sample):
        image = cv2.imread(str(sample / "task02_train/images" / truth["file_name"]))[::4, ::4]
        hair = mask_of(truth)[::4, ::4]
        channels = np.concatenate([image, cv2.cvtColor(image, cv2.COLOR_BGR2HSV)], axis=-1)
        for threshold in range(10, 250, 10):
            below = channels < threshold
            for channel in range(6):
                scores[channel, threshold, "below"].append(iou(below[..., channel], hair))
                scores[channel, threshold, "above"].append(iou(~below[..., channel], hair))
    assert max(np.mean(values) for values in scores.values()) < 0.4


def test_regions_and_holes_are_joined_to_one_polygon():
    mask = np.zeros((512, 512), np.uint8)
    cv2.circle(mask, (200, 200), 120, 1, -1)
    cv2.circle(mask, (200, 220), 60, 0, -1)
    cv2.circle(mask, (420, 400), 40, 1, -1)
    polygon = outline(mask > 0)
    assert iou(rasterise(polygon), mask > 0) > 0.98
    assert not rasterise(polygon)[220, 200]


def test_a_mask_without_hair_has_no_polygon():
    assert outline(np.zeros((512, 512), bool)).shape == (0, 2)


def test_progress_sees_every_image_once(tmp_path):
    seen = []

    def progress(jobs, total, description):
        for job in jobs:
            seen.append((total, description))
            yield job

    draw_sample(tmp_path / "sample", 5, 3, progress=progress)
    assert seen == [(9, "drawing the sample")] * 9


def test_an_interrupted_drawing_leaves_nothing(tmp_path):
    def progress(jobs, total, description):
        yield from list(jobs)[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path / "sample", 5, 3, progress=progress)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_drawing_are_replaced(tmp_path):
    (tmp_path / ".sample.0123abcd.part").mkdir()
    (tmp_path / ".sample.0123abcd.part" / "half.jpg").write_bytes(b"")
    (tmp_path / "sample").mkdir()
    draw_sample(tmp_path / "sample", 1, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]
    assert not list((tmp_path / "sample").rglob("half.jpg"))


def test_a_folder_with_files_is_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        draw_sample(tmp_path, 1, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_sample_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        draw_sample(tmp_path / "sample", 0, 3)
