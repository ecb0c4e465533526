"""The drawn sample data of recycling: their COCO files, the ten classes, and which thing lies on which."""

import json
from collections import Counter
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image

from kagglekit.pipeline.check import check
from kagglekit.plugin.registry import discover
from kagglekit_recycling.contest import CLASSES, NAMES
from kagglekit_recycling.grounds import draw_ground, shade
from kagglekit_recycling.materials import cover, fit, lump, turned
from kagglekit_recycling.sample import BATTERY, CLOTHING, draw_sample, plan
from kagglekit_recycling.scenery import KINDS, area_of, careless, clip, draw_image
from tests.helpers import solution

COUNT, SEED = 16, 5
DOCUMENTS = ["answers.json", "test.json", "train.json", "train_all.json", "val.json"]
KEYS = {"info", "licenses", "images", "categories", "annotations"}


def quiet(jobs, total, description):
    return jobs


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """One sample of COUNT training images."""
    root = tmp_path_factory.mktemp("drawn") / "sample"
    draw_sample(root, COUNT, SEED, quiet)
    return root


@pytest.fixture(scope="module")
def dataset(sample):
    """The sample as `kk data check` reads it; nothing may be wrong with it."""
    found, problems = check(solution(discover(), "recycling"), sample)
    assert problems == []
    return found


@cache
def image_of(label: int, number: int = 0):
    """An image with one thing of a class."""
    return draw_image(np.random.default_rng((SEED, label, number)), (label,))


def files_of(root) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def document(root, name: str) -> dict:
    return json.loads((root / f"{name}.json").read_text(encoding="utf-8"))


def names_of(content: dict) -> list[str]:
    return [entry["file_name"] for entry in content["images"]]


def filled(annotation: dict) -> np.ndarray:
    """bool `[512, 512]` of an annotation's polygon."""
    canvas = np.zeros((512, 512), np.uint8)
    (polygon,) = annotation["segmentation"]
    cv2.fillPoly(canvas, [np.rint(np.array(polygon).reshape(-1, 2)).astype(np.int32)], 1)
    return canvas > 0


def test_the_folder_has_the_layout_of_the_contest_and_nothing_else(sample):
    files = set(files_of(sample))
    images = {f"batch_01_vt/{number:04d}.jpg" for number in range(COUNT + 4)}
    assert files == images | set(DOCUMENTS)
    assert not list(sample.parent.glob("*.part"))


def test_there_is_a_test_image_for_five_of_training_and_four_at_least():
    assert len(plan(100, SEED)) == 120
    assert len(plan(1, SEED)) == 5


def test_every_image_is_a_colour_jpeg_of_512_pixels(sample):
    for path in sample.rglob("*.jpg"):
        with Image.open(path) as scene:
            assert (scene.format, scene.size, scene.mode) == ("JPEG", (512, 512), "RGB")


def test_the_documents_are_coco_of_the_second_edition(sample):
    for name in ("train_all", "train", "val", "answers"):
        content = document(sample, name)
        assert set(content) == KEYS
        assert [(one["id"], one["name"]) for one in content["categories"]] == list(enumerate(NAMES, 1))
        assert [one["id"] for one in content["images"]] == list(range(len(content["images"])))
        assert [one["id"] for one in content["annotations"]] == list(range(len(content["annotations"])))
        assert {(one["height"], one["width"]) for one in content["images"]} == {(512, 512)}
        assert {one["image_id"] for one in content["annotations"]} == {one["id"] for one in content["images"]}


def test_the_test_document_lists_the_images_of_the_answers_without_annotations(sample):
    test, answers = document(sample, "test"), document(sample, "answers")
    assert set(test) == KEYS - {"annotations"}
    assert test["images"] == answers["images"] and len(test["images"]) == 4
    assert not set(names_of(test)) & set(names_of(document(sample, "train_all")))


def test_train_and_val_are_a_split_of_all_training_images(sample):
    together, train, val = (document(sample, name) for name in ("train_all", "train", "val"))
    assert sorted(names_of(train) + names_of(val)) == names_of(together)
    assert len(names_of(val)) == COUNT // 5

    def things(content: dict) -> dict[str, list]:
        names = dict(enumerate(names_of(content)))
        found = {name: [] for name in names.values()}
        for one in content["annotations"]:
            found[names[one["image_id"]]].append((one["category_id"], one["segmentation"], one["area"]))
        return found

    assert things(train) | things(val) == things(together)


