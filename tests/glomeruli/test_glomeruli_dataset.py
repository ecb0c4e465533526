"""The folder of the glomeruli contest: slides, labels, patients, bands, anatomy, leaks, and what is wrong with it."""

import re
import shutil

import numpy as np
import pytest
import tifffile

from kagglekit import Box, DataError, RecipeError
from kagglekit.pipeline.check import check
from kagglekit.plugin.registry import discover
from kagglekit_glomeruli import dataset as module
from kagglekit_glomeruli.contest import Settings
from kagglekit_glomeruli.dataset import INFO, choose_reduce, read
from tests.glomeruli.data_folders import SIZE, feature, folder, make_image, write_regions, write_rows
from tests.helpers import solution


def dataset(root, folds=2, **settings):
    return read(root, Settings(**settings), folds)


def problems(data) -> dict[str, str]:
    """Rule and detail by sample."""
    return {p.sample: f"{p.rule}: {p.detail}" for p in data.problems}


@pytest.fixture
def root(tmp_path):
    return folder(tmp_path / "d")


def test_a_faultless_folder_has_no_problems_and_reads_as_it_was_written(root):
    data = dataset(root)
    assert (len(data.train), len(data.test), len(data.answers), data.problems) == (4, 2, 2, [])
    assert {s.group for s in data.train} == {"100", "101", "102", "103"}
    for i, sample in enumerate(data.train):
        image, mask = make_image(i)
        box = Box(20, 33, 90, 101)
        assert np.array_equal(data.read_image(sample), image)
        assert np.array_equal(data.read_image(sample, box), image[20:110, 33:134])
        assert np.array_equal(data.read_mask(sample), mask)
        assert np.array_equal(data.read_truth(sample, box), mask[20:110, 33:134])
    assert sorted(p.name for p in data.files)[:3] == [INFO, "aaa0.tiff", "aaa1.tiff"]


def test_slides_are_shrunk_by_the_length_of_their_glomeruli_unless_told_otherwise(root):
    assert dataset(root).tiling.reduce == 1
    assert dataset(root, reduce=3).tiling.reduce == 3
    assert dataset(root, glomerulus=16).tiling.reduce == 2
    long = np.stack([np.arange(5) * 1000, np.full(5, 400)], -1)
    assert [choose_reduce([long], wanted) for wanted in (90, 45, 400, 8)] == [4, 8, 1, 8]
    assert choose_reduce([long[:0]], 90) == 1


