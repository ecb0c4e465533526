"""Run-length text of masks: laws of the codec, its windows and stripes, its strictness, and the contests' own rows."""

import csv
import itertools
import warnings

import numpy as np
import pycocotools.mask as coco
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import SubmissionError
from kagglekit.data.codecs import rle
from tests.conftest import REAL

# pycocotools converts arrays in a way that numpy warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Shapes include 1xN and Nx1; density 0 and 1 are the empty and the full mask.
masks = st.builds(
    lambda h, w, density, seed: (np.random.default_rng(seed).random((h, w)) < density).astype(np.uint8),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.02, 0.3, 0.5, 0.9, 1.0]),
    st.integers(0, 2**31),
)


def brute_text(mask: np.ndarray) -> str:
    """The text, pixel by pixel."""
    words, inside = [], False
    columns = [bool(mask[y, x]) for x in range(mask.shape[1]) for y in range(mask.shape[0])]
    for at, on in enumerate(columns):
        if on and not inside:
            words += [at + 1, 0]
        if on:
            words[-1] += 1
        inside = on
    return " ".join(map(str, words))


def brute_mask(text: str, size: tuple[int, int]) -> np.ndarray:
    """The mask, pixel by pixel."""
    mask = np.zeros(size, np.uint8)
    words = list(map(int, text.split()))
    for start, length in zip(words[::2], words[1::2], strict=True):
        for at in range(start - 1, start - 1 + length):
            mask[at % size[0], at // size[0]] = 1
    return mask


def split(draw, width: int) -> list[int]:
    """Borders 0 < ... < width of stripes."""
    inner = draw(st.sets(st.integers(1, width - 1))) if width > 1 else set()
    return [0, *sorted(inner), width]


@settings(max_examples=300, deadline=None)
@given(masks)
def test_a_mask_of_any_shape_comes_back_pixel_by_pixel(mask):
    again = rle.decode(rle.encode(mask), mask.shape)
    assert np.array_equal(again, mask)
    assert again.dtype == np.uint8 and again.flags.c_contiguous


@settings(max_examples=300, deadline=None)
@given(masks)
def test_text_and_mask_are_those_of_a_walk_over_every_pixel(mask):
    text = brute_text(mask)
    assert rle.encode(mask) == text
    assert np.array_equal(rle.decode(text, mask.shape), brute_mask(text, mask.shape))


@settings(max_examples=200, deadline=None)
@given(masks)
def test_text_of_maximal_runs_comes_back_letter_by_letter(mask):
    text = brute_text(mask)
    assert rle.encode(rle.decode(text, mask.shape)) == text
    assert rle.text(rle.runs(text, mask.shape)) == text


@settings(max_examples=200, deadline=None)
@given(masks, st.integers(1, 255), st.integers(1, 255))
def test_all_that_is_not_zero_is_foreground_whatever_the_type(mask, one, other):
    text = rle.encode(mask)
    checkered = np.indices(mask.shape).sum(0) % 2
    mixed = np.where(checkered, mask * one, mask * other)
    kinds = [mixed.astype(np.uint8), mask.astype(bool), mask * -0.5, mixed.astype(np.int64), mixed.astype(np.uint16)]
    assert [rle.encode(kind) for kind in kinds] == [text] * 5


@settings(max_examples=200, deadline=None)
@given(masks)
def test_the_order_of_the_pixels_in_memory_changes_nothing(mask):
    text = rle.encode(mask)
    wide = np.repeat(np.repeat(mask, 3, 0), 2, 1)
    for kind in (np.asfortranarray(mask), mask[::-1][::-1], wide[::3, ::2], wide.T[::2, ::3].T, wide[1::3, 1::2]):
        assert rle.encode(kind) == text


@settings(max_examples=200, deadline=None)
@given(masks)
def test_runs_counts_and_pixels_are_those_of_pycocotools(mask):
    theirs = coco.encode(np.asfortranarray(mask))
    runs = rle.runs(rle.encode(mask), mask.shape)
    edges = np.concatenate([[0], np.stack([runs[:, 0], runs.sum(1)], 1).ravel(), [mask.size]])
    counts = {"size": list(mask.shape), "counts": np.diff(edges).tolist()}
    if mask[-1, -1]:
        counts["counts"].pop()  # pycocotools ends with the last run
    assert coco.frPyObjects(counts, *mask.shape) == theirs
    assert np.array_equal(coco.decode(theirs), rle.decode(rle.encode(mask), mask.shape))
    assert coco.area(theirs) == runs[:, 1].sum()


@settings(max_examples=300, deadline=None)
@given(masks, st.data())
def test_stripes_of_any_widths_give_the_text_of_the_whole(mask, data):
    borders = split(data.draw, mask.shape[1])
    stripes = [mask[:, left:right] for left, right in itertools.pairwise(borders)]
    assert rle.encode_stripes(stripes, len(mask)) == rle.encode(mask)
    assert rle.encode_stripes(map(np.asfortranarray, stripes), len(mask)) == rle.encode(mask)


@settings(max_examples=100, deadline=None)
@given(masks)
def test_the_text_can_be_asked_for_between_two_stripes(mask):
    encoder = rle.Encoder(len(mask))
    assert encoder.finish() == ""
    for column in range(mask.shape[1]):
        encoder.add(mask[:, column : column + 1])
        encoder.add(mask[:, :0])
        assert encoder.finish() == rle.encode(mask[:, : column + 1])


@settings(max_examples=200, deadline=None)
@given(masks, st.integers(1, 50))
def test_decoded_stripes_side_by_side_are_the_whole_mask(mask, width):
    stripes = list(rle.decode_stripes(rle.encode(mask), mask.shape, width))
    assert np.array_equal(np.hstack(stripes), mask)
    assert [s.shape[1] for s in stripes[:-1]] == [width] * (len(stripes) - 1) and 1 <= stripes[-1].shape[1] <= width


@settings(max_examples=400, deadline=None)
@given(masks, st.data())
def test_a_window_is_the_slice_of_the_whole_mask(mask, data):
    (high, wide), draw = mask.shape, data.draw
    top, left = draw(st.integers(0, high - 1)), draw(st.integers(0, wide - 1))
    height, width = draw(st.integers(1, high - top)), draw(st.integers(1, wide - left))
    runs = rle.runs(rle.encode(mask), mask.shape)
    for order in (runs, np.ascontiguousarray(runs)):
        window = rle.decode_box(order, mask.shape, top, left, height, width)
        assert np.array_equal(window, mask[top : top + height, left : left + width])
        assert window.dtype == np.uint8


@settings(max_examples=200, deadline=None)
@given(masks, st.data())
def test_touching_runs_are_the_run_they_make_up(mask, data):
    runs = rle.runs(rle.encode(mask), mask.shape)
    pieces = []
    for start, length in runs.tolist():
        cuts = split(data.draw, length)
        pieces += [(start + a, b - a) for a, b in itertools.pairwise(cuts)]
    text = rle.text(np.array(pieces, np.int64).reshape(-1, 2))
    assert np.array_equal(rle.decode(text, mask.shape), mask)
    assert rle.encode(rle.decode(text, mask.shape)) == rle.text(runs)
    box = rle.decode_box(rle.runs(text, mask.shape), mask.shape, 0, 0, 1, mask.shape[1])
    assert np.array_equal(box, mask[:1])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**18 - 2), st.integers(1, 10**18 - 1))))
