"""The drawn sample data of glomeruli: their layout, all forms of slides, and the tissue on them."""

import csv
import json
from collections import Counter

import cv2
import numpy as np
import pytest
import tifffile

from kagglekit import Tiling
from kagglekit.data.readers.slides import Slide
from kagglekit.data.windows import tissue as seen_tissue
from kagglekit.pipeline.check import check
from kagglekit.plugin.registry import discover
from kagglekit_glomeruli import sample as sample_module
from kagglekit_glomeruli.anatomy import read_regions
from kagglekit_glomeruli.dataset import INFO
from kagglekit_glomeruli.sample import COLUMNS, HEIGHT, LARGER, WIDTH, draw_sample, plan
from kagglekit_glomeruli.slide_files import FORMS, form_of, write_slide
from kagglekit_glomeruli.stains import STAINS, develop, vary
from kagglekit_glomeruli.tissue import COARSE, draw_section, make_plan, outlines, scatter
from tests.helpers import solution

COUNT, SEED = 4, 2
TILING = Tiling(reduce=1, step=0.5, border=0.0, min_saturation=40, min_tissue=0.015)
TABLES = [INFO, "answers.csv", "sample_submission.csv", "train.csv"]


def quiet(jobs, total, description):
    return jobs


@pytest.fixture(scope="module", autouse=True)
def small_slides():
    """Slides of a tenth of the pixels, which are drawn in a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_module, "HEIGHT", (800, 900))
        patch.setattr(sample_module, "WIDTH", (1000, 1100))
        patch.setattr(sample_module, "LARGER", 200)
        yield


@pytest.fixture(scope="module")
def sample(tmp_path_factory, small_slides):
    """One sample of COUNT training slides."""
    root = tmp_path_factory.mktemp("drawn") / "sample"
    draw_sample(root, COUNT, SEED, quiet)
    return root


@pytest.fixture(scope="module")
def section():
    """A slide of the usual size."""
    return draw_section(np.random.default_rng(SEED), (1900, 2500), STAINS[0])


def files_of(root) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def table(path) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 30)
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def decoded(runs: str, size: tuple[int, int]) -> np.ndarray:
    """The contest's run lengths, read once more here."""
    flat = np.zeros(size[0] * size[1], bool)
    numbers = np.array(runs.split(), int)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(size[::-1]).T


def labelled(root):
    """(slide, its mask) of every training slide."""
    for row in table(root / "train.csv"):
        slide = Slide(root / "train" / f"{row['id']}.tiff")
        yield slide, decoded(row["encoding"], slide.size)


def test_the_folder_has_the_layout_of_the_contest_and_nothing_else(sample):
    train, test = ([row["id"] for row in table(sample / name)] for name in ("train.csv", "answers.csv"))
    assert (len(train), len(test)) == (COUNT, 2)
    slides = {f"{folder}/{id}" for folder, ids in (("train", train), ("test", test)) for id in ids}
    expected = {f"{slide}{end}" for slide in slides for end in (".tiff", "-anatomical-structure.json")}
    assert set(files_of(sample)) == expected | set(TABLES)
    assert [row["id"] for row in table(sample / "sample_submission.csv")] == test
    assert not list(sample.parent.glob("*.part"))


def test_the_tables_have_the_headers_of_the_contest_and_the_submission_is_empty(sample):
    heads = {name: (sample / name).read_text().splitlines()[0] for name in TABLES}
    assert heads["train.csv"] == "id,encoding"
    assert heads["answers.csv"] == heads["sample_submission.csv"] == "id,predicted"
    assert heads[INFO].split(",") == list(COLUMNS) and len(COLUMNS) == 16
    assert {row["predicted"] for row in table(sample / "sample_submission.csv")} == {""}
    assert all(row["predicted"] for row in table(sample / "answers.csv"))


def test_a_check_finds_nothing_wrong_and_every_answer(sample):
    dataset, problems = check(solution(discover(), "glomeruli", folds=2), sample)
    assert problems == []
    assert {one.image.stem for one in dataset.train} == {row["id"] for row in table(sample / "train.csv")}
    assert len(dataset.test) == len(dataset.answers) == 2


def test_there_is_a_test_slide_for_four_of_training_and_two_at_least():
    assert Counter(job.folder for job in plan(16, SEED)) == {"train": 16, "test": 4}
    assert Counter(job.folder for job in plan(1, SEED)) == {"train": 1, "test": 2}


def test_slides_are_of_the_promised_sizes_and_one_is_larger(monkeypatch):
    for name, value in (("HEIGHT", HEIGHT), ("WIDTH", WIDTH), ("LARGER", LARGER)):
        monkeypatch.setattr(sample_module, name, value)
    first, *others = (job.size for job in plan(30, SEED))
    assert first == (3100, 3900)
    assert all(2000 <= height <= 3000 and 2600 <= width <= 3600 for height, width in others)


def test_ids_are_nine_hexadecimal_digits_and_differ():
    ids = [job.id for job in plan(60, SEED)]
    assert len(set(ids)) == len(ids) == 75
    assert all(len(id) == 9 and int(id, 16) >= 0 for id in ids)


