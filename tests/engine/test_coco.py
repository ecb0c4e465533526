"""COCO annotations: drawn as pycocotools draws them, pixel by pixel; files that are broken, and how they tell."""

import json

import numpy as np
import pycocotools.mask as theirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from kagglekit import DataError
from kagglekit.data.codecs import coco, outline, rle
from tests.conftest import REAL

# pycocotools converts arrays in a way that numpy warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))
# Far outside, on the grid and on its halves, and anywhere: where rounding could differ.
coordinates = st.one_of(
    st.integers(-20, 80).map(float),
    st.integers(-200, 800).map(lambda n: n / 10),
    st.floats(-20, 80, width=32),
    st.floats(-300, 300),
)
polygons = st.lists(st.lists(coordinates, min_size=6, max_size=20).map(lambda c: c[: len(c) // 2 * 2]), max_size=4)
masks = st.builds(
    lambda h, w, density, seed: (np.random.default_rng(seed).random((h, w)) < density).astype(np.uint8),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.02, 0.3, 0.5, 0.9, 1.0]),
    st.integers(0, 2**31),
)


def drawn(segmentation: list[list[float]], size: tuple[int, int]) -> np.ndarray:
    """The mask of pycocotools."""
    return theirs.decode(theirs.merge(theirs.frPyObjects(segmentation, *size)))


@settings(max_examples=1000, deadline=None)
@given(polygons.filter(bool), sizes)
def test_polygons_are_drawn_pixel_by_pixel_as_pycocotools_draws_them(segmentation, size):
    mask = outline.polygons_to_mask(segmentation, size)
    assert np.array_equal(mask, drawn(segmentation, size))
    assert mask.dtype == np.uint8 and mask.flags.c_contiguous
    assert np.array_equal(mask, coco.annotation_mask(segmentation, size))


def test_thousands_of_random_polygons_are_drawn_as_pycocotools_draws_them():
    rng, drawn_pixels = np.random.default_rng(0), 0
    for _ in range(3000):
        size = tuple(rng.integers(1, 300, 2).tolist())
        corners = rng.uniform(-30, 330, (rng.integers(3, 40), 2)).round(int(rng.integers(0, 4)))
        corners[rng.integers(len(corners))] = corners[0]  # some edges have no length, some are walked twice
        segmentation = [corners.ravel().tolist()]
        mask = outline.polygons_to_mask(segmentation, size)
        assert np.array_equal(mask, drawn(segmentation, size)), (segmentation, size)
        drawn_pixels += int(mask.sum())
    assert drawn_pixels > 1_000_000


@settings(max_examples=100, deadline=None)
@given(polygons, sizes)
def test_polygons_reckoned_in_parts_are_those_reckoned_at_once(segmentation, size):
    whole = outline.polygons_to_mask(segmentation, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outline, "_CHUNK", 7)
        assert np.array_equal(outline.polygons_to_mask(segmentation, size), whole)


def test_corners_far_outside_take_no_memory_and_give_the_pixels_of_pycocotools():
    import tracemalloc

    few = [(-900 if i % 2 else 900, 0.3 * i) for i in range(60)]
    flat = [value for point in few for value in point]
    merged = theirs.decode(theirs.merge(theirs.frPyObjects([flat], 40, 50)))
    assert np.array_equal(outline.polygons_to_mask([flat], (40, 50)), merged)
    far = [value for i in range(300) for value in ((-99_000 if i % 2 else 99_000), 300 * (i % 7))]
    tracemalloc.start()
    outline.polygons_to_mask([far], (512, 512))
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_a_polygon_that_crosses_the_image_without_end_is_refused():
    zigzag = np.tile([0, 0, 512, 512], 50_000).tolist()
    with pytest.raises(DataError, match=r"a polygon of 100,000 points passes columns 51,200,000 times, .* no outline"):
        coco.annotation_mask([zigzag], (512, 512))


@settings(max_examples=200, deadline=None)
@given(polygons, sizes)
def test_several_polygons_are_the_union_of_each_alone(segmentation, size):
    union = np.zeros(size, np.uint8)
    for polygon in segmentation:
        union |= outline.polygons_to_mask([polygon], size)
    assert np.array_equal(outline.polygons_to_mask(segmentation, size), union)


def test_a_rectangle_of_whole_pixels_fills_those_pixels_and_a_crossing_is_even_odd():
    mask = coco.annotation_mask([[2, 1, 6, 1, 6, 4, 2, 4]], (6, 9))
    expected = np.zeros((6, 9), np.uint8)
    expected[1:4, 2:6] = 1
    assert np.array_equal(mask, expected)
    star = [50, 5, 76, 87, 7, 36, 93, 36, 24, 87]
    assert coco.annotation_mask([star], (100, 100))[50, 50] == 0


@settings(max_examples=300, deadline=None)
@given(masks)
def test_run_lengths_are_those_of_pycocotools_letter_by_letter(mask):
    encoded = theirs.encode(np.asfortranarray(mask))
    compressed, plain = coco.mask_to_rle(mask, compressed=True), coco.mask_to_rle(mask)
    assert compressed.counts == encoded["counts"].decode() and compressed.size == mask.shape
    assert theirs.frPyObjects({"size": list(plain.size), "counts": plain.counts}, *mask.shape) == encoded
    assert coco.rle_counts(compressed).tolist() == coco.rle_counts(plain).tolist() == plain.counts


@settings(max_examples=300, deadline=None)
@given(masks, st.booleans())
def test_run_lengths_of_both_forms_come_back_as_the_mask(mask, compressed):
    made = coco.mask_to_rle(mask, compressed)
    assert np.array_equal(coco.annotation_mask(made, mask.shape), mask)
    as_in_json = {"size": list(made.size), "counts": made.counts, "unknown": 1}
    assert np.array_equal(coco.annotation_mask(as_in_json, mask.shape), mask)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**40))))
