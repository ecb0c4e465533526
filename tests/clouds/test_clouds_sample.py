"""The drawn sample data of clouds: their layout, the four patterns, and the labels that people gave them."""

import csv
from collections import Counter
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image

from kagglekit.pipeline.check import check
from kagglekit.plugin.registry import discover
from kagglekit_clouds.contest import CLASSES, SIZE
from kagglekit_clouds.labelling import FISH, FLOWER, GRAVEL, MISTAKEN, SIMILAR, SUGAR, Region, label, rectangles
from kagglekit_clouds.sample import draw_sample, plan
from kagglekit_clouds.scenery import draw_image, gap, lay_out
from tests.helpers import solution

COUNT, SEED = 9, 3
TABLES = ["answers.csv", "sample_submission.csv", "train.csv"]


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
    found, problems = check(solution(discover(), "clouds"), sample)
    assert problems == []
    return found


def files_of(root) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def rows_of(path) -> list[list[str]]:
    with path.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["Image_Label", "EncodedPixels"]
    return rows


def decoded(runs: str) -> np.ndarray:
    """The contest's run lengths, read once more here."""
    flat = np.zeros(SIZE[0] * SIZE[1], bool)
    numbers = np.array(runs.split(), int)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(SIZE[::-1]).T


def cloud(image: np.ndarray) -> np.ndarray:
    """uint8 `[H, W]`: 1 where an image is bright."""
    return (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) > 110).astype(np.uint8)