def test_annotations_have_decimal_polygons_inside_the_image_with_true_areas_and_boxes(sample):
    for one in document(sample, "train_all")["annotations"]:
        assert one["iscrowd"] == 0 and 1 <= one["category_id"] <= 10
        (flat,) = one["segmentation"]
        points = np.array(flat).reshape(-1, 2)
        assert len(points) >= 4 and points.min() >= 0 and points.max() <= 512
        assert np.abs(points - np.round(points, 2)).max() < 1e-9 and (points % 1).any()
        assert one["area"] == pytest.approx(cv2.contourArea(points.astype(np.float32)), rel=1e-3, abs=1)
        assert one["area"] > 200
        low, high = points.min(0), points.max(0)
        assert one["bbox"] == pytest.approx([*low, *(high - low)], abs=0.011)


def test_a_check_finds_nothing_wrong_and_every_answer(dataset):
    assert (len(dataset.train), len(dataset.test), len(dataset.answers)) == (COUNT, 4, 4)
    assert dataset.overlap == "area" and not dataset.edition.has_unknown


def test_every_class_occurs_even_in_eight_images_and_batteries_and_clothes_are_rare():
    for seed in range(20):
        assert {label for job in plan(8, seed)[:8] for label in job.labels} == set(range(1, 11))
    counts = Counter(label for job in plan(400, SEED) for label in job.labels)
    shares = {label: number / counts.total() for label, number in counts.items()}
    assert max(shares[BATTERY], shares[CLOTHING]) < 0.05 < min(shares[label] for label in range(1, 9))
    assert max(shares, key=shares.get) == CLASSES.index("Paper")


def test_an_image_holds_one_to_six_things_of_any_number():
    counts = Counter(len(job.labels) for job in plan(400, SEED))
    assert set(counts) == set(range(1, 7))


def test_masks_show_every_class_and_mostly_background(dataset):
    seen = sum(np.bincount(dataset.read_mask(one).ravel(), minlength=len(CLASSES)) for one in dataset.train)
    assert (seen[1:11] > 0).all()
    assert 0.5 < seen[0] / seen.sum() < 0.9


def test_the_same_seed_writes_the_same_bytes_and_another_one_others(sample, tmp_path):
    draw_sample(tmp_path / "again", COUNT, SEED, quiet)
    assert files_of(tmp_path / "again") == files_of(sample)
    draw_sample(tmp_path / "other", 1, SEED + 1, quiet)
    assert not {*files_of(sample).values()} & {*files_of(tmp_path / "other").values()}


def test_the_smaller_of_two_things_lies_on_the_larger_and_is_seen():
    alike, hidden = [], []
    for number in range(8):
        scene = draw_image(np.random.default_rng(number), (1, 2, 3, 4, 2, 10))
        areas = [thing.area for thing in scene.things]
        assert areas == sorted(areas, reverse=True)
        looks = []
        for thing in scene.things:
            image, opaque = np.zeros((512, 512, 3), np.float32), np.zeros((512, 512), bool)
            image[thing.part], opaque[thing.part] = thing.image, thing.opacity > 0.99
            looks.append((image, opaque))
        for at, (large, below) in enumerate(looks[:-1]):
            small, above = looks[at + 1]
            both = below & above & ~np.any([opaque for _, opaque in looks[at + 2 :]], axis=0)
            if both.sum() > 400:
                alike.append(np.corrcoef(scene.image[both].ravel(), small[both].ravel())[0, 1])
                hidden.append(np.corrcoef(scene.image[both].ravel(), large[both].ravel())[0, 1])
    assert len(alike) >= 4
    assert np.mean(alike) > 0.85 > 0.6 > np.mean(hidden)


def test_overlapping_pixels_belong_to_the_smaller_thing(sample, dataset):
    content, overlaps = document(sample, "train_all"), 0
    by_image = {one["id"]: [] for one in content["images"]}
    for one in content["annotations"]:
        by_image[one["image_id"]].append(one)
    for entry, sample_of in zip(content["images"], dataset.train, strict=True):
        assert entry["file_name"] == sample_of.id
        mask = dataset.read_mask(sample_of)
        things = sorted(by_image[entry["id"]], key=lambda one: one["area"])
        for at, small in enumerate(things):
            free = cv2.erode(filled(small).astype(np.uint8), np.ones((5, 5))) > 0
            for smaller in things[:at]:
                free &= cv2.dilate(filled(smaller).astype(np.uint8), np.ones((5, 5))) == 0
            overlaps += any((free & filled(large)).any() for large in things[at + 1 :])
            assert (mask[free] == small["category_id"]).mean() > 0.99 if free.any() else True
    assert overlaps >= 3