def test_numbers_of_every_length_are_written_as_python_writes_them(pairs):
    runs = np.array(pairs, np.int64).reshape(-1, 2)
    assert rle.text(runs) == " ".join(f"{start + 1} {length}" for start, length in pairs)


def test_every_number_up_to_a_million_is_written_and_read_as_it_is():
    numbers = np.arange(1, 1_000_001)
    text = rle.text(np.stack([numbers - 1, numbers], 1)).split(" ")
    assert text[::2] == text[1::2] == list(map(str, numbers.tolist()))
    ones = rle.text(np.stack([2 * numbers, np.ones_like(numbers)], 1))
    assert np.array_equal(rle.runs(ones, (3, 10**6))[:, 0], 2 * numbers)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 5)])
def test_the_first_and_the_last_pixel_alone_are_a_run_of_one(size):
    for at, text in ((0, "1 1"), (-1, f"{size[0] * size[1]} 1")):
        mask = np.zeros(size, np.uint8)
        mask.flat[at] = 1
        assert rle.encode(mask) == text
        assert np.array_equal(rle.decode(text, size), mask)


def test_an_empty_mask_is_an_empty_text_and_a_full_one_a_single_run():
    for size in ((1, 1), (1, 9), (9, 1), (6, 4)):
        assert rle.encode(np.zeros(size, np.uint8)) == ""
        assert not rle.decode("", size).any() and rle.decode("", size).shape == size
        assert rle.encode(np.ones(size, bool)) == f"1 {size[0] * size[1]}"
        assert rle.decode(f"1 {size[0] * size[1]}", size).all()
    assert rle.runs("", (3, 3)).shape == (0, 2)
    assert rle.encode(np.zeros((5, 0), np.uint8)) == ""