@cache
def images_of(label: int, count: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """(clouds, what is labelled) of images that show one class."""
    drawn = [draw_image(np.random.default_rng((SEED, label, number)), (label,), False) for number in range(count)]
    return [(cloud(image.image), image.mask[..., label] > 0) for image in drawn]


def size_of_clouds(label: int, side: int) -> float:
    """The part of the clouds inside labels that a square of `side` pixels fits into."""
    square, kept, all_of_them = np.ones((side, side), np.uint8), 0, 0
    for clouds, inside in images_of(label):
        kept += cv2.morphologyEx(clouds, cv2.MORPH_OPEN, square)[inside].sum()
        all_of_them += clouds[inside].sum()
    return kept / all_of_them


def test_the_folder_has_the_layout_of_the_contest_and_nothing_else(sample):
    files = files_of(sample)
    train = [name for name in files if name.startswith("train_images/")]
    test = [name for name in files if name.startswith("test_images/")]
    assert (len(train), len(test)) == (COUNT, 4)
    assert sorted(set(files) - set(train) - set(test)) == TABLES
    assert not list(sample.parent.glob("*.part"))


def test_there_is_a_test_image_for_five_of_training_and_four_at_least():
    folders = Counter(job.folder for job in plan(40, SEED))
    assert folders == {"train_images": 40, "test_images": 8}
    assert Counter(job.folder for job in plan(1, SEED)) == {"train_images": 1, "test_images": 4}


def test_every_image_is_a_colour_jpeg_of_the_contests_size_with_seven_hex_digits(sample):
    paths = list(sample.rglob("*.jpg"))
    assert len({path.name for path in paths}) == COUNT + 4
    for path in paths:
        assert len(path.stem) == 7 and int(path.stem, 16) >= 0
        with Image.open(path) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", SIZE[::-1], "RGB")


@pytest.mark.parametrize(
    ("table", "folder"),
    [("train.csv", "train_images"), ("answers.csv", "test_images"), ("sample_submission.csv", "test_images")],
)
def test_a_table_has_four_rows_an_image_in_the_order_of_the_classes(sample, table, folder):
    names = sorted(path.name for path in (sample / folder).iterdir())
    assert [id for id, _ in rows_of(sample / table)] == [f"{name}_{label}" for name in names for label in CLASSES]


def test_the_sample_submission_holds_one_pixel_in_every_row(sample):
    assert {runs for _, runs in rows_of(sample / "sample_submission.csv")} == {"1 1"}


def test_a_check_finds_nothing_wrong_and_every_answer(dataset):
    assert (len(dataset.train), len(dataset.test), len(dataset.answers)) == (COUNT, 4, 4)


def test_every_class_occurs_and_about_half_of_the_pairs_are_empty(sample):
    rows = rows_of(sample / "train.csv")
    present = Counter(id.split("_")[1] for id, runs in rows if runs)
    assert set(present) == set(CLASSES)
    assert 0.35 <= np.mean([not runs for _, runs in rows]) <= 0.65
    empty = 1 - np.mean([len(job.classes) for job in plan(1000, SEED)]) / 4
    assert 0.4 <= empty <= 0.5  # before some regions are missed


def test_every_class_is_the_first_of_an_image_in_each_four():
    for at in range(8):
        assert {job.classes[0] for job in plan(16, SEED)[at : at + 4]} == set(range(4))


def test_every_image_shows_one_to_three_classes_once_each():
    counts = Counter(len(job.classes) for job in plan(200, SEED))
    assert set(counts) == {1, 2, 3}
    assert all(len(set(job.classes)) == len(job.classes) for job in plan(200, SEED))


def test_a_third_of_the_images_have_a_black_swath_and_no_label_in_it(dataset):
    swaths = 0
    for one in dataset.train:
        dark = cv2.erode((dataset.read_image(one).max(-1) < 8).astype(np.uint8), np.ones((9, 9)))
        swaths += dark.mean() > 0.02
        assert not dataset.read_mask(one)[dark > 0].any()
    assert swaths == COUNT / 3


def test_swaths_are_slanted_bands_from_top_to_bottom():
    for number in range(50):
        corners = gap(np.random.default_rng(number))
        assert corners[:2, 1].max() < 0 and corners[2:, 1].min() >= SIZE[0]
        slant = (corners[3, 0] - corners[0, 0]) / SIZE[0]
        assert 0.1 < abs(slant) < 0.35
        assert corners[1, 0] > 0 and corners[:, 0].min() < SIZE[1]


def test_the_same_seed_writes_the_same_bytes_and_another_one_others(sample, tmp_path):
    draw_sample(tmp_path / "again", COUNT, SEED, quiet)
    assert files_of(tmp_path / "again") == files_of(sample)
    draw_sample(tmp_path / "other", 1, SEED + 1, quiet)
    assert not {*files_of(sample).values()} & {*files_of(tmp_path / "other").values()}


def test_labels_are_what_the_rows_say(sample, dataset):
    rows = dict(rows_of(sample / "train.csv"))
    one = dataset.train[0]
    for k, name in enumerate(CLASSES):
        assert (decoded(rows[f"{one.id}_{name}"]) == (dataset.read_mask(one)[..., k] > 0)).all()


def test_labels_are_unions_of_upright_rectangles():
    for number in range(20):
        rng = np.random.default_rng(number)
        found = rectangles(rng, (300, 400, 900, 1500))
        assert 1 <= len(found) <= 3
        for top, left, bottom, right in found:
            assert 0 <= top < bottom <= SIZE[0] and 0 <= left < right <= SIZE[1]
            # Not exactly the region, but most of what they hold is of it.
            shared = max(0, min(bottom, 900) - max(top, 300)) * max(0, min(right, 1500) - max(left, 400))
            assert shared > 0.55 * (bottom - top) * (right - left)
    assert {len(rectangles(np.random.default_rng(number), (300, 400, 900, 1500))) for number in range(50)} == {1, 2, 3}


def test_the_first_region_has_its_own_label_and_others_are_sometimes_missed_or_mistaken():
    said = Counter()
    for number in range(60):
        regions = [
            Region(FLOWER, (0, 0, 600, 900)),
            Region(SUGAR, (700, 1000, 1400, 2100)),
            Region(-1, (0, 900, 9, 99)),
        ]
        found = label(np.random.default_rng(number), regions)[::50, ::50].any((0, 1))
        assert found[FLOWER] and not found[FISH]
        said["right" if found[SUGAR] else "mistaken" if found[SIMILAR[SUGAR]] else "missed"] += 1
    assert said["right"] > 35 and said["missed"] >= 2
    assert abs(said["mistaken"] / 60 - MISTAKEN) < 0.1


def test_regions_tile_the_image_and_each_class_has_a_large_one():
    for number in range(100):
        regions = lay_out(np.random.default_rng(number), (GRAVEL, FISH, SUGAR))
        area = {region: (region.box[2] - region.box[0]) * (region.box[3] - region.box[1]) for region in regions}
        assert sum(area.values()) == SIZE[0] * SIZE[1]
        assert {region.label for region in regions} == {GRAVEL, FISH, SUGAR, -1}
        assert all(size > 0.06 * SIZE[0] * SIZE[1] for region, size in area.items() if region.label >= 0)


def test_patterns_are_told_by_the_sizes_of_their_clouds():
    large = {label: size_of_clouds(label, 25) for label in range(4)}
    small = {label: size_of_clouds(label, 5) for label in range(4)}
    assert large[FLOWER] > 0.35 > large[FISH] > 0.1 > large[GRAVEL]
    assert min(small[FISH], small[FLOWER], small[GRAVEL]) > 0.45 > 0.3 > small[SUGAR]


def test_fish_run_in_one_direction_and_flowers_in_none():
    def oneness(label: int) -> float:
        found = []
        for clouds, inside in images_of(label):
            soft = cv2.GaussianBlur(clouds.astype(np.float32), (0, 0), 14)
            dx, dy = (cv2.Sobel(soft, cv2.CV_32F, *order)[inside] for order in ((1, 0), (0, 1)))
            found.append(np.hypot((dx**2 - dy**2).sum(), 2 * (dx * dy).sum()) / (dx**2 + dy**2).sum())
        return float(np.mean(found))

    assert oneness(FISH) > 0.25 > 0.18 > max(oneness(FLOWER), oneness(GRAVEL))


def test_no_threshold_on_brightness_finds_a_class(dataset):
    scores = Counter()
    for one in dataset.train:
        grey = cv2.cvtColor(dataset.read_image(one), cv2.COLOR_RGB2GRAY)[::7, ::7]
        mask = dataset.read_mask(one)[::7, ::7] > 0
        for k in range(4):
            for threshold in range(20, 240, 20):
                above = grey > threshold
                both = 2 * (above & mask[..., k]).sum()
                scores[k, threshold] += both / max(above.sum() + mask[..., k].sum(), 1) / COUNT
    assert max(scores.values()) < 0.4


def test_progress_sees_every_image_once(tmp_path):
    seen = []

    def progress(jobs, total, description):
        for job in jobs:
            seen.append((total, description))
            yield job

    draw_sample(tmp_path / "sample", 1, SEED, progress)
    assert seen == [(5, "drawing the sample")] * 5


def test_an_interrupted_drawing_leaves_nothing(tmp_path):
    def progress(jobs, total, description):
        yield from list(jobs)[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path / "sample", 1, SEED, progress)
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