def test_patients_have_two_slides_and_are_in_one_part_only():
    jobs = plan(8, SEED)
    parts = {folder: Counter(job.patient for job in jobs if job.folder == folder) for folder in ("train", "test")}
    assert set(parts["train"].values()) == set(parts["test"].values()) == {2}
    assert not set(parts["train"]) & set(parts["test"])


def test_the_information_tells_the_sizes_and_the_same_of_both_slides_of_a_patient(sample):
    said = {}
    for row in table(sample / INFO):
        (path,) = sample.glob(f"*/{row['image_file']}")
        assert Slide(path).size == (int(row["height_pixels"]), int(row["width_pixels"]))
        assert row["anatomical_structures_segmention_file"] == f"{path.stem}-anatomical-structure.json"
        assert int(row["percent_cortex"]) + int(row["percent_medulla"]) == 100
        of_the_person = tuple(row[name] for name in COLUMNS[6:14])
        assert said.setdefault(row["patient_number"], of_the_person) == of_the_person
    assert len(said) == 3


def test_each_form_of_the_contest_occurs_in_a_sample_and_is_stored_so(sample):
    found = {}
    for job in plan(COUNT, SEED):
        with tifffile.TiffFile(sample / job.folder / f"{job.id}.tiff") as file:
            page = file.pages[0]
            found[form_of(job.number)] = (
                file.series[0].shape if len(file.series) == 1 else len(file.pages),
                page.is_tiled,
                page.compression.name,
            )
            height, width = job.size
            if form_of(job.number) in ("planar", "five axes"):
                leading = (1, 1, 3) if form_of(job.number) == "five axes" else (3,)
                assert file.series[0].shape == (*leading, height, width)
    assert set(found) == set(FORMS)
    assert found["three images"][0] == 3 or found["three images"][0][0] == 3
    assert found["strips"][1:] == (False, "LZW")
    assert found["jpeg"][1:] == (True, "JPEG")
    assert found["deflate"][1:] == (True, "ADOBE_DEFLATE")
    assert found["deflate"][0][-1] == found["strips"][0][-1] == 3


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_back_as_the_image_that_was_drawn(tmp_path, form, section):
    image = section.image[400:1000, 500:1311]
    write_slide(tmp_path / "s.tiff", image, form)
    slide = Slide(tmp_path / "s.tiff")
    assert (slide.size, slide.channels, slide.depth) == (image.shape[:2], 3, "uint8")
    difference = np.abs(slide.read().astype(int) - image)
    assert difference.max() == 0 if form != "jpeg" else difference.mean() < 5


def test_an_unknown_form_of_a_slide_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no form of a slide: pyramid"):
        write_slide(tmp_path / "s.tiff", np.zeros((8, 8, 3), np.uint8), "pyramid")


def test_every_eight_slides_show_all_forms_and_the_last_two_often():
    forms = Counter(form_of(number) for number in range(10))
    assert forms == {"planar": 1, "five axes": 1, "three images": 1, "strips": 1, "jpeg": 3, "deflate": 3}


def test_the_same_seed_writes_the_same_bytes_and_another_one_others(sample, tmp_path):
    draw_sample(tmp_path / "again", COUNT, SEED, quiet)
    assert files_of(tmp_path / "again") == files_of(sample)
    draw_sample(tmp_path / "other", 1, SEED + 1, quiet)
    assert not {*files_of(sample).values()} & {*files_of(tmp_path / "other").values()}


def test_glomeruli_are_roundish_and_of_sixty_to_120_pixels(section):
    contours, _ = cv2.findContours(section.mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    assert 15 <= len(contours) <= 60
    for contour in contours:
        length = max(cv2.minAreaRect(contour)[1])
        assert 50 <= length <= 140
        assert cv2.contourArea(contour) > 0.85 * cv2.contourArea(cv2.convexHull(contour))


def test_glomeruli_lie_in_the_cortex_only_and_apart(sample):
    for slide, mask in labelled(sample):
        regions = read_regions(
            slide.path.with_name(f"{slide.path.stem}-anatomical-structure.json"), slide.size, slide.size
        )
        assert set(regions) == {"cortex", "medulla"}
        assert mask.any() and (mask & regions["cortex"]).sum() > 0.97 * mask.sum()
        assert (mask & regions["medulla"]).sum() < 0.02 * mask.sum()
        assert not (regions["cortex"] & cv2.erode(regions["medulla"].astype(np.uint8), np.ones((25, 25))) > 0).any()


def test_the_polygons_of_the_anatomy_are_closed_rings_of_whole_pixels(sample):
    for path in sample.glob("*/*-anatomical-structure.json"):
        features = json.loads(path.read_text())
        assert {feature["properties"]["classification"]["name"] for feature in features} == {"Cortex", "Medulla"}
        for feature in features:
            assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "Polygon")
            for ring in feature["geometry"]["coordinates"]:
                assert ring[0] == ring[-1] and len(ring) >= 4
                assert all(type(value) is int for point in ring for value in point)