def test_numbers_of_every_length_come_back_from_their_characters(counts):
    text = coco.compress(np.array(counts, np.int64))
    assert coco.decompress(text).tolist() == counts
    assert all(48 <= ord(c) < 112 for c in text)


def test_run_lengths_of_nothing_between_two_runs_are_drawn_as_one_run():
    mask = coco.annotation_mask({"size": [2, 3], "counts": [0, 2, 0, 1, 3]}, (2, 3))
    assert rle.encode(mask) == "1 3"
    assert np.array_equal(mask, theirs.decode(theirs.frPyObjects({"size": [2, 3], "counts": [0, 2, 0, 1, 3]}, 2, 3)))


FAR = [0.0, 0.0, 5.0, 0.0, 1e7, 5.0]
BOX = "2 points; expected 3 or more; a box [x, y, width, height] is no polygon"
SHAPE_FAULTS = [
    ([], "no polygon"),
    ([[1, 1, 5, 5]], f"polygon 0: {BOX}"),
    ([[0, 0, 5, 0, 5, 5], []], "polygon 1: 0 points; expected 3 or more"),
    ([[0, 0, 5, 0, 5, 5], [1, 2, 3, 4, 5, 6, 7]], "polygon 1: 7 numbers; expected pairs of x and y"),
    ([[0, 0, 5, float("nan"), 5, 5]], "polygon 0: y of point 1 is nan; expected at most 100,000 pixels"),
    ([[0, 0, 5, 0, float("-inf"), 5]], "polygon 0: x of point 2 is -inf; expected at most 100,000 pixels"),
    ([FAR], "polygon 0: x of point 2 is 10000000.0; expected at most 100,000 pixels"),
    (
        {"size": [6, 8], "counts": [48]},
        "run lengths of 6x8 pixels (height x width); the image has 8x6",
    ),
    ({"size": [8, 6], "counts": [40]}, "run lengths add up to 40; expected the 48 pixels of 8x6 (height x width)"),
    ({"size": [8, 6], "counts": []}, "run lengths add up to 0; expected the 48 pixels of 8x6 (height x width)"),
    ({"size": [8, 6], "counts": ""}, "run lengths add up to 0; expected the 48 pixels of 8x6 (height x width)"),
    (
        {"size": [8, 6], "counts": [50, -2]},
        "run lengths: number 0 is 50; expected 0 to the 48 pixels of 8x6 (height x width)",
    ),
    (
        {"size": [8, 6], "counts": [1, -2, 49]},
        "run lengths: number 1 is -2; expected 0 to the 48 pixels of 8x6 (height x width)",
    ),
    (
        {"size": [8, 6], "counts": [2**63, 1]},
        "run lengths: a number is beyond the 48 pixels of 8x6 (height x width)",
    ),
    ({"size": [8, 6], "counts": "1~"}, "compressed run lengths: character 1 is '~'"),
    ({"size": [8, 6], "counts": "11é1/"}, "compressed run lengths: character 2 is 'é'"),
    ({"size": [8, 6], "counts": "11 1"}, "compressed run lengths: character 2 is ' '"),
    ({"size": [8, 6], "counts": "1P"}, "compressed run lengths end within a number, after 2 characters"),
    ({"size": [8, 6], "counts": "P"}, "compressed run lengths end within a number, after 1 characters"),
    (
        {"size": [8, 6], "counts": "1" + "P" * 20 + "1"},
        "compressed run lengths: the number at character 1 is beyond any image",
    ),
    ({"size": [8, 6], "counts": 5}, "run lengths: Expected `str | array`, got `int` - at `$.counts`"),
    ({"size": [8], "counts": [8]}, "run lengths: Expected `array` of length 2, got 1 - at `$.size`"),
    ({"counts": [8]}, "run lengths: Object missing required field `size`"),
]


