"""Reading labels.json: every form that is in use, and every fault by its entry."""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import DataError
from kagglekit_hair_seg.labels import Point, read_document, read_labels, to_array
from tests.toy_data import ring

SQUARE = [{"x": 1, "y": 2}, {"x": 30, "y": 2}, {"x": 30, "y": 40}, {"x": 1, "y": 40}]
POINTS = [[1, 2], [30, 2], [30, 40], [1, 40]]


def written(folder, document):
    """A label file of any content: text, bytes, or a value to be written as JSON."""
    path = folder / "labels.json"
    if isinstance(document, bytes):
        path.write_bytes(document)
    else:
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def entries_of(folder, *entries):
    return list(read_labels(written(folder, {"annotations": list(entries)})))


def only(folder, polygon):
    """(points, fault) of one entry with this polygon."""
    ((name, points, fault),) = entries_of(folder, {"file_name": "a.jpg", "polygon1": polygon})
    assert name == "a.jpg"
    return points, fault


@pytest.mark.parametrize("key", ["annotations", "annotation"])
def test_both_names_of_the_list_are_known(tmp_path, key):
    path = written(tmp_path, {key: [{"file_name": "a.jpg", "polygon1": SQUARE}]})
    ((name, points, fault),) = read_labels(path)
    assert (name, points.tolist(), fault) == ("a.jpg", POINTS, "")
    assert points.dtype == np.int16


def test_a_polygon_may_be_a_string_as_in_the_raw_data(tmp_path):
    points, fault = only(tmp_path, str(SQUARE))
    assert (points.tolist(), fault) == (POINTS, "")
    points, fault = only(tmp_path, "[{'x': 1.5, 'y': 2}, {'x': 30, 'y': 2}, {'x': 3, 'y': 4}]")
    assert points.tolist() == [[1.5, 2], [30, 2], [3, 4]]


def test_the_order_of_x_and_y_within_a_point_does_not_count(tmp_path):
    points, _ = only(tmp_path, [{"y": p["y"], "x": p["x"]} for p in SQUARE])
    assert points.tolist() == POINTS


def test_whole_numbers_written_as_floats_are_whole(tmp_path):
    points, _ = only(tmp_path, [{"x": float(p["x"]), "y": float(p["y"])} for p in SQUARE])
    assert points.dtype == np.int16
    assert points.tolist() == POINTS


def test_fractions_are_kept(tmp_path):
    points, _ = only(tmp_path, [{"x": 1.25, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 6}])
    assert points.dtype == np.float32
    assert points[0].tolist() == [1.25, 2]


def test_unknown_keys_are_ignored_at_every_level(tmp_path):
    path = written(
        tmp_path,
        {
            "info": {"year": 2021},
            "annotations": [
                {"file_name": "a.jpg", "id": [1], "polygon1": [{**p, "z": 3} for p in SQUARE], "polygon2": None}
            ],
            "licenses": [],
        },
    )
    ((name, points, fault),) = read_labels(path)
    assert (name, points.tolist(), fault) == ("a.jpg", POINTS, "")


def test_names_may_be_in_any_script(tmp_path):
    ((name, points, _),) = entries_of(tmp_path, {"file_name": "머리-😀.jpg", "polygon1": SQUARE})
    assert name == "머리-😀.jpg"
    assert len(points) == 4