def test_slides_are_cut_into_bands_where_patients_are_fewer_than_folds(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(module, "say", said.append)
    data = dataset(folder(tmp_path / "d", patients=2), folds=4)
    assert "2 patient(s) cannot be split into 4 folds" in said[0]
    assert len(data.train) == 16 and len({s.group for s in data.train}) == 16
    for i in range(4):
        image, mask = make_image(i)
        bands = [s for s in data.train if s.id.startswith(f"aaa{i}#")]
        assert np.array_equal(np.concatenate([data.read_image(b) for b in bands]), image)
        assert np.array_equal(np.concatenate([data.read_mask(b) for b in bands]), mask)
        assert all(b.truth_size == b.size for b in bands)
    assert len(dataset(tmp_path / "d", folds=4, bands=1).train) == 4
    assert len(dataset(tmp_path / "d", folds=2).train) == 4


def test_bands_begin_where_a_shrunk_pixel_begins(root):
    data = dataset(root, reduce=5, bands=3)
    assert all(s.label.top % 5 == 0 for s in data.train) and sum(s.size[0] for s in data.train[:3]) == SIZE[0]


def test_regions_are_those_of_the_file_at_the_size_asked_for_also_in_bands(root):
    ring, hole = [[0, 0], [256, 0], [256, 96], [0, 96]], [[100, 20], [140, 20], [140, 60], [100, 60]]
    islands = [[[[0, 100], [60, 100], [60, 190], [0, 190]]], [[[200, 100], [250, 100], [250, 190], [200, 190]]]]
    write_regions(
        root / "train" / "aaa0-anatomical-structure.json",
        feature("Cortex", [ring, hole]),
        feature("Medulla", islands, "MultiPolygon"),
    )
    data = dataset(root)
    regions = data.regions(data.train[0], (48, 64))
    assert set(regions) == {"cortex", "medulla"}
    assert regions["cortex"][10, 5] and not regions["cortex"][10, 30] and not regions["cortex"][40, 5]
    assert regions["medulla"][35, 5] and regions["medulla"][35, 55] and not regions["medulla"][35, 30]
    assert data.regions(data.train[1], (48, 64)) == {}
    top, bottom = dataset(root, bands=2).train[:2]
    halves = [dataset(root, bands=2).regions(s, (24, 64))["cortex"] for s in (top, bottom)]
    assert np.array_equal(np.concatenate(halves), regions["cortex"])


def region(ring: str, name: str = '"Cortex"') -> str:
    """A file of one region, of any text."""
    kind = f'"properties": {{"classification": {{"name": {name}}}}}'
    return f'[{{{kind}, "geometry": {{"type": "Polygon", "coordinates": [{ring}]}}}}]'


BROKEN = ["{", "{}", "[1]", '[{"geometry": {"type": "Point"}}]', "[" * 3000, region("[[1, 2], [NaN, 3], [4, 5]]")]
BROKEN += [region("[[1, 2], [1e12, 3], [4, 5]]"), region("[[1, 2, 3], [4, 5, 6]]"), region("[]"), region("[]", "null")]


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_file_of_regions_is_named(root, content):
    (root / "train" / "aaa0-anatomical-structure.json").write_text(content)
    data = dataset(root)
    if content == "{}":
        assert data.regions(data.train[0], (8, 8)) == {}
        return
    with pytest.raises(DataError, match=r"aaa0-anatomical-structure\.json: not an array of polygon features"):
        data.regions(data.train[0], (8, 8))


def test_a_label_of_a_test_slide_is_refused_with_an_explanation(root):
    shutil.copy(root / "test" / "bbb0.tiff", root / "train" / "bbb0.tiff")
    with (root / "train.csv").open("a") as stream:
        stream.write("bbb0,1 5\n")
    data = dataset(root)
    assert [s.id for s in data.train] == ["aaa0", "aaa1", "aaa2", "aaa3"]
    assert "leak: a test slide has a label in train.csv; scores of a model that has seen" in problems(data)["bbb0"]


def test_a_copy_of_a_test_slide_under_another_name_is_refused(root):
    shutil.copy(root / "test" / "bbb1.tiff", root / "train" / "aaa2.tiff")
    data = dataset(root)
    assert [s.id for s in data.train] == ["aaa0", "aaa1", "aaa3"]
    assert "aaa2.tiff is the test slide bbb1.tiff byte for byte" in problems(data)["aaa2"]


def test_public_answers_beside_a_test_slide_are_listed_and_never_read(root):
    (root / "test" / "bbb0.json").write_text("not even JSON")
    data = dataset(root)
    assert "answers beside a test slide: bbb0.json holds the polygons" in problems(data)["bbb0"]
    assert len(data.test) == 2 and not [p for p in data.files if p.name == "bbb0.json"]


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ("5 3 4 2", "run 2"),
        ("1 2 3", "3 numbers; expected pairs"),
        ("0 3", "run 1"),
        ("1 0", "run 1"),
        ("1 -2", "length '-2' is not a whole number"),
        ("1.0 2", "start '1.0' is not a whole number"),
        ("nan", "start 'nan' is not a whole number"),
        ("49150 10", "ends beyond"),
    ],
)
def test_a_label_that_the_host_would_refuse_is_named_with_the_reason(root, encoding, reason):
    rows = [line.split(",") for line in (root / "train.csv").read_text().splitlines()[1:]]
    rows[1][1] = encoding
    write_rows(root / "train.csv", ["id", "encoding"], rows)
    data = dataset(root)
    assert [s.id for s in data.train] == ["aaa0", "aaa2", "aaa3"]
    assert "label unreadable: train.csv: " in problems(data)["aaa1"] and reason in problems(data)["aaa1"]
    assert next(p for p in data.problems if p.sample == "aaa1").damaged