@pytest.mark.parametrize(("segmentation", "fault"), SHAPE_FAULTS, ids=[fault[:40] for _, fault in SHAPE_FAULTS])
def test_a_shape_that_cannot_be_drawn_says_why(segmentation, fault):
    with pytest.raises(DataError) as caught:
        coco.annotation_mask(segmentation, (8, 6))
    assert str(caught.value) == fault


SQUARE = [1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]


def image(id: int, **changes) -> dict:
    """An entry of images."""
    return {"id": id, "file_name": f"{id}.jpg", "height": 8, "width": 6, "license": 0, "url": None} | changes


def annotation(id: int, image_id: int, **changes) -> dict:
    """An entry of annotations."""
    known = {"id": id, "image_id": image_id, "category_id": 7, "segmentation": [SQUARE], "area": 16, "iscrowd": 0}
    return known | changes


def written(folder, **changes):
    """A file of two images and a category, with ids that are no positions."""
    document = {
        "info": {},
        "images": [image(40), image(-3)],
        "categories": [{"id": 7, "name": "Glass", "supercategory": "Trash"}],
        "annotations": [annotation(1, -3), annotation(2, 40), annotation(3, -3)],
    }
    path = folder / "labels.json"
    path.write_text(json.dumps(document | changes), encoding="utf-8")
    return path


def test_entries_are_found_by_their_ids_whatever_their_places(tmp_path):
    found = coco.read_coco(written(tmp_path))
    assert list(found.images) == [40, -3] and found.images[-3].file_name == "-3.jpg"
    assert {id: [a.id for a in annotations] for id, annotations in found.annotations.items()} == {40: [2], -3: [1, 3]}
    assert found.categories[7].name == "Glass" and found.categories[7].supercategory == "Trash"
    assert found.annotations[40][0].area == 16.0 and found.annotations[40][0].segmentation == [SQUARE]
    assert found.faults == []


def test_a_file_without_annotations_has_images_with_none(tmp_path):
    path = tmp_path / "test.json"
    path.write_text(json.dumps({"images": [image(0), image(1)]}))
    found = coco.read_coco(path)
    assert found.annotations == {0: [], 1: []} and found.categories == {} and found.faults == []


