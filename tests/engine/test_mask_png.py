"""Masks as PNG: what is written is read again, and what people paint is read as they meant it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kagglekit.data.codecs.mask_png import decode, encode, from_text, read, to_text
from kagglekit.errors import DataError


def png(path, array):
    """A PNG of an array."""
    Image.fromarray(np.asarray(array)).save(path)
    return path


rng = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1, 255])
def test_a_binary_mask_may_be_of_ones_or_of_255(tmp_path, scale):
    mask = rng.integers(0, 2, (6, 9)).astype(np.uint8)
    path = png(tmp_path / "m.png", mask * scale)
    assert np.array_equal(read(path, (6, 9), "binary", 1), mask)
    bits = tmp_path / "bits.png"
    Image.fromarray(mask * 255).convert("1").save(bits)
    assert np.array_equal(read(bits, (6, 9), "binary", 1), mask)


def test_a_label_map_holds_indices_with_or_without_a_palette(tmp_path):
    mask = rng.integers(0, 5, (6, 9)).astype(np.uint8)
    assert np.array_equal(read(png(tmp_path / "m.png", mask), (6, 9), "multiclass", 5), mask)
    coloured = Image.fromarray(mask, "P")
    coloured.putpalette([7, 7, 7, 250, 0, 0, 0, 250, 0, 0, 0, 250, 9, 9, 9])
    coloured.save(tmp_path / "p.png")
    assert np.array_equal(read(tmp_path / "p.png", (6, 9), "multiclass", 5), mask)


@pytest.mark.parametrize("classes", [4, 8, 11])
def test_overlapping_classes_are_bits(tmp_path, classes):
    planes = rng.integers(0, 2, (6, 9, classes)).astype(np.uint8)
    bits = (planes.astype(np.uint16) << np.arange(classes, dtype=np.uint16)).sum(-1)
    array = bits.astype(np.uint8 if classes <= 8 else np.uint16)
    assert np.array_equal(read(png(tmp_path / "m.png", array), (6, 9), "multilabel", classes), planes)


@pytest.mark.parametrize(
    ("array", "task", "classes", "fault"),
    [
        (np.zeros((5, 9), np.uint8), "binary", 1, r"5x9 pixels; expected 6x9 \(height x width\)"),
        (np.zeros((6, 9, 3), np.uint8), "binary", 1, "6x9 pixels of 3 channels"),
        (np.full((6, 9), 2, np.uint8), "binary", 1, "holds the value 2; a binary mask of this competition ends at 1"),
        (np.full((6, 9), 5, np.uint8), "multiclass", 5, "holds the value 5; a multiclass mask .* ends at 4"),
        (np.full((6, 9), 16, np.uint8), "multilabel", 4, "holds the value 16; a multilabel mask .* ends at 15"),
    ],
)
def test_masks_of_another_size_form_or_range_are_refused(tmp_path, array, task, classes, fault):
    with pytest.raises(DataError, match=rf"mask .*m\.png: {fault}"):
        read(png(tmp_path / "m.png", array), (6, 9), task, classes)


def test_files_that_are_no_png_are_refused(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    Image.fromarray(np.zeros((6, 9), np.uint8)).save(tmp_path / "jpeg.png", "JPEG")
    for name in ("text.png", "jpeg.png"):
        with pytest.raises(DataError, match=rf"mask .*{name}: not a PNG, or damaged"):
            read(tmp_path / name, (6, 9), "binary", 1)


CLASSES = {"binary": [1], "multiclass": [2, 12, 256], "multilabel": [1, 4, 8, 9, 16]}


@given(st.data())
def test_what_is_written_is_read_again(data):
    task = data.draw(st.sampled_from(sorted(CLASSES)))
    classes = data.draw(st.sampled_from(CLASSES[task]))
    size = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    most = classes if task == "multiclass" else 2
    shape = (*size, classes) if task == "multilabel" and classes > 1 else size
    mask = np.random.default_rng(data.draw(st.integers(0, 999))).integers(0, most, shape).astype(np.uint8)
    assert np.array_equal(decode(encode(mask, task), "mask", size, task, classes), mask)
    assert np.array_equal(from_text(to_text(mask, task), "mask", size, task, classes), mask)


def test_a_binary_mask_is_white_where_there_is_something(tmp_path):
    (tmp_path / "m.png").write_bytes(encode(np.array([[0, 1]], np.uint8), "binary"))
    assert np.asarray(Image.open(tmp_path / "m.png")).tolist() == [[0, 255]]


@pytest.mark.parametrize("text", ["?", "AAAA", ""])
def test_text_that_is_no_mask_is_refused_by_whom_it_concerns(text):
    with pytest.raises(DataError, match=r"^a rule: s001: not "):
        from_text(text, "a rule: s001", (2, 2), "binary", 1)