FAULTS = {
    "missing polygon": ({"file_name": "b.jpg"}, "b.jpg", "missing required field `polygon1`"),
    "null": ({"file_name": "b.jpg", "polygon1": None}, "b.jpg", "got `null`"),
    "number": ({"file_name": "b.jpg", "polygon1": 5}, "b.jpg", "got `int`"),
    "pairs": ({"file_name": "b.jpg", "polygon1": [[1, 2]]}, "b.jpg", "polygon1[0]"),
    "text coordinate": ({"file_name": "b.jpg", "polygon1": [{"x": "1", "y": 2}]}, "b.jpg", "polygon1[0].x"),
    "true": ({"file_name": "b.jpg", "polygon1": [{"x": True, "y": 2}]}, "b.jpg", "polygon1[0].x"),
    "null coordinate": ({"file_name": "b.jpg", "polygon1": [{"x": 1, "y": None}]}, "b.jpg", "polygon1[0].y"),
    "missing y": ({"file_name": "b.jpg", "polygon1": [{"x": 1}]}, "b.jpg", "missing required field `y`"),
    "far away": ({"file_name": "b.jpg", "polygon1": [{"x": 1e9, "y": 2}]}, "b.jpg", "beyond 32,000 pixels"),
    "code": ({"file_name": "b.jpg", "polygon1": "__import__('os')"}, "b.jpg", "malformed"),
    "half a string": (
        {"file_name": "b.jpg", "polygon1": "[{'x': 1,"},
        "b.jpg",
        "polygon1 as text: Input data was truncated",
    ),
    "nan in a string": ({"file_name": "b.jpg", "polygon1": "[{'x': nan, 'y': 1}]"}, "b.jpg", "malformed"),
    "inf in a string": ({"file_name": "b.jpg", "polygon1": "[{'x': 1e999, 'y': 1}]"}, "b.jpg", ""),
    "huge in a string": ({"file_name": "b.jpg", "polygon1": "[{'x': 9**1, 'y': 1}]"}, "b.jpg", "malformed"),
    "deep string": ({"file_name": "b.jpg", "polygon1": "(" * 5000}, "b.jpg", "malformed"),
    "zero byte": ({"file_name": "b.jpg", "polygon1": "\0"}, "b.jpg", "malformed"),
    "set of points": ({"file_name": "b.jpg", "polygon1": "{1, 2}"}, "b.jpg", "polygon1 as text: Expected `array`"),
    "bytes": ({"file_name": "b.jpg", "polygon1": "b'abc'"}, "b.jpg", "malformed"),
    "deep list in a string": (
        {"file_name": "b.jpg", "polygon1": "[" * 5000 + "]" * 5000},
        "b.jpg",
        "Expected `object`",
    ),
    "deep key in a string": (
        {"file_name": "b.jpg", "polygon1": "[{'z': " + "[" * 5000 + "]" * 5000 + "}]"},
        "b.jpg",
        "recursion",
    ),
    "arithmetic in a string": ({"file_name": "b.jpg", "polygon1": "-" * 100_000 + "1"}, "b.jpg", "malformed"),
    "no name": ({"polygon1": SQUARE}, "entry 1", "missing required field `file_name`"),
    "name a number": ({"file_name": 7, "polygon1": SQUARE}, "entry 1", "file_name"),
    "no object": (17, "entry 1", "Expected `object`, got `int`"),
    "nothing": (None, "entry 1", "Expected `object`, got `null`"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_faulty_entry_is_named_and_its_neighbours_are_kept(tmp_path, kind):
    entry, name, fault = FAULTS[kind]
    good = {"file_name": "a.jpg", "polygon1": SQUARE}
    first, bad, last = entries_of(tmp_path, good, entry, {**good, "file_name": "c.jpg"})
    assert (first[0], first[1].tolist(), first[2]) == ("a.jpg", POINTS, "")
    assert (last[0], last[1].tolist(), last[2]) == ("c.jpg", POINTS, "")
    assert bad[:2] == (name, None)
    assert bad[2].startswith("entry 1: ")
    assert fault in bad[2]


def test_other_keys_are_counted_and_files_without_any_count_none(tmp_path):
    plain, both = {"file_name": "a.jpg", "polygon1": SQUARE}, {"polygon2": SQUARE, "id": 7}
    others = Counter()
    entries = [plain, plain | both, plain, plain | {"polygon2": None}, {"polygon3": 1}]
    assert len(list(read_labels(written(tmp_path, {"annotations": entries}), others=others))) == 5
    assert others == {"polygon2": 2, "id": 1}
    assert not list(read_labels(written(tmp_path, {"annotations": []}), others=others)) and len(others) == 2
    for key in ("a\0b", "a\nb", 'a"b', "a\\b"):
        odd = [plain | {key: 1}, plain | {"polygon2": 1}, plain]
        read = read_labels(written(tmp_path, {"annotations": odd}), others=others)
        assert all(points is not None for _, points, _ in read)
    assert others["polygon2"] == 2  # beside a key that cannot be counted the others cannot be met
    strange = Counter()
    path = written(tmp_path, {"annotations": [plain | {"": 1, "\u00e9": 2, "a.b": 3, "polygon1 ": 4}] * 2})
    assert len(list(read_labels(path, others=strange))) == 2 and set(strange.values()) == {2} and len(strange) == 4
    many = [plain | {f"key `{n}`": n} for n in range(100)]
    assert all(
        points is not None for _, points, _ in read_labels(written(tmp_path, {"annotations": many}), others=others)
    )
    assert others["key `0`"] == 1 and len(others) < 40


@pytest.mark.parametrize("text", [b"[" * 3000, b'{"annotations": [' + b"[" * 3000 + b"]" * 3000 + b"]}"])
def test_nesting_without_end_is_a_fault_of_the_file(tmp_path, text):
    path = written(tmp_path, text)
    for read in (lambda: list(read_labels(path)), lambda: read_document(path)):
        with pytest.raises(DataError, match=r"labels\.json: (brackets are nested too deep|Expected `object`)"):
            read()


def test_a_polygon_that_would_take_minutes_to_fill_is_a_fault_of_its_entry(tmp_path):
    corners = np.random.default_rng(0).integers(0, 512, (100_000, 2))
    entries = [{"file_name": "a.jpg", "polygon1": [{"x": int(x), "y": int(y)} for x, y in corners]}]
    path = written(tmp_path, {"annotations": entries})
    ((name, points, fault),) = read_labels(path)
    assert (name, points) == ("a.jpg", None) and "entry 0: 100,000 points that pass rows of pixels" in fault


def test_half_a_character_is_named_with_its_place(tmp_path):
    path = written(tmp_path, b'{"annotations": [{"file_name": "\\ud800.jpg", "polygon1": []}]}')
    with pytest.raises(DataError, match=r"line 1, column 33: .ud800 is half of a character"):
        list(read_labels(path))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_labels_are_read_in_every_encoding_of_json(tmp_path, encoding):
    path = written(tmp_path, {"annotations": [{"file_name": "a.jpg", "polygon1": SQUARE}]})
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert [name for name, _, _ in read_labels(path)] == ["a.jpg"] and len(read_document(path)[1]) == 1


def test_too_large_a_number_in_json_is_a_fault_of_its_entry_alone(tmp_path):
    huge = '{"file_name": "a.jpg", "polygon1": [{"x": 1e400, "y": 1}]}'
    text = f'{{"annotations": [{huge}, {{"file_name": "b.jpg", "polygon1": []}}]}}'
    (_, points, fault), (name, empty, none) = read_labels(written(tmp_path, text))
    assert points is None
    assert "out of range" in fault
    assert (name, empty.shape, none) == ("b.jpg", (0, 2), "")


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{"annotations": [\n  {"file_name": "a.jpg",\n   "polygon1": [}\n]}', 3, 17),
        ('{"annotations": [\n{"file_name": "a.jpg", "polygon1": [{"x": NaN, "y": 1}]}]}', 2, 43),
        ('{"annotations": [\n{"file_name": "a.jpg", "polygon1": [{"x": Infinity, "y": 1}]}]}', 2, 43),
        ("{'annotations': []}", 1, 2),
        ('{"annotations": [{"file_name": "머리.jpg", "polygon1": [}]}', 1, 55),
        ('{"annotations": []} and more', 1, 22),
    ],
)
def test_broken_json_is_named_by_line_and_column(tmp_path, text, line, column):
    for read in (read_document, lambda path: list(read_labels(path))):
        with pytest.raises(DataError) as error:
            read(written(tmp_path, text))
        assert f"labels.json: broken JSON at line {line}, column {column} (near" in str(error.value)


def test_a_file_that_was_cut_off_is_broken_at_its_end(tmp_path):
    whole = json.dumps({"annotations": [{"file_name": "a.jpg", "polygon1": SQUARE}] * 3}, indent=1)
    swept = 0
    for end in range(1, len(whole)):
        path = written(tmp_path, whole[:end])
        with pytest.raises(DataError, match=r"broken JSON at line \d+, column \d+"):
            list(read_labels(path))
        swept += 1
    assert swept == len(whole) - 1 > 300


def test_bytes_that_are_no_text_are_a_fault_of_their_entry(tmp_path):
    path = written(tmp_path, b'{"annotations": [{"file_name": "\xff\xfe.jpg", "polygon1": []}]}')
    ((name, points, fault),) = read_labels(path)
    assert (name, points) == ("entry 0", None)
    assert fault.startswith("entry 0: 'utf-8' codec can't decode byte 0xff")
    with pytest.raises(DataError, match=r"labels\.json: not UTF-8 text"):
        read_document(path)
    for read in (read_document, lambda path: list(read_labels(path))):
        with pytest.raises(DataError, match=r"labels\.json: broken JSON at line 1, column 1 "):
            read(written(tmp_path, b"\x89PNG\r\n"))


def test_an_empty_file_is_called_empty_and_a_missing_one_missing(tmp_path):
    for read in (read_document, lambda path: list(read_labels(path))):
        with pytest.raises(DataError, match=r"labels\.json: empty file"):
            read(written(tmp_path, b""))
        with pytest.raises(DataError, match=r"none\.json: no such file"):
            read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "document", [[], 5, "text", {"images": []}, {"annotations": {}}, {"annotations": 5}, {"annotations": None}]
)
def test_another_document_is_told_what_was_expected(tmp_path, document):
    path = written(tmp_path, json.dumps(document))
    with pytest.raises(DataError, match=r"labels\.json: .*annotations"):
        list(read_labels(path))
    with pytest.raises(DataError, match=r'labels\.json: expected an object with a list "annotations"'):
        read_document(path)


