"""Label maps as text: laws of the codec, and every fault with its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import SubmissionError
from kagglekit_recycling import label_map

maps = st.builds(
    lambda h, w, classes, seed: np.random.default_rng(seed).integers(0, classes, (h, w), np.uint8, endpoint=True),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([0, 1, 9, 10, 11, 99, 100, 101, 255]),  # the largest label: around changes of length
    st.integers(0, 2**31),
)


@settings(max_examples=300, deadline=None)
@given(maps)
def test_a_label_map_comes_back_pixel_by_pixel(labels):
    again = label_map.decode(label_map.encode(labels), labels.shape, 256)
    assert np.array_equal(again, labels) and again.dtype == np.uint8
    again[0, 0] ^= 1  # it is no view of the text


@settings(max_examples=300, deadline=None)
@given(maps)
def test_the_text_is_that_of_joining_the_numbers_row_by_row(labels):
    text = " ".join(str(v) for row in labels.tolist() for v in row)
    assert label_map.encode(labels) == text
    for kind in (labels.astype(np.int64), labels.astype(np.uint16), np.asfortranarray(labels), labels[::-1][::-1]):
        assert label_map.encode(kind) == text
    assert label_map.decode(text, labels.shape, int(labels.max()) + 1).tolist() == labels.tolist()


@settings(max_examples=500, deadline=None)
@given(st.text("0123456789 ", max_size=12) | st.text("0129 \n-.x", max_size=12))
def test_what_is_read_is_exactly_the_text_that_would_be_written(text):
    width = max(1, len(text.split()))
    try:
        labels = label_map.decode(text, (1, width), 256)
    except SubmissionError:
        return
    assert label_map.encode(labels) == text and labels.shape == (1, width)


def test_every_number_of_three_digits_and_less_is_a_class_or_refused():
    for number in range(1000):
        if number < 256:
            assert label_map.decode(f"0 {number} 7", (1, 3), 256).tolist() == [[0, number, 7]]
        else:
            with pytest.raises(SubmissionError, match=f"'{number}' is no class; expected 0 to 255"):
                label_map.decode(f"0 {number} 7", (1, 3), 256)


def test_a_submission_of_half_the_pixels_has_one_number_for_each():
    labels = np.random.default_rng(0).integers(0, 12, (512, 512), np.uint8)
    text = label_map.encode(labels[::2, ::2])
    assert text.count(" ") == 65_535
    assert np.array_equal(label_map.decode(text, (256, 256), 12), labels[::2, ::2])


FAULTS = {
    "": "0 numbers; expected 6, for 2x3 pixels (height x width)",
    "0 1 2 3 4": "5 numbers; expected 6, for 2x3 pixels (height x width)",
    "0 1 2 3 4 5 6": "7 numbers; expected 6, for 2x3 pixels (height x width)",
    "0 1 2 3 12 5": "number 5 (row 1, column 1): '12' is no class; expected 0 to 11",
    "0 1 2 3 4 12": "number 6 (row 1, column 2): '12' is no class; expected 0 to 11",
    "255 1 2 3 4 5": "number 1 (row 0, column 0): '255' is no class; expected 0 to 11",
    "0 1 2 3 4 1000": "number 6 (row 1, column 2): '1000' is no class; expected 0 to 11",
    "0 1 2 3 4 65537": "number 6 (row 1, column 2): '65537' is no class; expected 0 to 11",
    "0 1 2 3 4 5 99": "number 7: '99' is no class; expected 0 to 11",
    "9" * 50: f"number 1 (row 0, column 0): '{'9' * 21}...' is no class; expected 0 to 11",
    "0 1 2 03 4 5": "number 4 (row 1, column 0): '03' has a leading zero",
    "00 1 2 3 4 5": "number 1 (row 0, column 0): '00' has a leading zero",
    "0 1.0 2 3 4 5": "number 2 (row 0, column 1): '1.0' is not a whole number in digits",
    "0 1 nan 3 4 5": "number 3 (row 0, column 2): 'nan' is not a whole number in digits",
    "0 1 2 -3 4 5": "number 4 (row 1, column 0): '-3' is not a whole number in digits",
    "0 1 2 3 4\t5": r"number 5 (row 1, column 1): '4\t5' is not a whole number in digits",
    "0 1 2 3 4 5\n": r"number 6 (row 1, column 2): '5\n' is not a whole number in digits",
    "0 1 2 3 4 ５": "number 6 (row 1, column 2): '５' is not a whole number in digits",
    "0,1,2,3,4,5": "number 1 (row 0, column 0): '0,1,2,3,4,5' is not a whole number in digits",
    "0  1 2 3 4 5": "number 2 (row 0, column 1): a space too many before it; expected one between two numbers",
    " 0 1 2 3 4 5": "number 1 (row 0, column 0): a space too many before it; expected one between two numbers",
    "0 1 2 3 4 5 ": "number 7: a space too many before it; expected one between two numbers",
}


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: repr(text[:20]))
def test_text_of_another_form_is_refused_with_the_place_and_the_reason(text):
    with pytest.raises(SubmissionError) as caught:
        label_map.decode(text, (2, 3), 12)
    assert str(caught.value) == FAULTS[text]


def test_more_classes_than_a_byte_holds_are_an_error_of_the_caller():
    for classes in (257, 0, -1):
        with pytest.raises(ValueError, match=f"{classes} classes; expected 1 to 256"):
            label_map.decode("0", (1, 1), classes)
    with pytest.raises(ValueError, match="labels from 0 to 256; expected 0 to 255"):
        label_map.encode(np.array([[0, 256]]))
    with pytest.raises(ValueError, match="labels from -1 to 0; expected 0 to 255"):
        label_map.encode(np.array([[0, -1]]))


def test_what_is_no_label_map_is_an_error_of_the_caller():
    for labels in (np.zeros((2, 2)), np.zeros((2, 2), bool), np.zeros(4, np.uint8), np.zeros((1, 2, 2), np.uint8)):
        with pytest.raises(ValueError, match=r"labels of shape .*; expected whole numbers \[h, w\]"):
            label_map.encode(labels)