def test_annotations_that_cannot_be_used_are_left_out_and_told(tmp_path):
    short, odd, whole = [1.0, 1.0, 2.0, 2.0], [1.0] * 7, {"size": [8, 6], "counts": [8, 40]}
    path = written(
        tmp_path,
        annotations=[
            annotation(10, 41),
            annotation(11, 40, category_id=0),
            annotation(12, 40, segmentation=[short]),
            annotation(13, 40, segmentation=[short, SQUARE, odd]),
            annotation(14, 40, segmentation=[]),
            annotation(15, 40, segmentation=whole, iscrowd=1),
            annotation(16, 40, segmentation=whole | {"size": [6, 8]}),
            annotation(17, 40, segmentation=whole | {"counts": [8, 4]}),
            annotation(18, 40, segmentation=whole | {"counts": coco.compress(np.array([8, 40]))}),
        ],
    )
    found = coco.read_coco(path)
    assert [(a.id, len(a.segmentation)) for a in found.annotations[40] if isinstance(a.segmentation, list)] == [(13, 1)]
    assert found.annotations[40][0].segmentation == [SQUARE]
    assert [a.id for a in found.annotations[40]] == [13, 15, 18] and found.annotations[-3] == []
    told = [(f.index, f.id, f.rule, f.detail) for f in found.faults]
    assert told == [
        (0, 10, "unknown image", "image_id 41"),
        (1, 11, "unknown category", "category_id 0"),
        (2, 12, "bad polygon", f"polygon 0: {BOX}"),
        (3, 13, "bad polygon", f"polygon 0: {BOX}"),
        (3, 13, "bad polygon", "polygon 2: 7 numbers; expected pairs of x and y"),
        (4, 14, "bad polygon", "no polygon"),
        (6, 16, "bad run lengths", "run lengths of 6x8 pixels (height x width); the image has 8x6"),
        (7, 17, "bad run lengths", "run lengths add up to 12; expected the 48 pixels of 8x6 (height x width)"),
    ]
    for kept in found.annotations[40]:
        assert coco.annotation_mask(kept.segmentation, (8, 6)).any()