@pytest.mark.parametrize("label", range(1, 11), ids=NAMES)
def test_polygons_lie_where_the_drawing_shows_the_thing(label):
    for number in range(3):
        scene = image_of(label, number)
        (thing,) = scene.things
        drawn = np.zeros((512, 512), bool)
        drawn[thing.part] = thing.opacity > 0.1
        told = cover(thing.polygon, (512, 512)) > 0.5
        assert (drawn & told).sum() / (drawn | told).sum() > 0.9
        assert thing.area == pytest.approx(told.sum(), rel=0.05)


@pytest.mark.parametrize("label", range(1, 11), ids=NAMES)
def test_things_differ_from_their_ground_in_colour_or_in_texture(label):
    found = 0.0
    for number in range(3):
        scene = image_of(label, number)
        (thing,) = scene.things
        inside = cover(thing.polygon, (512, 512)) > 0.5
        around = (cv2.dilate(inside.astype(np.uint8), np.ones((61, 61))) > 0) & ~inside
        image = scene.image.astype(np.float32)
        rough = np.abs(image - cv2.GaussianBlur(image, (0, 0), 4)).mean(-1)
        colour = np.abs(image[inside].mean(0) - image[around].mean(0)).max()
        found = max(found, colour / 20, abs(np.log(rough[inside].mean() / rough[around].mean())) / 0.5)
    assert found > 1