def test_a_truncated_slide_one_of_unknown_shape_and_one_of_another_size_are_left_out(root):
    path = root / "train" / "aaa0.tiff"
    path.write_bytes(path.read_bytes()[:-200])
    tifffile.imwrite(root / "train" / "aaa1.tiff", np.zeros((2, 40, 50), np.uint8), photometric="minisblack")
    image, _ = make_image(2)
    tifffile.imwrite(root / "train" / "aaa2.tiff", image[:100], photometric="rgb")
    tifffile.imwrite(root / "test" / "bbb0.tiff", image.astype(np.uint16), photometric="rgb")
    data = dataset(root, bands=1)
    told = problems(data)
    assert [s.id for s in data.train] == ["aaa3"]
    assert "truncated" in told["aaa0"] or "not a TIFF" in told["aaa0"]
    assert "2 channels of uint8; expected 3" in told["aaa1"]
    assert f"100x256 pixels (height x width); {INFO} says 192x256" in told["aaa2"]
    assert "3 channels of uint16; expected 3 of uint8" in told["bbb0"]
    assert [s.id for s in data.test] == ["bbb0", "bbb1"], "the test part loses no row"
    assert data.test[0].size == SIZE


def test_slides_and_labels_without_each_other_are_listed(root):
    (root / "train" / "aaa0.tiff").unlink()
    shutil.copy(root / "train" / "aaa1.tiff", root / "train" / "stray.tiff")
    (root / "test" / "bbb1.tiff").unlink()
    told = problems(dataset(root))
    assert "no such image" in told["aaa0"] and "no such image" in told["bbb1"]
    assert told["stray"].startswith("slide without label")


def test_without_the_information_file_every_slide_is_its_own_patient(root):
    (root / INFO).unlink()
    data = dataset(root)
    assert {s.group for s in data.train} == {"aaa0", "aaa1", "aaa2", "aaa3"}
    assert "every slide counts as a patient of its own" in problems(data)[INFO]


def as_text(root, change) -> None:
    """Save the information file again, its text changed."""
    path = root / INFO
    data = change(path.read_text(encoding="utf-8"))
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


SAVED_AGAIN = {
    "by pandas": lambda text: re.sub(r"\b(\d+)\b(?!\.)", r"\1.0", text.replace(".tiff", "")),
    "with a mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "in Latin-1": lambda text: text.replace(",,,", ",Caf\u00e9,,").encode("latin-1"),
    "in UTF-16 with tabs": lambda text: text.replace(",", "\t").encode("utf-16"),
    "with semicolons": lambda text: text.replace(",", ";"),
    "with short rows": lambda text: re.sub(r",+$", "", text, flags=re.MULTILINE),
    "with long rows": lambda text: re.sub(r",$", ",,,,", text, flags=re.MULTILINE),
    "with blank lines and other line ends": lambda text: text.replace("\n", "\r\n") + "\r\n,,,\r\n\r\n",
    "with spaces": lambda text: text.replace(",", " , "),
    "with other endings": lambda text: text.replace(".tiff", ".TIFF"),
}