ONE_SQUARE = coco.mask_to_rle(coco.annotation_mask([SQUARE], (8, 6)))
TEXT = coco.compress(coco.rle_counts(ONE_SQUARE))
FORMS = {
    "flat": SQUARE,
    "pairs": [[[1, 1], [5, 1], [5, 5], [1, 5]]],
    "points": [[1, 1], [5, 1], [5, 5], [1, 5]],
    "text": [["1", "1", "5", "1", "5.0", "5", "1", "5"]],
    "run lengths": {"size": [8, 6], "counts": ONE_SQUARE.counts},
    "run lengths as 1.0": {"size": [8.0, 6.0], "counts": [float(count) for count in ONE_SQUARE.counts]},
    "compressed": {"size": [8, 6], "counts": TEXT},
    "run lengths in a list": [{"size": [8, 6], "counts": TEXT}],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_shape_is_read_in_every_form_that_means_one_thing(tmp_path, form):
    found = coco.read_coco(written(tmp_path, annotations=[annotation(1, 40, segmentation=FORMS[form])]))
    assert found.faults == []
    assert np.array_equal(
        coco.annotation_mask(found.annotations[40][0].segmentation, (8, 6)), coco.annotation_mask([SQUARE], (8, 6))
    )


LOST = [
    ({"segmentation": None}, "no segmentation"),
    ({"segmentation": "x"}, "segmentation 'x'; expected polygons or run lengths"),
    ({"segmentation": [[1, 1, 5, 1, 5, None]]}, "polygon 0: number 5 is null"),
    ({"segmentation": [[1, 1, 5, 1, 5, True]]}, "polygon 0: number 5 is true"),
    ({"segmentation": [[1, 1, 5, 1, 5, "x"]]}, "polygon 0: number 5 is 'x'"),
    ({"segmentation": [[1, 1, 5, 1, 5, float("nan")]]}, "polygon 0: number 5 is null"),
    ({"segmentation": [[[[1, 1], [5, 1], [5, 5]]]]}, "polygon 0: number 0 is a list"),
    ({"segmentation": [SQUARE, {"size": [8, 6], "counts": [48]}]}, "polygon 1: an object; expected a list of numbers"),
    ({"segmentation": {"counts": [48]}}, "run lengths: size null; expected height and width"),
    ({"segmentation": {"size": [8, 6.5], "counts": [48]}}, "run lengths: size a list; expected height and width"),
    ({"segmentation": {"size": [8, 6], "counts": 5}}, "run lengths: counts 5; expected numbers or text"),
    ({"segmentation": {"size": [8, 6], "counts": [8, 2.5]}}, "run lengths: number 1 is 2.5"),
    ({"category_id": None}, "category_id is missing"),
]


@pytest.mark.parametrize(("changes", "detail"), LOST, ids=[detail for _, detail in LOST])
def test_an_annotation_that_cannot_be_read_costs_its_image_one_object_not_the_file(tmp_path, changes, detail):
    bad = {key: value for key, value in annotation(2, 40, **changes).items() if value is not None}
    for entry in (bad, annotation(2, 40, **changes)):  # the key left out, and null
        found = coco.read_coco(written(tmp_path, annotations=[annotation(1, 40), entry]))
        assert [a.id for a in found.annotations[40]] == [1]
        assert found.faults == [coco.Fault(1, 2, coco.UNREADABLE, detail, 40)]


def test_an_annotation_that_names_no_image_is_told_without_one(tmp_path):
    found = coco.read_coco(written(tmp_path, annotations=["x", annotation(2, 40.5), annotation(None, 40)]))
    assert [(f.name, f.detail, f.image) for f in found.faults] == [
        ("annotations[0]", "'x'; expected an object", None),
        ("annotation 2", "image_id 40.5; expected a whole number or text", None),
    ]
    assert len(found.annotations[40]) == 1


def test_a_polygon_of_two_points_beside_others_costs_nothing(tmp_path):
    found = coco.read_coco(written(tmp_path, annotations=[annotation(1, 40, segmentation=[[1, 1, 2, 2], SQUARE])]))
    assert [f.image for f in found.faults] == [None] and found.annotations[40][0].segmentation == [SQUARE]
    found = coco.read_coco(written(tmp_path, annotations=[annotation(1, 40, segmentation=[[1, 1, 2, 2, 3], SQUARE])]))
    assert [f.image for f in found.faults] == [40]


@pytest.mark.parametrize("crowd", [True, False, None, "0", 1])
@pytest.mark.parametrize("area", ["16", None, 0, float("nan"), float("inf")])
def test_crowd_and_area_never_cost_an_object(tmp_path, crowd, area):
    found = coco.read_coco(written(tmp_path, annotations=[annotation(1, 40, iscrowd=crowd, area=area)]))
    assert found.faults == [] and found.annotations[40][0].area is None
    assert found.annotations[40][0].iscrowd == int(crowd in (True, 1))


@pytest.mark.parametrize("written_as", [str, float, "img-{}".format, lambda n: n])
def test_ids_are_numbers_or_texts_however_they_are_written(tmp_path, written_as):
    path = written(
        tmp_path,
        images=[image(40) | {"id": written_as(40)}, image(-3, height="8", width=6.0) | {"id": written_as(-3)}],
        annotations=[
            annotation(1, written_as(-3)),
            {k: v for k, v in annotation(2, written_as(40)).items() if k != "id"},
        ],
    )
    found = coco.read_coco(path)
    assert found.faults == [] and [len(of) for of in found.annotations.values()] == [1, 1]
    assert [(i.file_name, i.height, i.width) for i in found.images.values()] == [("40.jpg", 8, 6), ("-3.jpg", 8, 6)]


def test_an_image_that_cannot_be_read_is_told_by_its_name_and_its_annotations_are_not(tmp_path):
    images = [image(40), image(-3, height=None), image(5, file_name=None), image(6, file_name="a\0.jpg"), "x"]
    found = coco.read_coco(written(tmp_path, images=images, annotations=[annotation(1, -3), annotation(2, 40)]))
    assert list(found.images) == [40] and found.faults == []
    assert found.broken == {
        "-3.jpg": "images[1]: height is missing",
        "images[2]": "images[2]: file_name is missing",
        "a\0.jpg": "images[3]: file_name 'a\\x00.jpg'; expected the name of a file",
        "images[4]": "images[4]: 'x'; expected an object",
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_is_read_in_every_encoding_of_json(tmp_path, encoding):
    path = written(tmp_path)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert len(coco.read_coco(path).annotations[-3]) == 2


def test_lists_that_are_null_are_empty(tmp_path):
    found = coco.read_coco(written(tmp_path, annotations=None, categories=None))
    assert found.annotations == {40: [], -3: []} and found.categories == {}


ENTRY_FAULTS = [
    ({"images": [image(1), image(2), image(1)]}, "images[2]: id 1 is also that of images[0]"),
    ({"categories": [{"id": 7, "name": "a"}] * 2}, "categories[1]: id 7 is also that of categories[0]"),
    ({"images": [image(2), image("2")]}, "images[1]: id 2 is also that of images[0]"),
    ({"categories": ["Glass"]}, "categories[0]: 'Glass'; expected an object"),
    ({"categories": [{"id": 1, "supercategory": "Glass"}]}, "categories[0]: name is missing"),
    ({"categories": [{"id": True, "name": "Glass"}]}, "categories[0]: id true; expected a whole number or text"),
    (
        {"annotations": {}},
        "Expected `array | null`, got `object` - at `$.annotations`; expected an object with lists images",
    ),
]


@pytest.mark.parametrize(("changes", "fault"), ENTRY_FAULTS, ids=[fault[:40] for _, fault in ENTRY_FAULTS])
def test_an_entry_of_another_type_is_named_with_its_place(tmp_path, changes, fault):
    path = written(tmp_path, **changes)
    with pytest.raises(DataError) as caught:
        coco.read_coco(path)
    assert str(caught.value).startswith(f"{path}: {fault}")


BROKEN = {
    '{"images": [\n  {"id": 1,\n   "ä": tru }\n]}'.encode(): 'broken JSON at line 3, column 10 (near \'"ä": tru }',
    b'{"images": [': "broken JSON at line 1, column 13 (near '{\"images\": ['): Input data was truncated",
    b'{"images": []} x': "broken JSON at line 1, column 17 (near '{\"images\": []} x'): JSON is malformed",
    b"": "empty file",
    b"[]": "Expected `object`, got `array`; expected an object with lists images, annotations, categories",
    b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}": "brackets are nested too deep to be an object with lists images",
    b'{"images": ' + b"[" * 3000 + b"]" * 3000 + b"}": "brackets are nested too deep to be an object with lists images",
    b'{"images": [],\n "a": "\\ud83d\\ude00 \\ud800"}': "line 2, column 21: \\ud800 is half of a character; write the",
    b'\xff\xfe{"images"': "neither UTF-8 nor utf-16 text; save it as UTF-8",
    b'{"images": [], "annotations": [NaN, {]}': "broken JSON at line 1, column 32 (near ",
    b'{"annotations": []}': "Object missing required field `images`; expected an object with lists images",
    b'{"images": [{"id": 1, "file_name": "\xff.jpg", "height": 1, "width": 1}]}': "not UTF-8 text: ",
}


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
def test_a_file_that_is_broken_says_where(tmp_path, data):
    path = tmp_path / "labels.json"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        coco.read_coco(path)
    assert str(caught.value).startswith(f"{path}: {BROKEN[data]}")


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.json: no such file"):
        coco.read_coco(tmp_path / "nothing.json")


@pytest.mark.real
@pytest.mark.parametrize("name", ["train.json", "val.json", "train_all.json", "answers.json", "test.json"])
def test_every_object_of_the_recycling_contest_is_drawn_as_pycocotools_draws_it(name, capsys):
    path = REAL / "recycling" / name
    if not path.is_file():
        pytest.skip(f"no real labels at {path}")
    ours, reference = coco.read_coco(path), COCO(str(path))
    assert ours.faults == [] and set(ours.images) == set(reference.imgs) and set(ours.categories) == set(reference.cats)
    swept = 0
    for id, known in ours.images.items():
        for kept in ours.annotations[id]:
            mask = coco.annotation_mask(kept.segmentation, (known.height, known.width))
            assert np.array_equal(mask, reference.annToMask(reference.anns[kept.id])), (name, kept.id)
            swept += 1
    assert swept == len(reference.anns) and len(ours.images) >= 50