def test_masks_of_more_than_one_block_are_encoded_as_one_block_is(monkeypatch):
    mask = (np.random.default_rng(0).random((57, 43)) < 0.3).astype(np.uint8)
    text = rle.encode(mask)
    for block in (1, 7, 43, 44, 100, 1000, 57 * 43):
        monkeypatch.setattr(rle, "_BLOCK", block)
        monkeypatch.setattr(rle, "_WRITTEN", block)
        assert rle.encode(mask) == rle.encode(np.asfortranarray(mask)) == rle.encode(mask * 7) == text


def test_runs_count_down_the_columns_as_the_first_row_of_a_contest_shows():
    text = "264918 937 266318 937"
    assert rle.runs(text, (1400, 2100)).tolist() == [[189 * 1400 + 317, 937], [190 * 1400 + 317, 937]]
    mask = rle.decode(text, (1400, 2100))
    assert mask[317 : 317 + 937, 189:191].all() and mask.sum() == 2 * 937
    assert rle.encode(mask) == text


def test_runs_of_a_mask_of_two_billion_pixels_need_no_mask():
    size = (39_960, 50_680)
    last = size[0] * size[1]
    runs = rle.runs(f"1 40 {last - 999} 1000", size)
    assert runs.tolist() == [[0, 40], [last - 1000, 1000]]
    corner = rle.decode_box(runs, size, size[0] - 1024, size[1] - 1024, 1024, 1024)
    assert corner[-1000:, -1].all() and corner.sum() == 1000
    assert rle.decode_box(runs, size, 30, 0, 20, 5).sum() == 10


def test_reading_text_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rle.decode("1 2 5 1", (3, 3))


FAULTS = {
    "5": "1 numbers; expected pairs of start and length",
    "1 2 5": "3 numbers; expected pairs of start and length",
    "1 2 5 0": "run 2: length '0'; expected 1 or more, pixels count from 1",
    "0 1": "run 1: start '0'; expected 1 or more, pixels count from 1",
    "1 2 05 1": "run 2: start '05' has a leading zero",
    "1 2 nan 1": "run 2: start 'nan' is not a whole number in digits",
    "nan": "run 1: start 'nan' is not a whole number in digits",
    "1 2.0": "run 1: length '2.0' is not a whole number in digits",
    "-1 2": "run 1: start '-1' is not a whole number in digits",
    "+1 2": "run 1: start '+1' is not a whole number in digits",
    "1e1 2": "run 1: start '1e1' is not a whole number in digits",
    "1,2": "run 1: start '1,2' is not a whole number in digits",
    "1\t2": r"run 1: start '1\t2' is not a whole number in digits",
    "1 2\n5 1": r"run 1: length '2\n5' is not a whole number in digits",
    "1 ２": "run 1: length '２' is not a whole number in digits",
    "1 ²": "run 1: length '²' is not a whole number in digits",
    "1 2\0": r"run 1: length '2\x00' is not a whole number in digits",
    "x" * 100: f"run 1: start '{'x' * 21}...' is not a whole number in digits",
    " 1 2": "run 1: a space too many before its start; expected one between two numbers",
    "1 2 ": "run 2: a space too many before its start; expected one between two numbers",
    "1  2": "run 1: a space too many before its length; expected one between two numbers",
    " ": "run 1: a space too many before its start; expected one between two numbers",
    "1 2 48 2": "run 2 (start 48, length 2) ends beyond the 48 pixels of 6x8 (height x width)",
    "49 1": "run 1 (start 49, length 1) ends beyond the 48 pixels of 6x8 (height x width)",
    "1 9223372036854775807": "run 1 (start 1, length 9223372036854775807) ends beyond the 48 pixels of 6x8",
    "99999999999999999999 1": "run 1 (start 9223372036854775807, length 1) ends beyond the 48 pixels",
    "99999999999999999999 99999999999999999999": "ends beyond the 48 pixels of 6x8 (height x width)",
    "5 3 7 2": "run 2 (start 7, length 2) overlaps run 1 (start 5, length 3); expected runs sorted and apart",
    "5 3 5 3": "run 2 (start 5, length 3) overlaps run 1 (start 5, length 3); expected runs sorted and apart",
    "1 1 9 1 5 1": "run 3 (start 5, length 1) stands behind run 2 (start 9, length 1); expected runs sorted and apart",
}


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: repr(text[:20]))
def test_text_of_another_form_is_refused_with_the_place_and_the_reason(text):
    for read in (rle.runs, rle.decode, lambda *given: next(rle.decode_stripes(*given, 2))):
        with pytest.raises(SubmissionError) as caught:
            read(text, (6, 8))
        assert FAULTS[text] in str(caught.value)