def test_materials_are_told_apart_by_what_light_does_to_them():
    def mean(label: int, measure) -> float:
        values = []
        for number in range(5):
            kind = KINDS[label]
            item = kind.draw(np.random.default_rng((label, number)), (kind.shortest + kind.longest) // 2)
            values.append(measure(item.image[item.opacity > 0.1].astype(np.float32), item.opacity))
        return float(np.mean(values))

    opacity = {label: mean(label, lambda _, opacity: opacity[opacity > 0.1].mean()) for label in KINDS}
    clear = {CLASSES.index(name) for name in ("Glass", "Plastic", "Plastic bag")}
    assert max(opacity[label] for label in clear) < 0.93 < min(opacity[label] for label in set(KINDS) - clear)
    grey = {label: mean(label, lambda pixels, _: np.ptp(pixels, axis=-1).mean()) for label in KINDS}
    assert grey[CLASSES.index("Styrofoam")] < 12 < grey[CLASSES.index("Paper pack")]
    bright = {label: mean(label, lambda pixels, _: pixels.mean()) for label in KINDS}
    assert bright[CLASSES.index("Styrofoam")] > bright[CLASSES.index("Paper")] > bright[CLASSES.index("Clothing")]


def test_lengths_of_things_are_those_asked_for_and_outlines_lie_inside():
    for label, kind in KINDS.items():
        for number in range(4):
            item = kind.draw(np.random.default_rng((label, number)), kind.longest)
            height, width = item.opacity.shape
            assert item.image.shape == (height, width, 3) and item.image.dtype == np.uint8
            assert item.opacity.dtype == np.float32 and item.opacity.min() >= 0 and item.opacity.max() <= 1.001
            assert max(height, width) <= kind.longest + 1
            assert item.outline.min() >= -0.5 and (item.outline <= (width, height)).all()
            assert 0.2 * height * width < area_of(item.outline) <= height * width


def test_grounds_are_of_many_kinds_and_fill_the_image():
    means = [draw_ground(np.random.default_rng(number)).mean((0, 1)) for number in range(16)]
    assert np.std(means, axis=0).min() > 15
    for number in range(8):
        light = shade(np.random.default_rng(number))
        assert light.shape == (512, 512, 1) and light.min() > 0.3 and light.max() < 1.5


def test_no_colour_threshold_finds_trash(dataset):
    scores = Counter()
    for one in dataset.train:
        image = dataset.read_image(one)[::4, ::4]
        trash = dataset.read_mask(one)[::4, ::4] > 0
        channels = np.concatenate([image, cv2.cvtColor(image, cv2.COLOR_RGB2HSV)], -1)
        for threshold in range(10, 250, 20):
            for channel in range(6):
                for above in (True, False):
                    found = (channels[..., channel] > threshold) == above
                    both = 2 * (found & trash).sum() / (found.sum() + trash.sum())
                    scores[threshold, channel, above] += both / len(dataset.train)
    assert max(scores.values()) < 0.65


def low_features(image: np.ndarray) -> np.ndarray:
    """float32 `[64 * 64, 21]`: colour and roughness around each pixel at two scales."""
    lab = cv2.cvtColor(cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB) / np.float32(50)
    found = [lab]
    for sigma in (1.0, 2.5):
        mean = cv2.GaussianBlur(lab, (0, 0), sigma)
        spread = np.sqrt(np.maximum(cv2.GaussianBlur(lab * lab, (0, 0), sigma) - mean * mean, 1e-6))
        found += [mean, spread, mean * mean]
    return np.concatenate(found, -1).reshape(64 * 64, -1)


def test_a_linear_rule_on_colour_and_texture_tells_some_of_the_trash_but_far_from_all():
    features, labels = [], []
    for job in plan(40, SEED):
        scene = draw_image(np.random.default_rng((SEED, job.number)), job.labels)
        mask = np.zeros((512, 512), np.uint8)
        for thing in scene.things:
            mask[cover(thing.polygon, (512, 512)) > 0.5] = thing.label
        features.append(low_features(scene.image))
        labels.append(mask[4::8, 4::8].ravel())
    x, y, tx, ty = (np.concatenate(part) for part in (features[:40], labels[:40], features[40:], labels[40:]))
    # Fisher's discriminant, which has a closed form: what a network must beat, and no training.
    middle, width = x.mean(0), x.std(0)
    x, tx = (x - middle) / width, (tx - middle) / width
    means = np.stack([x[y == label].mean(0) for label in range(11)])
    within = np.cov((x - means[y]).T) + 1e-3 * np.eye(x.shape[1])
    weights = np.linalg.solve(within, means.T)
    shares = np.bincount(y, minlength=11) / len(y)
    told = (tx @ weights - 0.5 * (means.T * weights).sum(0) + 0.7 * np.log(shares)).argmax(1)

    def iou(told: np.ndarray, label: int) -> float:
        return ((told == label) & (ty == label)).sum() / max(((told == label) | (ty == label)).sum(), 1)

    score, of_nothing = (np.mean([iou(one, label) for label in range(11)]) for one in (told, np.zeros_like(ty)))
    assert 2 * of_nothing < score < 0.5


def test_polygons_are_cut_at_the_border_of_the_image():
    square = np.array([(-10, -10), (30, -10), (30, 30), (-10, 30)], float)
    assert area_of(clip(square, (100, 100))) == 900
    assert area_of(clip(square, (20, 25))) == 500
    assert area_of(clip(square + 12, (100, 100))) == 1600
    assert len(clip(square - 100, (100, 100))) == 0
    diamond = np.array([(0, -10), (10, 0), (0, 10), (-10, 0)], float)
    assert area_of(clip(diamond, (100, 100))) == pytest.approx(50)


def test_people_miss_outlines_by_a_pixel_and_click_few_points():
    circle = 200 + 80 * np.stack([np.cos(np.linspace(0, 6.28, 300)), np.sin(np.linspace(0, 6.28, 300))], -1)
    clicked = careless(np.random.default_rng(1), circle)
    assert 10 < len(clicked) < 60
    assert area_of(clicked) == pytest.approx(np.pi * 80**2, rel=0.03)
    assert np.abs(np.hypot(*(clicked - 200).T) - 80).max() < 3.5


def test_outlines_fill_the_size_they_are_made_for():
    rng = np.random.default_rng(0)
    for outline in (lump(rng, (90, 60), 0.1), fit(rng.random((12, 2)), (90, 60))):
        assert outline.min(0) == pytest.approx([1, 1]) and outline.max(0) == pytest.approx([58, 88])
    body = turned([(0, 0.2), (1, 0.5)], (90, 60))
    assert np.ptp(body, axis=0) == pytest.approx([59, 89])


def test_progress_sees_every_image_once(tmp_path):
    seen = []

    def progress(jobs, total, description):
        for job in jobs:
            seen.append((total, description))
            yield job

    draw_sample(tmp_path / "sample", 2, SEED, progress)
    assert seen == [(6, "drawing the sample")] * 6


def test_an_interrupted_drawing_leaves_nothing(tmp_path):
    def progress(jobs, total, description):
        yield from list(jobs)[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path / "sample", 5, SEED, progress)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_drawing_and_an_empty_folder_are_replaced(tmp_path):
    (tmp_path / ".sample.0123abcd.part").mkdir()
    (tmp_path / ".sample.0123abcd.part" / "half.jpg").write_bytes(b"")
    (tmp_path / "sample").mkdir()
    draw_sample(tmp_path / "sample", 1, SEED, quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]
    assert not list((tmp_path / "sample").rglob("half.jpg"))


def test_a_folder_with_files_is_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        draw_sample(tmp_path, 1, SEED, quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_sample_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        draw_sample(tmp_path / "sample", 0, SEED, quiet)