@pytest.mark.parametrize("kind", SAVED_AGAIN)
def test_the_information_file_is_read_whichever_program_saved_it_again(root, kind):
    before = dataset(root, bands=1)
    as_text(root, SAVED_AGAIN[kind])
    data = dataset(root, bands=1)
    assert data.problems == [] and [s.size for s in data.train] == [SIZE] * 4
    assert [s.group for s in data.train] == [s.group for s in before.train] == ["100", "101", "102", "103"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.splitlines()[0] + "\n", "lists no slide; patients decide the split"),
        (lambda text: "", "empty file"),
        (lambda text: text.replace("192", "192.5", 1), "line 2: height_pixels is '192.5'; expected a whole number"),
        (lambda text: text.replace("192", "", 1), "line 2: height_pixels is ''; expected a whole number"),
        (lambda text: text.replace("aaa0.tiff", "a,b.tiff"), "line 2: width_pixels is 'b.tiff'; expected a whole"),
        (lambda text: text.replace("100", '"100', 1), "line 2: unexpected end of data"),
        (lambda text: re.sub(r"192,aaa1.*", "192", text), "line 3: 3 columns; expected 16"),
        (lambda text: text.replace("aaa1", "aaa0"), "line 3: aaa0 is listed again with other values"),
        (lambda text: text.replace("race", "patient_number"), "column patient_number is twice there"),
    ],
)
def test_an_information_file_that_would_decide_the_split_wrongly_is_refused_with_its_line(root, change, message):
    as_text(root, change)
    with pytest.raises(DataError, match=rf"{INFO}: .*") as error:
        dataset(root)
    assert message in str(error.value)


def test_a_slide_whose_patient_is_unknown_is_told(root):
    as_text(root, lambda text: text.replace(",100,", ",,").replace("aaa1", "zzz1"))
    data = dataset(root, bands=1)
    assert {s.group for s in data.train} == {"aaa0", "aaa1", "102", "103"}
    told = problems(data)
    assert all("counts as one of its own" in told[id] for id in ("aaa0", "aaa1")) and len(told) == 2


@pytest.mark.parametrize("part", ["train.csv", "sample_submission.csv", "train", "test"])
def test_a_missing_part_is_named_with_the_layout(root, part):
    path = root / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=rf"{part} is missing; expected\nDIR/train\.csv"):
        dataset(root)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train.csv", "id,rle\naaa0,1 2\n", "id,encoding"),
        ("train.csv", "id,encoding\naaa0,1 2\naaa0,1 2\n", "aaa0"),
        ("train.csv", "id,encoding\n", "no usable slide of 0"),
        ("sample_submission.csv", "id,predicted\n", "lists no slide"),
        ("answers.csv", "id,predicted\nbbb0,7 7 7\n", "bbb0: 3 numbers"),
        (INFO, "image_file,width_pixels\naaa0.tiff,3\n", "column height_pixels is missing"),
    ],
)
def test_a_table_of_wrong_form_is_refused_by_file_and_reason(root, file, text, message):
    (root / file).write_text(text)
    with pytest.raises(DataError) as error:
        dataset(root)
    assert file in str(error.value) and message in str(error.value)


def test_an_answer_that_is_missing_is_said_and_not_scored(root):
    (root / "answers.csv").write_text("id,predicted\nbbb1,1 5\n")
    data = dataset(root)
    assert set(data.answers) == {"bbb1"} and "it is not scored" in problems(data)["bbb0"]


@pytest.mark.parametrize(
    "settings",
    [
        {"reduce": -1},
        {"reduce": 65},
        {"step": 0},
        {"step": 1.5},
        {"border": 0.5},
        {"step": 0.9, "border": 0.1},
        {"min_saturation": 256},
        {"min_tissue": -0.1},
        {"glomerulus": 3},
        {"bands": -1},
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises(RecipeError, match="settings"):
        Settings(**settings)


def test_a_check_of_a_folder_reads_every_slide_and_finds_damage_inside(root):
    path = root / "train" / "aaa3.tiff"
    page = tifffile.TiffFile(path).pages[0]
    data = bytearray(path.read_bytes())
    data[page.dataoffsets[5] : page.dataoffsets[5] + 30] = b"\xff" * 30
    path.write_bytes(data)
    _, found = check(solution(discover(), "glomeruli", folds=2), root)
    assert [p.sample for p in found if p.damaged] == ["aaa3"] and "damaged at Box" in found[0].detail