@settings(max_examples=500, deadline=None)
@given(st.text("0123456789 \n-.x", max_size=12))
def test_what_is_read_is_exactly_the_text_that_would_be_written(text):
    try:
        runs = rle.runs(text, (100, 100))
    except SubmissionError:
        return
    assert rle.text(runs) == text


def test_a_size_that_was_swapped_is_noticed_where_a_run_leaves_the_image():
    text = rle.encode(np.ones((3, 5), np.uint8))
    with pytest.raises(SubmissionError, match=r"beyond the 12 pixels of 3x4 \(height x width\)"):
        rle.decode(text, (3, 4))


@pytest.mark.parametrize("box", [(-1, 0, 2, 2), (0, -1, 2, 2), (0, 0, 7, 2), (0, 0, 2, 9), (5, 7, 1, 2), (0, 0, 0, 2)])
def test_a_window_that_leaves_the_image_is_an_error_of_the_caller(box):
    with pytest.raises(ValueError, match=r"a window of .* leaves the image of \(6, 8\)"):
        rle.decode_box(rle.runs("1 2", (6, 8)), (6, 8), *box)


def test_a_mask_or_stripe_of_another_shape_is_an_error_of_the_caller():
    with pytest.raises(ValueError, match=r"a mask of shape \(2, 3, 1\); expected \[H, W\]"):
        rle.encode(np.zeros((2, 3, 1), np.uint8))
    for shape in ((3, 4), (4,), (4, 2, 1)):
        with pytest.raises(ValueError, match=r"a stripe of shape .*; expected \[4, w\]"):
            rle.Encoder(4).add(np.zeros(shape, np.uint8))


def real_rows(name: str) -> list[tuple[str, str]]:
    """(id, text) of the rows of a real file; skips where it is not beside the project."""
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"no real labels at {path}")
    csv.field_size_limit(2**31 - 1)
    with path.open(newline="", encoding="utf-8") as stream:
        return [(row[0], row[1]) for row in csv.reader(stream)][1:]


@pytest.mark.real
@pytest.mark.parametrize("name", ["clouds/train.csv", "clouds/answers.csv"])
def test_every_row_of_the_clouds_contest_comes_back_letter_by_letter(name):
    rows = real_rows(name)
    for id, text in rows:
        assert rle.encode(rle.decode(text, (1400, 2100))) == text, id
    assert len(rows) >= 48 and sum(1 for _, text in rows if text) >= 20


@pytest.mark.real
@pytest.mark.parametrize("name", ["glomeruli/train.csv", "glomeruli/answers.csv"])
def test_every_row_of_the_kidney_contest_comes_back_letter_by_letter(name):
    rows = real_rows(name)
    with (REAL / "glomeruli" / "HuBMAP-20-dataset_information.csv").open(newline="", encoding="utf-8") as stream:
        sizes = {
            row["image_file"].split(".")[0]: (int(row["height_pixels"]), int(row["width_pixels"]))
            for row in csv.DictReader(stream)
        }
    for id, text in rows:
        assert rle.encode(rle.decode(text, sizes[id])) == text, id
        assert rle.encode_stripes(rle.decode_stripes(text, sizes[id], 512), sizes[id][0]) == text, id
    assert rows