def test_labels_lie_where_the_drawing_shows_crowds_of_nuclei(section):
    red = cv2.blur(section.image[..., 0].astype(np.float32), (9, 9))
    inside = cv2.erode(section.mask, np.ones((31, 31))) > 0
    tissue = cv2.resize(section.plan.tissue.astype(np.uint8), section.mask.shape[::-1]) > 0
    others = tissue & (cv2.dilate(section.mask, np.ones((31, 31))) == 0)
    assert red[inside].mean() < red[others].mean() - 10  # nuclei take red away
    border = (section.mask > 0) & (cv2.erode(section.mask, np.ones((9, 9))) == 0)
    clear = section.image.min(-1) > 215
    assert clear[border].mean() > 0.25 > 0.12 > clear[inside].mean()  # the space within the capsule


def test_no_threshold_on_one_colour_finds_the_glomeruli(section):
    scores, mask = [], section.mask[::3, ::3] > 0
    small = cv2.blur(section.image, (15, 15))[::3, ::3]
    for channel in range(3):
        for threshold in range(80, 250, 5):
            below = small[..., channel] < threshold
            scores.append(2 * (below & mask).sum() / (below.sum() + mask.sum()))
    assert max(scores) < 0.6


def test_most_of_a_slide_is_bare_glass_and_the_tissue_is_seen_by_its_colour(section):
    assert 0.25 < section.plan.tissue.mean() < 0.6
    outside = cv2.dilate(section.plan.tissue.astype(np.uint8), np.ones((5, 5))) == 0
    outside = cv2.resize(outside.astype(np.uint8), section.mask.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    assert section.image[outside].min() > 225
    assert seen_tissue(section.image, TILING)[~outside].mean() > 0.6
    assert seen_tissue(section.image, TILING)[outside].mean() < 0.001


@pytest.mark.parametrize("stain", STAINS)
def test_every_stain_colours_tissue_enough_to_be_noticed(stain):
    for number in range(20):
        varied = vary(np.random.default_rng(number), stain)
        image = develop(np.full((4, 4), 0.45, np.float32), np.full((4, 4), 0.08, np.float32), varied)
        assert seen_tissue(image, TILING).all()
        glass = develop(np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32), varied)
        assert not seen_tissue(glass, TILING).any()


def test_stains_range_from_purple_to_pink():
    tissue, none = np.full((1, 1), 0.5, np.float32), np.zeros((1, 1), np.float32)
    colours = [develop(tissue, none, stain)[0, 0].astype(int) for stain in STAINS]
    assert all(red > green and blue > green for red, green, blue in colours)
    assert min(red - blue for red, _, blue in colours) < 0 < 25 < max(red - blue for red, _, blue in colours)


def test_points_are_scattered_inside_a_region_and_apart_from_each_other():
    region = np.zeros((100, 120), bool)
    region[20:80, 30:110] = True
    taken = []
    found = scatter(np.random.default_rng(0), region, 30_000, 40, 100, taken)
    assert 5 < len(found) <= round(region.sum() * COARSE**2 / 30_000) and taken == found
    for index, (x, y) in enumerate(found):
        assert 30 * COARSE + 30 < x < 110 * COARSE - 30 and 20 * COARSE + 30 < y < 80 * COARSE - 30
        assert all(np.hypot(x - a, y - b) >= 100 for a, b in found[:index])
    assert scatter(np.random.default_rng(0), np.zeros((9, 9), bool), 10, 5) == []


def test_outlines_of_a_region_enclose_it_in_pixels_of_the_slide():
    plan = make_plan(np.random.default_rng(1), (1600, 2000))
    canvas = np.zeros((1600, 2000), np.uint8)
    cv2.fillPoly(canvas, [np.array(ring) for ring in outlines(plan.tissue)], 1)
    full = cv2.resize(plan.tissue.astype(np.uint8), (2000, 1600), interpolation=cv2.INTER_NEAREST)
    assert (canvas & full).sum() / (canvas | full).sum() > 0.95


def test_progress_sees_every_slide_once(tmp_path):
    seen = []

    def progress(jobs, total, description):
        for job in jobs:
            seen.append((total, description))
            yield job

    draw_sample(tmp_path / "sample", 1, SEED, progress)
    assert seen == [(3, "drawing the sample")] * 3


def test_an_interrupted_drawing_leaves_nothing(tmp_path):
    def progress(jobs, total, description):
        yield from list(jobs)[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path / "sample", 1, SEED, progress)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_drawing_and_an_empty_folder_are_replaced(tmp_path):
    (tmp_path / ".sample.0123abcd.part").mkdir()
    (tmp_path / ".sample.0123abcd.part" / "half.tiff").write_bytes(b"")
    (tmp_path / "sample").mkdir()
    draw_sample(tmp_path / "sample", 1, SEED, quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]
    assert not list((tmp_path / "sample").rglob("half.tiff"))


def test_a_folder_with_files_is_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        draw_sample(tmp_path, 1, SEED, quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_sample_without_slides_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        draw_sample(tmp_path / "sample", 0, SEED, quiet)