def test_no_entries_are_no_labels(tmp_path):
    assert list(read_labels(written(tmp_path, {"annotations": []}))) == []


def test_progress_counts_entries(tmp_path):
    seen = []

    def track(items, total, description):
        seen.append((total, description))
        return items

    path = written(tmp_path, {"annotations": [{"file_name": f"{i}.jpg", "polygon1": SQUARE} for i in range(3)]})
    assert len(list(read_labels(path, track))) == 3
    assert seen == [(3, "reading labels.json")]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(-32_000, 32_000, allow_nan=False, width=32), st.floats(-32_000, 32_000, allow_nan=False, width=32)
        ),
        max_size=20,
    )
)
def test_points_become_compact_arrays_without_loss(pairs):
    points = to_array([Point(x, y) for x, y in pairs])
    assert points.shape == (len(pairs), 2)
    assert points.tolist() == [list(pair) for pair in pairs]
    whole = all(v == int(v) for pair in pairs for v in pair)
    assert points.dtype == (np.int16 if whole else np.float32)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 32_001, -1e30])
def test_what_is_no_coordinate_is_refused(value):
    with pytest.raises(ValueError, match="infinite or beyond"):
        to_array([Point(1, 2), Point(value, 2)])


def test_many_labels_need_little_memory(tmp_path):
    count, points = 2000, ring(250, 250, 120, 120)
    text = json.dumps({"file_name": "a.jpg", "polygon1": points})
    path = written(tmp_path, '{"annotations": [' + ", ".join([text] * count) + "]}")
    tracemalloc.start()
    kept = [points for _, points, _ in read_labels(path)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(p) for p in kept) == count * 120
    needed = sum(p.nbytes for p in kept)
    assert peak < 4 * needed + 2_000_000, f"{peak} bytes for {needed} bytes of points"
    assert peak < path.stat().st_size / 2
